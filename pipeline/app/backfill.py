"""The order to fetch what is missing of some series, and to compute what depends on it."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

from pipeline.app.audit_trail import named, note
from pipeline.app.exchange_access import archive_of, client_of
from pipeline.app.extra import having_dask
from pipeline.app.opened import Opened
from pipeline.app.wiring import derivation_of, due_keys
from pipeline.errors import UsageError
from pipeline.exchange.limits import LimitGate
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.history.backfill import SERIES_AT_ONCE, Backfill
from pipeline.history.derive import Derivation, Derived, withdrawals
from pipeline.history.funding import Settlements
from pipeline.history.listing import Wanted, kept_series, wanted_series
from pipeline.history.marks import bring_up_marks
from pipeline.history.report import NoProgress, Progress, SeriesReport, SourceChoice
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import DAY
from schemas.series import SeriesKey

__all__ = [
    "SERIES_AT_ONCE", "Backfill", "Backfilled", "Derived", "Fetchers", "Filling", "LimitGate", "NoProgress", "Progress",
    "Reach", "SeriesReport", "Shown", "SourceChoice", "Wanted", "backfill", "fetchers_of", "filling", "lacks",
    "unshown", "withdrawals",
]  # fmt: skip

Shown = Callable[[LimitGate], AbstractContextManager[Progress]]
"""What is told of the progress while it is entered; it is given the gate that counts the request weight."""
ShownDeriving = Callable[[], AbstractContextManager[Callable[[int, int], None] | None]]
"""The same of what is computed after that: it is told how many candles of how many are done."""


@dataclass(frozen=True, slots=True)
class Backfilled:
    """What each series came to, and what was computed of it."""

    reports: Sequence[SeriesReport]
    derived: Sequence[Derived]


def unshown(_: LimitGate) -> AbstractContextManager[Progress]:
    """Nobody looks."""
    return nullcontext(NoProgress())


def underived() -> AbstractContextManager[None]:
    """Nobody looks at that either."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Filling:
    """A backfill that was ordered: the series it is about, what fetches them, and what computes what follows."""

    series: Sequence[Wanted]
    client: RestClient
    work: Callable[[Progress], Backfill]
    derivation: Derivation
    besides: Callable[[int, int | None], None]
    """Fetches what belongs to their symbols: funding, so many days back, and mark prices, or so many of them."""

    @contextmanager
    def fetching(self, shown: Shown = unshown) -> Iterator[Backfill]:
        """What fetches, from any thread, while it is entered."""
        with shown(self.client.weight) as progress, self.work(progress) as work:
            yield work

    def not_chosen(self) -> dict[str, int]:
        """By strategy, how many stored signals will be withdrawn because it is not chosen any more."""
        return self.derivation.not_chosen([one.key for one in self.series])

    def derive(self, keys: Sequence[SeriesKey], progress: Callable[[int, int], None] | None = None) -> list[Derived]:
        """Compute what is new in these of them."""
        return self.derivation.bring_up_all(keys, self.client.clock.now(), progress=progress)


@dataclass(frozen=True, slots=True)
class Reach:
    """How far back a backfill goes, so many days or the newest `limit` candles, and where it fetches from."""

    days: int
    limit: int | None
    source: SourceChoice


Fetchers = Callable[[Opened, Filling, Shown, Reach], Sequence[SeriesReport]]
"""Who fetches what was ordered: the reports, in the order of its series."""


def in_this_process(tm: Opened, order: Filling, shown: Shown, reach: Reach) -> Sequence[SeriesReport]:  # noqa: ARG001
    """A few series at a time."""
    with order.fetching(shown) as work:
        return work.fill_all(order.series, reach.days, reach.source, limit=reach.limit)


@contextmanager
def fetchers_of(cluster: str | None) -> Iterator[Fetchers]:
    """Who fetches, as long as the block lasts: this process, or the workers of the Dask cluster at that address."""
    if cluster is None:
        yield in_this_process
        return
    with having_dask("--cluster needs"):
        from pipeline.app import filling_far  # noqa: PLC0415 - slow, and an extra
    with filling_far.fetchers_of(cluster) as fetchers:
        yield fetchers


@contextmanager
def filling(
    tm: Opened,
    symbols: Sequence[str] = (),
    intervals: Sequence[str] = (),
    *,
    source: SourceChoice = "auto",
    by: str,
    reason: str | None = None,
    stop: threading.Event | None = None,
    scheduled: bool = False,
    waits: Callable[[str], None] | None = None,
) -> Iterator[Filling]:
    """Of the candles that are not stored yet, for the length of a `with` block; without a symbol those of the settings
    and of all that is watched. `stop` ends it early; without one Ctrl-C does. `scheduled`, `waits`: as a client has
    them."""
    db = tm.candle_db
    made = client_of(tm.settings, stop, scheduled=scheduled, waits=waits)
    with made as client, archive_of(client, source) as archive:
        market = MarketData(client)
        listed = market.symbols()
        series = (
            wanted_series(symbols, intervals or tm.settings.intervals, listed, tm.environment)
            if symbols
            else kept_series(due_keys(tm.settings, db, intervals), listed, SeriesStore(db), client.clock.now())
        )
        note(tm.settings.home, f"backfill {named([one.key for one in series])}", by=by, reason=reason)
        SymbolStore(db).save(listed)

        def work(progress: Progress) -> Backfill:
            return Backfill(db, market, archive, progress=progress)

        def besides(days: int, limit: int | None) -> None:
            names = {one.key.symbol for one in series}
            since = client.clock.now() - days * DAY
            Settlements(db, market).bring_up([one for one in listed if one.symbol in names], since)
            bring_up_marks(db, market, archive, series, days, source, limit)

        yield Filling(series, client, work, derivation_of(tm.settings, db), besides)


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
    deriving: ShownDeriving = underived,
    agreed: Callable[[Mapping[str, int]], None] = lambda _: None,
    waits: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
    fetchers: Fetchers = in_this_process,
) -> Backfilled:
    """All of it at once: `days` back, or the newest `limit` candles. `agreed`: is told first how many signals of which
    strategies will be withdrawn, and may raise."""
    if days is not None and limit is not None:
        raise UsageError("--days and --limit exclude each other: say how far back, or how many candles")
    made = filling(tm, symbols, intervals, source=source, by=by, reason=reason, stop=stop, waits=waits)
    with made as order:
        agreed(order.not_chosen())
        reach = Reach(days or tm.settings.history_days, limit, source)
        reports = fetchers(tm, order, shown, reach)
        order.besides(reach.days, limit)
        with deriving() as progress:
            return Backfilled(reports, order.derive([one.key for one in order.series], progress))


def lacks(report: SeriesReport) -> str:
    """What is missing of a series that is not whole, and why."""
    if not report.failures:
        return f"{report.holes - report.known_holes:,} candles are still missing; run it again, with --source auto"
    more = f" (and {len(report.failures) - 1} more)" if len(report.failures) > 1 else ""
    return f"{report.holes:,} candles are missing: {report.failures[0]}{more}"
