"""Fills a series: plans from what is stored, fetches only what is missing, writes chunk by chunk, counts at the end.

It can be killed at any moment: the next run plans anew from the store. What another fetches of a series is waited for,
and only what is missing after that is fetched. It never trusts an answer it has not checked,
never calls a hole the exchange's own before REST has answered for it twice, and never ends short without saying so.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import polars as pl
from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipeline.errors import TidemarkError
from pipeline.exchange.archive import Archive, ArchiveFile
from pipeline.exchange.errors import BadAnswerError, StoppedError
from pipeline.exchange.klines import candles_of
from pipeline.exchange.market import MarketData
from pipeline.history.claim import claimed
from pipeline.history.listing import Wanted, say_gone
from pipeline.history.plan import Slots, archived, chunks, days_within, pages, wanted
from pipeline.history.report import NoProgress, Progress, SeriesReport, Source, SourceChoice
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.timeline import HOUR, Window, interval, iso, to_datetime, to_ms
from schemas.series import Hole, SeriesKey

log = logging.getLogger(__name__)

T = TypeVar("T")

SERIES_AT_ONCE: Final = 3
FETCHERS: Final = 4

_SETTLED_AFTER: Final = HOUR
"""A candle that the exchange lacks is called its own hole only when it is at least this old."""


@dataclass(slots=True)
class _Run:
    """What one series' run has come to so far."""

    wanted: Wanted
    fetched: int = 0
    sources: set[Source] = field(default_factory=set)
    failures: list[TidemarkError] = field(default_factory=list)
    given_up: list[Window] = field(default_factory=list)
    slots: Slots | None = None
    """What the store has, as it was judged last; None since something was stored."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, candles: int, source: Source) -> None:
        with self.lock:
            self.slots = None
            self.fetched += candles
            self.sources.add(source)

    def give_up(self, page: Window, error: TidemarkError) -> None:
        with self.lock:
            self.given_up.append(page)
            self.failures.append(error)

    @property
    def key(self) -> SeriesKey:
        return self.wanted.key

    @property
    def source(self) -> Source | None:
        return next(iter(self.sources)) if len(self.sources) == 1 else "mixed" if self.sources else None


class DatabaseFailedError(TidemarkError):
    """MongoDB went away or refused in the middle of a backfill. Mend it and run the backfill again."""


class Backfill:
    """Fills any number of series of one exchange into one database. Use it as a context manager."""

    def __init__(
        self,
        database: Database[dict[str, Any]],
        market: MarketData,
        archive: Archive | None = None,
        *,
        progress: Progress | None = None,
        fetchers: int = FETCHERS,
        forming: bool = True,
    ) -> None:
        """`forming`: whether the candle that is open is stored too."""
        self._database = database
        self.market = market
        self.candles = CandleStore(database)
        self.series = SeriesStore(database)
        self._archive = archive
        self._forming = forming
        self._progress = progress or NoProgress()
        self._stop = market.client.stop
        self._clock = market.client.clock
        self._fetchers = ThreadPoolExecutor(fetchers, thread_name_prefix="fetch")
        self._at_once = fetchers + 1

    def __enter__(self) -> "Backfill":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the fetchers finish what they hold, and end them."""
        self._fetchers.shutdown()  # cancelling instead would leave whoever waits for a chunk waiting for ever

    def fill_all(
        self, series: Sequence[Wanted], days: int, source: SourceChoice = "auto", *, limit: int | None = None
    ) -> list[SeriesReport]:
        """Fill all of them, a few at a time; the reports in the same order. One that fails stops no other."""
        with ThreadPoolExecutor(SERIES_AT_ONCE, thread_name_prefix="series") as pool:
            return list(pool.map(lambda one: self.fill(one, days, source, limit=limit), series))

    def fill(
        self, series: Wanted, days: int, source: SourceChoice = "auto", *, limit: int | None = None
    ) -> SeriesReport:
        """Fill one series: its last `days` days, or its newest `limit` candles. What went wrong is in the report."""
        began = time.monotonic()
        run = _Run(series)
        now = self._clock.surely
        window = wanted(series.step, now, days, series.listed, series.delivered, limit)
        asked = f"{days} days" if limit is None else f"{limit:,} candles"
        try:
            self._fill_window(run, window, now, source)
            report = self._report(run, window, asked, time.monotonic() - began)
            if report.is_complete and (over := series.over(now)) is not None:
                say_gone(self.series, series.key, over, now, series.delivered if series.delivered <= now else None)
        except PyMongoError as error:
            raise DatabaseFailedError(
                f"{series.key}: the database failed ({type(error).__name__}: {error}); "
                "what is stored stays, run the backfill again when it is back"
            ) from error
        self._progress.finished(report)
        return report

    def _fill_window(self, run: _Run, window: Window | None, now: int, source: SourceChoice) -> None:
        try:
            if window is not None:
                self._fetch(run, window, now, source)
        except TidemarkError as error:
            run.failures.append(error)

    def _fetch(self, run: _Run, window: Window, now: int, source: SourceChoice) -> None:
        self.series.set_listed(run.key, run.wanted.listed)
        if self._judged(run, window).to_fetch():
            with claimed(self._database, run.key, self._stop):
                run.slots = None
                self._fetch_missing(run, window, now, source)
        else:
            self._progress.planned(run.key, 0)
        if source != "archive" and self._forming:
            self._store_forming(run, now)

    def _fetch_missing(self, run: _Run, window: Window, now: int, source: SourceChoice) -> None:
        slots = self._judged(run, window)
        self._progress.planned(run.key, sum(run.wanted.step.count(*gap) for gap in slots.to_fetch()))
        if source != "rest" and self._archive is not None:
            files = archived(run.key.symbol, slots, now, self.market.page(run.wanted.step))
            self._fetch_files(run, self._archive, files, window)
        if source != "archive":
            self._fetch_runs(run, self._judged(run, window).to_fetch())
            self._settle_holes(run, window)

    def refetch(self, series: Wanted, gaps: Sequence[Window]) -> list[TidemarkError]:
        """Ask REST for these candles whether they are stored or not; what it says replaces what is stored, and what it
        lacks twice is recorded as the exchange's own hole. Returns what went wrong."""
        run = _Run(series)
        try:
            self._fetch_runs(run, gaps)
            for gap in gaps:
                self._settle_holes(run, gap)
        except TidemarkError as error:
            run.failures.append(error)
        self.series.recount(series.key, run.source, self._clock.now())
        return run.failures

    def slots(self, key: SeriesKey, window: Window) -> Slots:
        """What the store has of the window, and what it knows the exchange does not have."""
        known = self.series.get(key)
        holes = [Window(to_ms(hole.start), to_ms(hole.end)) for hole in known.holes] if known else []
        return Slots.of(interval(key.interval), window, self.candles.presence(key, *window), holes)

    def _judged(self, run: _Run, window: Window) -> Slots:
        """The same, looked up anew only where something was stored since."""
        if run.slots is None or run.slots.window != window:
            run.slots = self.slots(run.key, window)
        return run.slots

    def _fetch_runs(self, run: _Run, gaps: Iterable[Window]) -> None:
        """By REST, the runs cut into chunks; a page that fails is noted and the others go on."""
        step = run.wanted.step
        work = (chunk for gap in gaps for chunk in chunks(step, gap, self.market.page(step)))
        self._each(run, lambda chunk: self._fetch_chunk(run, chunk), work)

    def _fetch_chunk(self, run: _Run, chunk: Window) -> None:
        tables: list[pl.DataFrame] = []
        try:
            for page in pages(run.wanted.step, chunk, self.market.page(run.wanted.step)):
                try:
                    tables.append(self.market.klines(run.key.symbol, run.wanted.step, page))
                except BadAnswerError as error:
                    log.warning("%s", error)
                    run.give_up(page, error)
        finally:
            if tables:
                self._store(run, pl.concat(tables), "rest")

    def _fetch_files(self, run: _Run, archive: Archive, listed: Iterable[ArchiveFile], window: Window) -> None:
        """From the archive; a file that is missing or bad is left to REST, a missing month first to its days."""
        self._each(run, lambda file: self._fetch_file(run, archive, file, window), listed)

    def _fetch_file(self, run: _Run, archive: Archive, file: ArchiveFile, window: Window) -> None:
        try:
            table = archive.candles(file, self.market.size(run.key.symbol))
        except StoppedError:
            raise
        except TidemarkError as error:
            log.warning("%s; REST is asked instead", error)
            return
        if table is not None:
            self._store(run, table.filter(pl.col("t").is_between(*window)), "archive")
            return
        for day in days_within(file, window):
            self._fetch_file(run, archive, day, window)

    def _store(self, run: _Run, table: pl.DataFrame, source: Source) -> None:
        if table.is_empty():
            return
        self.candles.replace_closed(run.key, table)
        run.count(table.height, source)
        self._progress.fetched(run.key, table.height)

    def _settle_holes(self, run: _Run, window: Window) -> None:
        """REST has answered for all that is still missing. Ask once more; what it lacks again is its own hole."""
        asked_first = self._clock.now()
        self._fetch_runs(run, self._judged(run, window).without(run.given_up).to_fetch())
        asked_again = self._clock.now()
        for gap in self._judged(run, window).without(run.given_up).to_fetch():
            if gap.end < asked_again - _SETTLED_AFTER:
                self.series.record_hole(run.key, _own_hole(gap, asked_first, asked_again))
                run.slots = None

    def _store_forming(self, run: _Run, now: int) -> None:
        """The candle that is open now, stored as open."""
        forming = run.wanted.step.floor(now)
        if forming < run.wanted.delivered:
            table = self.market.klines(run.key.symbol, run.wanted.step, Window(forming, forming))
            if table["closed"].any():  # while it was asked for
                self._store(run, table, "rest")
            for candle in candles_of(table.filter(~pl.col("closed"))):
                self.candles.store_open(run.key, candle)

    def _each(self, run: _Run, act: Callable[[T], None], work: Iterable[T]) -> None:
        """Do all of it on the fetchers, a bounded number at once. After an error nothing more is begun; it is raised
        when what was begun has ended."""
        begun: set[Future[None]] = set()
        try:
            for one in work:
                if self._stop.is_set():
                    raise StoppedError(
                        f"{run.key}: told to stop; what is stored stays, and the next run goes on from it"
                    )
                begun.add(self._fetchers.submit(act, one))
                if len(begun) >= self._at_once:
                    done, begun = wait(begun, return_when=FIRST_COMPLETED)
                    for each in done:
                        each.result()
        finally:
            wait(begun)
        for each in begun:
            each.result()

    def _report(self, run: _Run, window: Window | None, asked: str, seconds: float) -> SeriesReport:
        known = 0
        slots = None if window is None else self._judged(run, window)
        if slots is not None:
            self.series.recount(run.key, run.source, self._clock.now())
            known = int((slots.excused & ~slots.stored).sum())
        return SeriesReport(
            symbol=run.key.symbol,
            interval=run.key.interval,
            wanted=slots.wanted if slots else 0,
            stored=slots.wanted - slots.missing if slots else 0,
            fetched=run.fetched,
            holes=slots.missing if slots else 0,
            known_holes=known,
            source=run.source,
            seconds=round(seconds, 3),
            note=_note(run.wanted, window, asked, self._clock.now()),
            failures=tuple(dict.fromkeys(str(error) for error in run.failures)),
            exit_code=max((error.exit_code for error in run.failures), default=0),
        )


def _own_hole(gap: Window, asked_first: int, asked_again: int) -> Hole:
    evidence = (
        f"REST answered for {iso(gap.start)} to {iso(gap.end)} without these candles twice: "
        f"before {iso(asked_first)} and before {iso(asked_again)}"
    )
    return Hole(
        start=to_datetime(gap.start), end=to_datetime(gap.end), evidence=evidence, found_at=to_datetime(asked_again)
    )


def _note(series: Wanted, window: Window | None, asked: str, now: int) -> str | None:
    """What a person should know about a series that is shorter than asked for."""
    if series.delivered <= now:
        return f"ended {iso(series.delivered)}"
    if window is None:
        return f"listed from {iso(series.listed)}: there are no closed candles yet"
    if series.listed >= window.start:
        return f"listed {iso(series.listed)}: fewer than {asked} exist"
    return None
