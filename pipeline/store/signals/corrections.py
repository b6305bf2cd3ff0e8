"""Sends back the signals whose returns a change of candles can change, and no others: they are worked out anew at the
next refresh. It goes by where candles lie; their prices it never reads.

A candle has a say in the best and the worst of a signal if it lies within its span, and in its return at a horizon if
it is the first to end there, and no finer series has one that ends there.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import numpy as np
from pymongo import UpdateMany
from pymongo.database import Database

from pipeline.store.candles.coverage import SlotState, presence
from pipeline.store.series import SeriesStore
from pipeline.store.signals.outcomes import FIRST, HORIZONS, LAST, LATENESS, length_of
from pipeline.timeline import Interval, Window, interval, to_datetime, to_ms
from schemas.candles import CANDLES
from schemas.series import Series, SeriesKey
from schemas.signals import SIGNALS

Document = dict[str, Any]
_NEVER: Final = 1 << 62


class Span(NamedTuple):
    """Moments, both ends inclusive."""

    first: int
    last: int


class Ends(NamedTuple):
    """Where a series has no candle that ends: between its candles, before the first and after the last of them."""

    step: Interval
    gaps: Sequence[Span]


def send_back(
    database: Database[Document], changed: Iterable[tuple[SeriesKey, Window]], exchange: str, symbol: str
) -> int:
    """Of this symbol, because these candles changed: the signals that have a return in which one of them has a say, or
    that may be being given it this moment; how many."""
    series = SeriesStore(database).of(exchange, [symbol])
    known = max((interval(one.interval).after(to_ms(one.last_closed)) for one in series if one.last_closed), default=0)
    moments: dict[int, list[Span]] = {length: [] for length in HORIZONS.values()}
    for key, window in changed:
        for length, said in with_a_say(interval(key.interval), window, *_neighbours(database, series, key, window)):
            moments[length].append(Span(said.first, min(said.last, known - length)))
    updates = [
        UpdateMany(
            {"exchange": exchange, "symbol": symbol, "confirmed": True, "at": _within(said)},
            [{"$set": {"returns_due": again()}}],
        )
        for said in _joined(chain(*moments.values()))
    ]
    return database[SIGNALS.name].bulk_write(updates, ordered=False).modified_count if updates else 0


def again() -> Document:
    """When a signal is due that is to be worked out anew: at once, and never as whoever is at it has read."""
    return {"$subtract": [{"$min": ["$returns_due", {"$add": ["$at", FIRST]}]}, 1]}


def with_a_say(step: Interval, window: Window, own: Ends, finer: Sequence[Ends]) -> Iterator[tuple[int, Span]]:
    """By the length of a horizon, when the signals were said that can have another return there, or another best or
    worst by then. `own`: of the series itself, as far as it comes before the window."""
    end, until = step.after(window.start), step.after(window.end)
    for length in HORIZONS.values():
        late = length // LATENESS
        ending = [Span(end - late, until)]
        for other in (own, *(one for one in finer if length_of(one.step) <= late or _divides(one.step, step))):
            ending = list(_without(ending, other, late))
        yield length, Span(end - length, window.end)
        yield from ((length, Span(one.first - length, one.last - length)) for one in ending)


def _without(spans: Sequence[Span], other: Ends, late: int) -> Iterator[Span]:
    """The moments for which the other series has no candle that ends there or so much later."""
    for gap in other.gaps:
        for one in spans:
            bare = Span(max(one.first, gap.first), min(one.last, gap.last - late))
            if bare.first <= bare.last:
                yield bare


def _divides(finer: Interval, step: Interval) -> bool:
    """Whether wherever a candle of `step` ends one of the finer ends as well."""
    if finer.milliseconds is None or step.milliseconds is None:
        return False
    return step.milliseconds % finer.milliseconds == 0 and (step.origin - finer.origin) % finer.milliseconds == 0


def _joined(spans: Iterable[Span]) -> list[Span]:
    """The same moments, in as few spans as there can be."""
    found: list[Span] = []
    for one in sorted(one for one in spans if one.first <= one.last):
        if found and one.first <= found[-1].last + 1:
            found[-1] = Span(found[-1].first, max(found[-1].last, one.last))
        else:
            found.append(one)
    return found


def _neighbours(
    database: Database[Document], series: Iterable[Series], key: SeriesKey, window: Window
) -> tuple[Ends, list[Ends]]:
    """Where other candles end around this window: of the series before it, and of all that are finer."""
    step, late = interval(key.interval), LAST // LATENESS
    end, until = step.after(window.start), step.after(window.end)
    before = _ends(database, key, end - late, window.start)
    finer = [
        SeriesKey(one.exchange, one.symbol, one.interval)
        for one in series
        if length_of(interval(one.interval)) < length_of(step)
    ]
    return before, [_ends(database, one, end - late, until + late) for one in finer]


def _ends(database: Database[Document], key: SeriesKey, since: int, until: int) -> Ends:
    """Where the closed candles of a series end that end in [since, until], and the one before them."""
    step = interval(key.interval)
    opened, newest = step.index(since) - 2, step.index(until) - 1
    states = presence(database[CANDLES.name], key, step.open_time(opened), step.open_time(newest))
    edges = np.flatnonzero(np.diff(states == SlotState.CLOSED, prepend=False, append=False)).reshape(-1, 2)
    runs = [(step.open_time(opened + first + 1), step.open_time(opened + stop)) for first, stop in edges.tolist()]
    return Ends(step, _between(runs))


def _between(runs: Sequence[tuple[int, int]]) -> list[Span]:
    """Before, between and behind them."""
    firsts, lasts = [first for first, _ in runs], [last for _, last in runs]
    return [Span(left + 1, right - 1) for left, right in zip([-_NEVER, *lasts], [*firsts, _NEVER], strict=True)]


def _within(moments: Span) -> Document:
    return {"$gte": to_datetime(moments.first), "$lte": to_datetime(moments.last)}
