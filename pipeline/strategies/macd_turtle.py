"""Try early, enter on a cross, add as the price goes on: a ladder of signals in the manner of the turtles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np

from pipeline.periods import Floats
from pipeline.strategies.base import Codes, Kind, Prices
from pipeline.strategies.lines import (
    NOISE,
    REACH,
    Flags,
    after_quiet,
    all_rising,
    at_least,
    before,
    changes,
    coded,
    crossing,
    in_order,
    last_true,
    may_cross,
    one_of,
    rising,
    side,
    together,
    way_of,
    without_noise,
)
from pipeline.strategies.ranges import searched, steps

_ENTRY = int(Kind.ENTRY)
_ADD = int(Kind.ADD)

Criterion = Literal["macd", "order", "both"]


@dataclass(frozen=True, slots=True)
class MacdTurtle:
    """Trials, entries and adds of one trend; written for a long, a short is the mirror.

    - *Cross*, by `criterion`: `macd`, the MACD line crosses above its signal line; `order`, the short average crosses
      above the mid one; `both`, the later of the two, at most `patience` candles after the earlier. It is ignored while
      short, mid and long averages all slope one way, whichever, and the histogram is smaller than `small` ATR: a better
      one usually follows.
    - *Entry*: a cross while the close is above the mid average, which was broken first.
    - *Trial*: the close breaks above the mid average. Not while the last `patience` candles had such a break, unless
      it is what a cross is waiting for: one that came below the average, since it was last broken, and was not undone.
    - *Trial*: short and mid averages have turned up while the old order still stands (from the top long, mid, short).
      Not while the last `patience` candles were so.
    - *Add*: the close is one ATR (as it was at the entry) or more above the close of the entry, and then of the last
      add: at most `adds` of them, within `memory` candles of the entry. The next entry, either way, starts a new
      ladder.
    - One signal a candle: an entry before an add, an add before a break, a break before turned averages.
    """

    name: ClassVar[str] = "macd_turtle"
    edition: ClassVar[int] = 2

    short: int = searched(7, range(3, 22, 2))
    mid: int = searched(20, range(10, 51, 5))
    long: int = searched(60, range(30, 121, 15))
    criterion: Criterion = searched("macd", get_args(Criterion))
    small: float = searched(0.05, steps(0, 0.2, 0.05))
    patience: int = searched(20, range(5, 41, 5))
    adds: int = searched(2, range(4))
    memory: int = searched(120, range(60, 181, 60))

    def __post_init__(self) -> None:
        in_order(self.name, self.short, self.mid, self.long)
        one_of(self.name, "criterion", self.criterion, get_args(Criterion))
        at_least(
            self.name,
            small=(self.small, 0),
            patience=(self.patience, 1),
            adds=(self.adds, 0),
            memory=(self.memory, 1),
        )

    @property
    def needs(self) -> tuple[str, ...]:
        return ("close", "macd_hist", "atr", f"sma{self.short}", f"sma{self.mid}", f"sma{self.long}")

    @property
    def lookback(self) -> int:
        pairing = self.patience if self.criterion == "both" else 0
        return max(self.memory, self.patience) + pairing + REACH + 1

    def may_signal(self, columns: Prices, before: Codes) -> bool:
        close, hist, _, short, mid, long = (columns[name][-3:].tolist() for name in self.needs)
        if may_cross(close[-2] - mid[-2], close[-1] - mid[-1]):
            return True
        if self.criterion != "order" and may_cross(hist[-2], hist[-1], NOISE * max(close)):
            return True
        if self.criterion != "macd" and may_cross(short[-2] - mid[-2], short[-1] - mid[-1]):
            return True
        early = _early_at(short, mid, long, -1)
        if early and (len(short) < 3 or _early_at(short, mid, long, -2) != early):
            return True
        return self._may_add(columns["close"], columns["atr"], before)

    def signals(self, columns: Prices) -> Codes:
        close, hist, atr, short, mid, long = (columns[name] for name in self.needs)
        hist, broken = without_noise(hist, close), side(close - mid)
        turned = all_rising(short, mid)
        crossed, crosses = self._crosses(hist, short - mid)
        crosses[(turned != 0) & (turned == rising(long)) & (np.abs(hist) < self.small * atr)] = 0
        codes = coded(after_quiet(_early(turned, short, mid, long), self.patience), Kind.TRIAL)
        breaks = self._breaks(changes(broken), crossed, crosses)
        codes[breaks != 0] = breaks[breaks != 0] * np.int8(Kind.TRIAL)
        entries = crosses * (crosses == broken)
        if entries.any():
            for signs, kind in ((self._adds(entries, close, atr), Kind.ADD), (entries, Kind.ENTRY)):
                codes[signs != 0] = signs[signs != 0] * np.int8(kind)
        return codes

    def _may_add(self, close: Floats, atr: Floats, before: Codes) -> bool:
        """Whether the last close is one step up the ladder that the codes before it leave standing."""
        said = np.flatnonzero(before)
        here = len(close) - 1 - len(before)
        added: list[int] = []
        for at, code in zip(said[::-1].tolist(), before[said[::-1]].tolist(), strict=True):
            if abs(code) == _ADD:
                added.append(at)
            elif abs(code) == _ENTRY:
                rung = added[0] if added else at
                gain = float(close[-1] - close[rung + here]) * (1 if code > 0 else -1)
                on_ladder = len(added) < self.adds and len(before) - at <= self.memory
                return on_ladder and gain >= float(atr[at + here])
        return False

    def _crosses(self, hist: Floats, gap: Floats) -> tuple[Flags, Codes]:
        """Where a line of the criterion crosses, and which way the criterion is met there."""
        if self.criterion == "both":
            macd, order = crossing(hist), crossing(gap)
            return (macd != 0) | (order != 0), together(macd, order, self.patience)
        crosses = crossing(hist if self.criterion == "macd" else gap)
        return crosses != 0, crosses

    def _breaks(self, breaks: Codes, crossed: Flags, crosses: Codes) -> Codes:
        """Those breaks that come after some quiet, or after a cross that waits for one."""
        cross = last_true(crossed)
        awaited = (cross > before(last_true(breaks != 0))) & (crosses[cross] == breaks)
        return np.where(awaited, breaks, after_quiet(breaks, self.patience))

    def _adds(self, entries: Codes, close: Floats, atr: Floats) -> Codes:
        signs = np.zeros(len(close), dtype=np.int8)
        entry = last_true(entries != 0)
        sign = entries[entry]
        on_ladder = (entry >= 0) & (np.arange(len(close)) - entry <= self.memory)
        rung = entry
        for _ in range(self.adds):
            higher = on_ladder & (sign * (close - close[rung]) >= atr[entry])
            add = higher & (before(last_true(higher)) < entry)
            signs[add] = sign[add]
            rung = last_true(add)
            on_ladder &= rung > entry
        return signs


def _early(turned: Codes, short: Floats, mid: Floats, long: Floats) -> Codes:
    """1 where short and mid rise in the order of a fall, from the top long, mid, short; -1 in the mirror."""
    order = (long > mid).view(np.int8) * (mid > short) - (long < mid).view(np.int8) * (mid < short)
    early: Codes = turned * (turned == order)
    return early


def _early_at(short: Sequence[float], mid: Sequence[float], long: Sequence[float], at: int) -> int:
    """The same of one candle."""
    way = way_of((short, mid), at)
    return way if way * (long[at] - mid[at]) > 0 and way * (mid[at] - short[at]) > 0 else 0
