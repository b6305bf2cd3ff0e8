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
    "the average broken first, then the cross": Told(
        {1: "long trial", 3: "long entry"}, close=[99, 101, 101, 101, 102], hist=[-1, -1, -1, 1, 1]
    ),
    "the cross first, then the average breaks": Told(
        {4: "long trial"}, close=[99, 99, 99, 99, 101], hist=[-1, 1, 1, 1, 1]
    ),
    "on the average is not above it": Told({4: "long trial"}, close=[99, 99, 100, 100, 101], hist=[-1, 1, 1, 1, 1]),
    "on the average from above is above it": Told({2: "long entry"}, close=[101, 101, 100, 101], hist=[-1, -1, 1, 1]),
    "the average never breaks": Told({}, close=[99, 99, 99, 99], hist=[-1, 1, 1, 1]),
    "no cross": Told({}, close=[101, 101, 102, 101], hist=[1, 1, 1, 1]),
    "the MACD crosses back first": Told(
        {3: "short entry", 4: "long trial"}, close=[99, 99, 99, 99, 101], hist=[-1, 1, 1, -1, -1]
    ),
    "one cross, one entry": Told(
        {1: "long entry", 2: "short trial"}, close=[99, 101, 99, 101, 99], hist=[-1, 1, 1, 1, 1]
    ),
    "ignored: all averages rise, small histogram": Told(
        {}, close=[101] * 6, hist=[-1, -1, 0.09, 1, 1, 1], short=UP, mid=UP, long=UP
    ),
    "not ignored: the histogram is not small": Told(
        {2: "long entry"}, close=[101] * 6, hist=[-1, -1, 0.1, 1, 1, 1], short=UP, mid=UP, long=UP
    ),
    "not ignored: one average does not rise": Told(
        {2: "long entry"}, close=[101] * 6, hist=[-1, -1, 0.09, 1, 1, 1], short=UP, mid=UP
    ),
    "ignored: all averages fall, a cross the other way": Told(
        {}, close=[101] * 6, hist=[-1, -1, 0.09, 1, 1, 1], short=DOWN, mid=DOWN, long=DOWN
    ),
    "ignored: all averages rise, a cross the other way": Told(
        {}, close=[99] * 6, hist=[1, 1, -0.09, -1, -1, -1], short=UP, mid=UP, long=UP
    ),
    "not ignored: a cross the other way that is not small": Told(
        {2: "short entry"}, close=[99] * 6, hist=[1, 1, -0.1, -1, -1, -1], short=UP, mid=UP, long=UP
    ),
    "the better cross after an ignored one": Told(
        {4: "long entry"}, close=[101] * 6, hist=[-1, 0.05, 0.05, -0.05, 0.5, 1], short=UP, mid=UP, long=UP
    ),
    "the rounding of doubles is no cross": Told({}, close=[101] * 4, hist=[1, -1e-12, 1e-12, 1]),
}

BREAKS = {
    "a break is a trial by itself": Told({2: "long trial"}, close=[99, 99, 101, 101], hist=[1, 1, 1, 1]),
    "each side has its own": Told({1: "long trial", 2: "short trial"}, close=[99, 101, 99], hist=[1, 1, 1]),
    "to and fro, one trial a side": Told(
        {1: "long trial", 2: "short trial"}, close=[99, 101, 99, 101, 99, 101], hist=[1] * 6
    ),
    "again after some quiet": Told(
        {1: "long trial", 2: "short trial", 4: "long trial"},
        close=[99, 101, 99, 99, 101],
        hist=[1] * 5,
        rule=MacdTurtle(patience=2),
    ),
    "not quite enough quiet": Told(
        {1: "long trial", 2: "short trial"},
        close=[99, 101, 99, 99, 101],
        hist=[1] * 5,
        rule=MacdTurtle(patience=3),
    ),
    "a break that was not given keeps the quiet": Told(
        {1: "long trial", 2: "short trial"},
        close=[99, 101, 99, 101, 99, 101],
        hist=[1] * 6,
        rule=MacdTurtle(patience=2),
    ),
    "a cross has come since: not quiet": Told(
        {1: "long trial", 2: "short trial", 4: "long trial"}, close=[99, 101, 99, 99, 101], hist=[-1, -1, -1, 1, 1]
    ),
    "it has crossed back: quiet": Told(
        {1: "long trial", 2: "short trial", 4: "short entry"},
        close=[99, 101, 99, 99, 99, 101],
        hist=[-1, -1, -1, 1, -1, -1],
    ),
    "the cross has had its entry: quiet": Told(
        {1: "long trial", 2: "long entry", 3: "short trial"}, close=[99, 101, 101, 99, 101], hist=[-1, -1, 1, 1, 1]
    ),
    "the cross was ignored: quiet": Told(
        {1: "long trial", 2: "short trial"},
        close=[99, 101, 99, 99, 101, 101],
        hist=[-1, -1, -1, 0.05, 0.05, 0.05],
        short=UP,
        mid=UP,
        long=UP,
    ),
    "touches the average and turns": Told({}, close=[99, 100, 99], hist=[1, 1, 1]),
    "an entry is no trial": Told({1: "long entry"}, close=[99, 101, 101], hist=[-1, 1, 1]),
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
    "no range, no step": Told({1: "long entry"}, close=[99, 101, 101, 102], hist=[-1, 1, 1, 1], atr=[0.0] * 4),
    "no adds wanted": Told({1: "long entry"}, close=[99, 101, 105], hist=[-1, 1, 1], rule=MacdTurtle(adds=0)),
    "one add wanted": Told(
        {1: "long entry", 2: "long add"}, close=[99, 101, 103, 105], hist=[-1, 1, 1, 1], rule=MacdTurtle(adds=1)
    ),
}

