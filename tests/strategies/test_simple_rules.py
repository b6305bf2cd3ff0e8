"""macd_cross, ma_breakout, bollinger, rsi_reversal: small stories, with what must be said and what must not."""

from collections.abc import Callable
from math import nan

import numpy as np
import pytest

from pipeline.errors import UsageError
from pipeline.strategies.bollinger import Bollinger
from pipeline.strategies.lines import REACH
from pipeline.strategies.ma_breakout import MaBreakout
from pipeline.strategies.macd_cross import MacdCross
from pipeline.strategies.rsi_reversal import RsiReversal
from pipeline.strategies.runner import run
from pipeline.strategies.synthetic import Sample, samples

Story = Callable[..., dict[int, str]]
Said = dict[int, str]


def mirrored(said: str) -> str:
    side, _, kind = said.partition(" ")
    return f"{'short' if side == 'long' else 'long'} {kind}"


MACD_STORIES: dict[str, tuple[list[float], Said]] = {
    "golden cross": ([-2, -1, 1, 2], {2: "long trial"}),
    "no cross": ([1, 2, 1, 2], {}),
    "above from the first candle on": ([1, 2, 3], {}),
    "touches and turns": ([1, 0, 1, 2], {}),
    "touches, then crosses": ([-1, 0, 0, 2], {3: "long trial"}),
    "lies on the signal line too long to have a side": ([-1, *[0.0] * (REACH + 1), 2], {}),
    "lies on it just short enough": ([-1, *[0.0] * REACH, 2], {REACH + 1: "long trial"}),
    "the rounding of doubles is no cross": ([1, -1e-12, 1e-12, 1], {}),
    "there and back": ([-1, 1, -1, 1], {1: "long trial", 2: "short trial", 3: "long trial"}),
    "warm-up": ([nan, nan, 1, 2], {}),
    "one candle": ([1], {}),
}


@pytest.mark.parametrize(("hist", "said"), MACD_STORIES.values(), ids=MACD_STORIES)
def test_macd_cross_and_its_mirror(story: Story, hist: list[float], said: Said) -> None:
    assert story(MacdCross(), macd_hist=hist) == said
    assert story(MacdCross(), macd_hist=[-value for value in hist]) == {at: mirrored(one) for at, one in said.items()}


SLOPE_STORIES: dict[str, tuple[list[float], Said]] = {
    "the average rises": ([99, 100, 101, 102], {2: "long trial"}),
    "the average falls": ([102, 101, 100, 99], {}),
    "the average is level": ([100, 100, 100, 100], {}),
    "the average turns at the cross": ([101, 100, 101, 102], {2: "long trial"}),
    "the average is not known yet": ([nan, nan, 101, 102], {}),
}


@pytest.mark.parametrize(("average", "said"), SLOPE_STORIES.values(), ids=SLOPE_STORIES)
def test_macd_cross_asks_for_the_slope_of_an_average_when_told(story: Story, average: list[float], said: Said) -> None:
    assert story(MacdCross(average=20), macd_hist=[-2, -1, 1, 2], sma20=average) == said
    assert story(MacdCross(), macd_hist=[-2, -1, 1, 2]) == {2: "long trial"}
    upside_down = [200 - value for value in average]
    expected = {at: mirrored(one) for at, one in said.items()}
    assert story(MacdCross(average=20), macd_hist=[2, 1, -1, -2], sma20=upside_down) == expected


@pytest.mark.parametrize("market", samples(6_000), ids=lambda market: market.name)
def test_a_macd_that_crosses_slopes_that_way(market: Sample) -> None:
    columns = market.columns()
    crossed = np.sign(run(MacdCross(), columns))
    assert np.count_nonzero(crossed) > 50
    moved = np.diff(columns["macd"], prepend=columns["macd"][0])
    assert (np.sign(moved)[crossed != 0] == crossed[crossed != 0]).all()


