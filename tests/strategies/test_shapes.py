"""What strategies say of whole markets of a simple shape, from closes to signals; a shape is also told upside down."""

from typing import Final, get_args

import numpy as np
import pytest

from pipeline.periods import Floats
from pipeline.strategies.base import Codes, Kind, Strategy, label_of
from pipeline.strategies.lines import crossing
from pipeline.strategies.ma_order_golden import MaOrderGolden
from pipeline.strategies.macd_cross import MacdCross
from pipeline.strategies.macd_turtle import Criterion, MacdTurtle
from pipeline.strategies.runner import run
from pipeline.strategies.synthetic import Sample, samples

_TURN: Final = 200
_LEVEL: Final = 200.0
_TIME: Final = np.arange(2.0 * _TURN)
_SINCE: Final = _TIME - _TURN

SHAPES: dict[str, Floats] = {
    "V": _LEVEL + 100 * (1 - np.exp(-np.abs(_SINCE) / 100)),
    "sine": _LEVEL - 10 * np.cos(2 * np.pi * _SINCE / 100),
    "slow turn": _LEVEL + 0.002 * _SINCE**2,
    "W": np.interp(_TIME, (0, 180, 190, 200, 399), (280, 190, 196, 191, 271)),
    "gap": _LEVEL + 0.1 * np.abs(_SINCE) + 15 * (_SINCE >= 0),
    "noise": _LEVEL + (_TIME * 7_919 % 101 - 50) / 50,
    "flat": np.full(len(_TIME), _LEVEL),
}
"""Closes. They turn at candle 200, the W for the second time, a little higher than at 180; the gap leaps up there."""


def columns_of(close: Floats) -> dict[str, Floats]:
    """Candles that go straight from close to close, and their indicators."""
    close = np.round(close, 2)
    opened = np.concatenate((close[:1], close[:-1]))
    prices = {"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close), "close": close}
    return Sample("shape", np.arange(len(close)), prices, 2).columns()


def said(rule: Strategy, close: Floats) -> dict[int, str]:
    """Long is L, short is S; 1 is a trial, 2 an entry, 3 an add."""
    codes = run(rule, columns_of(close))
    return {int(at): f"{'L' if codes[at] > 0 else 'S'}{abs(codes[at])}" for at in np.flatnonzero(codes)}


def every(first: int, step: int, ladder: str) -> dict[int, str]:
    """The same at each turn of the sine: words like "+0:L1" at candles from the first on."""
    found = {}
    for start in range(first, len(_TIME), step):
        for word in ladder.split():
            after, _, what = word.partition(":")
            found[start + int(after)] = what
    return found


MACD_CROSS, GOLDEN = MacdCross(), MaOrderGolden()
MACD, ORDER, BOTH = (MacdTurtle(criterion=one) for one in get_args(Criterion))

CASES: list[tuple[Strategy, str, dict[int, str]]] = [
    # The MACD turns with the price; where that rises ever more slowly, it soon falls back. In the slow turn the price
    # first falls ever more slowly, then rises ever faster: the histogram is above zero all along.
    (MACD_CROSS, "V", {202: "L1", 253: "S1"}),
    (MACD_CROSS, "sine", {42: "S1"} | every(96, 100, "+0:L1") | every(146, 100, "+0:S1")),
    (MACD_CROSS, "slow turn", {}),
    (MACD_CROSS, "gap", {215: "S1"}),
    (MACD_CROSS, "flat", {}),
    # The average of 60 turns last: it rises when the close is above that of 60 candles ago, 31 after the turn.
    (GOLDEN, "V", {231: "L2"}),
    (GOLDEN, "sine", every(131, 100, "+0:L2") | every(181, 100, "+0:S2")),
    (GOLDEN, "slow turn", {231: "L2"}),
    (GOLDEN, "gap", {200: "L2"}),
    (GOLDEN, "flat", {}),
    # The MACD crosses first, the average breaks 6 or 7 after the turn: a trial. Short crosses mid 2 or 3 later, above
    # the broken average: with `order` or `both` that is the entry.
    (MACD, "V", {206: "L1"}),
    (MACD, "sine", every(107, 100, "+0:L1") | every(57, 100, "+0:S1")),
    (MACD, "slow turn", {207: "L1"}),
    (MACD, "gap", {200: "L1"}),
    (MACD, "flat", {}),
    (ORDER, "V", {206: "L1", 209: "L2", 211: "L3", 213: "L3"}),
    (
        ORDER,
        "sine",
        every(107, 100, "+0:L1 +2:L2 +3:L3 +4:L3") | every(57, 100, "+0:S1 +2:S2 +3:S3 +4:S3"),
    ),
    (ORDER, "slow turn", {207: "L1", 209: "L2", 210: "L3", 211: "L3"}),
    (ORDER, "gap", {200: "L2", 212: "L3", 224: "L3"}),
    (ORDER, "flat", {}),
    (BOTH, "V", {206: "L1", 209: "L2", 211: "L3", 213: "L3"}),
    (BOTH, "sine", every(107, 100, "+0:L1 +2:L2 +3:L3 +4:L3") | every(57, 100, "+0:S1 +2:S2 +3:S3 +4:S3")),
    (BOTH, "slow turn", {207: "L1"}),
    (BOTH, "gap", {200: "L1"}),
    (BOTH, "flat", {}),
    # Up and through the average at 186, back at 196; short and mid have turned in the old order at 204, before the
    # second break at 206, for which a MACD cross was waiting.
    (MACD, "W", {186: "L1", 196: "S1", 200: "S2", 204: "L1", 206: "L1"}),
    (BOTH, "W", {186: "L1", 196: "S1", 200: "S2", 204: "L1", 209: "L2", 211: "L3", 213: "L3"}),
]


@pytest.mark.parametrize(("rule", "shape", "expected"), CASES, ids=[f"{label_of(rule)} {of}" for rule, of, _ in CASES])
def test_a_shape_and_its_mirror(rule: Strategy, shape: str, expected: dict[int, str]) -> None:
    assert said(rule, SHAPES[shape]) == expected
    mirrored = {at: one.translate(str.maketrans("LS", "SL")) for at, one in expected.items()}
    assert said(rule, 2 * _LEVEL - SHAPES[shape]) == mirrored


def repeats(codes: Codes, reach: int) -> int:
    """How often a signal comes within so many candles of another the same way, with none the other way between."""
    at = np.flatnonzero(codes)
    return int(np.count_nonzero((codes[at][1:] == codes[at][:-1]) & (np.diff(at) <= reach)))


@pytest.mark.parametrize("market", samples(6_000), ids=lambda market: market.name)
def test_a_turn_has_one_entry(market: Sample) -> None:
    rule = MaOrderGolden()
    codes = run(rule, market.columns())
    assert np.count_nonzero(codes) > 5
    assert repeats(codes, rule.memory) == 0


def test_noise_turns_but_never_the_same_way_twice() -> None:
    codes = run(MaOrderGolden(), columns_of(SHAPES["noise"]))
    assert np.count_nonzero(codes) > 10
    assert repeats(codes, len(codes)) == 0


@pytest.mark.parametrize("criterion", get_args(Criterion))
def test_noise_breaks_the_average_all_the_time_and_gives_few_trials(criterion: Criterion) -> None:
    columns = columns_of(SHAPES["noise"])
    rule = MacdTurtle(criterion=criterion)
    codes = run(rule, columns)
    breaks = crossing(columns["close"] - columns["sma20"])
    trials = np.abs(codes) == Kind.TRIAL
    assert np.count_nonzero(breaks) > 200
    assert 2 <= np.count_nonzero(trials) < 30
