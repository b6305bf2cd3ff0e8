"""Strategies asked live: what is kept from candle to candle changes no signal, whatever happens in between."""

import random
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from pipeline.finding import Finding
from pipeline.indicators import compute
from pipeline.ingest.indicators import LiveIndicators
from pipeline.ingest.signals import LiveSignals
from pipeline.periods import PERIODS, Floats, Periods
from pipeline.strategies.base import CANDLE_COLUMNS, Codes, Kind, Prices, Strategy
from pipeline.strategies.chosen import chosen
from pipeline.strategies.runner import run_history
from pipeline.strategies.synthetic import samples
from pipeline.timeline import interval
from schemas.series import SeriesKey

KEY = SeriesKey("sim", "BTCUSDT", "1m")
STEP = interval("1m")
STRATEGIES = chosen((), (), {"ma_breakout": {"n": 33}, "macd_turtle": {"memory": 60}})
PERIODS_TOO = PERIODS.including(column for one in STRATEGIES for column in one.needs)
OTHERS = chosen(("ma_order_golden", "ma_breakout", "rsi_reversal"), (), {"ma_breakout": {"n": 50}})
PERIODS_OF_OTHERS = PERIODS.including(column for one in OTHERS for column in one.needs)
WILD = samples(2_600)[1]


def codes_of(said: Sequence[Finding]) -> dict[str, int]:
    kinds = {one.strategy: int(Kind[one.kind.upper()]) for one in said}
    return {one.strategy: kinds[one.strategy] if one.side == "long" else -kinds[one.strategy] for one in said}


def as_candles(prices: dict[str, Floats]) -> Floats:
    return np.array([prices[name] for name in CANDLE_COLUMNS])


def true_codes(
    candles: Floats, last: int, strategies: Sequence[Strategy] = STRATEGIES, periods: Periods = PERIODS_TOO
) -> dict[str, int]:
    """What the history says at that candle."""
    table = dict(zip(CANDLE_COLUMNS, candles[:, : last + 1], strict=True))
    numbers = WILD.numbers[: last + 1]
    prices = (table[name] for name in ("high", "low", "close"))
    columns = table | compute(numbers, *prices, decimals=WILD.decimals, periods=periods)
    codes = {one.name: int(run_history(one, columns, numbers)[-1]) for one in strategies}
    return {name: code for name, code in codes.items() if code}


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_in_between_the_signals_are_those_of_the_history(seed: int) -> None:
    chance = random.Random(seed)
    candles = as_candles(WILD.candles)
    size = PERIODS_TOO.window
    running, periods = STRATEGIES, PERIODS_TOO
    house, compute_stored = LiveSignals(running, periods), LiveIndicators(periods)
    series = house(KEY, WILD.decimals)
    found = 0
    for last in range(begin := chance.randrange(300, 1_900), begin + 400):
        first = max(0, last + 1 - size)
        number = int(WILD.numbers[first])
        if chance.random() < 0.3:
            opened = candles[:, first : last + 1].copy()
            opened[1:4, -1] = opened[0, -1]
            series.opened(number, opened, compute_stored(number, opened, WILD.decimals))
        if chance.random() < 0.1:
            at = last - chance.choice((1, 1, 2, 5, 100, 240))
            candles[1:4, at] = np.round(candles[3, at] * chance.choice((0.97, 1.03)), WILD.decimals)
            series.corrected()
        if chance.random() < 0.01:
            series = house(KEY, WILD.decimals)
        if chance.random() < 0.03:  # a file of strategies changed
            running, periods = chance.choice(((STRATEGIES, PERIODS_TOO), (OTHERS, PERIODS_OF_OTHERS)))
            house, compute_stored = LiveSignals(running, periods), LiveIndicators(periods)
            series = house(KEY, WILD.decimals)
        window = candles[:, first : last + 1]
        stored = compute_stored(number, window, WILD.decimals) if chance.random() < 0.95 else None
        said = series.closed(number, window, stored)
        found += len(said)
        assert codes_of(said) == true_codes(candles, last, running, periods)
        assert all(one.t == STEP.open_time(int(WILD.numbers[last])) for one in said)
    assert found > 50


class Every:
    """Says something of every candle, unless its close is 13."""

    name: ClassVar[str] = "every"
    __dataclass_fields__: ClassVar[dict[str, Any]] = {}

    needs = ("close",)
    lookback = 0

    def signals(self, columns: Prices) -> Codes:
        if (columns["close"] == 13.0).any():
            raise ZeroDivisionError("unlucky")
        return np.full(len(columns["close"]), 2, dtype=np.int8)


def window(close: float) -> Any:
    return np.array([[10.0, 10.0], [20.0, 20.0], [5.0, 5.0], [10.0, close], [1.0, 1.0]])


def test_a_strategy_that_fails_is_said_once_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    class Other(Every):
        name = "other"

        def signals(self, columns: Prices) -> Codes:
            return np.full(len(columns["close"]), -1, dtype=np.int8)

    series = LiveSignals([Every(), Other()])(KEY, 1)
    assert [one.strategy for one in series.closed(100, window(11.0), None)] == ["every", "other"]
    for _ in range(3):
        (one,) = series.opened(100, window(13.0), None)
        assert (one.strategy, one.kind, one.side, one.t) == ("other", "trial", "short", STEP.open_time(101))
    assert caplog.text.count("strategy every failed") == 1


def test_where_the_price_does_not_fit_its_decimals_nothing_is_said() -> None:
    assert LiveSignals([Every()])(KEY, 1).closed(100, window(11.05), None) == ()
    assert all(np.isnan(LiveIndicators(PERIODS)(100, window(11.05), 1)))
