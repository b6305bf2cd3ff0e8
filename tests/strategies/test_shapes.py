"""What strategies say of whole markets of a simple shape, from closes to signals; a shape is also told upside down."""

from typing import Final

import numpy as np
import pytest

from pipeline.indicators import Floats
from pipeline.strategies import registry
from pipeline.strategies.base import Codes
from pipeline.strategies.ma_order_golden import MaOrderGolden
from pipeline.strategies.runner import run
from pipeline.strategies.synthetic import Market, markets

_TURN: Final = 200
_LEVEL: Final = 200.0
_TIME: Final = np.arange(2.0 * _TURN)
_SINCE: Final = _TIME - _TURN

SHAPES: dict[str, Floats] = {
    "V": _LEVEL + 100 * (1 - np.exp(-np.abs(_SINCE) / 100)),
    "sine": _LEVEL - 10 * np.cos(2 * np.pi * _SINCE / 100),
    "slow turn": _LEVEL + 0.002 * _SINCE**2,
    "gap": _LEVEL + 0.1 * np.abs(_SINCE) + 15 * (_SINCE >= 0),
    "noise": _LEVEL + (_TIME * 7_919 % 101 - 50) / 50,
    "flat": np.full(len(_TIME), _LEVEL),
}
"""Closes. The lowest is that of candle 200, where there is one; the gap leaps up there."""


def columns_of(close: Floats) -> dict[str, Floats]:
    """Candles that go straight from close to close, and their indicators."""
    close = np.round(close, 2)
    opened = np.concatenate((close[:1], close[:-1]))
    prices = {"open": opened, "high": np.maximum(opened, close), "low": np.minimum(opened, close), "close": close}
    return Market("shape", np.arange(len(close)), prices, 2).columns()


def said(strategy: str, close: Floats) -> dict[int, str]:
    """Long is L, short is S; 1 is a trial, 2 an entry, 3 an add."""
    codes = run(registry.get(strategy), columns_of(close))
    return {int(at): f"{'L' if codes[at] > 0 else 'S'}{abs(codes[at])}" for at in np.flatnonzero(codes)}


CASES: dict[tuple[str, str], dict[int, str]] = {
    # The MACD turns with the price; where that rises ever more slowly, it soon falls back.
    ("macd_cross", "V"): {202: "L1", 253: "S1"},
    ("macd_cross", "sine"): {
        **dict.fromkeys((42, 146, 246, 346), "S1"),
        **dict.fromkeys((96, 196, 296, 396), "L1"),
    },
    # Histogram above zero all along: the price falls ever more slowly, then rises ever faster.
    ("macd_cross", "slow turn"): {},
    ("macd_cross", "gap"): {215: "S1"},
    ("macd_cross", "flat"): {},
    # The average of 60 is the last to turn: it rises when the close is above that of 60 candles ago, 31 after the turn.
    ("ma_order_golden", "V"): {231: "L2"},
    ("ma_order_golden", "sine"): {
        **dict.fromkeys((131, 231, 331), "L2"),
        **dict.fromkeys((181, 281, 381), "S2"),
    },
    ("ma_order_golden", "slow turn"): {231: "L2"},
    ("ma_order_golden", "gap"): {200: "L2"},
    ("ma_order_golden", "flat"): {},
}


@pytest.mark.parametrize(("strategy", "shape"), CASES, ids=map(" ".join, CASES))
def test_a_shape_and_its_mirror(strategy: str, shape: str) -> None:
    expected = CASES[strategy, shape]
    assert said(strategy, SHAPES[shape]) == expected
    mirrored = {at: one.translate(str.maketrans("LS", "SL")) for at, one in expected.items()}
    assert said(strategy, 2 * _LEVEL - SHAPES[shape]) == mirrored


def repeats(codes: Codes, reach: int) -> int:
    """How often a signal comes within so many candles of another the same way, with none the other way between."""
    at = np.flatnonzero(codes)
    return int(np.count_nonzero((codes[at][1:] == codes[at][:-1]) & (np.diff(at) <= reach)))


@pytest.mark.parametrize("market", markets(6_000), ids=lambda market: market.name)
def test_a_turn_has_one_entry(market: Market) -> None:
    rule = MaOrderGolden()
    codes = run(rule, market.columns())
    assert np.count_nonzero(codes) > 5
    assert repeats(codes, rule.memory) == 0


def test_noise_turns_but_never_the_same_way_twice() -> None:
    codes = run(MaOrderGolden(), columns_of(SHAPES["noise"]))
    assert np.count_nonzero(codes) > 10
    assert repeats(codes, len(codes)) == 0
