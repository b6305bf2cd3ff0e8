"""ccxt's spot client against the exchange on the desk: nothing of it is changed but where it connects."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import ccxt
import ccxt.pro
import pytest

from pipeline.simulator.handle import RunningSimulator, Simulator

BTC = "BTC/USDT"
JANUARY = 1_767_225_600_000  # 2026-01-01
MINUTE = 60_000
TIMEOUT = 60


@pytest.fixture(scope="module")
def own() -> Iterator[RunningSimulator]:
    with Simulator.start(markets=("um", "spot")) as simulator:
        yield simulator.at("spot")


@pytest.fixture(scope="module")
def client(own: RunningSimulator) -> Any:
    return pointed_at(own, ccxt.binance)


@pytest.fixture
async def streaming(own: RunningSimulator) -> AsyncIterator[Any]:
    client = pointed_at(own, ccxt.pro.binance)
    yield client
    await client.close()


def pointed_at(simulator: RunningSimulator, make: Callable[[dict[str, Any]], Any], secret: str = "sim-secret") -> Any:
    """A client with the ready key and the simulator's addresses."""
    options = {"fetchCurrencies": False, "fetchMarkets": {"types": ["spot"]}}
    client = make({"apiKey": "sim-key", "secret": secret, "options": options})
    addresses = client.urls["api"]
    for name, address in addresses.items():
        if isinstance(address, str):
            addresses[name] = address.replace("https://api.binance.com", simulator.url)
    if "ws" in addresses:
        addresses["ws"]["spot"] = f"{simulator.ws_url}/ws"
        addresses["ws"]["ws-api"]["spot"] = f"{simulator.ws_url}/ws-api/v3"
    return client


def test_time_and_markets(client: Any, own: RunningSimulator) -> None:
    assert abs(client.fetch_time() - own.now()) < MINUTE
    market = client.load_markets()[BTC]
    assert (market["spot"], market["active"], market["contract"]) == (True, True, False)
    assert (market["precision"]["amount"], market["precision"]["price"]) == (0.00001, 0.01)
    assert market["limits"]["cost"] == {"min": 5, "max": 9_000_000}


def test_candles(client: Any, own: RunningSimulator) -> None:
    truth = own.truth_klines("BTCUSDT", "1m", JANUARY, JANUARY + 999 * MINUTE)
    candles = client.fetch_ohlcv(BTC, "1m", since=JANUARY, limit=1000)
    assert candles == [[row[0], *map(float, row[1:6])] for row in truth]


def test_public_prices(client: Any) -> None:
    assert client.fetch_ticker(BTC)["last"] > 0
    assert {BTC, "ETH/USDT"} == set(client.fetch_tickers([BTC, "ETH/USDT"]))
    book = client.fetch_order_book(BTC)
    assert book["bids"][0][0] < book["asks"][0][0]
    assert len(client.fetch_trades(BTC, limit=10)) == 10
    assert client.fetch_bids_asks([BTC])[BTC]["bid"] > 0
    assert client.fetch_last_prices([BTC])[BTC]["price"] > 0


@pytest.fixture
def price(client: Any) -> float:
    return float(client.fetch_ticker(BTC)["last"])


def test_the_account(client: Any) -> None:
    balance = client.fetch_balance()
    assert {"USDT", "BTC", "BNB"} <= set(balance["total"])
    assert balance["BNB"] == {"free": 2.0, "used": 0.0, "total": 2.0}


def test_a_limit_order_is_placed_changed_found_and_cancelled(client: Any, price: float) -> None:
    order = client.create_order(BTC, "limit", "buy", 0.01, round(price * 0.9, 2))
    assert (order["status"], order["amount"], order["filled"]) == ("open", 0.01, 0)
    assert client.fetch_balance()["USDT"]["used"] > 0
    changed = client.edit_order(order["id"], BTC, "limit", "buy", 0.01, round(price * 0.8, 2))
    assert (changed["status"], changed["price"]) == ("open", round(price * 0.8, 2))
    assert client.fetch_order(order["id"], BTC)["status"] == "canceled"
    assert [each["id"] for each in client.fetch_open_orders(BTC)] == [changed["id"]]
    assert client.cancel_order(changed["id"], BTC)["status"] == "canceled"
    assert {order["id"], changed["id"]} <= {each["id"] for each in client.fetch_orders(BTC)}
    assert client.fetch_balance()["USDT"]["used"] == 0


def test_in_and_out_at_market(client: Any) -> None:
    entry = client.create_order(BTC, "market", "buy", 0.01)
    assert (entry["status"], entry["filled"], entry["fee"]["currency"]) == ("closed", 0.01, "BTC")
    spent = client.create_market_buy_order_with_cost(BTC, 500)
    assert (spent["status"], spent["cost"]) == ("closed", pytest.approx(500, abs=1))
    out = client.create_order(BTC, "market", "sell", 0.01)
    assert (out["status"], out["fee"]["currency"]) == ("closed", "USDT")
    trades = client.fetch_my_trades(BTC)
    assert [trade["side"] for trade in trades[-3:]] == ["buy", "buy", "sell"]
    assert {trade["takerOrMaker"] for trade in trades} == {"taker"}


