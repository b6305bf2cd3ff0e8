"""The REST interface of a running exchange, as a client meets it: rows, bounds, codes, statuses, headers."""

import time
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.simulator.handle import Simulator, SimulatorError
from pipeline.simulator.host import build_exchange, parse_account
from pipeline.simulator.market.universe import NON_ASCII, PENDING, SETTLED, YOUNG
from pipeline.simulator.options import Account, Options
from pipeline.simulator.products import PRODUCTS
from pipeline.simulator.wire.api_session import ASKED_BY_MESSAGE
from pipeline.simulator.wire.routes import Guard
from pipeline.timeline import DAY, INTERVALS, MINUTE

KLINES = "/fapi/v1/klines"
BTC = {"symbol": "BTCUSDT", "interval": "1m"}
JANUARY = 1_767_225_600_000  # 2026-01-01

Desk = Any


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"interval": "1m"}, -1102),
        ({"symbol": "", "interval": "1m"}, -1102),
        ({"symbol": "BTCUSDT"}, -1102),
        ({"symbol": "NOSUCH", "interval": "1m"}, -1121),
        ({"symbol": "btcusdt", "interval": "1m"}, -1121),
        ({"symbol": "BTCUSDT", "interval": "1s"}, -1120),
        ({"symbol": "BTCUSDT", "interval": "2m"}, -1120),
        (BTC | {"limit": "1501"}, -1130),
        (BTC | {"limit": "0"}, -1130),
        (BTC | {"limit": "ten"}, -1102),
        (BTC | {"startTime": "now"}, -1102),
    ],
)
def test_klines_refused(desk: Desk, params: dict[str, str], code: int) -> None:
    reply = desk.public(KLINES, **params)
    assert (reply.status, reply.code) == (400, code)
    assert set(reply.body) == {"code", "msg"}


@pytest.mark.parametrize(
    ("asked", "first", "count"),
    [
        ({"startTime": JANUARY, "limit": 5}, JANUARY, 5),
        ({"startTime": JANUARY}, JANUARY, 500),
        ({"startTime": JANUARY, "endTime": JANUARY}, JANUARY, 1),
        ({"startTime": JANUARY + 1, "endTime": JANUARY + 2 * MINUTE}, JANUARY + MINUTE, 2),
        ({"startTime": JANUARY, "endTime": JANUARY + DAY, "limit": 1500}, JANUARY, 1441),
        ({"startTime": JANUARY, "endTime": JANUARY + 2 * DAY, "limit": 1500}, JANUARY, 1500),
        ({"endTime": JANUARY, "limit": 3}, JANUARY - 2 * MINUTE, 3),
        ({"endTime": JANUARY - 1, "limit": 1}, JANUARY - MINUTE, 1),
        ({"startTime": JANUARY, "endTime": JANUARY - 1}, None, 0),
        ({"startTime": JANUARY + 1000 * 365 * DAY}, None, 0),
    ],
)
def test_which_candles_are_answered(desk: Desk, asked: dict[str, int], first: int | None, count: int) -> None:
    rows = desk.public(KLINES, **BTC, **asked).body
    assert len(rows) == count
    assert (rows[0][0] if rows else None) == first
    assert [row[0] for row in rows] == [rows[0][0] + n * MINUTE for n in range(count)] if rows else True


@pytest.mark.parametrize("code", list(INTERVALS))
def test_the_newest_candle_is_open_and_the_others_closed(desk: Desk, simulator: Simulator, code: str) -> None:
    step = INTERVALS[code]
    rows = desk.public(KLINES, symbol="BTCUSDT", interval=code, limit=3).body
    now = simulator.now()
    assert [row[6] for row in rows] == [step.close_time(row[0]) for row in rows]
    assert rows[-2][6] < now <= rows[-1][6] + MINUTE
    assert rows[:-1] == simulator.truth_klines("BTCUSDT", code, rows[0][0], rows[-2][0])


def test_a_row_is_written_as_the_exchange_writes_it(desk: Desk) -> None:
    (row,) = desk.public(KLINES, **BTC, startTime=JANUARY, limit=1).body
    assert [type(cell) for cell in row] == [int, *[str] * 5, int, str, int, str, str, str]
    assert [len(cell.partition(".")[2]) for cell in (*row[1:6], row[7])] == [2, 2, 2, 2, 3, 5]
    assert row[-1] == "0"


