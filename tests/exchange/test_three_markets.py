"""Market data of COIN-M and of spot, from a server that answers as these do: rows and filters as they were captured."""

import asyncio
import hashlib
import io
import json
import zipfile
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import serve

from pipeline.exchange.archive import Archive, ArchiveFile
from pipeline.exchange.environments import SIM, Environment, at
from pipeline.exchange.errors import BadAnswerError
from pipeline.exchange.frames import Kline, ends
from pipeline.exchange.market import MarketData
from pipeline.exchange.products.cm import CM
from pipeline.exchange.products.instrument import Instrument
from pipeline.exchange.products.product import Product
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.exchange.rest import RestClient
from pipeline.exchange.stream_session import FeedLimits
from pipeline.exchange.streams import Feed
from pipeline.timeline import DAY, HOUR, INTERVALS, MINUTE, Window, interval, windows
from tests.exchange.standing import NOW, standing
from tests.exchange.test_streams import Exchange, Heard, kline

PERP: dict[str, Any] = {
    "symbol": "BTCUSD_PERP",
    "pair": "BTCUSD",
    "contractType": "PERPETUAL",
    "contractStatus": "TRADING",
    "contractSize": 100,
    "deliveryDate": 4133404800000,
    "onboardDate": 1597042800000,
    "baseAsset": "BTC",
    "quoteAsset": "USD",
    "marginAsset": "BTC",
    "pricePrecision": 1,
    "quantityPrecision": 0,
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "1000", "maxPrice": "4520958", "tickSize": "0.1"},
        {"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "1000000", "stepSize": "1"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "1", "maxQty": "60000", "stepSize": "1"},
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 20},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500", "multiplierDecimal": "4"},
    ],
}
BTCUSDT: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "baseAssetPrecision": 8,
    "quoteAsset": "USDT",
    "quoteAssetPrecision": 8,
    "isSpotTradingAllowed": True,
    "permissions": [],
    "filters": [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": "0.01000000",
            "maxPrice": "1000000.00000000",
            "tickSize": "0.01000000",
        },
        {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": "90.00000000", "stepSize": "0.00000000"},
        {"filterType": "ICEBERG_PARTS", "limit": 100},
        {
            "filterType": "NOTIONAL",
            "minNotional": "5.00000000",
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "6",
            "askMultiplierDown": "0.3",
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    ],
}
INVERSE_ROW = [1748822400000, "105652.0", "105747.3", "105413.6", "105430.0", "440394", 1748825999999, "417.17958228",
               11335, "141942", "134.46284012", "0"]  # fmt: skip
EARLY = [1679661540000, "28080.00000000", "28080.00000000", "28080.00000000", "28080.00000000", "0.00000000",
         1679661581646, "0.00000000", 0, "0.00000000", "0.00000000", "0"]  # fmt: skip
M1, H1 = interval("1m"), interval("1h")


def market_of(product: Product, exchange: Any, reply: Any, **answers: Any) -> MarketData:
    """The market, whose answers are named by the ends of their paths."""
    exchange.otherwise = lambda seen: reply(msgspec.json.encode(answers[seen.path.rpartition("/")[2]]))
    place = replace(at(SIM, exchange.url), product=product, weight_limit=6000, retries=0)
    return MarketData(RestClient(place, clock=standing()))


def plain_row(opened: int, closes: int) -> list[Any]:
    return [opened, "2", "3", "1", "2", "5", closes, "10", 7, "1", "2", "0"]


def test_a_coin_m_symbol_is_read_with_the_size_of_its_contracts(exchange: Any, reply: Any) -> None:
    (found,) = market_of(CM, exchange, reply, exchangeInfo={"symbols": [PERP]}).symbols()
    assert exchange.seen[0].path == "/dapi/v1/exchangeInfo"
    assert (found.status, found.margin_asset, found.contract_size) == ("TRADING", "BTC", Decimal(100))
    assert found.filters is not None
    assert (found.filters.min_notional, found.filters.step_size) == (Decimal(0), Decimal(1))
    traded = Instrument.of(CM, found)
    assert (traded.unit, traded.notional(Decimal(100), Decimal(25_000))) == ("contracts", Decimal("0.4"))


