"""ma_order_golden: the first cross of a turn, not every cross."""

from collections.abc import Callable
from math import nan

import pytest

from pipeline.errors import UsageError
from pipeline.strategies.ma_order_golden import MaOrderGolden

Story = Callable[..., dict[int, str]]
Averages = tuple[list[float], list[float], list[float]]

FALLING_ORDER = ([100, 102, 104], [105, 105.1, 105.2], [110, 110.1, 110.2])
"""From the top long, mid, short; but all three have begun to rise."""

STORIES: dict[str, tuple[Averages, dict[int, str]]] = {
    "the turn": (([100, 102, 104, 107, 108], [105, 105.1, 105.2, 105.3, 106], [110, 111, 112, 113, 114]), {3: "long"}),
    "the long average still falls": (([100, 102, 104, 107], [105, 105.1, 105.2, 105.3], [110, 109, 108, 107]), {}),
    "the mid average still falls": (([100, 102, 104, 107], [105, 104.9, 104.8, 104.7], [110, 111, 112, 113]), {}),
    "the short one crosses because mid comes down": (
        ([104, 103.9, 103.8, 103.7], [105, 104.5, 104, 103], [110, 111, 112, 113]),
        {},
    ),
    "all rise, nothing crosses": (([100, 101, 102, 103], [105, 106, 107, 108], [110, 111, 112, 113]), {}),
    "a pause in a rising trend": (([108, 104, 106, 109], [105, 105.5, 106.5, 107], [100, 101, 102, 103]), {}),
    "not again while the trend goes on": (
        (
            [100, 102, 104, 107, 113, 111.4, 114],  # crosses at 3, dips under mid at 5, crosses again at 6
            [105, 105.1, 105.2, 105.3, 111, 111.5, 112],
            [110, 110.1, 110.2, 110.3, 110.4, 110.5, 110.6],
        ),
        {3: "long"},
    ),
    "again once the old order stood again": (
        (
            [100, 102, 104, 107, 104, 108],
            [105, 105.1, 105.2, 105.3, 105.4, 105.5],
            [110, 110.1, 110.2, 110.3, 110.4, 110.5],
        ),
        {3: "long", 5: "long"},
    ),
    "a first cross that did not count leaves the turn open": (
        (
            [100, 102, 104, 107, 113, 111.4, 114],
            [105, 105.1, 105.2, 105.3, 111, 111.5, 112],
            [110, 110.1, 110.2, 110.1, 110.4, 110.5, 110.6],  # falls at the first cross
        ),
        {6: "long"},
    ),
    "touches mid and turns away": (([100, 102, 105.2, 104], [105, 105.1, 105.2, 105.3], [110, 111, 112, 113]), {}),
    "warm-up": (([100, 102, 104, 107], [105, 105.1, 105.2, 105.3], [nan, nan, nan, 110]), {}),
}


@pytest.mark.parametrize(("averages", "said"), STORIES.values(), ids=STORIES)
def test_long_and_its_mirror(story: Story, averages: Averages, said: dict[int, str]) -> None:
    short, mid, long = averages
    assert story(MaOrderGolden(), sma7=short, sma20=mid, sma60=long) == {
        at: f"{side} entry" for at, side in said.items()
    }
    mirrored = ([200 - value for value in line] for line in averages)
    expected = dict.fromkeys(said, "short entry")
    assert story(MaOrderGolden(), **dict(zip(("sma7", "sma20", "sma60"), mirrored, strict=True))) == expected


@pytest.mark.parametrize(("memory", "said"), [(3, {5: "long entry"}), (2, {})])
def test_the_old_order_must_be_recent(story: Story, memory: int, said: dict[int, str]) -> None:
    short = [100, 102, 104, 105, 106, 113]  # the old order stands at 2 for the last time, the cross comes at 5
    mid = [105, 105.1, 105.2, 111, 111.5, 112]
    long = [110, 110.1, 110.2, 110.3, 110.4, 110.5]
    assert story(MaOrderGolden(memory=memory), sma7=short, sma20=mid, sma60=long) == said


@pytest.mark.parametrize("wrong", [{"short": 20}, {"long": 20}, {"mid": 3}])
def test_averages_out_of_order(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="ma_order_golden: short, mid and long must rise"):
        MaOrderGolden(**wrong)


def test_a_memory_of_nothing() -> None:
    with pytest.raises(UsageError, match="memory must be at least 1, not 0"):
        MaOrderGolden(memory=0)