OLD = {"short": [90, 91, 92, 93, 94, 95], "mid": [95, 95.1, 95.2, 95.3, 95.4, 95.5]}
OLD_LONG = [99, 98.9, 98.8, 98.7, 98.6, 98.5]
BELOW = [89.0] * 6
ABOVE = [1.0] * 6

TRIALS = {
    "old order, short and mid have turned": Told({1: "long trial"}, close=BELOW, hist=ABOVE, **OLD, long=OLD_LONG),
    "the order is kept by the long average alone": Told(
        {3: "long trial"}, close=BELOW, hist=ABOVE, **OLD, long=[90, 91, 92, 96, 97, 98]
    ),
    "the mid average turns later": Told(
        {4: "long trial"}, close=BELOW, hist=ABOVE, short=OLD["short"], mid=[97, 96.5, 96, 95.5, 96, 97], long=OLD_LONG
    ),
    "the mid average still falls": Told(
        {}, close=BELOW, hist=ABOVE, short=OLD["short"], mid=[98, 97.5, 97, 96.5, 96, 95.5], long=OLD_LONG
    ),
    "the short average still falls": Told(
        {}, close=[80.0] * 6, hist=ABOVE, short=[90, 89, 88, 87, 86, 85], mid=OLD["mid"], long=OLD_LONG
    ),
    "the order is the new one already": Told(
        {}, close=[110.0] * 6, hist=ABOVE, short=[101, 102, 103, 104, 105, 106], mid=OLD["mid"], long=OLD["short"]
    ),
    "level is not above": Told({}, close=BELOW, hist=ABOVE, **OLD, long=OLD["mid"]),
    "not again soon": Told(
        {1: "long trial"},
        close=BELOW,
        hist=ABOVE,
        short=[90, 91, 90, 91, 90, 91],
        mid=OLD["mid"],
        long=OLD_LONG,
    ),
    "again after some quiet": Told(
        {1: "long trial", 4: "long trial"},
        close=BELOW,
        hist=ABOVE,
        short=[90, 91, 90, 89, 91, 92],
        mid=OLD["mid"],
        long=OLD_LONG,
        rule=MacdTurtle(patience=2),
    ),
    "not quite enough quiet": Told(
        {1: "long trial"},
        close=BELOW,
        hist=ABOVE,
        short=[90, 91, 90, 89, 91, 92],
        mid=OLD["mid"],
        long=OLD_LONG,
        rule=MacdTurtle(patience=3),
    ),
    "the quiet of breaks is not that of turned averages": Told(
        {1: "long trial", 3: "long trial"}, close=[94, 94, 94, 96, 97, 97], hist=ABOVE, **OLD, long=OLD_LONG
    ),
    "a break the other way speaks before turned averages": Told(
        {1: "short trial"},
        close=[96, 94, 94, 94, 94, 94],
        hist=ABOVE,
        **OLD,
        long=OLD_LONG,
    ),
    "then the break, then the entry": Told(
        {1: "long trial", 2: "long trial", 4: "long entry"},
        close=[94, 94, 96, 96, 97, 97],
        hist=[-1, -1, -1, -1, 1, 1],
        **OLD,
        long=OLD_LONG,
    ),
    "at the same candle the entry speaks": Told(
        {1: "long entry"}, close=[94, 96, 96, 96, 97, 97], hist=[-1, 1, 1, 1, 1, 1], **OLD, long=OLD_LONG
    ),
    "trial, entry and two adds": Told(
        {1: "long trial", 2: "long entry", 3: "long add", 4: "long add"},
        close=[94, 94, 97, 99, 101, 110],
        hist=[-1, -1, 1, 1, 1, 1],
        **OLD,
        long=OLD_LONG,
    ),
}

