"""Binance's own spot connector against the exchange on the desk: nothing of it is changed but where it connects."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_common.errors import BadRequestError, UnauthorizedError
from binance_sdk_spot.spot import Spot

from pipeline.simulator.handle import RunningSimulator, Simulator
from pipeline.simulator.options import Account, Options
from tests.clients.test_binance_sdk import PAIRS, disconnect, private_pem, public_pem

BTC = {"symbol": "BTCUSDT"}
JANUARY = 1_767_225_600_000  # 2026-01-01
TIMEOUT = 60
ITS_OWN_WARNING = pytest.mark.filterwarnings("ignore:parameter 'timeout' of type 'float':DeprecationWarning")


@pytest.fixture(scope="module")
def own() -> Iterator[RunningSimulator]:
    """Spot of an exchange with the ready account, and one account for each kind of key pair."""
    pairs = tuple(Account(name=kind, key=f"{kind}-key", secret=public_pem(kind)) for kind in PAIRS)
    with Simulator.start(markets=("um", "spot"), accounts=(*Options().accounts, *pairs)) as simulator:
        yield simulator.at("spot")


def rest(simulator: RunningSimulator, **credentials: str) -> Any:
    """The connector's REST client."""
    chosen = credentials or {"api_key": "sim-key", "api_secret": "sim-secret"}
    config = ConfigurationRestAPI(base_path=simulator.url, timeout=10_000, retries=0, **chosen)  # type: ignore[arg-type]
    return Spot(config_rest_api=config).rest_api


@pytest.fixture(scope="module")
def api(own: RunningSimulator) -> Any:
    return rest(own)


@pytest.fixture
def price(api: Any) -> float:
    return float(api.ticker_price(**BTC).data().actual_instance.price)


def messages(simulator: RunningSimulator, **credentials: str) -> Any:
    """The connector's client of the websocket API."""
    chosen = credentials or {"api_key": "sim-key", "api_secret": "sim-secret"}
    url = f"{simulator.ws_url}/ws-api/v3"
    return Spot(config_ws_api=ConfigurationWebSocketAPI(stream_url=url, **chosen)).websocket_api  # type: ignore[arg-type]


@pytest.fixture
async def ws(own: RunningSimulator) -> AsyncIterator[Any]:
    connection = await messages(own).create_connection()
    yield connection
    await disconnect(connection)


def balance(api: Any, asset: str) -> tuple[float, float]:
    (found,) = [each for each in api.get_account().data().balances if each.asset == asset]
    return float(found.free), float(found.locked)


def test_time_and_exchange_information(api: Any, own: RunningSimulator) -> None:
    assert abs(api.time().data().server_time - own.now()) < TIMEOUT * 1_000
    symbols = {each.symbol: each for each in api.exchange_info().data().symbols}
    assert (symbols["BTCUSDT"].base_asset, symbols["BTCUSDT"].oco_allowed) == ("BTC", True)


def test_a_thousand_candles(api: Any, own: RunningSimulator) -> None:
    end = JANUARY + 999 * 60_000
    rows = api.klines(**BTC, interval="1m", start_time=JANUARY, end_time=end, limit=1000).data()
    assert [[each.actual_instance if hasattr(each, "actual_instance") else each for each in row] for row in rows] == (
        own.truth_klines("BTCUSDT", "1m", JANUARY, end)
    )


def test_public_prices(api: Any) -> None:
    assert api.avg_price(**BTC).data().mins == 5
    assert api.ticker24hr(**BTC).data().actual_instance.count > 0
    assert api.ticker_book_ticker(**BTC).data().actual_instance.bid_price
    assert api.depth(**BTC, limit=5).data().bids
    assert len(api.get_trades(**BTC, limit=3).data()) == 3
    assert len(api.historical_trades(**BTC, limit=3).data()) == 3
    assert len(api.agg_trades(**BTC, limit=3).data()) == 3


