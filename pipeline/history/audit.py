"""Proves what is stored, or says what is wrong with it: contiguity, buckets, prices, intervals against each other, and
samples against the exchange. With `repair` it asks REST again for whatever is wrong; REST has the last word, and what
REST itself lacks is recorded as the exchange's own hole. It judges closed candles only and changes nothing unasked.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

import numpy as np
import polars as pl
from pymongo.database import Database

from pipeline.exchange.market import MarketData
from pipeline.history.backfill import Backfill
from pipeline.history.checks import MARKET_COLUMNS, Flags, differing, disagreeing, insane
from pipeline.history.listing import Wanted, key_of
from pipeline.history.plan import Slots
from pipeline.store.candles.audited import AuditedBuckets, SeenBucket
from pipeline.store.candles.frame import indices
from pipeline.store.candles.integrity import Integrity
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.timeline import DAY, Interval, Window, interval, iso, to_ms, windows
from schemas.series import Series, SeriesKey

PART: Final = 50_000
"""Candles looked at together: about 10 MB."""
SAMPLE: Final = 60
"""Candles of a spot check, asked for together at a weight of 1."""
_COLUMNS: Final = ("t", "te", *MARKET_COLUMNS, "closed")


class Check(StrEnum):
    """What is asked of a series."""

    CONTIGUITY = "contiguity"
    BUCKETS = "buckets"
    SANITY = "sanity"
    AGREEMENT = "agreement"
    EXCHANGE = "exchange"


class State(StrEnum):
    """What has become of a flaw."""

    FOUND = "found"
    REPAIRED = "repaired"
    EXCHANGES_OWN = "exchange's own"


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong: where, and what. Times are those of the first and of the last candle."""

    check: Check
    start: int
    end: int
    candles: int
    what: str
    state: State = State.FOUND
    against: str | None = None
    """The interval whose candles it disagrees with."""

    @property
    def window(self) -> Window:
        """The candles concerned."""
        return Window(self.start, self.end)

    def touches(self, window: Window) -> bool:
        """Whether any of these candles is concerned."""
        return self.start <= window.end and self.end >= window.start


@dataclass(frozen=True, slots=True)
class SeriesAudit:
    """One series: how many candles were looked at, how many the exchange was asked for, and what is wrong."""

    symbol: str
    interval: str
    candles: int
    sampled: int
    flaws: Sequence[Flaw] = field(default_factory=tuple)
    failures: Sequence[str] = field(default_factory=tuple)

    @property
    def is_sound(self) -> bool:
        """Nothing is wrong that the exchange has right."""
        return not self.failures and all(flaw.state is not State.FOUND for flaw in self.flaws)


