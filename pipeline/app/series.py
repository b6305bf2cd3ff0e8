"""Which series are stored, which are kept current, and what there is to keep; and the orders that change it."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from pipeline.app.audit_trail import named, note
from pipeline.app.exchange_access import client_of
from pipeline.app.filters import code_of
from pipeline.app.opened import Opened
from pipeline.errors import UsageError
from pipeline.exchange.market import MarketData
from pipeline.history.listing import wanted_series
from pipeline.nearest import folded
from pipeline.store.series import SeriesStore
from pipeline.store.watchlist import Watchlist
from schemas.series import Series, SeriesKey
from schemas.symbols import Symbol

__all__ = ["Series", "SeriesKey", "Symbol", "series", "symbols", "unwatch", "watch", "watched"]


def series(tm: Opened) -> list[Series]:
    """What is stored of each series: from when to when, how much, which holes."""
    return SeriesStore(tm.db).list(tm.environment)


def watched(tm: Opened) -> set[SeriesKey]:
    """The series that are kept current."""
    return Watchlist(tm.db, tm.environment).wanted()


def symbols(tm: Opened, search: str = "") -> list[Symbol]:
    """What the exchange trades, with the rules of its orders; only those whose name contains this."""
    return [one for one in _listed(tm)[0] if search.upper() in one.symbol.upper()]


def watch(
    tm: Opened, names: Sequence[str], intervals: Sequence[str] = (), *, by: str, reason: str | None = None
) -> set[SeriesKey]:
    """Keep these series current from now on, of the settings' intervals where none is named: all that are by then."""
    listed, now = _listed(tm)
    chosen = wanted_series(names, intervals or tm.settings.intervals, listed, tm.environment)
    for one in chosen:
        if (why := one.ending(now)) is not None:
            raise UsageError(
                f"{why}: nothing new comes of it. `tidemark backfill {one.key.symbol}` fetches what there is"
            )
    keys = [one.key for one in chosen]
    Watchlist(tm.db, tm.environment).watch(keys, datetime.now(UTC))
    note(tm.settings.home, f"watch {named(keys)}", by=by, reason=reason)
    return watched(tm)


def unwatch(
    tm: Opened, names: Collection[str], intervals: Collection[str] = (), *, by: str, reason: str | None = None
) -> set[SeriesKey]:
    """Let these go, without an interval all of a symbol, without a name all there are. What is stored stays."""
    before = watched(tm)
    chosen, codes = {folded(name).upper() for name in names}, {code_of(one) for one in intervals}
    unknown = chosen - {key.symbol for key in before}
    if unknown:
        known = ", ".join(sorted({key.symbol for key in before}))
        raise UsageError(f"{', '.join(sorted(unknown))}: not watched. Watched: {known or 'nothing'}")
    gone = {key for key in before if (not chosen or key.symbol in chosen) and (not codes or key.interval in codes)}
    Watchlist(tm.db, tm.environment).unwatch(gone, datetime.now(UTC))
    note(tm.settings.home, f"unwatch {named(gone)}", by=by, reason=reason)
    return watched(tm)


def _listed(tm: Opened) -> tuple[list[Symbol], int]:
    """What the exchange lists, and its time."""
    with client_of(tm.settings) as client:
        return MarketData(client).symbols(), client.clock.now()