def test_a_limit_order_is_placed_replaced_found_and_cancelled(api: Any, price: float) -> None:
    terms = {**BTC, "side": "BUY", "type": "LIMIT", "time_in_force": "GTC", "quantity": 0.01}
    order = api.new_order(**terms, price=round(price * 0.9, 2)).data()
    assert (order.status, order.fills) == ("NEW", [])
    assert balance(api, "USDT")[1] > 0
    answer = api.order_cancel_replace(
        **terms, price=round(price * 0.8, 2), cancel_replace_mode="STOP_ON_FAILURE", cancel_order_id=order.order_id
    ).data()
    assert (answer.cancel_result, answer.new_order_result) == ("SUCCESS", "SUCCESS")
    assert api.get_order(**BTC, order_id=order.order_id).data().status == "CANCELED"
    (found,) = api.get_open_orders(**BTC).data()
    assert (found.status, float(found.price)) == ("NEW", round(price * 0.8, 2))
    gone = api.delete_order(**BTC, order_id=found.order_id).data()
    assert (gone.status, gone.orig_client_order_id) == ("CANCELED", found.client_order_id)
    assert {order.order_id, found.order_id} <= {each.order_id for each in api.all_orders(**BTC).data()}
    assert balance(api, "USDT")[1] == 0


def test_in_and_out_with_a_stop_and_a_target(api: Any, price: float) -> None:
    before = balance(api, "BTC")[0]
    entry = api.new_order(**BTC, side="BUY", type="MARKET", quantity=0.01).data()
    (fill,) = entry.fills
    assert (entry.status, fill.commission_asset) == ("FILLED", "BTC")
    got = float(entry.executed_qty) - float(fill.commission)
    assert balance(api, "BTC")[0] == pytest.approx(before + got, abs=1e-8)
    exits = api.order_list_oco(
        **BTC, side="SELL", quantity=0.00999, above_type="LIMIT_MAKER", above_price=round(price * 1.2, 2),
        below_type="STOP_LOSS", below_stop_price=round(price * 0.8, 2), new_order_resp_type="RESULT",
    ).data()  # fmt: skip
    assert [each.status for each in exits.order_reports] == ["NEW", "NEW"]
    assert balance(api, "BTC")[1] == 0.00999
    assert [each.order_list_id for each in api.open_order_list().data()] == [exits.order_list_id]
    api.delete_order_list(**BTC, order_list_id=exits.order_list_id)
    assert api.get_order_list(order_list_id=exits.order_list_id).data().list_order_status == "ALL_DONE"
    api.new_order(**BTC, side="SELL", type="MARKET", quantity=0.00999)
    trades = api.my_trades(**BTC).data()
    assert {trade.commission_asset for trade in trades} == {"BTC", "USDT"}
    assert [trade.is_buyer for trade in trades] == [True, False]


def test_an_order_and_what_hangs_on_it(api: Any, price: float) -> None:
    chain = api.order_list_otoco(
        **BTC, working_type="LIMIT", working_side="BUY", working_price=round(price * 0.9, 2), working_quantity=0.01,
        working_time_in_force="GTC", pending_side="SELL", pending_quantity=0.009, pending_above_type="LIMIT_MAKER",
        pending_above_price=round(price * 1.2, 2), pending_below_type="STOP_LOSS",
        pending_below_stop_price=round(price * 0.8, 2),
    ).data()  # fmt: skip
    assert (chain.contingency_type, len(chain.orders)) == ("OTO", 3)
    assert len(api.delete_open_orders(**BTC).data()) == 1


def test_what_trading_costs_and_how_often_it_may_be_done(api: Any) -> None:
    assert api.account_commission(**BTC).data().standard_commission.taker == "0.00100000"
    limits = {(each.interval, each.interval_num): each for each in api.rate_limit_order().data()}
    assert limits["SECOND", 10].limit == 100
    assert limits["DAY", 1].count > 0
    assert api.order_test(**BTC, side="BUY", type="MARKET", quantity=0.01).data()


