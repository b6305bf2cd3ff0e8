"""Trades that were held while nobody knows what the price did: minutes that are not stored, and that the exchange had.
Pure."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.research.backtest.minutes import Minutes
from pipeline.research.backtest.trades import Trade
from pipeline.timeline import MINUTE


class Hole(NamedTuple):
    """Minutes of a symbol, by when the first and the last of them open."""

    symbol: str
    first: int
    last: int


def holes_of(minutes: Minutes, excused: Iterable[tuple[int, int]] = ()) -> list[Hole]:
    """What is not stored of them; `excused`: what the exchange itself does not have, by opening time."""
    known = minutes.there.copy()
    for first, last in excused:
        known[max(minutes.at(first), 0) : max(minutes.at(last) + 1, 0)] = True
    turns = np.flatnonzero(np.diff(known, prepend=True, append=True))
    begins, ends = turns[::2].tolist(), turns[1::2].tolist()
    return [
        Hole(minutes.symbol, minutes.opened(begin), minutes.opened(end - 1))
        for begin, end in zip(begins, ends, strict=True)
    ]


def held_through(trades: Iterable[Trade], holes: Mapping[str, Sequence[Hole]]) -> list[Hole]:
    """The first hole of each trade that was held in one."""
    found = []
    for trade in trades:
        of_it = holes.get(trade.symbol, ())
        place = bisect_right([one.first + MINUTE for one in of_it], trade.opened_at)
        if place < len(of_it) and (trade.closed_at is None or of_it[place].first < trade.closed_at):
            found.append(of_it[place])
    return found