def test_history_begins_with_the_first_candle_there_is(desk: Desk) -> None:
    info = {spec["symbol"]: spec for spec in desk.public("/fapi/v1/exchangeInfo").body["symbols"]}
    rows = desk.public(KLINES, symbol=YOUNG, interval="1d", startTime=0).body
    first, last = rows[0][0], rows[-1][0]
    assert first == info[YOUNG]["onboardDate"] // DAY * DAY
    assert [row[0] for row in rows] == list(range(first, last + DAY, DAY))
    assert len(rows) in (100, 101, 102), "a hundred days, and midnight may have come since the exchange began"
    assert last <= desk.public("/fapi/v1/time").body["serverTime"] < last + DAY + MINUTE, "its candle, or midnight came"


def test_a_settled_symbol_ends_with_its_last_candle(desk: Desk) -> None:
    info = {spec["symbol"]: spec for spec in desk.public("/fapi/v1/exchangeInfo").body["symbols"]}
    rows = desk.public(KLINES, symbol=SETTLED, interval="1m", limit=2).body
    assert len(rows) == 2
    assert rows[-1][6] == info[SETTLED]["deliveryDate"] // MINUTE * MINUTE - 1
    day = desk.public("/fapi/v1/ticker/24hr", symbol=SETTLED).body
    assert (day["count"], day["lastPrice"]) == (0, rows[-1][4])


@pytest.mark.parametrize("path", ["ticker/price", "ticker/24hr", "ticker/bookTicker", "premiumIndex", "depth"])
def test_a_pending_symbol_has_no_price(desk: Desk, path: str) -> None:
    assert desk.public(f"/fapi/v1/{path}", symbol=PENDING).code == -1122
    assert desk.public(KLINES, symbol=PENDING, interval="1m").body == []


def test_the_day_is_the_sum_of_its_hours(desk: Desk) -> None:
    day = desk.public("/fapi/v1/ticker/24hr", symbol=NON_ASCII).body
    rows = desk.public(KLINES, symbol=NON_ASCII, interval="1h", startTime=day["openTime"]).body
    assert day["openPrice"] == rows[0][1]
    assert float(day["highPrice"]) <= max(float(row[2]) for row in rows)
    assert day["count"] == pytest.approx(sum(row[8] for row in rows), abs=5)  # a trade may come between the answers


def test_a_symbol_that_is_not_ascii(desk: Desk) -> None:
    assert len(desk.public(KLINES, symbol=NON_ASCII, interval="1m", limit=2).body) == 2


def test_exchange_info_has_every_field(desk: Desk) -> None:
    info = desk.public("/fapi/v1/exchangeInfo").body
    assert [limit["limit"] for limit in info["rateLimits"]] == [2400, 1200, 300]
    btc = next(spec for spec in info["symbols"] if spec["symbol"] == "BTCUSDT")
    assert {"pair", "contractType", "deliveryDate", "onboardDate", "status", "underlyingType"} <= set(btc)
    filters = {each.pop("filterType"): each for each in btc["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.10"
    assert filters["LOT_SIZE"]["stepSize"] == "0.001"
    assert filters["MARKET_LOT_SIZE"]["maxQty"] == "120"
    assert filters["MIN_NOTIONAL"] == {"notional": "50"}
    assert set(filters["PERCENT_PRICE"]) == {"multiplierUp", "multiplierDown", "multiplierDecimal"}
    pending = next(spec for spec in info["symbols"] if spec["symbol"] == PENDING)
    assert (pending["status"], pending["filters"][0]["tickSize"]) == ("PENDING_TRADING", "0")


def test_continuous_candles_of_a_perpetual_are_its_candles(desk: Desk) -> None:
    window = {"interval": "1m", "startTime": JANUARY, "limit": 10}
    plain = desk.public(KLINES, symbol="BTCUSDT", **window).body
    path = "/fapi/v1/continuousKlines"
    assert desk.public(path, pair="BTCUSDT", contractType="PERPETUAL", **window).body == plain
    assert desk.public(path, pair="BTCUSDT", contractType="NEXT_QUARTER", **window).body == []
    assert desk.public(path, pair="BTCUSDT", contractType="FOREVER", **window).code == -1102


@pytest.mark.parametrize(("path", "name"), [("markPriceKlines", "symbol"), ("indexPriceKlines", "pair")])
def test_price_candles_join_and_have_no_volume(desk: Desk, path: str, name: str) -> None:
    rows = desk.public(f"/fapi/v1/{path}", **{name: "BTCUSDT"}, interval="1h", startTime=JANUARY, limit=5).body
    assert [row[0] for row in rows] == [JANUARY + n * 60 * MINUTE for n in range(5)]
    for row in rows:
        opened, high, low, closed = map(float, row[1:5])
        assert low <= min(opened, closed) <= max(opened, closed) <= high
        assert row[5] == "0"
    for before, after in pairwise(rows):
        assert float(after[1]) == pytest.approx(float(before[4]), rel=1e-5)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/fapi/v1/ticker/price", {"symbol", "price", "time"}),
        ("/fapi/v2/ticker/price", {"symbol", "price", "time"}),
        ("/fapi/v1/ticker/24hr", {"symbol", "lastPrice", "volume", "quoteVolume", "count", "priceChangePercent"}),
        ("/fapi/v1/ticker/bookTicker", {"symbol", "bidPrice", "bidQty", "askPrice", "askQty", "time"}),
        ("/fapi/v1/premiumIndex", {"symbol", "markPrice", "indexPrice", "lastFundingRate", "nextFundingTime"}),
    ],
)
def test_one_symbol_is_an_object_and_all_are_a_list(desk: Desk, path: str, fields: set[str]) -> None:
    assert fields <= set(desk.public(path, symbol="BTCUSDT").body)
    every = desk.public(path).body
    assert {"BTCUSDT", NON_ASCII} <= {each["symbol"] for each in every}
    assert PENDING not in {each["symbol"] for each in every}
    assert desk.public(path, symbol="NOSUCH").code == -1121


