"""Cuts a page out of what happened: by number or by time, oldest first, as all the history endpoints do it."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.refusals import refuse
from pipeline.timeline import DAY, HOUR

Row = TypeVar("Row")

LONGEST: Final = 7 * DAY


def page(
    rows: Iterable[Row],
    params: Params,
    now: int,
    *,
    number: Callable[[Row], int],
    time: Callable[[Row], int],
    first: str | None,
    default: int,
    maximum: int = 1000,
    longest: int = LONGEST,
    recent: int | None = LONGEST,
) -> list[Row]:
    """The rows of one answer.

    - with the parameter named by `first`: the rows from that number on;
    - with `startTime`: the first rows from that time on, of `longest` at most;
    - with `endTime` alone: the latest rows up to then, of `longest`;
    - otherwise: the latest rows, of the time `recent` where it is given.
    """
    limit = params.limit(default, maximum)
    lowest = params.integer(first) if first else None
    start, end = params.integer("startTime"), params.integer("endTime")
    if lowest is not None:
        return [row for row in rows if number(row) >= lowest][:limit]
    if start is None and end is None and recent is None:
        return list(rows)[-limit:]
    begin, finish = time_range(start, end, now, longest)
    within = [row for row in rows if begin <= time(row) <= finish]
    return within[:limit] if start is not None else within[-limit:]


def time_range(start: int | None, end: int | None, now: int, longest: int = LONGEST) -> tuple[int, int]:
    """The times asked for, both inclusive: `longest` at most."""
    if start is not None and end is not None:
        if start > end:
            raise refuse(-1023)
        if end - start > longest:
            raise refuse(-1127, longest // HOUR)
        return start, end
    if start is not None:
        return start, start + longest
    finish = now if end is None else end
    return finish - longest, finish
