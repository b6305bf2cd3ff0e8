"""Binance's own connector against the exchange on the desk: nothing of it is changed but where it connects."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from binance_common.configuration import ConfigurationRestAPI, ConfigurationWebSocketStreams
from binance_common.errors import BadRequestError, UnauthorizedError
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import DerivativesTradingUsdsFutures
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from pipeline.simulator.handle import Simulator
from pipeline.simulator.options import Account, Options

BTC = {"symbol": "BTCUSDT"}
JANUARY = 1_767_225_600_000  # 2026-01-01
TIMEOUT = 60

PAIRS = {"rsa": rsa.generate_private_key(65537, 2048), "ed25519": ed25519.Ed25519PrivateKey.generate()}


def private_pem(kind: str) -> str:
    return PAIRS[kind].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def public_pem(kind: str) -> str:
    return PAIRS[kind].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.fixture(scope="module")
def own() -> Iterator[Simulator]:
    """An exchange with the ready account, and one account for each kind of key pair."""
    pairs = tuple(Account(name=kind, key=f"{kind}-key", secret=public_pem(kind)) for kind in PAIRS)
    with Simulator.start(accounts=(*Options().accounts, *pairs)) as simulator:
        yield simulator


def rest(simulator: Simulator, **credentials: str) -> Any:
    """The connector's REST client."""
    chosen = credentials or {"api_key": "sim-key", "api_secret": "sim-secret"}
    config = ConfigurationRestAPI(base_path=simulator.url, timeout=10_000, retries=0, **chosen)  # type: ignore[arg-type]
    return DerivativesTradingUsdsFutures(config_rest_api=config).rest_api


@pytest.fixture(scope="module")
def api(own: Simulator) -> Any:
    return rest(own)


@pytest.fixture
def price(api: Any) -> float:
    return float(api.symbol_price_ticker_v2(**BTC).data().actual_instance.price)


async def connect(simulator: Simulator) -> Any:
    config = ConfigurationWebSocketStreams(stream_url=f"{simulator.ws_url}/stream")
    return await DerivativesTradingUsdsFutures(config_ws_streams=config).websocket_streams.create_connection()


@pytest.fixture
async def streams(own: Simulator) -> AsyncIterator[Any]:
    connection = await connect(own)
    yield connection
    await disconnect(connection)


async def disconnect(connection: Any) -> None:
    """Close it, and let its background tasks end."""
    await connection.close_connection(close_session=True)
    current = asyncio.current_task()
    others = [task for task in asyncio.all_tasks() if task is not current and "binance" in repr(task.get_coro())]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def test_time_and_exchange_information(api: Any, own: Simulator) -> None:
    assert abs(api.check_server_time().data().server_time - own.now()) < TIMEOUT * 1_000
    symbols = {each.symbol: each for each in api.exchange_information().data().symbols}
    assert symbols["BTCUSDT"].contract_type == "PERPETUAL"


def test_1500_candles(api: Any, own: Simulator) -> None:
    rows = api.kline_candlestick_data(**BTC, interval="1m", start_time=JANUARY, limit=1500).data()
    assert len(rows) == 1500
    assert rows == own.truth_klines("BTCUSDT", "1m", JANUARY, JANUARY + 1499 * 60_000)


def test_public_prices(api: Any) -> None:
    assert api.mark_price(**BTC).data().actual_instance.mark_price
    assert api.ticker24hr_price_change_statistics(**BTC).data().actual_instance.count > 0
    assert api.symbol_order_book_ticker(**BTC).data().actual_instance.bid_price
    assert len(api.get_funding_rate_history(**BTC, limit=3).data()) == 3
    assert api.order_book(**BTC, limit=5).data().bids


def test_a_limit_order_is_placed_found_and_cancelled(api: Any, price: float) -> None:
    order = api.new_order(
        **BTC, side="BUY", type="LIMIT", time_in_force="GTC", quantity=0.01, price=round(price * 0.97, 1)
    ).data()
    assert api.query_order(**BTC, order_id=order.order_id).data().status == "NEW"
    assert api.cancel_order(**BTC, order_id=order.order_id).data().status == "CANCELED"
    assert api.query_order(**BTC, order_id=order.order_id).data().status == "CANCELED"


