"""Three markets of one exchange, each with its own address and manners: what is alike, what differs, what is shared."""

import asyncio
import csv
import io
import json
import time
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest
import requests
import websockets

from pipeline.errors import UsageError
from pipeline.exchange.environments import SIM, at
from pipeline.exchange.market import MarketData
from pipeline.exchange.products.cm import CM
from pipeline.exchange.products.product import Product
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.exchange.rest import RestClient
from pipeline.simulator.handle import RunningSimulator, Simulator, SimulatorError
from pipeline.simulator.host import build_exchange
from pipeline.simulator.market.coin_contracts import coin_contracts
from pipeline.simulator.market.quarters import contract_type, deliveries
from pipeline.simulator.market.synthetic import SyntheticMarket
from pipeline.simulator.options import Options
from pipeline.simulator.products import PRODUCTS
from pipeline.timeline import DAY, HOUR, INTERVALS, MINUTE, Window, to_ms

JANUARY = 1_767_225_600_000  # 2026-01-01
PERP = {"symbol": "BTCUSD_PERP"}
DAPI, FAPI, API = "/dapi/v1", "/fapi/v1", "/api/v3"
TIMEOUT = 30

Desk = Any


@pytest.fixture(scope="module")
def three() -> Iterator[Simulator]:
    with Simulator.start(markets=("um", "cm", "spot"), lifted_limits=True, stream_period=50) as simulator:
        yield simulator


@pytest.fixture
def cm(three: Simulator) -> Iterator[RunningSimulator]:
    yield three.at("cm")
    three.faults.clear()


@pytest.fixture
def desks(three: Simulator, cm: RunningSimulator, desk_of: Callable[..., Desk]) -> dict[str, Desk]:
    return {"um": desk_of(three), "cm": desk_of(cm), "spot": desk_of(three.at("spot"))}


@asynccontextmanager
async def listening(url: str, path: str) -> AsyncIterator[Any]:
    async with websockets.connect(url + path) as socket:
        yield socket