def test_a_spot_symbol_is_read_though_it_is_no_contract(exchange: Any, reply: Any) -> None:
    market = market_of(SPOT, exchange, reply, exchangeInfo={"symbols": [BTCUSDT]})
    (found,) = market.symbols()
    assert exchange.seen[0].path == "/api/v3/exchangeInfo"
    assert market.client.weight.used == 20
    assert (found.pair, found.contract_type, found.price_precision, found.quantity_precision) == (
        "BTCUSDT",
        "SPOT",
        2,
        5,
    )
    rules = found.filters
    assert rules is not None
    assert (rules.min_notional, rules.max_notional, rules.market_step_size) == (
        Decimal(5),
        Decimal(9_000_000),
        Decimal(0),
    )
    assert (rules.multiplier_up, rules.multiplier_down) == (Decimal(5), Decimal("0.2"))
    assert (rules.sell_multiplier_up, rules.sell_multiplier_down) == (Decimal(6), Decimal("0.3"))
    assert (Instrument.of(SPOT, found).unit, found.contract_size) == ("BTC", None)


def test_volumes_of_coin_m_are_coins_and_dollars_by_their_names(exchange: Any, reply: Any) -> None:
    market = market_of(CM, exchange, reply, exchangeInfo={"symbols": [PERP]}, klines=[INVERSE_ROW])
    for _ in range(2):
        candle = market.klines("BTCUSD_PERP", H1, Window(INVERSE_ROW[0], INVERSE_ROW[0])).row(0, named=True)
    assert (candle["volume"], candle["taker_buy_base"]) == (417.17958228, 134.46284012)
    assert (candle["quote_volume"], candle["taker_buy_quote"]) == (44_039_400.0, 14_194_200.0)
    assert candle["low"] < candle["quote_volume"] / candle["volume"] < candle["high"]
    paths = [seen.path for seen in exchange.seen]
    assert paths == ["/dapi/v1/exchangeInfo", "/dapi/v1/klines", "/dapi/v1/klines"], "the size is asked for once"
    k = Kline(0, 0, "1h", 1.0, 1.0, 1.0, 1.0, v=440394.0, n=1, x=True, q=417.17958228, V=141942.0, Q=134.46284012)
    assert market.volumes("BTCUSD_PERP", k) == (417.17958228, 44_039_400.0, 134.46284012, 14_194_200.0)
    assert market.volumes("ETHUSD_PERP", k) is None, "asks nothing in between frames"


def test_a_contract_whose_size_is_not_told_has_no_candles(exchange: Any, reply: Any) -> None:
    market = market_of(CM, exchange, reply, exchangeInfo={"symbols": [PERP]}, klines=[INVERSE_ROW])
    with pytest.raises(BadAnswerError, match="ETHUSD_PERP: the exchange does not say how large"):
        market.klines("ETHUSD_PERP", H1, Window(INVERSE_ROW[0], INVERSE_ROW[0]))


@pytest.mark.parametrize("code", INTERVALS)
def test_no_window_of_coin_m_is_longer_than_200_days(code: str) -> None:
    step = interval(code)
    most = CM.klines.most(step)
    assert all(end - start < 200 * DAY for start, end in windows(step, 1_600_000_000_000, 1_900_000_000_000, most))
    assert {"12h": 398, "1d": 199, "3d": 66, "1w": 28, "1M": 6}.get(code, 499) == most
    assert UM.klines.most(step) == 499
    assert SPOT.klines.most(step) == 1_000


def test_a_page_that_is_too_long_for_coin_m_is_refused_before_it_is_sent(exchange: Any, reply: Any) -> None:
    market = market_of(CM, exchange, reply)
    with pytest.raises(ValueError, match="1 to 199 candles, not 200"):
        market.klines("BTCUSD_PERP", interval("1d"), Window(0, 199 * DAY))
    assert exchange.seen == []