def test_in_and_out_of_a_position_with_a_stop(api: Any, price: float) -> None:
    entry = api.new_order(**BTC, side="BUY", type="MARKET", quantity=0.01).data()
    assert api.query_order(**BTC, order_id=entry.order_id).data().status == "FILLED"
    (position,) = api.position_information_v3(**BTC).data()
    assert float(position.position_amt) == 0.01
    stop = api.new_algo_order(
        **BTC,
        algo_type="CONDITIONAL",
        side="SELL",
        type="STOP_MARKET",
        trigger_price=round(price * 0.95, 1),
        close_position="true",
    ).data()
    assert api.query_algo_order(algo_id=stop.algo_id).data().algo_status == "NEW"
    api.cancel_algo_order(algo_id=stop.algo_id)
    assert api.query_algo_order(algo_id=stop.algo_id).data().algo_status == "CANCELED"
    api.new_order(**BTC, side="SELL", type="MARKET", quantity=0.01, reduce_only="true")
    assert [each for each in api.position_information_v3(**BTC).data() if float(each.position_amt)] == []
    trades = api.account_trade_list(**BTC).data()
    paid = sum(float(trade.commission) - float(trade.realized_pnl) for trade in trades)
    (usdt,) = [each for each in api.futures_account_balance_v3().data() if each.asset == "USDT"]
    assert float(usdt.balance) == pytest.approx(10_000 - paid)


def test_refusals(api: Any, own: Simulator) -> None:
    with pytest.raises(BadRequestError, match="Margin is insufficient"):
        api.new_order(**BTC, side="BUY", type="MARKET", quantity=100)
    with pytest.raises(UnauthorizedError):
        rest(own, api_key="nobody", api_secret="x").account_information_v3()
    with pytest.raises(BadRequestError, match="Signature"):
        rest(own, api_key="sim-key", api_secret="wrong").account_information_v3()


@pytest.mark.parametrize("kind", list(PAIRS))
def test_key_pairs(own: Simulator, kind: str) -> None:
    account = rest(own, api_key=f"{kind}-key", private_key=private_pem(kind))
    assert account.account_information_v3().data().total_wallet_balance == "10000.00000000"


async def test_candles_streamed_for_a_minute() -> None:
    with Simulator.start(speed=60, stream_period=6_000) as fast:
        connection = await connect(fast)
        frames: asyncio.Queue[Any] = asyncio.Queue()
        stream = await connection.kline_candlestick_streams(symbol="btcusdt", interval="1m")
        stream.on("message", frames.put_nowait)
        closed: list[Any] = []
        while len(closed) < 2:
            k = (await asyncio.wait_for(frames.get(), TIMEOUT)).k
            closed += [k] if k.x else []
        rows = fast.truth_klines("BTCUSDT", "1m", closed[0].t, closed[-1].t)
        assert [[k.t, k.o, k.h, k.l, k.c, k.v, k.T, k.q, k.n] for k in closed] == [row[:9] for row in rows]
        await disconnect(connection)


async def test_user_data(streams: Any, api: Any) -> None:
    key = api.start_user_data_stream().data().listen_key
    events: asyncio.Queue[Any] = asyncio.Queue()
    stream = await streams.user_data(key)
    stream.on("message", events.put_nowait)
    await asyncio.to_thread(api.new_order, **BTC, side="BUY", type="MARKET", quantity=0.01)
    heard = [(await asyncio.wait_for(events.get(), TIMEOUT)).actual_instance for _ in range(3)]
    assert [type(event).__name__ for event in heard] == ["OrderTradeUpdate", "AccountUpdate", "OrderTradeUpdate"]
    assert heard[-1].o.X == "FILLED"
    await asyncio.to_thread(api.new_order, **BTC, side="SELL", type="MARKET", quantity=0.01, reduce_only="true")