async def heard(socket: Any, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(TIMEOUT):
        while True:
            frame: dict[str, Any] = json.loads(await socket.recv())
            if wanted(frame):
                return frame


def test_each_market_has_an_address_and_answers_only_for_itself(three: Simulator, desks: dict[str, Desk]) -> None:
    assert len({desk.simulator.url for desk in desks.values()}) == 3
    for name, path in (("um", f"{FAPI}/time"), ("cm", f"{DAPI}/time"), ("spot", f"{API}/time")):
        assert abs(desks[name].public(path).body["serverTime"] - three.now()) < MINUTE
        assert desks[name].public(f"{path}less").code == -5000
        others = [desk for other, desk in desks.items() if other != name]
        assert {desk.simulator.url for desk in others} == {
            desk.simulator.url for desk in others if _status(desk, path) == 404
        }
    with pytest.raises(SimulatorError, match="um, cm, spot; not 'options'"):
        three.at("options")


def _status(desk: Desk, path: str) -> int:
    return requests.get(desk.simulator.url + path, timeout=TIMEOUT).status_code


@pytest.mark.parametrize(
    ("markets", "problem"), [(("um", "options"), "'options'"), (("um", "um"), "once"), ((), "at least one")]
)
def test_markets_that_there_are_not(markets: tuple[str, ...], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        build_exchange(Options(markets=markets))


def test_the_last_port_has_no_next_one() -> None:
    with pytest.raises(SimulatorError, match="cm would be on port 65536: choose a lower --port, or 0"):
        Simulator.start(port=65_535, markets=("um", "cm"))


def test_nobody_has_positions_where_there_are_coins_alone(three: Simulator) -> None:
    with pytest.raises(SimulatorError, match="nobody has positions on spot"):
        three.at("spot").close_position("main", "BTCUSDT", "adl")


def test_a_market_of_which_nothing_is_named_lists_what_it_has() -> None:
    floors = build_exchange(Options(markets=("um", "cm", "spot"), symbols=("BTCUSD_PERP", "ETHUSDT"))).floors
    assert list(floors["cm"].market.specs) == ["BTCUSD_PERP"]
    assert [list(floors[name].market.specs) for name in ("um", "spot")] == [["ETHUSDT"], ["ETHUSDT"]]
    alone = build_exchange(Options(markets=("um", "cm"), symbols=("ETHUSDT",))).floors
    assert len(alone["cm"].market.specs) > 20
    with pytest.raises(UsageError, match=r"lists no 'BTCUSD_PERPS'; near it: BTCUSD_PERP"):
        build_exchange(Options(markets=("um", "cm"), symbols=("BTCUSD_PERPS",)))


@pytest.mark.parametrize("product", [UM, CM])
def test_what_our_own_client_may_ask_is_answered_at_the_weight_that_it_counts(product: Product) -> None:
    endpoints = PRODUCTS[product.name].endpoints
    for ask, asked in product.endpoints.items():
        answered = endpoints[asked.method, asked.path]
        weights = {answered.weight({}), answered.weight({"symbol": "X", "limit": "99"})}
        assert asked.weight in weights, ask
        assert (asked.orders > 0) is (answered.orders is not None), ask


@pytest.mark.parametrize(("product", "symbol"), [(UM, "BTCUSDT"), (CM, "BTCUSD_PERP"), (SPOT, "BTCUSDT")])
def test_our_own_client_reads_each_market(three: Simulator, product: Product, symbol: str) -> None:
    place = replace(at(SIM, three.at(product.name).url), product=product)
    with RestClient(place) as client:
        market = MarketData(client)
        client.sync_clock()
        symbols = {each.symbol: each for each in market.symbols()}
        assert symbols[symbol].status == "TRADING"
        rules = symbols[symbol].filters
        assert rules is not None
        assert rules.tick_size > 0
        frame = market.klines(symbol, INTERVALS["1h"], Window(JANUARY, JANUARY + 23 * HOUR))
    assert len(frame) == 24
    for row in frame.iter_rows(named=True):
        assert row["low"] <= row["quote_volume"] / row["volume"] <= row["high"]


def test_the_three_markets_have_one_price(desks: dict[str, Desk]) -> None:
    window = {"interval": "1m", "startTime": JANUARY, "endTime": JANUARY + 99 * MINUTE, "limit": 100}
    asked = (("um", f"{FAPI}/klines", "BTCUSDT"), ("cm", f"{DAPI}/klines", "BTCUSD_PERP"),
             ("spot", f"{API}/klines", "BTCUSDT"))  # fmt: skip
    closes = [[float(row[4]) for row in desks[name].public(path, symbol=symbol, **window).body]
              for name, path, symbol in asked]  # fmt: skip
    assert [len(each) for each in closes] == [100, 100, 100]
    for row in zip(*closes, strict=True):
        assert max(row) - min(row) < 0.001 * row[0]


def test_a_candle_of_coin_m_counts_contracts_and_coins(desks: dict[str, Desk], cm: RunningSimulator) -> None:
    days = {"startTime": JANUARY, "endTime": JANUARY + DAY - 1}
    minutes = desks["cm"].public(f"{DAPI}/klines", **PERP, interval="1m", limit=1440, **days).body
    (day,) = desks["cm"].public(f"{DAPI}/klines", **PERP, interval="1d", **days).body
    assert minutes[:1000] == cm.truth_klines("BTCUSD_PERP", "1m", JANUARY, JANUARY + 999 * MINUTE)
    for column in (5, 9):
        assert int(day[column]) == sum(int(row[column]) for row in minutes)
    for column in (7, 10):
        assert float(day[column]) == pytest.approx(sum(float(row[column]) for row in minutes), abs=1440e-8)
        assert len(day[column].partition(".")[2]) == 8
    traded = [row for row in minutes if row[8]]
    assert len(traded) > 1000
    assert all(float(row[3]) <= 100 * int(row[5]) / float(row[7]) <= float(row[2]) * 1.000_000_1 for row in traded)


@pytest.mark.parametrize("symbol", ["BTCUSD_PERP", "DOGEUSD_PERP", "ETHUSD_PERP"])
def test_the_coins_of_a_candle_are_those_of_its_trades(symbol: str) -> None:
    market = SyntheticMarket(3, coin_contracts(0, JANUARY))
    spec = market.specs[symbol]
    for opened in range(JANUARY, JANUARY + 200 * MINUTE, MINUTE):
        ticks = market.ticks(symbol, opened - 1, opened + MINUTE - 1)
        (candle,) = market.klines(symbol, INTERVALS["1m"], opened, opened)
        (formed,) = market.forming(symbol, INTERVALS["1m"], opened + MINUTE - 1)[0]
        assert formed == candle
        coins = sum(float(tick.quantity * spec.worth.notional(tick.price * spec.tick)) for tick in ticks)
        assert candle["volume"] == sum(tick.quantity for tick in ticks)
        assert spec.coins is not None
        assert candle["quote"] / 10**spec.coins == pytest.approx(coins, rel=2e-5)


@pytest.mark.parametrize(
    ("asked", "first", "count"),
    [
        ({"startTime": JANUARY, "endTime": JANUARY + 99 * HOUR, "limit": 5}, JANUARY + 95 * HOUR, 5),
        ({"startTime": JANUARY, "endTime": JANUARY + 2 * HOUR, "limit": 5}, JANUARY, 3),
        ({"startTime": JANUARY, "limit": 2}, JANUARY + 4799 * HOUR, 2),
        ({"endTime": JANUARY, "limit": 2}, JANUARY - HOUR, 2),
        ({"startTime": JANUARY, "endTime": JANUARY + 200 * DAY, "limit": 1}, JANUARY + 200 * DAY, 1),
    ],
)
def test_coin_m_answers_the_last_rows_of_a_window(
    desks: dict[str, Desk], asked: dict[str, int], first: int, count: int
) -> None:
    rows = desks["cm"].public(f"{DAPI}/klines", **PERP, interval="1h", **asked).body
    assert [row[0] for row in rows] == [first + number * HOUR for number in range(count)]


def test_coin_m_has_no_window_of_more_than_200_days(desks: dict[str, Desk]) -> None:
    window = {"startTime": JANUARY, "endTime": JANUARY + 200 * DAY + 1}
    assert desks["cm"].public(f"{DAPI}/klines", **PERP, interval="1d", **window).code == -4088
    assert desks["um"].public(f"{FAPI}/klines", symbol="BTCUSDT", interval="1d", **window).status == 200


def test_spot_answers_a_thousand_from_the_start_at_a_flat_weight(desks: dict[str, Desk]) -> None:
    asked = {"symbol": "BTCUSDT", "interval": "1m", "startTime": JANUARY}
    rows = desks["spot"].public(f"{API}/klines", **asked, endTime=JANUARY + DAY, limit=1_500).body
    assert [row[0] for row in rows] == [JANUARY + number * MINUTE for number in range(1_000)]
    assert all(len(cell.partition(".")[2]) == 8 for cell in (*rows[0][1:6], rows[0][7]))
    assert desks["spot"].public(f"{API}/klines", symbol="BTCUSDT", interval="2s").code == -1120


def test_weight_is_shared_by_the_futures_and_not_by_spot(
    start_simulator: Callable[..., Simulator], desk_of: Callable[..., Desk]
) -> None:
    back = int(time.time() * 1_000) % MINUTE  # a minute begins now, and at this speed it will not end
    simulator = start_simulator(markets=("um", "cm", "spot"), clock_offset=-back, speed=0.001)
    desks = {name: desk_of(simulator.at(name)) for name in ("um", "cm", "spot")}
    used = [
        desks["um"].public(f"{FAPI}/klines", symbol="BTCUSDT", interval="1m", limit=1_500),
        desks["cm"].public(f"{DAPI}/premiumIndex", symbol="BTCUSD_PERP"),
        desks["spot"].public(f"{API}/exchangeInfo"),
        desks["um"].public(f"{FAPI}/time"),
    ]
    assert [reply.headers["X-MBX-USED-WEIGHT-1M"] for reply in used] == ["10", "20", "20", "21"]
    limits = used[2].body["rateLimits"]
    assert [(each["rateLimitType"], each["interval"], each["limit"]) for each in limits] == [
        ("REQUEST_WEIGHT", "MINUTE", 6_000),
        ("ORDERS", "SECOND", 100),
        ("ORDERS", "DAY", 200_000),
        ("RAW_REQUESTS", "MINUTE", 300_000),
    ]


def test_exchange_information_of_coin_m(desks: dict[str, Desk]) -> None:
    symbols = {each["symbol"]: each for each in desks["cm"].public(f"{DAPI}/exchangeInfo").body["symbols"]}
    btc = symbols["BTCUSD_PERP"]
    assert (btc["pair"], btc["contractSize"], btc["marginAsset"], btc["contractStatus"]) == (
        "BTCUSD", 100, "BTC", "TRADING",
    )  # fmt: skip
    assert "status" not in btc
    assert "GTD" not in btc["timeInForce"]
    filters = {each["filterType"]: each for each in btc["filters"]}
    assert "MIN_NOTIONAL" not in filters
    assert filters["LOT_SIZE"]["stepSize"] == "1"
    kinds = {each["contractType"] for each in symbols.values()}
    assert kinds == {"PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER"}
    for kind in ("CURRENT_QUARTER", "NEXT_QUARTER"):
        (dated,) = [each for each in symbols.values() if (each["pair"], each["contractType"]) == ("BTCUSD", kind)]
        ends = datetime.fromtimestamp(dated["deliveryDate"] / 1_000, UTC)
        assert dated["symbol"] == f"BTCUSD_{ends:%y%m%d}"


def test_exchange_information_of_spot(desks: dict[str, Desk]) -> None:
    info = desks["spot"].public(f"{API}/exchangeInfo", symbols='["BTCUSDT","ETHUSDT"]').body
    assert [each["symbol"] for each in info["symbols"]] == ["BTCUSDT", "ETHUSDT"]
    assert not {"pair", "contractType", "onboardDate", "marginAsset"} & set(info["symbols"][0])
    filters = {each["filterType"]: each for each in info["symbols"][0]["filters"]}
    assert filters["MARKET_LOT_SIZE"]["stepSize"] == "0.00000000"
    assert filters["MAX_NUM_ORDERS"] == {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200}
    for wrong in ('["NOSUCH"]', "NOSUCH", "[1]"):
        assert desks["spot"].public(f"{API}/exchangeInfo", symbols=wrong).code in (-1121, -1100)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("ticker/price", {"symbol", "ps", "price", "time"}),
        ("ticker/24hr", {"symbol", "pair", "lastPrice", "volume", "baseVolume", "count", "weightedAvgPrice"}),
        ("ticker/bookTicker", {"symbol", "pair", "bidPrice", "askQty"}),
        ("premiumIndex", {"symbol", "pair", "markPrice", "lastFundingRate"}),
    ],
)
def test_coin_m_answers_a_list_for_one_symbol_and_for_a_pair(
    desks: dict[str, Desk], path: str, fields: set[str]
) -> None:
    (row,) = desks["cm"].public(f"{DAPI}/{path}", **PERP).body
    assert fields <= set(row)
    assert "quoteVolume" not in row
    rows = desks["cm"].public(f"{DAPI}/{path}", pair="BTCUSD").body
    assert len(rows) == 3
    assert rows[0]["symbol"] == "BTCUSD_PERP"
    assert len(desks["cm"].public(f"{DAPI}/{path}").body) > 10


