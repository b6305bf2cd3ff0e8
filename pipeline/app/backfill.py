"""The order to fetch what is missing of some series, and to compute what depends on it."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from pipeline.app.audit_trail import note
from pipeline.app.exchange_access import archive_of, client_of
from pipeline.app.opened import Opened
from pipeline.app.wiring import derivation_of, due_keys
from pipeline.errors import UsageError
from pipeline.exchange.limits import LimitGate
from pipeline.exchange.market import Market
from pipeline.history.backfill import Backfill
from pipeline.history.derive import Derived
from pipeline.history.listing import kept_series, wanted_series
from pipeline.history.report import NoProgress, Progress, SeriesReport, SourceChoice
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore

__all__ = [
    "Backfilled", "Derived", "LimitGate", "NoProgress", "Progress", "SeriesReport", "Shown", "SourceChoice", "backfill",
    "lacks", "unshown",
]  # fmt: skip

Shown = Callable[[LimitGate], AbstractContextManager[Progress]]
"""What is told of the progress while it is entered; it is given the gate that counts the request weight."""


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What each series came to, and what was computed of it."""

    reports: Sequence[SeriesReport]
    derived: Sequence[Derived]


def unshown(_: LimitGate) -> AbstractContextManager[Progress]:
    """Nobody looks."""
    return nullcontext(NoProgress())


def backfill(
    tm: Opened,
    symbols: Sequence[str] = (),
    intervals: Sequence[str] = (),
    *,
    days: int | None = None,
    limit: int | None = None,
    source: SourceChoice = "auto",
    by: str,
    reason: str | None = None,
    shown: Shown = unshown,
    stop: threading.Event | None = None,
) -> Backfilled:
    """Fetch the candles that are not stored yet; without a symbol those of the settings and of all that is watched.

    `days` back, or the newest `limit` candles. `stop` ends it early; without one Ctrl-C does.
    """
    if days is not None and limit is not None:
        raise UsageError("--days and --limit exclude each other: say how far back, or how many candles")
    db = tm.candle_db
    with client_of(tm.settings, stop) as client, archive_of(client, source) as archive:
        market = Market(client)
        listed = market.symbols()
        series = (
            wanted_series(symbols, intervals or tm.settings.intervals, listed, tm.environment)
            if symbols
            else kept_series(due_keys(tm.settings, db, intervals), listed, SeriesStore(db), client.clock.now())
        )
        named = ", ".join(f"{one.key.symbol} {one.key.interval}" for one in series)
        note(tm.settings.home, f"backfill {named or 'nothing'}", by=by, reason=reason)
        SymbolStore(db).save(listed)
        derivation = derivation_of(tm.settings, db)
        with shown(client.weight) as progress, Backfill(db, market, archive, progress=progress) as work:
            reports = work.fill_all(series, days or tm.settings.history_days, source, limit=limit)
        derived = derivation.bring_up_all([one.key for one in series], client.clock.now())
    return Backfilled(reports, derived)


def lacks(report: SeriesReport) -> str:
    """What is missing of a series that is not whole, and why."""
    if not report.failures:
        return f"{report.holes - report.known_holes:,} candles are still missing; run it again, with --source auto"
    more = f" (and {len(report.failures) - 1} more)" if len(report.failures) > 1 else ""
    return f"{report.holes:,} candles are missing: {report.failures[0]}{more}"
