"""Mark prices: what looks at the margin goes by them where they are known, by both engines."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline.research.backtest.asked import Asked
from pipeline.timeline import MINUTE
from tests.research.stage import BEGIN, BTC, Candle, asked, at_market, chatter, flat, minutes, said, wild
from tests.research.test_fast import both


def by_mark(question: Asked, marks: Sequence[Candle | None], symbol: str = BTC) -> Asked:
    """The same, with these mark prices from the beginning on; None: that one is not known."""
    places = [place for place, one in enumerate(marks) if one is not None]
    columns = np.array([marks[place] for place in places], float).T
    times = BEGIN + MINUTE * np.array(places, np.int64)
    return replace(question, marks={**question.marks, symbol: question.minutes[symbol].marked(times, *columns)})


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_position_is_liquidated_by_the_mark_price_while_the_last_stands_still(side: Any) -> None:
    low = 90_000.0 if side == "long" else 110_000.0
    dip: Candle = (100_000, max(100_000, low), min(100_000, low), 100_000)
    question = asked(minutes(flat(100_000, 10)), [said(2, "entry", side, 100_000)], leverage=20)
    (trade,) = both(question).trades
    assert trade.reason == "open"
    (trade,) = both(by_mark(question, [*flat(100_000, 6), dip, *flat(100_000, 3)])).trades
    assert (trade.reason, trade.closed_at) == ("liquidation", BEGIN + 6 * MINUTE + 25_000)
    assert float(trade.exit_price or 0) == low
    assert float(trade.profit) == pytest.approx(
        -float(trade.quantity * trade.entry_price) * (1 / 20 + 0.0005), rel=1e-6
    )


def test_a_gap_of_the_last_price_alone_liquidates_nothing() -> None:
    market = minutes([*flat(100_000, 4), (94_000, 100_000, 94_000, 100_000), *flat(100_000, 4)])
    question = asked(market, [said(2, "entry", "long", 100_000)], leverage=20)
    assert [one.reason for one in both(question).trades] == ["liquidation"]
    assert [one.reason for one in both(by_mark(question, flat(100_000, 9))).trades] == ["stop"]


def test_a_minute_without_a_mark_price_goes_by_the_last() -> None:
    market = minutes([*flat(100_000, 4), *flat(90_000, 4)])
    question = by_mark(
        asked(market, [said(2, "entry", "long", 100_000)], leverage=20), [*flat(100_000, 4), *[None] * 4]
    )
    assert [one.reason for one in both(question).trades] == ["liquidation"]


def test_a_hole_has_no_mark_price_either() -> None:
    market = minutes([*flat(100_000, 4), *[None] * 3, *flat(100_000, 4)])
    question = by_mark(
        asked(market, [said(2, "entry", "long", 100_000)], leverage=20), [*flat(100_000, 4), *flat(90_000, 3)]
    )
    assert [one.reason for one in both(question).trades] == ["open"]


def near(candles: Sequence[Candle], seed: int) -> list[Candle | None]:
    """Mark prices that wander about the last, far off at times, with some that are not stored."""
    dice = np.random.default_rng(seed + 77)
    off = np.repeat(dice.choice([1.0, 1.0, 1.0, 0.97, 1.03, 0.99, 1.01], len(candles) // 40 + 1), 40)
    found: list[Candle | None] = []
    for candle, by in zip(candles, off, strict=False):
        moved = tuple(round(one * by + dice.normal(0, 30), 1) for one in candle)
        found.append((moved[0], max(moved), min(moved), moved[3]) if dice.random() > 0.02 else None)
    return found


def test_both_engines_do_the_same_by_them() -> None:
    ends: set[str] = set()
    for seed in range(8):
        names = [f"{name}USDT" for name in "AB"[: 1 + seed % 2]]
        walks = {name: wild(1_200, seed * 3 + n) for n, name in enumerate(names)}
        signals = [
            at_market(one, walks[name]) for n, name in enumerate(names) for one in chatter(1_200, seed * 3 + n, name)
        ]
        markets = {name: minutes(candles, name) for name, candles in walks.items()}
        question = asked(markets, signals, leverage=(20, 50)[seed % 2], daily_loss_percent=90)
        for n, name in enumerate(names):
            question = by_mark(question, near(walks[name], seed + n), name)
        ends.update(one.reason for one in both(question).trades)
    assert {"liquidation", "stop", "signal"} <= ends