def test_a_dated_contract_has_no_funding(desks: dict[str, Desk]) -> None:
    rows = {row["symbol"]: row for row in desks["cm"].public(f"{DAPI}/premiumIndex", pair="BTCUSD").body}
    dated = [row for name, row in rows.items() if not name.endswith("PERP")]
    assert [(row["lastFundingRate"], row["nextFundingTime"]) for row in dated] == [("", 0), ("", 0)]
    assert float(rows["BTCUSD_PERP"]["lastFundingRate"])
    assert len(desks["cm"].public(f"{DAPI}/fundingRate", **PERP, limit=3).body) == 3
    assert desks["cm"].public(f"{DAPI}/fundingRate", symbol=dated[0]["symbol"]).body == []


@pytest.mark.parametrize(
    ("path", "shape", "fields"),
    [
        ("ticker/price", dict, {"symbol", "price"}),
        ("ticker/bookTicker", dict, {"symbol", "bidPrice", "bidQty", "askPrice", "askQty"}),
        ("ticker/24hr", dict, {"symbol", "quoteVolume", "bidPrice", "prevClosePrice", "count"}),
        ("avgPrice", dict, {"mins", "price", "closeTime"}),
        ("depth", dict, {"lastUpdateId", "bids", "asks"}),
    ],
)
def test_spot_answers(desks: dict[str, Desk], path: str, shape: type, fields: set[str]) -> None:
    row = desks["spot"].public(f"{API}/{path}", symbol="BTCUSDT").body
    assert isinstance(row, shape)
    assert fields <= set(row)
    assert "time" not in row


