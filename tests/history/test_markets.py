"""A backfill of COIN-M and of spot, from a server with their manners: windows of 200 days, halts, crooked candles."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import polars as pl
import pytest
from pymongo.database import Database

from pipeline.exchange.environments import SIM, at
from pipeline.exchange.market import MarketData
from pipeline.exchange.products.cm import CM
from pipeline.exchange.products.product import Product
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.rest import RestClient
from pipeline.history.backfill import Backfill
from pipeline.history.listing import Wanted, wanted_series
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.timeline import DAY, HOUR, MINUTE, Window, interval, to_ms
from tests.exchange.conftest import Reply, ScriptedExchange, Seen
from tests.exchange.test_three_markets import BTCUSDT, PERP

Rows = Callable[[int], list[Any] | None]
"""The row of the candle that opens then; None where there is none."""

HALTED = to_ms(datetime(2023, 3, 24, 12, 40, tzinfo=UTC))
NOW = to_ms(datetime(2023, 3, 24, 20, 0, 30, tzinfo=UTC))


class Listing:
    """What a market lists and has, and how it answers for it: the last rows before the end, as COIN-M gives them, or
    the first from the start; and, as COIN-M, no window of more than 200 days."""

    def __init__(self, symbol: dict[str, Any], rows: Rows, now: int, *, last_rows: bool) -> None:
        self._symbol, self._rows, self._now, self._last_rows = symbol, rows, now, last_rows
        self.asked: list[Window] = []

    def __call__(self, seen: Seen) -> Reply:
        match seen.path.rpartition("/")[2]:
            case "time":
                return Reply(msgspec.json.encode({"serverTime": self._now}))
            case "exchangeInfo":
                return Reply(msgspec.json.encode({"symbols": [self._symbol]}))
            case _:
                return self._klines(seen.parameters)

    def _klines(self, asked: dict[str, str]) -> Reply:
        start, end, limit = (int(asked[name]) for name in ("startTime", "endTime", "limit"))
        self.asked.append(Window(start, end))
        if self._last_rows and end - start > 200 * DAY:
            return Reply(b'{"code":-4088,"msg":"Maximum time interval is 200 days."}', status=400)
        step = interval(asked["interval"])
        opens = range(step.ceil(start), end + 1, step.milliseconds or 0)
        rows = [row for row in map(self._rows, opens) if row is not None and start <= row[0] <= end]
        return Reply(msgspec.json.encode(rows[-limit:] if self._last_rows else rows[:limit]))


@contextmanager
def backfill(database: Database[Any], product: Product, listing: Listing) -> Iterator[tuple[Backfill, Wanted]]:
    exchange = ScriptedExchange()
    exchange.otherwise = listing
    place = replace(at(SIM, exchange.url), name="elsewhere", product=product, weight_limit=10**6, retries=0)
    try:
        with RestClient(place) as client, Backfill(database, MarketData(client)) as work:
            client.sync_clock()
            code = "1d" if product is CM else "1m"
            listed = work.market.symbols()
            (series,) = wanted_series([listed[0].symbol], [code], listed, "elsewhere")
            yield work, series
    finally:
        exchange.close()


def test_coin_m_is_filled_in_windows_of_less_than_200_days(prepared: Database[Any]) -> None:
    now = to_ms(datetime(2025, 6, 2, 12, tzinfo=UTC))

    def row(opened: int) -> list[Any]:
        return [opened, "2", "3", "1", "2", "40", opened + DAY - 1, "0.5", 7, "10", "0.25", "0"]

    listing = Listing(PERP, row, now, last_rows=True)
    with backfill(prepared, CM, listing) as (work, series):
        report = work.fill(series, 900, "rest")
    assert (report.failures, report.wanted, report.stored, report.known_holes) == ((), 900, 900, 0)
    assert max(end - start for start, end in listing.asked) < 200 * DAY
    stored = CandleStore(prepared).load(series.key, 0, now).filter(pl.col("closed"))
    sums = {name: stored[name].unique().to_list() for name in ("volume", "quote_volume", "taker_buy_base")}
    assert sums == {"volume": [0.5], "quote_volume": [4_000.0], "taker_buy_base": [0.25]}


def spot_row(opened: int) -> list[Any] | None:
    """The halt of March 2023: the last candle closed 41.6 s after its opening, and none came for 80 minutes. Before it,
    for three minutes that never were so, candles that open 14.8 s beside the grid."""
    if HALTED <= opened < HALTED + 80 * MINUTE:
        return None
    closes = opened + MINUTE - 1
    if opened == HALTED - MINUTE:
        closes = opened + 41_646
    if HALTED - HOUR <= opened < HALTED - HOUR + 3 * MINUTE:
        opened, closes = opened + 14_800, closes + 14_800
    return [opened, "2", "3", "1", "2", "5", closes, "10", 7, "1", "2", "0"]


def test_a_halt_of_spot_and_its_crooked_candles_are_the_exchanges_own_holes_and_no_failed_page(
    prepared: Database[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with backfill(prepared, SPOT, Listing(BTCUSDT, spot_row, NOW, last_rows=False)) as (work, series):
        report = work.fill(series, 1, "rest")
        again = work.fill(series, 1, "rest")
    assert report.failures == again.failures == ()
    assert (report.wanted, report.stored, report.known_holes, report.is_complete) == (1440, 1440 - 83, 83, True)
    assert (again.stored, again.fetched, again.is_complete) == (1440 - 83, 0, True)
    known = SeriesStore(prepared).get(series.key)
    assert known is not None
    holes = sorted((to_ms(hole.start), to_ms(hole.end)) for hole in known.holes)
    assert holes == [(HALTED - HOUR, HALTED - HOUR + 2 * MINUTE), (HALTED, HALTED + 79 * MINUTE)]
    assert all("REST answered" in hole.evidence for hole in known.holes)
    assert "3 candles of the exchange open beside the grid" in caplog.text
    early = CandleStore(prepared).load(series.key, HALTED - MINUTE, HALTED - MINUTE)
    assert early["te"].cast(pl.Int64).to_list() == [HALTED - 1]
