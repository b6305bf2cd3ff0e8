"""Stored minutes as the simulator's market: a price at every moment, and trades where something waits for one.

Within a minute the price stands at the open while orders of the close are dealt with, then goes straight to one
extreme, to the other, and to the close. Which extreme is first is assumed (`Inside`), and decided as the price leaves
the open: a position that was just opened counts. It trades at each of these prices, and exactly at every price on the
way that an order waits for: so a stop fires at its trigger, and where the minute opens beyond it, at the open.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from pipeline.research.backtest.assumptions import Inside
from pipeline.research.backtest.minutes import Minutes
from pipeline.simulator.types import SymbolSpec, Tick
from pipeline.timeline import MINUTE, SECOND

_OPENS, _LEAVES, _FIRST, _SECOND, _CLOSES = 1, 10 * SECOND, 25 * SECOND, 40 * SECOND, 55 * SECOND
_PLENTY: Final = 0
"""What a trade moves, in steps: nothing. A resting order at its price is touched and not filled; beyond it, it is."""


class Stance(NamedTuple):
    """Where an account stands in a symbol: what it holds (signed), and which way resting orders would take it."""

    held: int
    entering: int


@dataclass(slots=True)
class HistoryMarket:
    """`levels` are prices in ticks at which something waits; `stance` decides what is pessimistic. Time only goes
    forward."""

    minutes: Mapping[str, Minutes]
    specs: dict[str, SymbolSpec]
    inside: Inside
    levels: Callable[[str], Iterable[int]]
    stance: Callable[[str], Stance]
    marks: Mapping[str, Minutes] = field(default_factory=dict)
    """Those of symbols of which mark prices are known."""
    untold: int = 0
    """Minutes in which two things waited, or one to open something, and both lay within the candle."""
    _high_first: dict[str, tuple[int, bool]] = field(default_factory=dict)

    def price(self, symbol: str, now: int) -> int:
        """The price at that moment, in ticks."""
        minutes = self.minutes[symbol]
        place = minutes.at(now - 1)  # at the very turn it is still the close
        if place < 0:
            return int(minutes.open[0])
        if place >= len(minutes.close):
            return int(minutes.close[-1])
        return _between(self._way(symbol, minutes, place, now), now - minutes.opened(place))

    def mark_price(self, symbol: str, now: int) -> Decimal:
        """What is held is worth the last price."""
        return self.price(symbol, now) * self.specs[symbol].tick

    def judged(self, symbol: str, now: int) -> Decimal:
        """The price by which it is judged whether there is margin enough: the mark price, where it is known."""
        marks = self.marks.get(symbol)
        place = -1 if marks is None else marks.at(now - 1)
        if marks is None or not 0 <= place < len(marks.close):
            return self.mark_price(symbol, now)
        way = self._way(symbol, marks, place, now)
        return _between(way, now - marks.opened(place)) * self.specs[symbol].tick

    def turns(self, symbol: str, after: int, until: int) -> list[int]:
        """When the mark price turns, with after < time <= until."""
        marks = self.marks.get(symbol)
        if marks is None:
            return []
        first, last = max(marks.at(after), 0), min(marks.at(until), len(marks.close) - 1)
        return [
            marks.opened(place) + arrived
            for place in range(first, last + 1)
            if marks.there[place]
            for (_, begin), (arrived, end) in pairwise(self._way(symbol, marks, place, until)[1:])
            if begin != end and after < marks.opened(place) + arrived <= until
        ]

    def ticks(self, symbol: str, after: int, until: int) -> list[Tick]:
        """The trades with after < time <= until."""
        minutes = self.minutes[symbol]
        first, last = max(minutes.at(after), 0), min(minutes.at(until), len(minutes.close) - 1)
        found: list[Tick] = []
        for place in range(first, last + 1):
            if minutes.there[place]:
                opened = minutes.opened(place)
                found += (
                    Tick(opened + at, price, _PLENTY, buyer_is_maker=False)
                    for at, price in self._trades(symbol, place, until)
                    if after < opened + at <= until
                )
        return found

    def is_there(self, symbol: str, now: int) -> bool:
        """Whether anything can trade at that moment."""
        minutes = self.minutes[symbol]
        place = minutes.at(now)
        return 0 <= place < len(minutes.close) and bool(minutes.there[place])

    def traded_at(self, symbol: str, now: int) -> int:
        """When something traded last, of a symbol in which something did."""
        minutes = self.minutes[symbol]
        place = min(minutes.at(now), len(minutes.close) - 1)
        since = int(np.argmax(minutes.there[place::-1]))
        return min(now, minutes.opened(place - since + 1))

    def is_known_until(self, now: int) -> int:
        """Until when it is known where the price goes: where it goes from the open is decided as it leaves it."""
        opened = now // MINUTE * MINUTE
        return opened + (_LEAVES if now < opened + _LEAVES else MINUTE)

    def _trades(self, symbol: str, place: int, until: int) -> list[tuple[int, int]]:
        way = self._way(symbol, self.minutes[symbol], place, until)
        levels = sorted(set(self.levels(symbol)))
        found = [way[0]]
        for (left, begin), (arrived, end) in pairwise(way[1:]):
            between = [one for one in levels if min(begin, end) < one < max(begin, end)]
            met = between if begin < end else between[::-1]
            found += ((left + round((arrived - left) * (one - begin) / (end - begin)), one) for one in met)
            if end != begin:
                found.append((arrived, end))
        return found

    def _way(self, symbol: str, minutes: Minutes, place: int, now: int) -> tuple[tuple[int, int], ...]:
        """Times within the minute, and the prices then, as far as `now` needs it. Both prices turn as the last does."""
        opened = int(minutes.open[place])
        if now <= minutes.opened(place) + _LEAVES:
            return ((_OPENS, opened), (_LEAVES, opened))
        high, low = int(minutes.high[place]), int(minutes.low[place])
        first, second = (high, low) if self._goes_up_first(symbol, place) else (low, high)
        return (
            (_OPENS, opened), (_LEAVES, opened), (_FIRST, first), (_SECOND, second),
            (_CLOSES, int(minutes.close[place])),
        )  # fmt: skip

    def _goes_up_first(self, symbol: str, place: int) -> bool:
        decided = self._high_first.get(symbol)
        if decided is None or decided[0] != place:
            decided = self._high_first[symbol] = (place, self._decide(symbol, place))
        return decided[1]

    def _decide(self, symbol: str, place: int) -> bool:
        held, entering = self.stance(symbol)
        minutes = self.minutes[symbol]
        low, high = minutes.low[place], minutes.high[place]
        met = sum(1 for one in set(self.levels(symbol)) if low <= one <= high)
        self.untold += met > 1 or (met == 1 and entering != 0)
        if self.inside is not Inside.RESOLVED and (held or entering):
            helps_first = (held == 0) is (self.inside is Inside.PESSIMISTIC)
            return ((held or entering) > 0) is helps_first
        up, down = high - minutes.open[place], minutes.open[place] - low
        if up != down:
            return bool(up < down)
        return held < 0 or (held == 0 and entering > 0)


def _between(way: tuple[tuple[int, int], ...], at: int) -> int:
    """The price on that way at that time of the minute."""
    for (left, begin), (arrived, end) in pairwise(way):
        if at <= arrived:
            return begin + round((end - begin) * max(0, at - left) / (arrived - left))
    return way[-1][1]