def test_the_book_does_not_cross(desk: Desk) -> None:
    book = desk.public("/fapi/v1/depth", symbol="BTCUSDT", limit=5).body
    bids, asks = ([float(price) for price, _ in book[side]] for side in ("bids", "asks"))
    assert len(bids) == len(asks) == 5
    assert sorted(bids, reverse=True) == bids
    assert sorted(asks) == asks
    assert bids[0] < asks[0]


def test_trades_make_up_their_candle(desk: Desk) -> None:
    asked = {"symbol": "BTCUSDT", "startTime": JANUARY, "endTime": JANUARY + MINUTE - 1, "limit": 1000}
    trades = desk.public("/fapi/v1/aggTrades", **asked).body
    (candle,) = desk.public(KLINES, **BTC, startTime=JANUARY, limit=1).body
    assert [trades[0]["p"], trades[-1]["p"], len(trades)] == [candle[1], candle[4], candle[8]]
    assert [trade["a"] for trade in trades] == list(range(trades[0]["a"], trades[0]["a"] + len(trades)))
    assert sum(Decimal(trade["q"]) for trade in trades) == Decimal(candle[5])
    newest = desk.public("/fapi/v1/aggTrades", symbol="BTCUSDT", limit=5).body
    assert [trade["a"] for trade in newest] == sorted(trade["a"] for trade in newest)


def test_funding_is_every_eight_hours(desk: Desk) -> None:
    rows = desk.public("/fapi/v1/fundingRate", symbol="BTCUSDT", startTime=JANUARY, limit=4).body
    assert [row["fundingTime"] for row in rows] == [JANUARY + n * 8 * 60 * MINUTE for n in range(4)]
    newest = desk.public("/fapi/v1/fundingRate", symbol="BTCUSDT", limit=2).body
    assert len(newest) == 2


def test_unknown_paths_and_methods(desk: Desk) -> None:
    for method, path in (("GET", "/fapi/v1/nothing"), ("POST", "/fapi/v1/klines")):
        reply = desk.send(method, path, "")
        assert (reply.status, reply.code) == (404, -5000)


def test_time_is_the_clock_of_the_exchange(desk: Desk, simulator: Simulator) -> None:
    before = simulator.now()
    assert before <= desk.public("/fapi/v1/time").body["serverTime"] <= simulator.now()
    assert desk.public("/fapi/v1/ping").body == {}


def test_every_endpoint_has_somebody_who_answers() -> None:
    exchange = build_exchange(Options(markets=tuple(PRODUCTS)))
    for product in PRODUCTS.values():
        venue, endpoints = exchange.floors[product.name].venue, product.endpoints
        of_accounts = {where for where, endpoint in endpoints.items() if endpoint.answer is None}
        listen_key = {where for where in endpoints if where[1] == product.listen_key}
        assert {method for method, _ in listen_key} == ({"POST", "PUT", "DELETE"} if listen_key else set())
        by_message = {where for where in endpoints if where[0] == ASKED_BY_MESSAGE}
        assert bool(by_message) is (product.ws_api is not None)
        counted = {("GET", product.order_counts)}
        assert of_accounts == venue.endpoints | listen_key | by_message | counted
        assert all(endpoints[where].guard is Guard.SIGNATURE for where in venue.endpoints)
        assert all(endpoints[where].executes == (where[0] != "GET") for where in venue.endpoints)