class Audit:
    """Audits the series of one database. Without a market it asks the exchange nothing and cannot repair."""

    def __init__(
        self,
        database: Database[dict[str, Any]],
        market: MarketData | None = None,
        *,
        samples: int = 3,
        seed: int = 0,
        everything: bool = True,
    ) -> None:
        self._database = database
        self._candles = CandleStore(database)
        self._series = SeriesStore(database)
        self._integrity = Integrity(database)
        self._audited = AuditedBuckets(database)
        self._everything = everything
        self._market = market
        self._samples = samples
        self._random = random.Random(seed)

    def look(self, keys: Iterable[SeriesKey]) -> list[SeriesAudit]:
        """Audit each of these series, those with nothing stored left out."""
        return self._look(keys)

    def _look(self, keys: Iterable[SeriesKey], also: Sequence[Window] = ()) -> list[SeriesAudit]:
        known = [series for key in keys if (series := self._series.get(key)) is not None and series.first is not None]
        return [self._audit(series, also) for series in known]

    def repair(self, audits: Iterable[SeriesAudit], listed: Callable[[str, str], Wanted]) -> list[SeriesAudit]:
        """Ask REST again for whatever was found, look again, and say what has become of each flaw."""
        if self._market is None:
            raise ValueError("a repair needs a market to ask")
        with Backfill(self._database, self._market) as work:
            return [self._repair(work, audit, listed) if audit.flaws else audit for audit in audits]

    def _repair(self, work: Backfill, audit: SeriesAudit, listed: Callable[[str, str], Wanted]) -> SeriesAudit:
        wanted = listed(audit.symbol, audit.interval)
        for bucket in self._integrity.broken(wanted.key):
            self._integrity.remove(bucket)
        for flaw in audit.flaws:
            if flaw.check is Check.CONTIGUITY:  # its bucket may say that it is full
                self._integrity.count_anew(wanted.key, flaw.window)
            if flaw.state is State.EXCHANGES_OWN:
                self._series.forget_holes(wanted.key, flaw.start, flaw.end)
        failures = work.refetch(wanted, sorted({flaw.window for flaw in audit.flaws}))
        for flaw in audit.flaws:
            if flaw.against is not None:
                smaller = listed(audit.symbol, flaw.against)
                span = Window(flaw.start, smaller.step.floor(wanted.step.close_time(flaw.end)))
                failures += work.refetch(smaller, [span])
        (after,) = self._look([wanted.key], [flaw.window for flaw in audit.flaws])
        flaws = [_outcome(flaw, after.flaws, was_asked=not failures) for flaw in audit.flaws]
        new = [one for one in after.flaws if not any(_same_place(one, flaw) for flaw in audit.flaws)]
        return replace(after, flaws=(*flaws, *new), failures=tuple(str(error) for error in failures))

    def _audit(self, series: Series, also: Sequence[Window]) -> SeriesAudit:
        key, span = key_of(series), _span(series)
        if self._everything:
            return self._prove(series, [span])
        due = self._audited.due(key, span, [Window(to_ms(one.start), to_ms(one.end)) for one in series.holes], also)
        if not due:
            return SeriesAudit(series.symbol, series.interval, 0, 0)
        seen = self._audited.seen(key, due)
        proved = self._prove(series, due)
        self._note(key, due, proved, seen)
        return proved

    def _note(self, key: SeriesKey, due: Sequence[Window], proved: SeriesAudit, seen: Sequence[SeenBucket]) -> None:
        """Note which buckets are sound; before, that the larger candles above them are to be compared anew."""
        wrong = [one for one in proved.flaws if one.state is State.FOUND]
        if any(one.check is Check.BUCKETS for one in wrong):
            return  # nothing else was asked
        sound = [bucket for bucket in seen if not any(one.touches(bucket.window) for one in wrong)]
        step = interval(key.interval)
        for larger in self._series.list(key.exchange, key.symbol):
            if _divides(step, interval(larger.interval)):
                self._audited.doubt(key_of(larger), due)
        self._audited.note(sound)

    def _prove(self, series: Series, looked: Sequence[Window]) -> SeriesAudit:
        key = key_of(series)
        step = interval(key.interval)
        broken = [one for window in looked for one in self._broken_buckets(key, step, window)]
        if broken:  # such a series cannot be read; what else may be wrong with it shows when they are mended
            return SeriesAudit(series.symbol, series.interval, 0, 0, tuple(broken))
        candles, flaws = 0, list[Flaw]()
        for window in looked:
            stored, insane_ones = self._values(key, step, window)
            candles += int(stored.sum())
            flaws += _gaps(series, step, window, stored)
            flaws += _flaws(Check.SANITY, insane_ones, step, "values that no candle can have")
        flaws += self._disagreements(key, step, looked)
        sampled, differences = self._spot_check(key, step, looked)
        flaws += _flaws(Check.EXCHANGE, differences, step, "not what the exchange says")
        return SeriesAudit(series.symbol, series.interval, candles, sampled, tuple(flaws))

    def _values(self, key: SeriesKey, step: Interval, window: Window) -> tuple[Flags, list[Window]]:
        """Which of these candles are stored and closed, and which of those are insane."""
        stored = np.zeros(step.count(*window), np.bool_)
        found: list[Window] = []
        for part in windows(step, *window, limit=PART):
            candles = self._closed(key, part)
            stored[indices(step, candles["t"].cast(pl.Int64).to_numpy()) - step.index(window.start)] = True
            found += insane(candles, step)
        return stored, found

    def _among(self, window: Window) -> Window | None:
        """Where broken buckets are looked for: None is everywhere."""
        return None if self._everything else window

    def _broken_buckets(self, key: SeriesKey, step: Interval, window: Window) -> list[Flaw]:
        """Their candles from the first stored one to the one that is open now."""
        found = []
        for bucket in self._integrity.broken(key, self._among(window)):
            holds = bucket.window or window
            start, end = max(holds.start, window.start), min(holds.end, step.after(window.end))
            count = step.count(start, end)
            found.append(Flaw(Check.BUCKETS, start, end, count, f"{bucket.id}: {bucket.what}"))
        return found

    def _disagreements(self, key: SeriesKey, step: Interval, looked: Sequence[Window]) -> list[Flaw]:
        """These candles against those of the largest smaller series that divides it."""
        found: list[Flaw] = []
        for window in looked:
            smaller = self._best_smaller(key, step, Window(window.start, step.close_time(window.end)))
            if smaller is not None:
                found += self._disagreeing(key, step, window, smaller)
        return found

    def _disagreeing(self, key: SeriesKey, step: Interval, window: Window, smaller: Series) -> list[Flaw]:
        small_step = interval(smaller.interval)
        found: list[Window] = []
        start = max(window.start, step.ceil(_span(smaller).start))
        per_part = max(1, PART * (small_step.milliseconds or DAY) // (step.milliseconds or 31 * DAY))
        for part in windows(step, start, window.end, limit=per_part) if start <= window.end else ():
            large = self._closed(key, part)
            small = self._closed(key_of(smaller), Window(part.start, step.close_time(part.end)))
            found += disagreeing(small, small_step, large, step)
        flaws = _flaws(Check.AGREEMENT, found, step, f"not what its {smaller.interval} candles add up to")
        return [replace(flaw, against=smaller.interval) for flaw in flaws]

    def _best_smaller(self, key: SeriesKey, step: Interval, window: Window) -> Series | None:
        candidates = [
            one
            for one in self._series.list(key.exchange, key.symbol)
            if one.first is not None and _divides(interval(one.interval), step) and not self._is_broken(one, window)
        ]
        return max(candidates, key=lambda one: interval(one.interval).milliseconds or 0, default=None)

    def _is_broken(self, series: Series, window: Window) -> bool:
        return next(self._integrity.broken(key_of(series), self._among(window)), None) is not None

    def _spot_check(self, key: SeriesKey, step: Interval, looked: Sequence[Window]) -> tuple[int, list[Window]]:
        """A few stretches chosen by chance, compared with what REST says now."""
        if self._market is None or not looked:
            return 0, []
        sampled, found = 0, []
        weights = [step.count(*window) for window in looked]
        for window in self._random.choices(looked, weights, k=self._samples):
            last = step.index(window.end)
            first = self._random.randint(step.index(window.start), max(step.index(window.start), last - SAMPLE + 1))
            part = Window(step.open_time(first), step.open_time(min(first + SAMPLE - 1, last)))
            truth = self._market.klines(key.symbol, step, part)
            sampled += truth.height
            found += differing(self._closed(key, part), truth, step)
        return sampled, sorted(set(found))

    def _closed(self, key: SeriesKey, window: Window) -> pl.DataFrame:
        return self._candles.load(key, *window, _COLUMNS).filter(pl.col("closed"))


def smallest_first(keys: Iterable[SeriesKey]) -> list[SeriesKey]:
    """Each symbol's smaller intervals before the larger ones that are compared with them."""
    return sorted(keys, key=lambda key: (key.exchange, key.symbol, interval(key.interval).close_time(0)))


def _gaps(series: Series, step: Interval, window: Window, stored: Flags) -> list[Flaw]:
    slots = Slots(step, window, stored, np.zeros_like(stored))
    missing = _flaws(Check.CONTIGUITY, slots.to_fetch(), step, "not stored")
    holes = {(to_ms(hole.start), to_ms(hole.end)): hole.evidence for hole in series.holes}
    return [_with_evidence(flaw, holes) for flaw in missing]


def _same_place(one: Flaw, other: Flaw) -> bool:
    return one.check is other.check and one.touches(other.window)


def _outcome(flaw: Flaw, after: Iterable[Flaw], *, was_asked: bool) -> Flaw:
    """What has become of it. REST was asked for both sides of a disagreement that stays: it is the exchange's own."""
    left = [one for one in after if _same_place(one, flaw)]
    if not left:
        return replace(flaw, state=State.REPAIRED)
    is_own = (was_asked and flaw.check is Check.AGREEMENT) or all(one.state is State.EXCHANGES_OWN for one in left)
    return replace(flaw, state=State.EXCHANGES_OWN if is_own else State.FOUND)


def _span(series: Series) -> Window:
    if series.first is None or series.last_closed is None:
        raise ValueError(f"{series.id} holds no closed candle")
    return Window(to_ms(series.first), to_ms(series.last_closed))


def _divides(small: Interval, large: Interval) -> bool:
    if small.milliseconds is None:
        return False
    if large.milliseconds is None:
        return DAY % small.milliseconds == 0
    whole = large.milliseconds % small.milliseconds == 0 and large.milliseconds > small.milliseconds
    return whole and (large.origin - small.origin) % small.milliseconds == 0


def _flaws(check: Check, stretches: Iterable[Window], step: Interval, what: str) -> list[Flaw]:
    return [Flaw(check, *stretch, step.count(*stretch), f"{_told(stretch)}: {what}") for stretch in stretches]


def _told(stretch: Window) -> str:
    return iso(stretch.start) if stretch.start == stretch.end else f"{iso(stretch.start)} to {iso(stretch.end)}"


def _with_evidence(flaw: Flaw, holes: dict[tuple[int, int], str]) -> Flaw:
    for (start, end), evidence in holes.items():
        if start <= flaw.start and flaw.end <= end:
            return replace(flaw, state=State.EXCHANGES_OWN, what=f"{flaw.what}; {evidence}")
    return flaw
