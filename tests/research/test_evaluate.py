"""What trials go by: the same sums as a backtest, columns as all have them, the executor where it must be."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from pipeline.execution.engine.state import TradingView
from pipeline.indicators import average, compute
from pipeline.periods import PERIODS
from pipeline.research import figures
from pipeline.research.backtest import fast
from pipeline.research.backtest.fast import Prepared
from pipeline.research.backtest.run import run
from pipeline.research.search.candles import KEPT, Candles
from pipeline.research.search.evaluate import Stage
from pipeline.research.search.figures import FIGURES
from pipeline.research.search.space import space_of
from pipeline.strategies.ma_breakout import MaBreakout
from pipeline.timeline import interval
from tests.research.stage import BEGIN, Candle, asked, minutes, wild
from tests.research.test_fast import question

BTC = "BTCUSDT"


@pytest.mark.parametrize("seed", range(12))
def test_the_days_of_a_run_are_those_of_its_curve(seed: int) -> None:
    asked_for = question(seed)
    engine = Prepared(asked_for)
    ran = engine.run(asked_for)
    curve = fast.curve_from(ran, asked_for, engine.names)
    found = engine.worth(ran, curve.begun)
    deepest = figures.drawdowns(np.append(curve.begun, curve.close), np.append(curve.begun, curve.worst)).max()
    assert found.daily.tolist() == curve.daily()[1].tolist()
    assert (found.deepest_pct, found.inside) == (deepest, curve.invested.sum())


def test_an_average_alone_is_that_of_all_columns() -> None:
    dice = np.random.default_rng(3)
    numbers = np.delete(np.arange(900), [100, 101, 400, 430])
    close = np.round(100 + np.cumsum(dice.normal(0, 1, len(numbers))), 2)
    for length in (2, 7, 31, 240, 500):
        periods = PERIODS.including([f"sma{length}"])
        whole = compute(numbers, close, close, close, decimals=2, periods=periods)[f"sma{length}"]
        assert np.array_equal(average(numbers, close, length, decimals=2), whole, equal_nan=True)


def candles_of(rows: list[Candle], symbol: str = BTC) -> Candles:
    """Each minute a candle of its own."""
    open_, high, low, close = np.array(rows).T
    first = interval("1m").index(BEGIN)
    prices = {"open": open_, "high": high, "low": low, "close": close, "volume": np.ones(len(rows))}
    return Candles(symbol, "1m", np.arange(first, first + len(rows)), prices, PERIODS, 1, 30_000)


def stage(count: int, named: list[str], holes: tuple[int, ...] = (), **more: object) -> Stage:
    rows = wild(count, 5)
    market = minutes([None if place in holes else one for place, one in enumerate(rows)])
    return Stage(asked(market, [], **more), [candles_of(rows)], space_of(MaBreakout, {}, named))  # type: ignore[arg-type]


def test_what_the_rules_do_not_know_the_executor_runs_as_in_a_backtest() -> None:
    plain = stage(1_500, ["n=20"])
    said = plain.signals({"n": 20})
    holed = stage(1_500, ["n=20"], holes=(int(said["minute"][8]),))
    found = holed.evaluate({"n": 20})
    backtest = run(replace(holed._asked, signals=holed._views({"n": 20}))).outcome
    assert (found.engine, backtest.engine) == ("exact", "exact")
    told = asdict(backtest.summary)
    assert dict(found.figures) == {name: told[name] for name in FIGURES}
    assert plain.evaluate({"n": 20}).engine == "fast"


def test_several_symbols_are_heard_in_the_order_of_a_backtest() -> None:
    markets = {name: wild(1_200, seed) for seed, name in enumerate(("BTC", "BTC1", "BTC_9", "A"))}
    question = asked({name: minutes(rows, name) for name, rows in markets.items()}, [], max_open_positions=2)
    many = Stage(question, [candles_of(rows, name) for name, rows in markets.items()], space_of(MaBreakout, {}, ["n"]))
    for n in (5, 20, 40):
        found = many.evaluate({"n": n})
        backtest = run(replace(many._asked, signals=many._views({"n": n}))).outcome
        assert (found.engine, backtest.engine) == ("fast", "fast")
        told = asdict(backtest.summary)
        assert dict(found.figures) == {name: told[name] for name in FIGURES}
        assert found.equity.tolist() == backtest.curve.daily()[1].tolist()


def test_a_symbols_own_settings_hold_unless_they_are_searched() -> None:
    own = TradingView(stop_atr=None, leverage=1)
    free, bound = stage(1_500, ["n=20", "leverage=1,9"]), stage(1_500, ["n=20"], trading=own)
    searched = stage(1_500, ["n=20", "leverage=1,9"], trading=own)
    at_nine = free.evaluate({"n": 20, "leverage": 9})
    assert searched.evaluate({"n": 20, "leverage": 9}).figures == at_nine.figures
    assert bound.evaluate({"n": 20}).figures != at_nine.figures
    assert bound.evaluate({"n": 20}).figures == free.evaluate({"n": 20, "leverage": 1}).figures


def test_trials_share_columns_and_signals_and_copy_no_candle() -> None:
    shared = stage(1_500, ["n=2..120", "stop=1..3:1"])
    (candles,) = shared._candles
    grid = shared._prepared.market.candles
    first = shared.signals({"n": 20, "stop": 1.0})
    assert shared.signals({"n": 20, "stop": 3.0}) is first
    for n in range(2, 121):
        shared.evaluate({"n": n, "stop": 2.0})
    assert len(candles._averages) == KEPT
    assert shared._prepared.market.candles is grid
    assert candles.column("close") is candles.prices["close"]
    assert shared.signals({"n": 20, "stop": 1.0}).tolist() == first.tolist()