@pytest.mark.parametrize(
    ("kind", "side", "extra", "listed"),
    [
        ("limit", "buy", {"postOnly": True}, "LIMIT_MAKER"),
        ("market", "sell", {"stopLossPrice": 0.8}, "STOP_LOSS"),
        ("market", "sell", {"takeProfitPrice": 1.2}, "TAKE_PROFIT"),
        ("limit", "sell", {"stopLossPrice": 0.8}, "STOP_LOSS_LIMIT"),
    ],
)
def test_orders_that_wait(client: Any, price: float, kind: str, side: str, extra: dict[str, Any], listed: str) -> None:
    params = {name: round(price * each, 2) if name.endswith("Price") else each for name, each in extra.items()}
    limit = round(price * 0.79, 2) if kind == "limit" else None
    order = client.create_order(BTC, kind, side, 0.01, limit, params)
    (found,) = client.fetch_open_orders(BTC)
    assert (found["id"], found["info"]["type"]) == (order["id"], listed)
    client.cancel_all_orders(BTC)
    assert client.fetch_open_orders(BTC) == []


def test_two_exits_of_which_one_trades(client: Any, price: float) -> None:
    exits = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.01", "aboveType": "LIMIT_MAKER",
             "abovePrice": f"{price * 1.2:.2f}", "belowType": "STOP_LOSS",
             "belowStopPrice": f"{price * 0.8:.2f}"}  # fmt: skip
    group = client.private_post_orderlist_oco(exits)
    assert group["contingencyType"] == "OCO"
    assert len(client.fetch_open_orders(BTC)) == 2
    client.private_delete_orderlist({"symbol": "BTCUSDT", "orderListId": group["orderListId"]})
    assert client.fetch_open_orders(BTC) == []


def test_refusals(client: Any, own: RunningSimulator) -> None:
    with pytest.raises(ccxt.InsufficientFunds):
        client.create_order(BTC, "market", "buy", 50)
    with pytest.raises(ccxt.BadRequest, match="NOTIONAL"):
        client.create_order(BTC, "market", "buy", 0.00001)
    with pytest.raises(ccxt.OrderNotFound):
        client.fetch_order("1", BTC)
    with pytest.raises(ccxt.OrderNotFound):
        client.cancel_order("1", BTC)
    with pytest.raises(ccxt.AuthenticationError):
        pointed_at(own, ccxt.binance, secret="wrong").fetch_balance()


async def test_candles_streamed_for_a_minute() -> None:
    with Simulator.start(markets=("spot",), speed=60, stream_period=6_000) as fast:
        client = pointed_at(fast, ccxt.pro.binance)
        try:
            await asyncio.wait_for(_watch_until_the_next_minute(client, fast), TIMEOUT)
        finally:
            await client.close()


async def _watch_until_the_next_minute(client: Any, fast: Simulator) -> None:
    first = (await client.watch_ohlcv(BTC, "1m"))[-1][0]
    seen: dict[int, list[float]] = {}
    while max(seen, default=first) < first + 3 * MINUTE:
        for candle in await client.watch_ohlcv(BTC, "1m"):
            seen[candle[0]] = candle
    whole = [time for time in sorted(seen) if first < time < max(seen)]
    truth = fast.truth_klines("BTCUSDT", "1m", whole[0], whole[-1])
    assert [seen[time] for time in whole] == [[row[0], *map(float, row[1:6])] for row in truth]


async def test_user_data(streaming: Any) -> None:
    await streaming.load_markets()
    watching = asyncio.create_task(streaming.watch_orders(BTC))
    balances = asyncio.create_task(streaming.watch_balance())
    await asyncio.wait_for(_orders_until_told(streaming, watching, balances), TIMEOUT)
    order = watching.result()[0]
    assert (order["status"], order["side"], order["price"]) == ("open", "buy", 20_000)
    assert balances.result()["USDT"]["used"] > 0
    await streaming.cancel_all_orders(BTC)


async def _orders_until_told(client: Any, *told: "asyncio.Task[Any]") -> None:
    """What is placed before the subscription is answered is not told of."""
    while not all(task.done() for task in told):
        await client.create_order(BTC, "limit", "buy", 0.01, 20_000)
        await asyncio.wait(told, timeout=1)


async def test_an_order_as_a_message(streaming: Any) -> None:
    order = await streaming.create_order_ws(BTC, "market", "buy", 0.01)
    assert (order["status"], order["filled"]) == ("closed", 0.01)
    assert (await streaming.fetch_order_ws(order["id"], BTC))["status"] == "closed"