BREAKOUT_STORIES: dict[str, tuple[list[float], list[float], Said]] = {
    "from below": ([98, 99, 101, 102], [100] * 4, {2: "long entry"}),
    "from above": ([102, 101, 99, 98], [100] * 4, {2: "short entry"}),
    "the average comes down through the close": ([100] * 4, [102, 101, 99, 98], {2: "long entry"}),
    "stays below": ([98, 99, 99.9, 98], [100] * 4, {}),
    "stays above": ([101, 101, 102, 101], [100] * 4, {}),
    "reaches the average and turns": ([98, 100, 98], [100] * 3, {}),
    "rests on the average, then goes on": ([98, 100, 100, 101], [100] * 4, {3: "long entry"}),
    "every side": ([98, 101, 98, 101], [100] * 4, {1: "long entry", 2: "short entry", 3: "long entry"}),
    "first average": ([98, 98, 101, 102], [nan, nan, 100, 100], {}),
}


@pytest.mark.parametrize(("close", "average", "said"), BREAKOUT_STORIES.values(), ids=BREAKOUT_STORIES)
def test_ma_breakout(story: Story, close: list[float], average: list[float], said: Said) -> None:
    assert story(MaBreakout(), close=close, sma20=average) == said
    assert story(MaBreakout(n=60), close=close, sma60=average) == said


BAND_STORIES: dict[str, tuple[list[float], Said]] = {
    "back in from below": ([100, 94, 96, 97], {2: "long entry"}),
    "back in from above": ([100, 106, 104, 103], {2: "short entry"}),
    "still outside": ([100, 94, 93, 94.9], {}),
    "leaves only": ([100, 100, 94], {}),
    "on the band is inside": ([100, 94, 95, 95], {2: "long entry"}),
    "never beyond the band": ([100, 95, 96, 105, 104], {}),
    "from one side out to the other": ([100, 94, 106, 107], {}),
    "over both": ([94, 106, 100], {2: "short entry"}),
    "outside at the first candle": ([94, 96], {1: "long entry"}),
    "inside all along": ([99, 100, 101], {}),
}


@pytest.mark.parametrize(("close", "said"), BAND_STORIES.values(), ids=BAND_STORIES)
def test_bollinger(story: Story, close: list[float], said: Said) -> None:
    assert story(Bollinger(), close=close, bb_upper=[105] * len(close), bb_lower=[95] * len(close)) == said


def test_bollinger_before_there_is_a_band(story: Story) -> None:
    assert story(Bollinger(), close=[90, 100], bb_upper=[nan, 105], bb_lower=[nan, 95]) == {}


RSI_STORIES: dict[str, tuple[list[float], Said]] = {
    "leaves 30 upward": ([35, 28, 29, 33, 50], {3: "long entry"}),
    "leaves 70 downward": ([65, 72, 71, 69, 50], {3: "short entry"}),
    "falls into 30": ([50, 35, 28, 25], {}),
    "rises into 70": ([50, 65, 72, 75], {}),
    "stays oversold": ([25, 28, 29.9, 27], {}),
    "reaches 30 and turns": ([25, 30, 28], {}),
    "rests on 30, then leaves": ([25, 30, 31], {2: "long entry"}),
    "from one extreme to the other": ([25, 75], {1: "long entry"}),
    "in the middle": ([40, 60, 45], {}),
    "a market that stood still has an RSI of 0": ([0.0] * (REACH + 1) + [100.0, 55], {}),
    "100 has seen no fall yet": ([nan, 100, 100, 60], {}),
    "oversold down to 0, and back": ([25, 0, 0, 35], {3: "long entry"}),
    "warm-up": ([nan, nan, 35, 36], {}),
}


@pytest.mark.parametrize(("rsi", "said"), RSI_STORIES.values(), ids=RSI_STORIES)
def test_rsi_reversal(story: Story, rsi: list[float], said: Said) -> None:
    assert story(RsiReversal(), rsi=rsi) == said


def test_rsi_reversal_at_other_levels(story: Story) -> None:
    assert story(RsiReversal(low=20, high=80), rsi=[25, 28, 33, 75, 69]) == {}
    assert story(RsiReversal(low=20, high=80), rsi=[19, 21, 81, 79]) == {1: "long entry", 3: "short entry"}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: RsiReversal(low=70, high=30), "low is 70 and high is 30"),
        (lambda: RsiReversal(high=100), "0 < low < high < 100"),
        (lambda: MaBreakout(n=1), "n must be at least 2, not 1"),
        (lambda: MacdCross(average=1), r"average must be 0 \(none\) or at least 2 closes, not 1"),
        (lambda: MacdCross(average=-3), "average must be 0"),
    ],
)
def test_parameters_that_make_no_sense(make: Callable[[], object], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make()