@pytest.mark.parametrize(
    ("name", "root", "symbol", "worth"),
    [
        ("um", FAPI, "BTCUSDT", lambda row: ("quoteQty", float(row["price"]) * float(row["qty"]), 0.01)),
        ("cm", DAPI, "BTCUSD_PERP", lambda row: ("baseQty", 100 * float(row["qty"]) / float(row["price"]), 1e-8)),
        ("spot", API, "BTCUSDT", lambda row: ("quoteQty", float(row["price"]) * float(row["qty"]), 1e-8)),
    ],
)
def test_trades_of_each_market(desks: dict[str, Desk], name: str, root: str, symbol: str, worth: Any) -> None:
    desk = desks[name]
    newest = desk.public(f"{root}/trades", symbol=symbol, limit=50).body
    assert len(newest) == 50
    assert [row["id"] for row in newest] == sorted({row["id"] for row in newest})
    for row in newest:
        field, expected, within = worth(row)
        assert float(row[field]) == pytest.approx(expected, abs=within)
    since = newest[10]["id"]
    older = desk.public(f"{root}/historicalTrades", symbol=symbol, fromId=since, limit=5).body
    assert older == newest[10:15]
    compressed = desk.public(f"{root}/aggTrades", symbol=symbol, fromId=since, limit=5).body
    assert [(row["a"], row["p"]) for row in compressed] == [(row["id"], row["price"]) for row in older]


