"""ccxt's own COIN-M client against the exchange on the desk: nothing of it is changed but where it connects."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import ccxt
import ccxt.pro
import pytest

from pipeline.simulator.handle import RunningSimulator, Simulator

BTC = "BTC/USD:BTC"
JANUARY = 1_767_225_600_000  # 2026-01-01
MINUTE, HOUR = 60_000, 3_600_000
TIMEOUT = 60


def pointed_at(simulator: RunningSimulator, make: Callable[[dict[str, Any]], Any]) -> Any:
    """A client with the ready key and the simulator's addresses."""
    client = make({"apiKey": "sim-key", "secret": "sim-secret", "options": {"fetchCurrencies": False}})
    addresses = client.urls["api"]
    for name, address in addresses.items():
        if isinstance(address, str):
            addresses[name] = address.replace("https://dapi.binance.com", simulator.url)
    if "ws" in addresses:
        addresses["ws"]["delivery"] = addresses["ws"]["inverse"] = f"{simulator.ws_url}/ws"
    return client


@pytest.fixture(scope="module")
def own() -> Iterator[RunningSimulator]:
    """COIN-M of an exchange with a fresh account, at real time, so that ccxt's own clock is right."""
    with Simulator.start(markets=("um", "cm")) as simulator:
        yield simulator.at("cm")


@pytest.fixture(scope="module")
def client(own: RunningSimulator) -> Any:
    return pointed_at(own, ccxt.binancecoinm)


@pytest.fixture
async def streaming(own: RunningSimulator) -> AsyncIterator[Any]:
    client = pointed_at(own, ccxt.pro.binancecoinm)
    yield client
    await client.close()


@pytest.fixture
def price(client: Any) -> float:
    return float(client.fetch_ticker(BTC)["last"])


def test_time_and_markets(client: Any, own: RunningSimulator) -> None:
    assert abs(client.fetch_time() - own.now()) < TIMEOUT * 1_000
    markets = client.load_markets()
    assert (markets[BTC]["precision"]["amount"], markets[BTC]["precision"]["price"]) == (1.0, 0.1)
    assert (markets[BTC]["contractSize"], markets[BTC]["inverse"], markets[BTC]["settle"]) == (100.0, True, "BTC")
    dated = [market for market in markets.values() if market["future"] and market["base"] == "BTC"]
    assert len(dated) == 2
    assert all(market["expiry"] > own.now() for market in dated)


def test_candles(client: Any, own: RunningSimulator) -> None:
    truth = own.truth_klines("BTCUSD_PERP", "1m", JANUARY, JANUARY + 999 * MINUTE)
    rows = client.dapiPublicGetKlines(
        {"symbol": "BTCUSD_PERP", "interval": "1m", "startTime": JANUARY, "endTime": JANUARY + 999 * MINUTE,
         "limit": 1000}
    )  # fmt: skip
    assert [[int(row[0]), *row[1:6]] for row in rows] == [row[:6] for row in truth]
    candles = client.fetch_ohlcv(BTC, "1m", since=JANUARY, limit=1000)
    assert [candle[:5] for candle in candles] == [[row[0], *map(float, row[1:5])] for row in truth]
    assert [candle[5] for candle in candles] == [float(row[7]) for row in truth], "ccxt's volume is that of the coin"


def test_public_prices(client: Any) -> None:
    assert BTC in client.fetch_tickers()
    book = client.fetch_order_book(BTC)
    assert book["bids"][0][0] < book["asks"][0][0]
    assert client.fetch_funding_rate(BTC)["markPrice"] > 0
    assert len(client.fetch_funding_rate_history(BTC, limit=3)) == 3
    assert len(client.fetch_ohlcv(BTC, "1h", limit=5, params={"price": "mark"})) == 5
    assert client.fetch_open_interest(BTC)["openInterestAmount"] > 0
    assert len(client.fetch_trades(BTC, limit=10)) == 10


def test_a_limit_order_is_placed_found_and_cancelled(client: Any, price: float) -> None:
    order = client.create_order(BTC, "limit", "buy", 2, round(price * 0.97, 1))
    assert client.fetch_order(order["id"], BTC)["status"] == "open"
    assert [each["id"] for each in client.fetch_open_orders(BTC)] == [order["id"]]
    client.edit_order(order["id"], BTC, "limit", "buy", 3, round(price * 0.96, 1))
    assert client.fetch_order(order["id"], BTC)["amount"] == 3
    client.cancel_order(order["id"], BTC)
    assert client.fetch_order(order["id"], BTC)["status"] == "canceled"
    assert order["id"] in {each["id"] for each in client.fetch_orders(BTC)}


def test_many_orders_are_placed_and_cancelled_at_once(client: Any, price: float) -> None:
    wanted = [
        {"symbol": BTC, "type": "limit", "side": "buy", "amount": 1, "price": round(price * part, 1)}
        for part in (0.96, 0.97)
    ]
    placed = client.create_orders(wanted)
    client.cancel_orders([order["id"] for order in placed], BTC)
    assert {client.fetch_order(order["id"], BTC)["status"] for order in placed} == {"canceled"}
    client.create_orders(wanted)
    client.cancel_all_orders(BTC)
    assert client.fetch_open_orders(BTC) == []


def test_paging_through_days_meets_no_hole_and_no_candle_twice(client: Any) -> None:
    rows: list[list[float]] = []
    while len(rows) < 2 * 1440:
        rows += client.fetch_ohlcv(BTC, "1m", since=rows[-1][0] + MINUTE if rows else JANUARY, limit=1000)
    assert [row[0] for row in rows] == [JANUARY + place * MINUTE for place in range(len(rows))]


