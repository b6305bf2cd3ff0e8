"""The rules with a memory, told once more: candle by candle, in plain Python, remembering everything. Both must agree.

Told like this a rule reads as its docstring does. It is slow, and could not be asked live.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from pipeline.periods import Floats
from pipeline.strategies.base import Strategy
from pipeline.strategies.lines import NOISE, REACH
from pipeline.strategies.ma_order_golden import MaOrderGolden
from pipeline.strategies.macd_turtle import Criterion, MacdTurtle
from pipeline.strategies.runner import last_code, run
from pipeline.strategies.synthetic import Sample, samples

Line = Sequence[float]

TURTLES = [
    MacdTurtle(),
    MacdTurtle(criterion="order"),
    MacdTurtle(criterion="both"),
    MacdTurtle(criterion="both", small=0.3, patience=4, adds=3, memory=9),
    MacdTurtle(small=0.2, patience=60, adds=1, memory=30),
]


def sign(value: float) -> int:
    return 0 if isnan(value) else (value > 0) - (value < 0)


def sides(line: Line) -> list[int]:
    """A line on zero has the side it had, for a while."""
    found = []
    for at in range(len(line)):
        known = (sign(line[each]) for each in range(at, max(-1, at - REACH - 1), -1))
        found.append(next((side for side in known if side), 0))
    return found


def crosses(line: Line) -> list[int]:
    found = sides(line)
    return [0, *(now if now * was < 0 else 0 for was, now in pairwise(found))]


def way(at: int, *lines: Line) -> int:
    ways = {sign(line[at] - line[at - 1]) for line in lines} if at else {0}
    return ways.pop() if len(ways) == 1 else 0


def golden(rule: MaOrderGolden, short: Line, mid: Line, long: Line) -> list[int]:
    above = sides([one - other for one, other in zip(short, mid, strict=True)])
    said, trend, seen = [], 0, -1
    for at in range(len(short)):
        now = way(at, short, mid, long)
        now = now if now == above[at] else 0
        said.append(2 * now if now * trend < 0 and at - seen <= rule.memory else 0)
        if now:
            trend, seen = now, at
    return said


class Turtle:
    """What the rule knows at a candle."""

    def __init__(self, rule: MacdTurtle) -> None:
        self.rule = rule
        self.macd = self.order = (-1, 0)
        self.waits = (-1, 0)
        self.broken = -1
        self.quiet: dict[tuple[str, int], int] = {}
        self.ladder: tuple[int, int, float, float, int] | None = None

    def cross(self, at: int, macd: int, order: int, ignored: bool) -> int:
        """Which way the criterion is met at this candle."""
        self.macd = (at, macd) if macd else self.macd
        self.order = (at, order) if order else self.order
        met = {"macd": macd, "order": order, "both": self._both(at)}[self.rule.criterion]
        if {"macd": macd, "order": order, "both": macd or order}[self.rule.criterion]:
            self.waits = (at, 0 if ignored else met)
            return self.waits[1]
        return 0

    def _both(self, at: int) -> int:
        (first, one), (second, other) = self.macd, self.order
        return one if one == other and at in (first, second) and abs(first - second) <= self.rule.patience else 0

    def break_trial(self, at: int, broken: int) -> int:
        if not broken:
            return 0
        since, awaited = self.waits
        given = self.once("break", at, broken) or (broken if awaited == broken and since > self.broken else 0)
        self.broken = at
        return given

    def once(self, what: str, at: int, side: int) -> int:
        """The side, unless the last candles had the same."""
        last = self.quiet.get((what, side))
        if side:
            self.quiet[what, side] = at
        return side if last is None or at - last > self.rule.patience else 0

    def add(self, at: int, close: float) -> int:
        if self.ladder is None:
            return 0
        entered, side, rung, atr, added = self.ladder
        if added == self.rule.adds or at - entered > self.rule.memory or not side * (close - rung) >= atr:
            return 0
        self.ladder = (entered, side, close, atr, added + 1)
        return side


def turtle(rule: MacdTurtle, close: Line, hist: Line, atr: Line, short: Line, mid: Line, long: Line) -> list[int]:
    hist = [value if abs(value) > price * NOISE else 0.0 for value, price in zip(hist, close, strict=True)]
    macd, order = crosses(hist), crosses([one - other for one, other in zip(short, mid, strict=True)])
    gap = [one - other for one, other in zip(close, mid, strict=True)]
    beyond, breaks = sides(gap), crosses(gap)
    knows, said = Turtle(rule), []
    for at, price in enumerate(close):
        small = abs(hist[at]) < rule.small * atr[at]
        entry = knows.cross(at, macd[at], order[at], ignored=small and way(at, short, mid, long) != 0)
        entry = entry if entry == beyond[at] else 0
        broken = knows.break_trial(at, breaks[at])
        turned = way(at, short, mid)
        early = turned if turned * (long[at] - mid[at]) > 0 and turned * (mid[at] - short[at]) > 0 else 0
        early = knows.once("early", at, early)
        if entry:
            knows.ladder = (at, entry, price, atr[at], 0)
        add = 0 if entry else knows.add(at, price)
        said.append(2 * entry or 3 * add or broken or early)
    return said


@pytest.mark.parametrize("market", samples(1_500), ids=lambda market: market.name)
def test_in_made_up_markets(market: Sample) -> None:
    columns = market.columns()
    for rule in TURTLES:
        told = [columns[name].tolist() for name in rule.needs]
        assert run(rule, columns).tolist() == turtle(rule, *told), rule
    for memory in (5, 60):
        turns = MaOrderGolden(memory=memory)
        assert run(turns, columns).tolist() == golden(turns, *(columns[name].tolist() for name in turns.needs)), memory


prices = st.lists(st.integers(96, 104).map(float), min_size=60, max_size=60)
histograms = st.lists(st.integers(-2, 2).map(float), min_size=60, max_size=60)
steps = st.integers(1, 6)


def live(rule: Strategy, columns: dict[str, Floats]) -> list[int]:
    """Asked at each candle as it closes, with what it looks back over."""
    codes = run(rule, columns)
    windows = ({name: values[: at + 1] for name, values in columns.items()} for at in range(len(codes)))
    return [last_code(rule, window, codes[:at]) for at, window in enumerate(windows)]


@hypothesis(max_examples=300, deadline=None)
@given(
    close=prices,
    hist=histograms,
    averages=st.tuples(prices, prices, prices),
    criterion=st.sampled_from(("macd", "order", "both")),
    patience=steps,
    adds=st.integers(0, 3),
    memory=steps,
)
def test_in_whatever_columns(
    close: list[float],
    hist: list[float],
    averages: tuple[list[float], list[float], list[float]],
    criterion: Criterion,
    patience: int,
    adds: int,
    memory: int,
) -> None:
    """Columns that no market would give: every line for itself, on one another as often as not."""
    rule = MacdTurtle(criterion=criterion, small=0.8, patience=patience, adds=adds, memory=memory)
    told = (close, hist, [2.0] * len(close), *averages)
    columns = dict(zip(rule.needs, map(np.array, told), strict=True))
    turns = MaOrderGolden(memory=memory)
    assert live(rule, columns) == run(rule, columns).tolist() == turtle(rule, *told)
    assert live(turns, columns) == run(turns, columns).tolist() == golden(turns, *averages)
