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
) -> list[Row]:
    """The rows of one answer.

    - with the parameter named by `first`: the rows from that number on;
    - with `startTime`: the first rows from that time on, at most seven days;
    - otherwise: the latest rows up to `endTime`, of the last seven days.
    """
    limit = params.limit(default, maximum)
    lowest = params.integer(first) if first else None
    start, end = params.integer("startTime"), params.integer("endTime")
    if lowest is not None:
        return [row for row in rows if number(row) >= lowest][:limit]
    begin, finish = time_range(start, end, now)
    within = [row for row in rows if begin <= time(row) <= finish]
    return within[:limit] if start is not None else within[-limit:]


def time_range(start: int | None, end: int | None, now: int) -> tuple[int, int]:
    """The times asked for, both inclusive: seven days at most."""
    if start is not None and end is not None:
        if start > end:
            raise refuse(-1023)
        if end - start > LONGEST:
            raise refuse(-1127, LONGEST // HOUR)
        return start, end
    if start is not None:
        return start, start + LONGEST
    finish = now if end is None else end
    return finish - LONGEST, finish
