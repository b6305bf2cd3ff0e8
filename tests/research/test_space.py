"""What a search may try: what is written, declared, and refused."""

from dataclasses import dataclass, fields
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.research.search.space import Axis, risk_of, space_of
from pipeline.settings import Risk
from pipeline.strategies import registry
from pipeline.strategies.base import Strategy
from pipeline.strategies.ma_breakout import MaBreakout
from pipeline.strategies.macd_turtle import MacdTurtle
from pipeline.strategies.ranges import searched_of, steps
from pipeline.strategies.rsi_reversal import RsiReversal


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        (MaBreakout, "n=5..20:5", (5, 10, 15, 20)),
        (MaBreakout, "n=5..7", (5, 6, 7)),
        (MaBreakout, "n=5..18:5", (5, 10, 15)),
        (MaBreakout, "n=7", (7,)),
        (MaBreakout, "n=7,9,30..40:10", (7, 9, 30, 40)),
        (MacdTurtle, "criterion=macd,both", ("macd", "both")),
        (MacdTurtle, "small=0..0.15:0.05", (0.0, 0.05, 0.1, 0.15)),
        (MacdTurtle, "adds", (0, 1, 2, 3)),
        (MaBreakout, "stop=1..2:0.5", (1.0, 1.5, 2.0)),
        (MaBreakout, "leverage=1..5:2", (1, 3, 5)),
        (MaBreakout, "unit=0.5,1", (0.5, 1.0)),
        (MaBreakout, "interval=15m,1h", ("15m", "1h")),
    ],
)
def test_what_is_written_is_what_is_tried(kind: type[Strategy], text: str, values: tuple[Any, ...]) -> None:
    (axis,) = space_of(kind, {}, [text]).axes
    assert axis == Axis(text.partition("=")[0], values)
    assert [type(one) for one in axis.values] == [type(one) for one in values]


@pytest.mark.parametrize("kind", registry.SHIPPED.values(), ids=lambda one: one.name)
def test_what_is_declared_holds_the_default_and_each_value_is_taken_somewhere(kind: type[Strategy]) -> None:
    declared, default = searched_of(kind), kind()
    assert set(declared) == {one.name for one in fields(default)}  # type: ignore[arg-type]
    for name, values in declared.items():
        assert getattr(default, name) in values
        others = [one for one in ("short", "mid", "long", "low", "high") if one in declared and one != name]
        for value in values:
            assert next(space_of(kind, {}, [f"{name}={value}", *others]).points())[name] == value


def test_what_the_strategy_refuses_is_not_tried() -> None:
    space = space_of(MacdTurtle, {"long": 30}, ["short=5,25", "mid=20..40:10"])
    assert space.size == 6
    assert [(one["short"], one["mid"]) for one in space.points()] == [(5, 20)]


def test_neighbours_are_one_step_away() -> None:
    space = space_of(MacdTurtle, {}, ["short=5..25:10", "mid=10,20,30", "criterion=macd,order,both"])
    near = space.neighbours({"short": 5, "mid": 20, "criterion": "macd"})
    assert near == [
        {"short": 15, "mid": 20, "criterion": "macd"},
        {"short": 5, "mid": 10, "criterion": "macd"},
        {"short": 5, "mid": 30, "criterion": "macd"},
        {"short": 5, "mid": 20, "criterion": "order"},
        {"short": 5, "mid": 20, "criterion": "both"},
    ]
    assert {"short": 25, "mid": 20, "criterion": "macd"} not in space.neighbours(near[0])


def test_how_it_is_traded_goes_into_the_risk() -> None:
    point = space_of(MaBreakout, {}, ["n=5", "stop=1.5", "target=3", "leverage=5", "unit=0.3"])
    risk = risk_of(Risk(max_units=6), next(point.points()))
    told = (risk.stop_atr, risk.take_profit_atr, risk.leverage, risk.unit_percent, risk.max_units)
    assert list(map(str, told)) == ["1.5", "3.0", "5", "0.3", "6"]
    assert risk_of(risk, {"n": 5}) is risk


def test_steps_are_decimals() -> None:
    assert steps(0, 0.3, 0.1) == (0.0, 0.1, 0.2, 0.3)


@dataclass(frozen=True)
class Bare:
    name = "bare"
    n: int = 3


@pytest.mark.parametrize(
    ("kind", "fixed", "named", "says"),
    [
        (MaBreakout, {}, ["m=5..60:5"], "no such parameter"),
        (MaBreakout, {}, ["leverag=5"], "Did you mean 'leverage'"),
        (MaBreakout, {}, ["n=60..5:5"], "it is empty"),
        (MaBreakout, {}, ["n=5..60:0"], "it is empty"),
        (MaBreakout, {}, ["n=5..sixty"], "in numbers"),
        (MaBreakout, {}, ["n="], "a value is missing"),
        (MaBreakout, {}, ["n=5,,7"], "a value is missing"),
        (MaBreakout, {}, ["n=1.5"], "must be int"),
        (MaBreakout, {}, ["n=5..7:0.5"], "must be int"),
        (MaBreakout, {}, ["n=0..1"], "takes none of the 2 combinations"),
        (MaBreakout, {}, ["n=0..90000"], "a wider step"),
        (MaBreakout, {}, ["n=5", "n=6"], "twice"),
        (MaBreakout, {"n": 5}, ["n=6"], "fixed and searched"),
        (MaBreakout, {"n": 5}, [], "nothing to search"),
        (MaBreakout, {"m": 5}, [], "has no parameter 'm'"),
        (MaBreakout, {}, ["stop=0"], "stop_atr of the risk"),
        (MaBreakout, {}, ["leverage=1.5"], "leverage of the risk"),
        (MaBreakout, {}, ["interval=7m"], "7m"),
        (MacdTurtle, {}, ["criterion=mcd"], "none of macd, order, both"),
        (MacdTurtle, {}, ["short=50,60", "mid=10,20"], "must rise"),
        (RsiReversal, {}, ["low=nan"], "must be float"),
        (MacdTurtle, {}, ["memory=230,239"], "lookback"),
        (Bare, {}, [], "nothing to search"),
        (Bare, {}, ["n"], "no declared values"),
    ],
)
def test_what_cannot_be_searched_says_why(kind: Any, fixed: dict[str, Any], named: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        space_of(kind, fixed, named)


def test_a_space_too_large_to_be_looked_through_is_known_to_be_taken() -> None:
    assert space_of(MacdTurtle, {}).size > 20_000
    wide = ["short=100..119", "mid=50..69", "long=20..39", "memory=1..20"]
    with pytest.raises(UsageError, match="takes none of the 160,000"):
        space_of(MacdTurtle, {}, wide)
