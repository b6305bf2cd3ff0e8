"""What a year of recorded BTCUSDT gives, as docs/strategies.md tells it. When a rule is changed, the tables fail here:
count up its edition and put the new tables, which are in the failure, into the page."""

from statistics import median

import numpy as np
import pytest

from pipeline.periods import Periods
from pipeline.strategies import registry
from pipeline.strategies.base import Kind, Side, Strategy, label_of
from pipeline.strategies.macd_cross import MacdCross
from pipeline.strategies.runner import run
from tests.strategies.ladder import climb
from tests.strategies.recorded import (
    FILES,
    HOURS_A_MONTH,
    PAGE,
    columns_of,
    market_of,
    needs_realdata,
    percent,
    written,
)

LADDERS = {
    "a trial alone": ([1, 0, 0], [10, 11, 12], [0.5, 0.5, 0.5], [0.5]),
    "an entry alone": ([0, 2, 0], [10, 11, 12], [0, 2, 2], [2]),
    "trial, entry, two adds, no third": ([1, 2, 3, 3, 3], [10, 11, 12, 13, 14], [0.5, 2, 3, 4, 4], [4]),
    "an add too near is none": ([2, 3, 3], [10, 10.9, 11], [2, 2, 3], [3]),
    "an add counts from the entry that topped up": ([1, 2, 3, 3], [10, 12, 12.5, 13], [0.5, 2, 2, 3], [3]),
    "an add to a trial is none": ([1, 3, 2, 3], [10, 11, 12, 13], [0.5, 0.5, 2, 3], [3]),
    "an add without a position": ([3, 3], [10, 11], [0, 0], []),
    "a second entry changes nothing": ([2, 2], [10, 11], [2, 2], [2]),
    "a trial the other way turns a trial": ([1, -1, 1], [10, 11, 12], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]),
    "a trial the other way leaves an entry": ([2, -1], [10, 11], [2, 2], [2]),
    "a trial topped up is past its trial": ([1, 2, -1], [10, 11, 12], [0.5, 2, 2], [2]),
    "an entry the other way closes": ([2, -2, 0, -2], [10, 11, 12, 13], [2, 0, 0, 2], [2, 2]),
    "an entry the other way closes a trial too": ([1, -2, -1], [10, 11, 12], [0.5, 0, 0.5], [0.5, 0.5]),
    "an add the other way": ([2, -3], [10, 5], [2, 2], [2]),
    "an exit": ([2, -4, 4], [10, 11, 12], [2, 2, 0], [2]),
}


@pytest.mark.parametrize(("codes", "close", "units", "most"), LADDERS.values(), ids=LADDERS)
def test_the_ladder(codes: list[int], close: list[float], units: list[float], most: list[float]) -> None:
    atr = [1.0] * len(codes)
    for sign in (1, -1):
        held, positions = climb([sign * code for code in codes], [50 + sign * price for price in close], atr)
        assert (held, [one.units for one in positions]) == (units, most)
        assert sum(one.candles for one in positions) == sum(map(bool, units))


def row_of(strategy: Strategy) -> tuple[list[str], list[str]]:
    """The columns of both tables."""
    columns = columns_of("1h")
    codes = run(strategy, columns)
    months = len(codes) / HOURS_A_MONTH
    units, positions = climb(codes.tolist(), columns["close"].tolist(), columns["atr"].tolist())
    kinds = [f"{np.count_nonzero(np.abs(codes) == kind) / months:.1f}" for kind in (Kind.TRIAL, Kind.ENTRY, Kind.ADD)]
    longs = sum(one.side is Side.LONG for one in positions)
    lasted = median(one.candles for one in positions)
    name = f"`{label_of(strategy)}`"
    whole = [name, *kinds, f"{longs} + {len(positions) - longs}", f"{lasted:.0f}", percent([*map(bool, units)])]
    most = [one.units for one in positions]
    steps = [f"{percent([held == step for held in units])}, {most.count(step)}" for step in (0.5, 2, 3, 4)]
    return whole, [name, *steps]


@needs_realdata
def test_the_tables_of_the_page_are_those_of_the_recorded_year() -> None:
    turtles = [registry.get("macd_turtle", {"criterion": one}) for one in ("macd", "order", "both")]
    others = [registry.get(name) for name in registry.SHIPPED if name != "macd_turtle"]
    rows = {label_of(one): row_of(one) for one in (*others, *turtles)}
    page = PAGE.read_text()
    assert written(*(whole for whole, _ in rows.values())) in page
    assert written(*(rows[label_of(one)][1] for one in turtles)) in page


@needs_realdata
def test_whatever_crosses_slopes_that_way() -> None:
    crosses = 0
    for interval in FILES:
        columns = columns_of(interval)
        crossed = np.sign(run(MacdCross(), columns))
        slopes = np.sign(np.diff(columns["macd"], prepend=np.nan))
        assert (slopes[crossed != 0] == crossed[crossed != 0]).all()
        crosses += np.count_nonzero(crossed)
    assert f"Of {crosses:,} crosses in recorded BTCUSDT" in PAGE.read_text()


@needs_realdata
def test_how_far_the_two_kinds_of_atr_lie_apart() -> None:
    simple = market_of("1h").columns(Periods(atr_kind="simple"))["atr"]
    apart = (100 * (simple / columns_of("1h")["atr"] - 1))[14:]
    low, middle, high = np.quantile(apart, (0.05, 0.5, 0.95))
    told = (
        f"the simple one lay {-middle:.1f} % below Wilder's in the median, from {-low:.0f} % below to {high:.0f} % "
        f"above in nine candles of ten, at the extremes {-apart.min():.0f} % below and {apart.max():.0f} % above"
    )
    assert told in " ".join(PAGE.read_text().split())