def test_a_page_of_spot_has_a_thousand_candles_at_a_flat_weight(exchange: Any, reply: Any) -> None:
    market = market_of(SPOT, exchange, reply, klines=[])
    market.klines("BTCUSDT", M1, Window(0, 999 * MINUTE))
    assert market.client.weight.used == 2
    market.klines("BTCUSDT", M1, Window(0, 0))
    assert market.client.weight.used == 4
    assert [seen.parameters["limit"] for seen in exchange.seen] == ["1000", "1"]


def test_candles_of_a_second_are_those_of_spot_alone(exchange: Any, reply: Any) -> None:
    second = interval("1s")
    assert [one.name for one in (UM, CM, SPOT) if one.offers(second)] == ["spot"]
    assert all(one.offers(step) for one in (UM, CM, SPOT) for step in INTERVALS.values())
    market = market_of(SPOT, exchange, reply, klines=[plain_row(1_000, 1_999), plain_row(2_000, 2_999)])
    table = market.klines("BTCUSDT", second, Window(1_000, 2_000))
    assert table["te"].to_list() == [1_999, 2_999]
    assert exchange.seen[0].parameters["interval"] == "1s"


def test_prices_without_a_time_are_as_old_as_the_question(exchange: Any, reply: Any) -> None:
    market = market_of(SPOT, exchange, reply, price=[{"symbol": "BTCUSDT", "price": "4.5"}])
    price, asof = market.prices()["BTCUSDT"]
    assert (price, 0 <= NOW - asof <= 1_000) == (Decimal("4.5"), True)


