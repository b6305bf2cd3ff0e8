"""Try early, enter on the MACD cross, add as the price goes on: a ladder of signals in the manner of the turtles."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.indicators import Floats
from pipeline.strategies.base import Codes, Kind, Prices
from pipeline.strategies.lines import (
    NOISE,
    REACH,
    all_rising,
    at_least,
    before,
    coded,
    crossing,
    in_order,
    last_true,
    may_cross,
    side,
    without_noise,
)

_ENTRY = int(Kind.ENTRY)
_ADD = int(Kind.ADD)


@dataclass(frozen=True, slots=True)
class MacdTurtle:
    """Trial, entry and adds of one trend; written for a long, a short is the mirror.

    - *Cross*: the MACD line crosses above its signal line. It is ignored when short, mid and long averages already rise
      together and the histogram is smaller than `small` ATR: a better cross usually follows.
    - *Entry*: a cross that was not ignored counts at the first close above the mid average, at the cross or up to
      `patience` candles after it, while the MACD has not crossed back. One cross gives one entry at most.
    - *Trial*: the averages still stand in the old order (from the top long, mid, short) but all three rise, and the
      close is above the mid average. Given at the first such candle, and not again while the last `patience` candles
      had one.
    - *Add*: the close is one ATR (as it was at the entry) or more above the close of the entry, and then of the last
      add: at most `adds` of them, within `memory` candles of the entry. The next entry, either way, starts a new
      ladder.
    - One signal a candle: an entry before an add, an add before a trial.
    """

    name: ClassVar[str] = "macd_turtle"

    short: int = 7
    mid: int = 20
    long: int = 60
    small: float = 0.05
    patience: int = 20
    adds: int = 2
    memory: int = 120

    def __post_init__(self) -> None:
        in_order(self.name, self.short, self.mid, self.long)
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
        return self.memory + self.patience + REACH + 1

    def may_signal(self, columns: Prices, before: Codes) -> bool:
        close, hist, _, short, mid, long = (columns[name][-2:].tolist() for name in self.needs)
        noise, gap = NOISE * max(close), close[1] - mid[1]
        at_odds = abs(hist[1]) > noise and hist[1] * gap < 0
        if not at_odds and (may_cross(hist[0], hist[1], noise) or may_cross(close[0] - mid[0], gap)):
            return True
        if short[1] < mid[1] < long[1] and all(line[1] > line[0] for line in (short, mid, long)):
            return True
        if short[1] > mid[1] > long[1] and all(line[1] < line[0] for line in (short, mid, long)):
            return True
        return self._may_add(columns["close"], columns["atr"], before)

    def signals(self, columns: Prices) -> Codes:
        close, hist, atr, short, mid, long = (columns[name] for name in self.needs)
        turned = all_rising(short, mid, long)
        broken = side(close - mid)
        entries = self._entries(without_noise(hist, close), atr, turned, broken)
        codes = self._trials(short, mid, long, turned, broken)
        if entries.any():
            adds = self._adds(entries, close, atr)
            codes[adds != 0] = adds[adds != 0]
            codes[entries != 0] = entries[entries != 0]
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

    def _entries(self, hist: Floats, atr: Floats, turned: Codes, broken: Codes) -> Codes:
        crossed = crossing(hist)
        ignored = (turned == crossed) & (np.abs(hist) < self.small * atr)
        cross = last_true(crossed != 0)
        age = np.arange(len(hist)) - cross
        waiting = (cross >= 0) & ~ignored[cross] & (age <= self.patience)
        counts = waiting & (broken == crossed[cross])
        first = counts & (before(last_true(counts)) < cross)
        return coded(first * crossed[cross], Kind.ENTRY)

    def _trials(self, short: Floats, mid: Floats, long: Floats, turned: Codes, broken: Codes) -> Codes:
        codes = np.zeros(len(short), dtype=np.int8)
        early_long = (turned > 0) & (broken > 0) & (long > mid) & (mid > short)
        early_short = (turned < 0) & (broken < 0) & (short > mid) & (mid > long)
        for sign, early in ((1, early_long), (-1, early_short)):
            if early.any():
                last = before(last_true(early))
                quiet = (last < 0) | (np.arange(len(short)) - last > self.patience)
                codes[early & quiet] = sign * Kind.TRIAL
        return codes

    def _adds(self, entries: Codes, close: Floats, atr: Floats) -> Codes:
        codes = np.zeros(len(close), dtype=np.int8)
        entry = last_true(entries != 0)
        sign = np.sign(entries[entry])
        on_ladder = (entry >= 0) & (np.arange(len(close)) - entry <= self.memory)
        rung = entry
        for _ in range(self.adds):
            higher = on_ladder & (sign * (close - close[rung]) >= atr[entry])
            add = higher & (before(last_true(higher)) < entry)
            codes[add] = sign[add] * Kind.ADD
            rung = last_true(add)
            on_ladder &= rung > entry
        return codes
