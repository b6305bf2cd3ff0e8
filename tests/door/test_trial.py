"""A trial of a search is the plain backtest of its parameters, to the last bit."""

import random
from dataclasses import asdict
from decimal import Decimal

import pytest

from pipeline.app import stage as stages
from pipeline.app.backtest import backtest
from pipeline.app.opened import Opened
from pipeline.app.stage import set_up
from pipeline.app.strategies import space_for
from pipeline.errors import UsageError
from pipeline.research.search.evaluate import Stage
from pipeline.research.search.figures import FIGURES
from pipeline.research.search.space import Point, Space, risk_of
from pipeline.settings import Portfolio
from tidemark import Tidemark

NAMED = {
    "macd_turtle": [
        "short", "mid", "long", "criterion", "small", "patience", "adds", "memory", "stop=1..4:0.5", "target=2..6:2",
        "leverage=1,3,10", "unit=0.3..3:0.9", "interval=15m,1h",
    ],
    "rsi_reversal": ["low", "high", "stop=0.5..3:0.5", "leverage=2,20"],
    "ma_breakout": ["n=2..140", "target=1..3:0.5"],
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def minutes(filled: Tidemark) -> None:
    filled.backfill("BTCUSDT", "1m", days=10)


def drawn(space: Space, dice: random.Random) -> Point:
    while True:
        point = {one.name: dice.choice(one.values) for one in space.axes}
        if space.takes(point):
            return point


def require_equal(tm: Opened, stage: Stage, name: str, point: Point, symbols: list[str]) -> None:
    """With settings that say what the point says of the risk."""
    settings = tm.settings
    given = {one: value for one, value in point.items() if one in stage.space.kind.__dataclass_fields__}  # type: ignore[attr-defined]
    tm.settings = settings.model_copy(update={"risk": risk_of(settings.risk, point)})
    try:
        found = backtest(
            tm, [name], symbols=symbols, intervals=[str(point.get("interval", "15m"))], parameters=given,
            start=stage.start, end=stage.end,
        )  # fmt: skip
    finally:
        tm.settings = settings
    trial, plain = stage.evaluate(point), asdict(found.summary)
    assert trial.figures == {one: plain[one] for one in FIGURES}, point
    assert trial.engine == found.backtest.outcome.engine
    times, equity = found.backtest.outcome.curve.daily()
    assert (stage.times, trial.equity.tolist()) == (times.tolist(), equity.tolist())
    assert trial.profits == [float(one.profit) for one in found.trades if one.closed_at is not None]


@pytest.mark.parametrize(("name", "trials"), [("macd_turtle", 60), ("rsi_reversal", 20), ("ma_breakout", 20)])
def test_a_hundred_trials_are_the_plain_backtest_of_their_parameters(filled: Tidemark, name: str, trials: int) -> None:
    tm, dice = filled._opened, random.Random(name)
    symbols = ["BTCUSDT"]
    space = space_for(tm.settings, name, {}, NAMED[name])
    code = None if name == "macd_turtle" else "15m"
    stage = set_up(tm, space, symbols=symbols, interval_code=code).stage
    for _ in range(trials):
        require_equal(tm, stage, name, drawn(space, dice), symbols)


def test_a_part_of_the_stretch_is_the_backtest_of_that_part(filled: Tidemark) -> None:
    tm = filled._opened
    space = space_for(tm.settings, "ma_breakout", {}, ["n=5..60:5"])
    whole = set_up(tm, space, symbols=["BTCUSDT"], interval_code="15m").stage
    begin, end = whole.times[2], whole.times[6]
    part = whole.within(begin, end)
    require_equal(tm, part, "ma_breakout", {"n": 20}, ["BTCUSDT"])
    assert part.evaluate({"n": 20}).equity[0] == 10_000
    assert whole.within(begin, end, 5_000.5).evaluate({"n": 20}).equity[0] == 5_000.5


def test_what_does_not_fit_into_memory_is_refused_with_its_figure(
    filled: Tidemark, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = space_for(filled._opened.settings, "ma_breakout", {}, ["n=5..60:5"])
    monkeypatch.setattr(stages, "free_bytes", lambda: 500_000)
    with pytest.raises(UsageError, match=r"about 1 MB of memory, and 0 MB are free: take fewer days"):
        set_up(filled._opened, space, symbols=["BTCUSDT"], interval_code="15m", days=5)


def test_a_trial_keeps_the_caps_of_all_positions_together(filled: Tidemark) -> None:
    tm = filled._opened
    settings, point, taken = tm.settings, {"unit": 0.3}, []
    for most in (None, Decimal(15)):
        tm.settings = settings.model_copy(update={"portfolio": Portfolio(gross_percent=most)})
        try:
            space = space_for(tm.settings, "macd_turtle", {}, ["unit=0.3"])
            stage = set_up(tm, space, symbols=["BTCUSDT"], interval_code="15m").stage
            require_equal(tm, stage, "macd_turtle", point, ["BTCUSDT"])
        finally:
            tm.settings = settings
        taken.append(stage.evaluate(point).figures["taken"])
    assert 0 < taken[1] < taken[0], "entries have room, adds have none"


def test_limit_entries_are_refused(filled: Tidemark) -> None:
    tm = filled._opened
    settings = tm.settings
    risk = settings.risk.model_copy(update={"entry_order": "limit", "unit_percent": Decimal(1)})
    tm.settings = settings.model_copy(update={"risk": risk})
    try:
        with pytest.raises(UsageError, match="they know no limit entries"):
            set_up(tm, space_for(tm.settings, "ma_breakout", {}, []), symbols=["BTCUSDT"], interval_code="15m")
    finally:
        tm.settings = settings


def test_interval_is_given_once(filled: Tidemark) -> None:
    space = space_for(filled._opened.settings, "ma_breakout", {}, ["n=5", "interval=15m,1h"])
    with pytest.raises(UsageError, match="exclude each other"):
        set_up(filled._opened, space, symbols=["BTCUSDT"], interval_code="15m", days=5)