ORDER = MacdTurtle(criterion="order")
BOTH = MacdTurtle(criterion="both")
CROSSES = [99.0, 99, 101, 101, 101, 101]
CROSSED = [1.0] * 6
HIGH = [101.0] * 6

CRITERIA = {
    "order: the short average crosses mid": Told(
        {2: "long entry"}, close=HIGH, hist=CROSSED, short=CROSSES, rule=ORDER
    ),
    "order: below the mid average": Told({}, close=[98] * 6, hist=CROSSED, short=CROSSES, rule=ORDER),
    "order: then the average breaks": Told(
        {4: "long trial"}, close=[98, 98, 98, 98, 101, 101], hist=CROSSED, short=CROSSES, rule=ORDER
    ),
    "order: a MACD cross is none": Told({}, close=HIGH, hist=[-1, 1, 1, 1, 1, 1], rule=ORDER),
    "order: ignored like any other": Told(
        {}, close=[102] * 6, hist=[0.09] * 6, short=[99, 99.5, 101, 102, 103, 104], mid=UP, long=UP, rule=ORDER
    ),
    "macd: an order cross is none": Told({}, close=HIGH, hist=CROSSED, short=CROSSES),
    "both: first the MACD": Told({2: "long entry"}, close=HIGH, hist=[-1, 1, 1, 1, 1, 1], short=CROSSES, rule=BOTH),
    "both: first the order": Told({4: "long entry"}, close=HIGH, hist=[-1, -1, -1, -1, 1, 1], short=CROSSES, rule=BOTH),
    "both: on one candle": Told({2: "long entry"}, close=HIGH, hist=[-1, -1, 1, 1, 1, 1], short=CROSSES, rule=BOTH),
    "both: one of them alone": Told({}, close=HIGH, hist=CROSSED, short=CROSSES, rule=BOTH),
    "both: one each way": Told({}, close=HIGH, hist=[1, 1, 1, -1, -1, -1], short=CROSSES, rule=BOTH),
    "both: just near enough": Told(
        {4: "long entry"},
        close=HIGH,
        hist=[-1, -1, -1, -1, 1, 1],
        short=CROSSES,
        rule=MacdTurtle(criterion="both", patience=2),
    ),
    "both: too far from each other": Told(
        {}, close=HIGH, hist=[-1, -1, -1, -1, 1, 1], short=CROSSES, rule=MacdTurtle(criterion="both", patience=1)
    ),
    "both: one has crossed back": Told(
        {}, close=HIGH, hist=[-1, -1, -1, -1, 1, 1], short=[99, 101, 101, 99, 99, 99], rule=BOTH
    ),
    "both: crossed back before the average breaks": Told(
        {1: "long trial", 2: "short trial"},
        close=[99, 101, 99, 99, 99, 101],
        hist=[-1, -1, -1, 1, -1, -1],
        short=[98, 98, 98, 101, 101, 101],
        rule=BOTH,
    ),
    "both: they stand when the average breaks": Told(
        {1: "long trial", 2: "short trial", 5: "long trial"},
        close=[99, 101, 99, 99, 99, 101],
        hist=[-1, -1, -1, 1, 1, 1],
        short=[98, 98, 98, 101, 101, 101],
        rule=BOTH,
    ),
}

STORIES = ENTRIES | BREAKS | ADDS | TRIALS | CRITERIA
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
        ({"criterion": "none"}, "criterion must be macd, order or both, not 'none'"),
        ({"criterion": True}, "criterion must be macd, order or both, not True"),
    ],
)
def test_parameters_that_make_no_sense(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError, match=f"macd_turtle: {says}"):
        MacdTurtle(**wrong)  # type: ignore[arg-type]