def test_the_trades_of_the_futures_before_the_last_want_a_key(
    three: Simulator, cm: RunningSimulator, desk_of: Callable[..., Desk]
) -> None:
    assert desk_of(three, "").public(f"{FAPI}/historicalTrades", symbol="BTCUSDT").code == -2014
    assert desk_of(cm, "").public(f"{DAPI}/historicalTrades", **PERP).code == -2014


def test_open_interest(desks: dict[str, Desk]) -> None:
    linear = desks["um"].public(f"{FAPI}/openInterest", symbol="BTCUSDT").body
    inverse = desks["cm"].public(f"{DAPI}/openInterest", **PERP).body
    assert float(linear["openInterest"]) > 0
    assert (inverse["pair"], inverse["contractType"]) == ("BTCUSD", "PERPETUAL")
    assert int(inverse["openInterest"]) > 0


def test_continuous_candles_of_each_type_of_contract(desks: dict[str, Desk], three: Simulator) -> None:
    window = {"interval": "1h", "limit": 5}
    listed = desks["cm"].public(f"{DAPI}/exchangeInfo").body["symbols"]
    names = {each["contractType"]: each["symbol"] for each in listed if each["pair"] == "BTCUSD"}
    for kind, symbol in names.items():
        plain = desks["cm"].public(f"{DAPI}/klines", symbol=symbol, **window).body
        path = f"{DAPI}/continuousKlines"
        assert desks["cm"].public(path, pair="BTCUSD", contractType=kind, **window).body[:-1] == plain[:-1]
    assert desks["cm"].public(path, pair="BTCUSDT", contractType="PERPETUAL", **window).code == -1121
    assert desks["um"].public(f"{FAPI}/continuousKlines", pair="BTCUSDT", contractType="CURRENT_QUARTER",
                              **window).body == []  # fmt: skip