@pytest.mark.parametrize(
    ("step", "row"),
    [
        (M1, EARLY),
        (M1, plain_row(1640321940000, 1640321994362)),
        (H1, plain_row(1515034800000, 1515034814838)),
        (H1, plain_row(1530662400000, 1530663745551)),
    ],
    ids=["a halt", "no minute missing", "an hour of 14 seconds", "an hour of 22 minutes"],
)
def test_a_candle_of_spot_that_closed_early_counts_for_its_whole_time(
    step: Any, row: list[Any], exchange: Any, reply: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    market = market_of(SPOT, exchange, reply, klines=[row])
    candle = market.klines("BTCUSDT", step, Window(row[0], row[0])).row(0, named=True)
    assert (candle["t"], candle["te"], candle["closed"]) == (row[0], step.close_time(row[0]), True)
    assert "1 candles of the exchange closed early" in caplog.text


def test_candles_of_spot_beside_the_grid_are_left_out_with_their_evidence(
    exchange: Any, reply: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    good = 1518170400000
    rows = [plain_row(1518168494789, 1518172094788), plain_row(good, good + HOUR - 1)]
    market = market_of(SPOT, exchange, reply, klines=rows)
    table = market.klines("BTCUSDT", H1, Window(good - HOUR, good))
    assert table["t"].to_list() == [good]
    assert "BTCUSDT 1h: 1 candles of the exchange open beside the grid, and are left out" in caplog.text
    assert "2018-02-09T09:28:14.789Z" in caplog.text


@pytest.mark.parametrize("row", [EARLY, plain_row(1518168494789, 1518172094788)])
def test_futures_have_no_crooked_candles_and_such_an_answer_is_refused(
    row: list[Any], exchange: Any, reply: Any
) -> None:
    opened = M1.floor(row[0])
    market = market_of(UM, exchange, reply, klines=[row])
    with pytest.raises(BadAnswerError, match="is not when"):
        market.klines("BTCUSDT", M1, Window(opened, opened + MINUTE))


def test_a_candle_that_closes_after_its_end_is_refused_on_spot_too(exchange: Any, reply: Any) -> None:
    market = market_of(SPOT, exchange, reply, klines=[plain_row(0, MINUTE)])
    with pytest.raises(BadAnswerError, match="is not when the candle of this row closes"):
        market.klines("BTCUSDT", M1, Window(0, 0))


def archived(product: Product, exchange: Any, reply: Any, file: ArchiveFile, rows: list[list[Any]], size: int) -> Any:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as container:
        container.writestr(f"{file.name}.csv", "\n".join(",".join(map(str, row)) for row in rows))
    content = made.getvalue()
    digest = hashlib.sha256(content).hexdigest().encode()
    exchange.otherwise = lambda seen: reply(digest if seen.path.endswith(".CHECKSUM") else content)
    archive = Archive(replace(at(SIM, exchange.url), product=product))
    try:
        return archive.candles(file, Decimal(size))
    finally:
        archive.close()


def test_the_archive_of_coin_m_counts_contracts_too(exchange: Any, reply: Any) -> None:
    file = ArchiveFile("BTCUSD_PERP", H1, date(2025, 6, 2), date(2025, 6, 2))
    candle = archived(CM, exchange, reply, file, [INVERSE_ROW], 100).row(0, named=True)
    assert exchange.seen[0].path.startswith("/data/futures/cm/daily/klines/BTCUSD_PERP/1h/")
    assert (candle["volume"], candle["quote_volume"], candle["taker_buy_quote"]) == (417.17958228, 4.40394e7, 1.41942e7)


def test_the_archive_of_spot_is_in_microseconds_and_crooked_where_spot_is(exchange: Any, reply: Any) -> None:
    file = ArchiveFile("BTCUSDT", M1, date(2025, 3, 24), date(2025, 3, 24))
    opened = file.window.start
    beside = opened + 3 * MINUTE + 14_800
    rows = [
        plain_row(opened * 1_000, (opened + MINUTE) * 1_000 - 1),
        plain_row((opened + MINUTE) * 1_000, (opened + MINUTE) * 1_000 + 41_646_000),
        plain_row(beside * 1_000, (beside + MINUTE) * 1_000 - 1),
    ]
    table = archived(SPOT, exchange, reply, file, rows, 1)
    assert exchange.seen[0].path.startswith("/data/spot/daily/klines/BTCUSDT/1m/")
    assert table["t"].to_list() == [opened, opened + MINUTE]
    assert table["te"].to_list() == [opened + MINUTE - 1, opened + 2 * MINUTE - 1]


async def follow(product: Product, exchange: Exchange) -> Heard:
    """What a feed of that market hears until it has carried a frame of the second connection, or of the first."""
    async with serve(exchange.talk, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        heard = Heard()
        place: Environment = replace(at(SIM, url), product=product)
        feed = Feed(place, heard, limits=FeedLimits(command_every=0.001, first_delay=0.01, longest_delay=0.02))
        feed.add(["btcusdt@kline_1m"])
        running = asyncio.create_task(feed.run())
        await heard.until(lambda: len(heard.frames) >= 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return heard


@pytest.mark.parametrize(("product", "path"), [(UM, "/market/stream"), (CM, "/stream"), (SPOT, "/stream")])
async def test_streams_flow_where_the_market_has_them_and_a_shutdown_is_left_before_it_comes(
    product: Product, path: str
) -> None:
    exchange = Exchange()
    goodbye = json.dumps({"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1_770_123_456_789}})
    exchange.sends = lambda name: [kline("BTCUSDT"), *[goodbye] * (len(exchange.sockets) == 1)]
    heard = await follow(product, exchange)
    assert exchange.paths[:2] == [path, path]
    reason = next(reason for what, _, reason in heard.story if what == "down")
    assert reason == "the exchange is about to end this connection"


@pytest.mark.parametrize("message", [b"", b"[]", b'{"data":{"e":"kline"}}', b'{"data":5}', b"\xff"])
def test_only_a_shutdown_ends_a_connection(message: bytes) -> None:
    assert not ends(message)


def test_a_feed_keeps_the_pace_of_its_market() -> None:
    assert FeedLimits.of(SPOT.streams).command_every == 0.5
    assert FeedLimits.of(CM.streams).silence == 300
    assert FeedLimits.of(UM.streams) == FeedLimits()
