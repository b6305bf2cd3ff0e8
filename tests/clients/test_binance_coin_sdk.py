"""Binance's own COIN-M connector against the exchange on the desk: nothing of it is changed but where it connects."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_common.errors import BadRequestError, UnauthorizedError
from binance_common.utils import send_request
from binance_sdk_derivatives_trading_coin_futures.derivatives_trading_coin_futures import DerivativesTradingCoinFutures

from pipeline.simulator.handle import RunningSimulator, Simulator
from pipeline.simulator.options import Account, Options
from tests.clients.test_binance_sdk import PAIRS, disconnect, private_pem, public_pem

BTC = {"symbol": "BTCUSD_PERP"}
JANUARY = 1_767_225_600_000  # 2026-01-01
TIMEOUT = 60


@pytest.fixture(scope="module")
def own() -> Iterator[RunningSimulator]:
    """COIN-M of an exchange with the ready account, and one account for each kind of key pair."""
    pairs = tuple(Account(name=kind, key=f"{kind}-key", secret=public_pem(kind)) for kind in PAIRS)
    with Simulator.start(markets=("um", "cm"), accounts=(*Options().accounts, *pairs)) as simulator:
        yield simulator.at("cm")


def rest(simulator: RunningSimulator, **credentials: str) -> Any:
    """The connector's REST client."""
    chosen = credentials or {"api_key": "sim-key", "api_secret": "sim-secret"}
    config = ConfigurationRestAPI(base_path=simulator.url, timeout=10_000, retries=0, **chosen)  # type: ignore[arg-type]
    return DerivativesTradingCoinFutures(config_rest_api=config).rest_api


def signed(api: Any, method: str, path: str, payload: dict[str, Any]) -> Any:
    """A call that the connector has no method for, as it makes all the others."""
    return send_request(
        api._session, api.configuration, method, f"/dapi/v1/{path}", payload, is_signed=True, signer=api._signer
    ).data()


@pytest.fixture(scope="module")
def api(own: RunningSimulator) -> Any:
    return rest(own)


@pytest.fixture
def price(api: Any) -> float:
    return float(api.symbol_price_ticker(**BTC).data()[0].price)


async def connect(simulator: RunningSimulator) -> Any:
    config = ConfigurationWebSocketStreams(stream_url=f"{simulator.ws_url}/stream")
    return await DerivativesTradingCoinFutures(config_ws_streams=config).websocket_streams.create_connection()


@pytest.fixture
async def streams(own: RunningSimulator) -> AsyncIterator[Any]:
    connection = await connect(own)
    yield connection
    await disconnect(connection)


def test_time_and_exchange_information(api: Any, own: RunningSimulator) -> None:
    assert abs(api.check_server_time().data().server_time - own.now()) < TIMEOUT * 1_000
    symbols = {each.symbol: each for each in api.exchange_information().data().symbols}
    assert symbols["BTCUSD_PERP"].contract_type == "PERPETUAL"
    assert (symbols["BTCUSD_PERP"].contract_size, symbols["BTCUSD_PERP"].margin_asset) == (100, "BTC")


def test_1500_candles(api: Any, own: RunningSimulator) -> None:
    end = JANUARY + 1499 * 60_000
    rows = api.kline_candlestick_data(**BTC, interval="1m", start_time=JANUARY, end_time=end, limit=1500).data()
    assert len(rows) == 1500
    assert rows == own.truth_klines("BTCUSD_PERP", "1m", JANUARY, end)


def test_public_prices(api: Any) -> None:
    assert api.index_price_and_mark_price(**BTC).data()[0].mark_price
    assert api.ticker24hr_price_change_statistics(**BTC).data()[0].count > 0
    assert api.symbol_order_book_ticker(**BTC).data()[0].bid_price
    assert len(api.get_funding_rate_history_of_perpetual_futures(**BTC, limit=3).data()) == 3
    assert api.order_book(**BTC, limit=5).data().bids
    assert api.open_interest(**BTC).data().contract_type == "PERPETUAL"
    assert len(api.recent_trades_list(**BTC, limit=3).data()) == 3
    assert len(api.old_trades_lookup(**BTC, limit=3).data()) == 3
    quarter = api.continuous_contract_kline_candlestick_data(
        pair="BTCUSD", contract_type="NEXT_QUARTER", interval="1h", limit=4
    )
    assert len(quarter.data()) == 4


def test_a_limit_order_is_placed_changed_found_and_cancelled(api: Any, price: float) -> None:
    order = api.new_order(
        **BTC, side="BUY", type="LIMIT", time_in_force="GTC", quantity=1, price=round(price * 0.97, 1)
    ).data()
    assert order.pair == "BTCUSD"
    assert api.query_order(**BTC, order_id=order.order_id).data().status == "NEW"
    api.modify_order(**BTC, side="BUY", order_id=order.order_id, quantity=2, price=round(price * 0.96, 1))
    assert api.query_order(**BTC, order_id=order.order_id).data().orig_qty == "2"
    assert [each.order_id for each in api.current_all_open_orders(pair="BTCUSD").data()] == [order.order_id]
    assert api.cancel_order(**BTC, order_id=order.order_id).data().status == "CANCELED"
    assert api.query_order(**BTC, order_id=order.order_id).data().status == "CANCELED"
    assert order.order_id in {each.order_id for each in api.all_orders(pair="BTCUSD").data()}