async def test_coin_m_streams_on_paths_without_a_route() -> None:
    with Simulator.start(markets=("um", "cm"), speed=60, stream_period=3_000) as fast:
        cm = fast.at("cm")
        streams = "btcusd_perp@kline_1m/btcusd_perpetual@continuousKline_1m/btcusd_perp@markPrice@1s"
        async with listening(cm.ws_url, f"/stream?streams={streams}") as socket:
            closed = await heard(socket, lambda frame: frame["data"].get("k", {}).get("x", False))
            mark = await heard(socket, lambda frame: frame["data"]["e"] == "markPriceUpdate")
            other = await heard(socket, lambda frame: frame["data"]["e"] == "continuous_kline")
        k = closed["data"]["k"]
        (row,) = cm.truth_klines("BTCUSD_PERP", "1m", k["t"], k["t"])
        assert [k["t"], k["o"], k["h"], k["l"], k["c"], k["v"], k["T"], k["q"], k["n"], k["V"], k["Q"]] == row[:11]
        assert mark["data"]["st"] == 2
        assert (other["data"]["ps"], other["data"]["ct"]) == ("BTCUSD", "PERPETUAL")
        with pytest.raises(websockets.InvalidStatus, match="404"):
            async with listening(cm.ws_url, "/market/ws/btcusd_perp@kline_1m"):
                pass


async def test_all_mark_prices_are_those_of_both_futures_on_either_address(three: Simulator) -> None:
    for url, path in ((three.ws_url, "/market/ws/!markPrice@arr@1s"), (three.at("cm").ws_url, "/ws/!markPrice@arr@1s")):
        async with websockets.connect(url + path) as socket:
            rows = json.loads(await asyncio.wait_for(socket.recv(), TIMEOUT))
        marks = {row["s"]: row["st"] for row in rows}
        assert (marks["BTCUSDT"], marks["BTCUSD_PERP"]) == (1, 2)
        assert {row["T"] for row in rows if row["s"].startswith("BTCUSD_2")} == {0}


async def test_spot_streams_with_its_own_manners(three: Simulator) -> None:
    spot = three.at("spot")
    async with listening(spot.ws_url, "/ws/btcusdt@bookTicker") as socket:
        quote = await heard(socket, lambda frame: "b" in frame)
        assert set(quote) == {"u", "s", "b", "B", "a", "A"}
        await socket.send('{"method":"SUBSCRIBE","params":["btcusdt@aggTrade"],"id":null}')
        assert (await heard(socket, lambda frame: "result" in frame))["id"] is None
        await socket.send('{"method":"DANCE","id":"one"}')
        assert (await heard(socket, lambda frame: "code" in frame))["id"] == "one"
        for number in range(6):
            await socket.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        with pytest.raises(websockets.ConnectionClosed):
            await heard(socket, lambda frame: frame.get("id") == 5)


async def test_a_fault_can_be_that_of_one_market(three: Simulator, desks: dict[str, Desk]) -> None:
    three.faults.add("maintenance", market="cm")
    assert desks["cm"].public(f"{DAPI}/time").status == 503
    assert desks["um"].public(f"{FAPI}/time").status == 200
    three.faults.clear()
    refused = three.faults.add("refuse", market="spot")
    with pytest.raises(websockets.InvalidStatus, match="503"):
        async with listening(three.at("spot").ws_url, "/ws"):
            pass
    async with listening(three.at("cm").ws_url, "/ws"), listening(three.ws_url, "/public/ws"):
        assert three.faults.struck(refused) == 1
        assert three.drop_connections(market="cm") == 1
    three.faults.clear()


