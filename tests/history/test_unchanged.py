"""A cost follows what is new, never what is stored: the second of two passes over a history that did not change writes
nothing, and reads no more than the buckets that are not full.
"""

from collections.abc import Callable
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.history.backfill import Backfill
from pipeline.history.listing import Wanted
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from tests.history.conftest import window_of
from tests.history.house import LONG_AFTER, House, key_of, market_of
from tests.profile import Cost, profiled

Find = Callable[[str, str], Wanted]


@pytest.mark.parametrize("days", [40, 160])
def test_a_backfill_with_nothing_to_fetch(
    prepared: Database[Any], client: RestClient, work: Backfill, series: Find, days: int
) -> None:
    """160 days of hours are 16 buckets of 86 kB, 40 days 4: it costs the same."""
    hours = series("BTCUSDT", "1h")
    work.fill(hours, days, "rest")
    window_of(hours, client, days)
    work.fill(hours, days, "rest")
    costs: list[Cost] = []
    with profiled(prepared, costs):
        report = work.fill(hours, days, "rest")
    assert (report.fetched, report.is_complete, report.wanted) == (0, True, days * 24)
    (cost,) = costs
    assert cost.written.keys() <= {"candles"}
    assert cost.written.get("candles", 0) <= 1, "the candle that is open now"
    assert cost.read <= 12
    assert cost.sent < 20_000


def test_indicators_and_signals_of_no_new_candle(house: House) -> None:
    house.store(market_of("15m", 3_000))
    SeriesStore(house.db).recount(key_of("15m"), "rest", LONG_AFTER)
    derived = house.derivation().bring_up_all([key_of("15m")], LONG_AFTER)
    assert derived[0].candles == 3_000
    costs: list[Cost] = []
    with profiled(house.db, costs):
        (again,) = house.derivation().bring_up_all([key_of("15m")], LONG_AFTER)
    assert (again.candles, again.failure) == (0, None)
    (cost,) = costs
    assert cost.written == {}
    assert cost.read <= 6


def test_what_the_exchange_lists_as_before(prepared: Database[Any], market: MarketData) -> None:
    symbols = SymbolStore(prepared)
    symbols.save(market.symbols())
    costs: list[Cost] = []
    with profiled(prepared, costs):
        symbols.save(market.symbols())
    assert costs[0].written == {}


def test_the_profile_sees_what_is_written(prepared: Database[Any], work: Backfill, series: Find) -> None:
    costs: list[Cost] = []
    with profiled(prepared, costs):
        work.fill(series("BTCUSDT", "1h"), 40, "rest")
    assert costs[0].written["candles"] >= 4
    assert costs[0].written["series"] >= 1
