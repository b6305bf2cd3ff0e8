"""macd_turtle: trial, entry and adds; a long story is also told upside down."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from pipeline.errors import UsageError
from pipeline.strategies.macd_turtle import MacdTurtle

Story = Callable[..., dict[int, str]]
Line = Sequence[float]


@dataclass(frozen=True)
class Told:
    """Columns of a story. Averages lie flat at 100 and the ATR is 2 unless told."""

    said: dict[int, str]
    close: Line
    hist: Line
    atr: Line = ()
    short: Line = ()
    mid: Line = ()
    long: Line = ()
    rule: MacdTurtle = field(default_factory=MacdTurtle)

    def columns(self, mirrored: bool) -> dict[str, list[float]]:
        def price(line: Line) -> list[float]:
            told = line or [100.0] * len(self.close)
            return [200 - value for value in told] if mirrored else list(told)

        return {
            "close": price(self.close),
            "macd_hist": [-value for value in self.hist] if mirrored else list(self.hist),
            "atr": list(self.atr or [2.0] * len(self.close)),
            "sma7": price(self.short),
            "sma20": price(self.mid),
            "sma60": price(self.long),
        }


UP = [100.0, 100.1, 100.2, 100.3, 100.4, 100.5]
DOWN = [100.0, 99.9, 99.8, 99.7, 99.6, 99.5]

ENTRIES = {
    "at the cross, above the average": Told({2: "long entry"}, close=[99, 99, 101, 101], hist=[-1, -1, 1, 1]),
    "waits for the average to break": Told({4: "long entry"}, close=[99, 99, 99, 99, 101], hist=[-1, 1, 1, 1, 1]),
    "on the average is not above it": Told({4: "long entry"}, close=[99, 99, 100, 100, 101], hist=[-1, 1, 1, 1, 1]),
    "the average never breaks": Told({}, close=[99, 99, 99, 99], hist=[-1, 1, 1, 1]),
    "the MACD was above all along": Told({}, close=[99, 99, 101, 101], hist=[1, 1, 1, 1]),
    "the MACD crosses back first": Told({3: "short entry"}, close=[99, 99, 99, 99, 101], hist=[-1, 1, 1, -1, -1]),
    "one cross, one entry": Told({1: "long entry"}, close=[99, 101, 99, 101, 99], hist=[-1, 1, 1, 1, 1]),
    "patience not yet at its end": Told(
        {3: "long entry"}, close=[99, 99, 99, 101], hist=[-1, 1, 1, 1], rule=MacdTurtle(patience=2)
    ),
    "patience at its end": Told({}, close=[99, 99, 99, 99, 101], hist=[-1, 1, 1, 1, 1], rule=MacdTurtle(patience=2)),
    "ignored: all averages rise already, small histogram": Told(
        {}, close=[101] * 6, hist=[-1, -1, 0.09, 1, 1, 1], short=UP, mid=UP, long=UP
    ),
    "not ignored: the histogram is not small": Told(
        {2: "long entry"}, close=[101] * 6, hist=[-1, -1, 0.1, 1, 1, 1], short=UP, mid=UP, long=UP
    ),
    "not ignored: one average does not rise": Told(
        {2: "long entry"}, close=[101] * 6, hist=[-1, -1, 0.09, 1, 1, 1], short=UP, mid=UP
    ),
    "not ignored: the averages fall": Told(
        {2: "long entry"}, close=[101] * 6, hist=[-1, -1, 0.09, 1, 1, 1], short=DOWN, mid=DOWN, long=DOWN
    ),
    "the better cross after an ignored one": Told(
        {4: "long entry"}, close=[101] * 6, hist=[-1, 0.05, 0.05, -0.05, 0.5, 1], short=UP, mid=UP, long=UP
    ),
    "the rounding of doubles is no cross": Told({}, close=[101] * 4, hist=[1, -1e-12, 1e-12, 1]),
}

ADDS = {
    "two adds, one ATR each": Told(
        {1: "long entry", 3: "long add", 5: "long add"},
        close=[99, 101, 102.9, 103, 104.9, 105, 107, 109],
        hist=[-1, *[1] * 7],
    ),
    "a leap of two ATR is one add, and counts from there": Told(
        {1: "long entry", 2: "long add", 4: "long add"}, close=[99, 101, 105.5, 107, 107.5], hist=[-1, 1, 1, 1, 1]
    ),
    "back and again to the same height": Told(
        {1: "long entry", 2: "long add"}, close=[99, 101, 103, 101, 103, 104], hist=[-1, 1, 1, 1, 1, 1]
    ),
    "against the entry": Told({1: "long entry"}, close=[99, 105, 103, 101, 100.5], hist=[-1, 1, 1, 1, 1]),
    "the ATR is the one of the entry": Told(
        {1: "long entry", 2: "long add"}, close=[99, 101, 103, 104.9], hist=[-1, 1, 1, 1], atr=[9, 2, 9, 0.5]
    ),
    "the MACD turns, the ladder stays": Told(
        {1: "long entry", 4: "long add"}, close=[99, 101, 102, 101, 103], hist=[-1, 1, 1, -1, -1]
    ),
    "the next entry starts a new ladder": Told(
        {1: "long entry", 3: "short entry", 6: "short add"},
        close=[99, 101, 102, 99, 98, 99.5, 97],
        hist=[-1, 1, 1, -1, -1, -1, -1],
    ),
    "a ladder has an end": Told(
        {1: "long entry"}, close=[99, 101, 102, 102, 103], hist=[-1, 1, 1, 1, 1], rule=MacdTurtle(memory=2)
    ),
    "just before its end": Told(
        {1: "long entry", 4: "long add"},
        close=[99, 101, 102, 102, 103],
        hist=[-1, 1, 1, 1, 1],
        rule=MacdTurtle(memory=3),
    ),
    "no adds wanted": Told({1: "long entry"}, close=[99, 101, 105], hist=[-1, 1, 1], rule=MacdTurtle(adds=0)),
    "one add wanted": Told(
        {1: "long entry", 2: "long add"}, close=[99, 101, 103, 105], hist=[-1, 1, 1, 1], rule=MacdTurtle(adds=1)
    ),
}

OLD = {"short": [90, 91, 92, 93, 94, 95], "mid": [95, 95.1, 95.2, 95.3, 95.4, 95.5]}
OLD_LONG = [99, 99.1, 99.2, 99.3, 99.4, 99.5]
ABOVE = [1.0] * 6

TRIALS = {
    "old order, all turned, the average breaks": Told(
        {3: "long trial"}, close=[94, 94, 94, 96, 97, 97], hist=ABOVE, **OLD, long=OLD_LONG
    ),
    "broken first, turned later": Told(
        {4: "long trial"},
        close=[97] * 6,
        hist=ABOVE,
        short=OLD["short"],
        mid=OLD["mid"],
        long=[99, 98.9, 98.8, 98.7, 98.8, 98.9],
    ),
    "the average never breaks": Told({}, close=[94] * 6, hist=ABOVE, **OLD, long=OLD_LONG),
    "the long average still falls": Told(
        {}, close=[94, 94, 94, 96, 97, 97], hist=ABOVE, **OLD, long=[99, 98.9, 98.8, 98.7, 98.6, 98.5]
    ),
    "the order is the new one already": Told(
        {}, close=[89, 89, 89, 106, 107, 108], hist=ABOVE, short=OLD_LONG, mid=OLD["mid"], long=OLD["short"]
    ),
    "not again soon": Told({1: "long trial"}, close=[94, 96, 94, 96, 94, 97], hist=ABOVE, **OLD, long=OLD_LONG),
    "again after some quiet": Told(
        {1: "long trial", 4: "long trial"},
        close=[94, 96, 94, 94, 97, 97],
        hist=ABOVE,
        **OLD,
        long=OLD_LONG,
        rule=MacdTurtle(patience=2),
    ),
    "not quite enough quiet": Told(
        {1: "long trial"}, close=[94, 96, 94, 97, 94, 94], hist=ABOVE, **OLD, long=OLD_LONG, rule=MacdTurtle(patience=2)
    ),
    "then the entry": Told(
        {2: "long trial", 4: "long entry"},
        close=[94, 94, 96, 96, 97, 97],
        hist=[-1, -1, -1, -1, 1, 1],
        **OLD,
        long=OLD_LONG,
    ),
    "at the same candle the entry speaks": Told(
        {3: "long entry"}, close=[94, 94, 94, 96, 97, 97], hist=[-1, -1, -1, 1, 1, 1], **OLD, long=OLD_LONG
    ),
    "trial, entry and two adds": Told(
        {1: "long trial", 2: "long entry", 3: "long add", 4: "long add"},
        close=[94, 96, 97, 99, 101, 110],
        hist=[-1, -1, 1, 1, 1, 1],
        **OLD,
        long=OLD_LONG,
    ),
}

STORIES = ENTRIES | ADDS | TRIALS
TURNED = {"long": "short", "short": "long"}


@pytest.mark.parametrize("told", STORIES.values(), ids=STORIES)
def test_story(story: Story, told: Told) -> None:
    assert story(told.rule, **told.columns(mirrored=False)) == told.said


@pytest.mark.parametrize("told", STORIES.values(), ids=STORIES)
def test_story_upside_down(story: Story, told: Told) -> None:
    turned = {at: " ".join(TURNED.get(word, word) for word in said.split()) for at, said in told.said.items()}
    assert story(told.rule, **told.columns(mirrored=True)) == turned


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"short": 60}, "short, mid and long must rise"),
        ({"small": -0.1}, "small must be at least 0"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"adds": -1}, "adds must be at least 0"),
        ({"memory": 0}, "memory must be at least 1"),
    ],
)
def test_parameters_that_make_no_sense(wrong: dict[str, float], says: str) -> None:
    with pytest.raises(UsageError, match=f"macd_turtle: {says}"):
        MacdTurtle(**wrong)  # type: ignore[arg-type]
