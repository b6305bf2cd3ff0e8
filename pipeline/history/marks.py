"""The mark prices of contracts whose minutes are stored: series of their own, fetched and audited as candles are.

What cannot be had is said, and keeps nobody from the candles: a backtest goes by the last price there.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

from pymongo.database import Database

from pipeline.exchange.archive import Archive
from pipeline.exchange.market import MarketData
from pipeline.history.backfill import Backfill
from pipeline.history.listing import Wanted, key_of
from pipeline.history.report import SourceChoice
from pipeline.store.series import SeriesStore
from schemas.series import SeriesKey

log = logging.getLogger(__name__)

OF: Final = "1m"
"""Liquidation is looked at by the minute."""


def bring_up_marks(
    database: Database[dict[str, Any]],
    market: MarketData,
    archive: Archive | None,
    series: Iterable[Wanted],
    days: int,
    source: SourceChoice = "auto",
    limit: int | None = None,
) -> int:
    """Fetch what is missing of those that are minutes, as far back as these are fetched; how many were new."""
    wanted = [replace(one, key=one.key.mark) for one in series if one.key.interval == OF]
    if not wanted or not market.has_marks:
        return 0
    with Backfill(database, market.of_marks(), None if archive is None else archive.of_marks(), forming=False) as work:
        reports = work.fill_all(wanted, days, source, limit=limit)
    for one in reports:
        for failure in one.failures:
            log.warning("mark prices of %s are missing: %s", one.symbol, failure)
    return sum(one.fetched for one in reports)


def stored_marks(database: Database[dict[str, Any]], keys: Sequence[SeriesKey]) -> list[SeriesKey]:
    """The mark prices beside these series, as far as there are any."""
    marks = [one.mark for one in keys if one.interval == OF]
    return [key_of(one) for one in SeriesStore(database).among(marks) if one.stored]