@pytest.mark.parametrize(
    ("name", "folder", "symbol", "root", "unit"),
    [("cm", "futures/cm", "BTCUSD_PERP", DAPI, 1), ("spot", "spot", "BTCUSDT", API, 1_000)],
)
def test_the_archive_of_each_market(
    desks: dict[str, Desk], name: str, folder: str, symbol: str, root: str, unit: int
) -> None:
    path = f"/data/{folder}/daily/klines/{symbol}/1h/{symbol}-1h-2026-01-01.zip"
    body = requests.get(desks[name].simulator.url + path, timeout=TIMEOUT)
    assert body.status_code == 200
    with zipfile.ZipFile(io.BytesIO(body.content)) as archive:
        _, *rows = csv.reader(io.StringIO(archive.read(archive.namelist()[0]).decode()))
    window = {"startTime": JANUARY, "endTime": JANUARY + DAY - 1}
    answered = desks[name].public(f"{root}/klines", symbol=symbol, interval="1h", **window).body
    assert [int(row[0]) for row in rows] == [row[0] * unit for row in answered]
    assert [int(row[6]) for row in rows] == [(row[6] + 1) * unit - 1 for row in answered]
    assert [row[7] for row in rows] == [row[7] for row in answered]
    assert requests.get(desks["um"].simulator.url + path, timeout=TIMEOUT).status_code == 404


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-11-27T09:00", ["2026-12-25", "2027-03-26", "2027-06-25", "2027-09-24", "2027-12-31"]),
        ("2026-12-25T07:59", ["2026-12-25"]),
        ("2026-12-25T08:00", ["2027-03-26"]),
        ("2026-12-31T00:00", ["2027-03-26"]),
    ],
)
def test_contracts_are_delivered_on_the_last_friday_of_a_quarter(after: str, expected: list[str]) -> None:
    moment = to_ms(datetime.fromisoformat(after).replace(tzinfo=UTC))
    found = [datetime.fromtimestamp(each / 1_000, UTC) for each in islice(deliveries(moment), len(expected))]
    assert [f"{each:%Y-%m-%d %H:%M}" for each in found] == [f"{day} 08:00" for day in expected]


@pytest.mark.parametrize("began", ["2026-11-27T09:00", "2026-09-25T08:00", "2026-09-25T07:59", "2026-12-31T23:00"])
def test_there_are_always_two_quarterlies_and_the_next_comes_when_one_ends(began: str) -> None:
    start = to_ms(datetime.fromisoformat(began).replace(tzinfo=UTC))
    specs = [spec for spec in coin_contracts(0, start).values() if spec.pair == "BTCUSD" and spec.kind != "PERPETUAL"]
    for now in range(start, start + 300 * DAY, 7 * HOUR):
        trading = [contract_type(spec, now) for spec in specs if spec.trades_at(now)]
        assert trading == ["CURRENT_QUARTER", "NEXT_QUARTER"]


async def test_a_dated_contract_ends_at_its_delivery_and_the_next_takes_its_place(desk_of: Callable[..., Desk]) -> None:
    delivery = to_ms(datetime(2026, 12, 25, 8, tzinfo=UTC))
    offset = delivery - 3 * MINUTE - int(time.time() * 1_000)
    speed = 240
    with Simulator.start(markets=("cm",), clock_offset=offset, speed=speed, stream_period=2_000) as simulator:
        async with listening(simulator.ws_url, "/ws/btcusd_current_quarter@continuousKline_1m") as socket:
            before = await heard(socket, lambda frame: True)
            after = await heard(socket, lambda frame: frame["k"]["t"] >= delivery)
        assert (before["ct"], after["ct"]) == ("CURRENT_QUARTER", "CURRENT_QUARTER")
        (last,) = simulator.truth_klines("BTCUSD_270326", "1m", after["k"]["t"], after["k"]["t"])
        assert float(last[3]) <= float(after["k"]["c"]) <= float(last[2])
        assert simulator.truth_klines("BTCUSD_261225", "1m", delivery, delivery + HOUR) == []
        desk = desk_of(simulator)
        listed = {each["symbol"]: each for each in desk.public(f"{DAPI}/exchangeInfo").body["symbols"]}
        ended = listed["BTCUSD_261225"]
        assert (ended["contractStatus"], ended["contractType"]) == ("DELIVERING", "CURRENT_QUARTER_DELIVERING")
        assert listed["BTCUSD_270326"]["contractType"] == "CURRENT_QUARTER"
        assert listed["BTCUSD_270625"]["contractType"] == "NEXT_QUARTER"
        await asyncio.sleep((delivery + HOUR - simulator.now()) / 1_000 / speed + 0.1)
        listed = {each["symbol"] for each in desk.public(f"{DAPI}/exchangeInfo").body["symbols"]}
        assert "BTCUSD_261225" not in listed
        assert desk.public(f"{DAPI}/klines", symbol="BTCUSD_261225", interval="1m").code == -1121
