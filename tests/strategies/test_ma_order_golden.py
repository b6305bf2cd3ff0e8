"""ma_order_golden: one entry at each turn of the trend, however its parts follow each other."""

from collections.abc import Callable
from math import nan

import pytest

from pipeline.errors import UsageError
from pipeline.strategies.ma_order_golden import MaOrderGolden

Story = Callable[..., dict[int, str]]
Averages = tuple[list[float], list[float], list[float]]

STORIES: dict[str, tuple[Averages, dict[int, str]]] = {
    "crossed, then the long average turns last": (
        ([100, 99, 103, 106, 108, 110], [105, 104, 104.5, 105, 106, 107], [110, 109, 108.5, 108, 108.2, 109]),
        {4: "long"},
    ),
    "crossed, then the mid average turns last": (
        ([100, 99, 103, 106, 108, 110], [105, 104, 103, 102, 101, 102], [110, 109, 110, 111, 112, 113]),
        {5: "long"},
    ),
    "all have turned, then the cross": (
        ([100, 99, 101, 103, 106, 108], [105, 104, 104.1, 104.2, 104.3, 104.4], [110, 109, 109.1, 109.2, 109.3, 109.4]),
        {4: "long"},
    ),
    "all on one candle": (([100, 99, 106, 107], [105, 104, 105, 106], [110, 109, 110, 111]), {2: "long"}),
    "the long average never turns": (([100, 99, 106, 107], [105, 104, 105, 106], [110, 109, 108, 107]), {}),
    "the short average does not rise when the others do": (
        ([100, 99, 107, 106.9, 106.8], [105, 104, 105, 105.5, 106], [110, 109, 108, 109, 110]),
        {},
    ),
    "crossed back before the lines have turned, and crossed again": (
        ([100, 99, 106, 104, 104.5, 106], [105, 104, 105, 105.1, 105.2, 105.3], [110, 109, 108, 107, 108, 109]),
        {5: "long"},
    ),
    "no trend before it: a rise out of nothing is no turn": (
        ([100, 101, 102, 107, 108], [105, 105.1, 105.2, 105.3, 106], [110, 111, 112, 113, 114]),
        {},
    ),
    "a falling short average above mid is no falling trend": (
        ([107, 106, 107, 108], [105, 104, 105, 106], [110, 109, 110, 111]),
        {},
    ),
    "a pause in a rising trend": (([108, 104, 106, 109], [105, 105.5, 106.5, 107], [100, 101, 102, 103]), {}),
    "a pause in which mid falls too": (([108, 103, 103.5, 109], [105, 104.5, 104.7, 105], [100, 101, 102, 103]), {}),
    "not again while the trend goes on": (
        (
            [100, 99, 106, 113, 111.4, 114],  # dips under mid at 4, crosses again at 5
            [105, 104, 105, 111, 111.5, 112],
            [110, 109, 110, 110.1, 110.2, 110.3],
        ),
        {2: "long"},
    ),
    "not again although the old order stood again": (
        ([100, 99, 106, 104, 108], [105, 104, 105, 105.4, 105.5], [110, 109, 110, 110.4, 110.5]),
        {2: "long"},
    ),
    "turned, and turned back, and turned": (
        ([100, 99, 106, 103, 107], [105, 104, 105, 104, 105], [110, 109, 110, 109, 110]),
        {2: "long", 3: "short", 4: "long"},
    ),
    "touches mid and turns away": (([100, 99, 105, 104.5], [105, 104, 105, 106], [110, 109, 110, 111]), {}),
    "rests on mid, then goes on": (
        ([100, 99, 105, 106, 107], [105, 104, 105, 106, 106.5], [110, 109, 110, 111, 112]),
        {4: "long"},
    ),
    "level lines have no slope": (([100, 99, 106, 106], [105, 104, 104, 104], [110, 109, 110, 111]), {}),
    "warm-up": (([100, 99, 106, 107], [105, 104, 105, 106], [nan, nan, nan, 110]), {}),
}
TURNED = {"long": "short", "short": "long"}


@pytest.mark.parametrize(("averages", "said"), STORIES.values(), ids=STORIES)
def test_long_and_its_mirror(story: Story, averages: Averages, said: dict[int, str]) -> None:
    short, mid, long = averages
    assert story(MaOrderGolden(), sma7=short, sma20=mid, sma60=long) == {
        at: f"{side} entry" for at, side in said.items()
    }
    mirrored = ([200 - value for value in line] for line in averages)
    expected = {at: f"{TURNED[side]} entry" for at, side in said.items()}
    assert story(MaOrderGolden(), **dict(zip(("sma7", "sma20", "sma60"), mirrored, strict=True))) == expected


@pytest.mark.parametrize(("memory", "said"), [(4, {5: "long entry"}), (3, {})])
def test_the_trend_before_must_be_recent(story: Story, memory: int, said: dict[int, str]) -> None:
    short = [100, 99, 101, 103, 106, 107]  # the trend was down at 1 for the last time, and is up from 5 on
    mid = [105, 104, 104.1, 104.2, 104.3, 104.4]
    long = [110, 109, 108, 107, 106, 107]
    assert story(MaOrderGolden(memory=memory), sma7=short, sma20=mid, sma60=long) == said


@pytest.mark.parametrize("wrong", [{"short": 20}, {"long": 20}, {"mid": 3}])
def test_averages_out_of_order(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="ma_order_golden: short, mid and long must rise"):
        MaOrderGolden(**wrong)


def test_a_memory_of_nothing() -> None:
    with pytest.raises(UsageError, match="memory must be at least 1, not 0"):
        MaOrderGolden(memory=0)