def test_a_refused_order_was_not_executed(desk: Desk, simulator: Simulator) -> None:
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "100"}
    assert desk.signed("POST", "/fapi/v1/order", **order).code == -2019
    attempt = simulator.ledger()["attempts"][-1]
    assert (attempt["executed"], attempt["status"], attempt["params"]["quantity"]) == (False, 400, "100")


def test_signed_endpoints_over_the_wire(desk: Desk, simulator: Simulator) -> None:
    assert desk.signed("GET", "/fapi/v3/account").status == 200
    reply = desk.send("GET", "/fapi/v3/account", f"timestamp={simulator.now()}&signature=00")
    assert (reply.status, reply.code) == (400, -1022)
    assert desk.signed("GET", "/fapi/v3/account", timestamp=simulator.now() - 60_000).code == -1021


@pytest.mark.parametrize(("key", "code"), [("", -2014), ("nobody", -2015)])
def test_a_wrong_key_is_401(simulator: Simulator, desk_of: Callable[..., Desk], key: str, code: int) -> None:
    reply = desk_of(simulator, key).signed("GET", "/fapi/v3/account")
    assert (reply.status, reply.code) == (401, code)


def test_limits_on_the_wire(start_simulator: Callable[..., Simulator], desk_of: Callable[..., Desk]) -> None:
    back = int(time.time() * 1_000) % MINUTE  # a minute begins now, and at this speed it will not end
    simulator = start_simulator(symbols=("BTCUSDT",), weight_limit=20, orders_10s=1, clock_offset=-back, speed=0.001)
    desk = desk_of(simulator)
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    placed = desk.signed("POST", "/fapi/v1/order", **order)
    assert (placed.status, placed.headers["x-mbx-order-count-10s"]) == (200, "1")
    assert placed.headers["x-mbx-used-weight-1m"] == "0"
    assert desk.signed("POST", "/fapi/v1/order", **order).code == -1015
    replies = [desk.public(KLINES, **BTC, limit=1500) for _ in range(13)]
    assert [reply.headers["X-MBX-USED-WEIGHT-1M"] for reply in replies[:2]] == ["10", "20"]
    assert [reply.status for reply in replies] == [200, 200, *[429] * 10, 418]
    assert 0 < int(replies[2].headers["Retry-After"]) <= 60
    assert "banned until" in replies[-1].body["msg"]
    simulator.forgive()
    assert desk.public(KLINES, **BTC).status == 200


def test_more_accounts_each_with_its_own_money(
    start_simulator: Callable[..., Simulator], desk_of: Callable[..., Desk]
) -> None:
    accounts = (
        {"name": "rich", "key": "rich-key", "secret": "s1", "deposit": "5000000"},
        {"name": "looker", "key": "looker-key", "secret": "s2", "permissions": ("read",)},
    )
    simulator = start_simulator(symbols=("BTCUSDT",), accounts=tuple(Account(**each) for each in accounts))
    rich, looker = desk_of(simulator, "rich-key", "s1"), desk_of(simulator, "looker-key", "s2")
    assert rich.signed("GET", "/fapi/v3/balance").body[0]["balance"] == "5000000.00000000"
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    assert looker.signed("POST", "/fapi/v1/order", **order).code == -2015
    assert looker.signed("GET", "/fapi/v3/balance").status == 200


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"symbols": ("BTCUSD",)}, "lists no 'BTCUSD'; near it: BTCUSDT"),
        ({"speed": 0}, "above 0"),
        ({"replay": "no-such-file.csv"}, "no-such-file.csv"),
        ({"accounts": (Account(name="a", key="k", secret="s", deposit="much"),)}, "not 'much'"),
        ({"accounts": (Account(name="a", key="k", secret="s", deposit="-1"),)}, "cannot be -1"),
        ({"accounts": (Account(name="a", key="k", secret="s", permissions=("fly",)),)}, "'fly' is no permission"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        build_exchange(Options(**options))


@pytest.mark.parametrize("text", ["", "name", "name:key", "name:key:", "a:b:c:d:e", "a:b:c:much"])
def test_accounts_that_cannot_be_read(text: str) -> None:
    with pytest.raises(UsageError):
        parse_account(text)


def test_an_account_is_read() -> None:
    assert parse_account("desk:k:s:5") == Account(name="desk", key="k", secret="s", deposit="5")
    assert parse_account("desk:k:s").deposit == "10000"


def test_a_simulator_that_cannot_start_says_why() -> None:
    with pytest.raises(SimulatorError, match=r"cannot listen on 203\.0\.113\.1"):
        Simulator.start(host="203.0.113.1")