def test_settings(client: Any) -> None:
    assert client.set_leverage(5, BTC)["leverage"] == 5
    client.set_margin_mode("isolated", BTC)
    client.set_margin_mode("cross", BTC)
    assert client.fetch_position_mode()["hedged"] is False
    tiers = client.fetch_leverage_tiers([BTC])[BTC]
    assert [tier["maintenanceMarginRate"] for tier in tiers] == [0.004, 0.005, 0.01, 0.025]
    assert tiers[0]["maxNotional"] == 5, "coins"
    assert client.fetch_trading_fee(BTC)["taker"] == 0.0004


def test_in_and_out_of_a_position_with_a_stop(client: Any, price: float) -> None:
    before = client.fetch_balance()["BTC"]["total"]
    entry = client.create_order(BTC, "market", "buy", 10)
    filled = client.fetch_order(entry["id"], BTC)
    assert (filled["status"], filled["filled"]) == ("closed", 10)
    (position,) = [each for each in client.fetch_positions([BTC]) if each["contracts"]]
    assert (position["side"], position["contracts"], position["contractSize"]) == ("long", 10, 100)
    assert position["entryPrice"] == pytest.approx(filled["average"], rel=1e-6)
    assert position["notional"] == pytest.approx(1_000 / position["markPrice"], rel=1e-3)

    stop = client.create_order(
        BTC, "market", "sell", 10, None, {"stopLossPrice": round(price * 0.95, 1), "reduceOnly": True}
    )
    assert [each["id"] for each in client.fetch_open_orders(BTC, params={"trigger": True})] == [stop["id"]]
    client.cancel_order(stop["id"], BTC, params={"trigger": True})
    assert client.fetch_open_orders(BTC, params={"trigger": True}) == []

    client.create_order(BTC, "market", "sell", 10, None, {"reduceOnly": True})
    assert [each for each in client.fetch_positions([BTC]) if each["contracts"]] == []
    trades = client.fetch_my_trades(BTC)
    assert [trade["side"] for trade in trades[-2:]] == ["buy", "sell"]
    assert {trade["fee"]["currency"] for trade in trades} == {"BTC"}
    fees = sum(trade["fee"]["cost"] for trade in trades[-2:])
    earned = 1_000 * (1 / trades[-2]["price"] - 1 / trades[-1]["price"])
    assert client.fetch_balance()["BTC"]["total"] == pytest.approx(before + earned - fees, abs=2e-8)
    kinds = {each["info"]["incomeType"] for each in client.fetch_ledger("BTC")}
    assert {"COMMISSION", "REALIZED_PNL", "TRANSFER"} <= kinds


def test_orders_are_changed_at_once_and_what_is_held_has_a_rank(client: Any, price: float) -> None:
    placed = [client.create_order(BTC, "limit", "buy", 1, round(price * 0.97, 1)) for _ in range(2)]
    lower = round(price * 0.96, 1)
    wanted = [{"id": one["id"], "symbol": BTC, "type": "limit", "side": "buy", "amount": 2, "price": lower}
              for one in placed]  # fmt: skip
    client.edit_orders(wanted)
    assert {(one["amount"], one["price"]) for one in client.fetch_open_orders(BTC)} == {(2, lower)}
    client.cancel_all_orders(BTC)
    client.create_order(BTC, "market", "buy", 1)
    assert client.fetch_position_adl_rank(BTC)["rank"] == 1
    client.create_order(BTC, "market", "sell", 1, None, {"reduceOnly": True})
    assert client.fetch_my_liquidations(BTC) == []
    premiums = client.fetch_ohlcv(BTC, "1h", limit=3, params={"price": "premiumIndex"})
    assert all(abs(row[4]) < 0.01 for row in premiums)


def test_refusals_become_ccxt_errors(client: Any, own: RunningSimulator) -> None:
    with pytest.raises(ccxt.ExchangeError, match="-2019"):
        client.create_order(BTC, "market", "buy", 5_000)
    with pytest.raises(ccxt.OrderNotFound):
        client.fetch_order("1", BTC)
    with pytest.raises(ccxt.BadSymbol):
        client.dapiPublicGetKlines({"symbol": "BTCUSDT", "interval": "1m"})
    with pytest.raises(ccxt.ExchangeError, match="-4120"):
        client.dapiPrivatePostOrder(
            {"symbol": "BTCUSD_PERP", "side": "SELL", "type": "STOP_MARKET", "stopPrice": 1_000, "quantity": 1}
        )
    stranger = pointed_at(own, ccxt.binancecoinm)
    stranger.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        stranger.fetch_balance()


async def test_candles_streamed_for_a_minute() -> None:
    with Simulator.start(markets=("cm",), speed=60, stream_period=6_000) as fast:
        client = pointed_at(fast, ccxt.pro.binancecoinm)
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
    truth = fast.truth_klines("BTCUSD_PERP", "1m", whole[0], whole[-1])
    assert [seen[time] for time in whole] == [[row[0], *map(float, row[1:6])] for row in truth]


async def test_user_data(streaming: Any) -> None:
    await streaming.load_markets()
    watching = asyncio.create_task(streaming.watch_my_trades(BTC))
    placing = asyncio.create_task(_order_once_connected(streaming))
    trades = await asyncio.wait_for(watching, TIMEOUT)
    await placing
    assert (trades[-1]["side"], trades[-1]["amount"], trades[-1]["fee"]["currency"]) == ("buy", 1, "BTC")
    await streaming.create_order(BTC, "market", "sell", 1, None, {"reduceOnly": True})


async def _order_once_connected(client: Any) -> None:
    while not any(each.connection is not None for each in client.clients.values()):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.01)
    await client.create_order(BTC, "market", "buy", 1)