def test_refusals(api: Any, own: RunningSimulator) -> None:
    with pytest.raises(BadRequestError, match="insufficient balance"):
        api.new_order(**BTC, side="BUY", type="MARKET", quantity=50)
    with pytest.raises(BadRequestError, match="Filter failure: NOTIONAL"):
        api.new_order(**BTC, side="BUY", type="LIMIT", time_in_force="GTC", quantity=0.0001, price=20_000)
    with pytest.raises(BadRequestError, match="cancel-replace failed"):
        api.order_cancel_replace(**BTC, side="BUY", type="MARKET", quantity=0.01, cancel_order_id=7,
                                 cancel_replace_mode="STOP_ON_FAILURE")  # fmt: skip
    with pytest.raises(UnauthorizedError):
        rest(own, api_key="nobody", api_secret="x").get_account()
    with pytest.raises(BadRequestError, match="Signature"):
        rest(own, api_key="sim-key", api_secret="wrong").get_account()


@pytest.mark.parametrize("kind", list(PAIRS))
def test_key_pairs(own: RunningSimulator, kind: str) -> None:
    assert balance(rest(own, api_key=f"{kind}-key", private_key=private_pem(kind)), "USDT") == (10_000, 0)


async def test_candles_streamed_for_a_minute() -> None:
    with Simulator.start(markets=("spot",), speed=60, stream_period=6_000) as fast:
        config = ConfigurationWebSocketStreams(stream_url=f"{fast.ws_url}/stream")
        connection = await Spot(config_ws_streams=config).websocket_streams.create_connection()
        frames: asyncio.Queue[Any] = asyncio.Queue()
        stream = await connection.kline(symbol="btcusdt", interval="1m")
        stream.on("message", frames.put_nowait)
        closed: list[Any] = []
        while len(closed) < 2:
            k = (await asyncio.wait_for(frames.get(), TIMEOUT)).k
            closed += [k] if k.x else []
        rows = fast.truth_klines("BTCUSDT", "1m", closed[0].t, closed[-1].t)
        assert [[k.t, k.o, k.h, k.l, k.c, k.v, k.T, k.q, k.n] for k in closed] == [row[:9] for row in rows]
        await disconnect(connection)


@ITS_OWN_WARNING
async def test_orders_as_messages(ws: Any) -> None:
    order = (await ws.order_place(**BTC, side="BUY", type="MARKET", quantity=0.01)).data().result
    assert (order.status, order.fills[0].commission_asset) == ("FILLED", "BTC")
    assert (await ws.order_status(**BTC, order_id=order.order_id)).data().result.status == "FILLED"
    assert (await ws.account_status()).data().result.account_type == "SPOT"
    assert (await ws.account_rate_limits_orders()).data().result[0].count > 0


async def heard(stream: Any, count: int) -> list[Any]:
    events: asyncio.Queue[Any] = asyncio.Queue()
    stream.on("message", events.put_nowait)
    return [await asyncio.wait_for(events.get(), TIMEOUT) for _ in range(count)]


@ITS_OWN_WARNING
async def test_user_data_by_a_signature(ws: Any, api: Any) -> None:
    stream = (await ws.user_data_stream_subscribe_signature()).stream
    order = asyncio.create_task(asyncio.to_thread(api.new_order, **BTC, side="BUY", type="MARKET", quantity=0.01))
    events = await heard(stream, 4)
    await order
    kinds = [type(getattr(event, "actual_instance", event)).__name__ for event in events]
    assert kinds == ["ExecutionReport", "OutboundAccountPosition"] * 2
    report = getattr(events[2], "actual_instance", events[2])
    assert (report.X, report.N, report.x) == ("FILLED", "BTC", "TRADE")


@ITS_OWN_WARNING
async def test_user_data_by_a_log_on(own: RunningSimulator) -> None:
    client = messages(own, api_key="ed25519-key", private_key=private_pem("ed25519"))
    connection = await client.create_connection()
    try:
        assert (await connection.session_logon()).data().result.api_key == "ed25519-key"
        stream = (await connection.user_data_stream_subscribe()).stream
        order = asyncio.create_task(connection.order_place(**BTC, side="BUY", type="MARKET", quantity=0.01))
        events = await heard(stream, 4)
        assert (await order).data().result.status == "FILLED"
        assert len(events) == 4
    finally:
        await disconnect(connection)