def test_in_and_out_of_a_position_with_a_stop(api: Any, price: float) -> None:
    entry = api.new_order(**BTC, side="BUY", type="MARKET", quantity=10).data()
    assert api.query_order(**BTC, order_id=entry.order_id).data().status == "FILLED"
    (position,) = [each for each in api.position_information(pair="BTCUSD").data() if float(each.position_amt)]
    assert (position.symbol, position.position_amt) == ("BTCUSD_PERP", "10")
    algo = {"symbol": "BTCUSD_PERP", "algoType": "CONDITIONAL", "side": "SELL", "type": "STOP_MARKET",
            "triggerPrice": round(price * 0.95, 1), "closePosition": "true"}  # fmt: skip
    stop = signed(api, "POST", "algoOrder", algo)
    (waiting,) = signed(api, "GET", "openAlgoOrders", BTC)
    assert (waiting["algoId"], waiting["algoStatus"]) == (stop["algoId"], "NEW")
    signed(api, "DELETE", "algoOrder", {"algoId": stop["algoId"]})
    assert signed(api, "GET", "openAlgoOrders", BTC) == []
    api.new_order(**BTC, side="SELL", type="MARKET", quantity=10, reduce_only="true")
    assert [each for each in api.position_information(pair="BTCUSD").data() if float(each.position_amt)] == []
    trades = api.account_trade_list(**BTC).data()
    assert {trade.commission_asset for trade in trades} == {"BTC"}
    paid = sum(float(trade.commission) - float(trade.realized_pnl) for trade in trades)
    (coins,) = [each for each in api.futures_account_balance().data() if each.asset == "BTC"]
    assert float(coins.balance) == pytest.approx(0.1 - paid, abs=1e-8)


def test_settings(api: Any) -> None:
    assert api.change_initial_leverage(**BTC, leverage=7).data().max_qty
    assert api.get_current_position_mode().data().dual_side_position is False
    assert api.notional_bracket_for_symbol(**BTC).data()
    assert api.notional_bracket_for_pair(pair="BTCUSD").data()[0].pair == "BTCUSD"
    assert api.user_commission_rate(**BTC).data().taker_commission_rate == "0.000400"
    assert {each.asset for each in api.account_information().data().assets} >= {"BTC", "ETH"}
    assert {each.income_type for each in api.get_income_history().data()} >= {"TRANSFER"}


def test_refusals(api: Any, own: RunningSimulator) -> None:
    with pytest.raises(BadRequestError, match="Margin is insufficient"):
        api.new_order(**BTC, side="BUY", type="MARKET", quantity=50_000)
    with pytest.raises(BadRequestError, match="Algo Order API"):
        api.new_order(**BTC, side="SELL", type="STOP_MARKET", stop_price=1_000, quantity=1)
    with pytest.raises(UnauthorizedError):
        rest(own, api_key="nobody", api_secret="x").account_information()
    with pytest.raises(BadRequestError, match="Signature"):
        rest(own, api_key="sim-key", api_secret="wrong").account_information()


@pytest.mark.parametrize("kind", list(PAIRS))
def test_key_pairs(own: RunningSimulator, kind: str) -> None:
    account = rest(own, api_key=f"{kind}-key", private_key=private_pem(kind))
    wallets = {each.asset: each.wallet_balance for each in account.account_information().data().assets}
    assert wallets["BTC"] == "0.10000000"


async def test_candles_streamed_for_a_minute() -> None:
    with Simulator.start(markets=("cm",), speed=60, stream_period=6_000) as fast:
        connection = await connect(fast)
        frames: asyncio.Queue[Any] = asyncio.Queue()
        stream = await connection.kline_candlestick_streams(symbol="btcusd_perp", interval="1m")
        stream.on("message", frames.put_nowait)
        closed: list[Any] = []
        while len(closed) < 2:
            k = (await asyncio.wait_for(frames.get(), TIMEOUT)).k
            closed += [k] if k.x else []
        rows = fast.truth_klines("BTCUSD_PERP", "1m", closed[0].t, closed[-1].t)
        assert [[k.t, k.o, k.h, k.l, k.c, k.v, k.T, k.q, k.n] for k in closed] == [row[:9] for row in rows]
        await disconnect(connection)


async def test_user_data(streams: Any, api: Any) -> None:
    key = api.start_user_data_stream().data().listen_key
    events: asyncio.Queue[Any] = asyncio.Queue()
    stream = await streams.user_data(key)
    stream.on("message", events.put_nowait)
    await asyncio.to_thread(api.new_order, **BTC, side="BUY", type="MARKET", quantity=1)
    heard = [(await asyncio.wait_for(events.get(), TIMEOUT)).actual_instance for _ in range(3)]
    assert [type(event).__name__ for event in heard] == ["OrderTradeUpdate", "AccountUpdate", "OrderTradeUpdate"]
    assert (heard[-1].o.X, heard[-1].o.N, heard[-1].o.ma) == ("FILLED", "BTC", "BTC")
    assert heard[1].a.B[0].a == "BTC"
    await asyncio.to_thread(api.new_order, **BTC, side="SELL", type="MARKET", quantity=1, reduce_only="true")
