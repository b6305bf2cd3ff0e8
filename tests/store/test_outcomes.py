"""What became of a signal, as a table of small markets."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.store.signals.outcomes import Path, Signals, path_of, signals_of, work_out
from pipeline.timeline import DAY, HOUR, interval

M15, H1, D1 = (interval(code) for code in ("15m", "1h", "1d"))
START = H1.floor(1_760_000_000_000) // DAY * DAY
AT = START + DAY
LONG_AFTER = START + 400 * DAY


def path(code: str, candles: dict[int, tuple[float, float, float]], *, last_is_open: bool = False) -> Path:
    """Candles by number since START: high, low, close."""
    step = interval(code)
    opens = [step.after(START, number) for number in candles]
    high, low, close = (list(map(float, column)) for column in zip(*candles.values(), strict=True))
    frame = pl.DataFrame(
        {
            "t": opens,
            "te": [step.close_time(t) for t in opens],
            "high": high,
            "low": low,
            "close": close,
            "closed": [True] * (len(opens) - last_is_open) + [False] * last_is_open,
        }
    )
    return path_of(step, frame)


def flat(code: str, first: int, last: int, price: float = 100.0) -> dict[int, tuple[float, float, float]]:
    return dict.fromkeys(range(first, last + 1), (price, price, price))


def one(price: float = 100.0, side: str = "long", at: int = AT) -> Signals:
    return signals_of([(at, price, side)])


@pytest.mark.parametrize(("side", "best", "worst"), [("long", 10.0, -5.0), ("short", 5.0, -10.0)])
def test_signed_by_side(side: str, best: float, worst: float) -> None:
    candles = path("1h", {24: (105, 95, 100), 25: (110, 99, 103), 26: (104, 101, 102), 27: (104, 101, 102)})
    found = work_out(one(side=side), [candles], AT + 4 * HOUR)
    assert (found.best[0], found.worst[0]) == pytest.approx((best, worst))


@pytest.mark.parametrize(
    ("through", "best", "worst"),
    [
        (AT + HOUR - 1, None, None),
        (AT + HOUR, 1.0, -1.0),
        (AT + 4 * HOUR - 1, 1.0, -1.0),
        (AT + 4 * HOUR, 4.0, -4.0),
        (AT + DAY, 24.0, -24.0),
        (AT + 7 * DAY - 1, 24.0, -24.0),
        (AT + 7 * DAY, 168.0, -168.0),
        (LONG_AFTER, 168.0, -168.0),
    ],
)
def test_best_and_worst_are_those_until_the_last_horizon_that_fell_due(
    through: int, best: float | None, worst: float | None
) -> None:
    hourly = {24 + n: (101.0 + n, 99.0 - n, 100.0) for n in range(-3, 400)}
    found = work_out(one(), [path("1h", hourly)], through)
    told = [None if np.isnan(value[0]) else value[0] for value in (found.best, found.worst)]
    assert told == pytest.approx([best, worst])


def test_a_candle_that_opened_before_the_signal_does_not_count() -> None:
    coarse = path("1h", {23: (900, 1, 100), 24: (103, 99, 101)})
    fine = path("15m", {95: (700, 2, 100), 96: (102, 99, 101)})
    found = work_out(one(), [coarse, fine], AT + HOUR)
    assert (found.best[0], found.worst[0]) == pytest.approx((3.0, -1.0))


def test_nor_one_that_is_open() -> None:
    found = work_out(one(), [path("15m", flat("15m", 96, 99) | {99: (999, 1, 1)}, last_is_open=True)], AT + HOUR)
    assert (found.best[0], found.worst[0]) == (0.0, 0.0)
    assert np.isnan(found.horizons["1h"][0])


def test_extremes_are_those_of_all_series_together() -> None:
    """The fine series begins later than the coarse one."""
    coarse = path("1h", {24: (120, 80, 100), 25: (105, 95, 101)})
    fine = path("15m", {104: (104, 96, 100), 108: (130, 99, 125)})
    found = work_out(one(), [coarse, fine], AT + 4 * HOUR)
    assert (found.best[0], found.worst[0]) == pytest.approx((30.0, -20.0))


HOURLY = flat("1h", 24, 24 + 7 * 24) | {24: (1, 1, 101), 27: (1, 1, 104), 47: (1, 1, 124), 191: (1, 1, 207)}


def test_the_four_horizons() -> None:
    found = work_out(signals_of([(AT, 100.0, "long"), (AT, 100.0, "short")]), [path("1h", HOURLY)], LONG_AFTER)
    told = [found.horizons[name].tolist() for name in ("1h", "4h", "1d", "7d")]
    assert told == [pytest.approx(pair) for pair in ([1, -1], [4, -4], [24, -24], [107, -107])]
    assert found.due.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("paths", "known"),
    [
        ([path("1h", {24: (1, 1, 101), 25: (1, 1, 1)})], True),
        ([path("1h", {24: (1, 1, 101)}, last_is_open=True)], False),
        ([path("1h", {25: (1, 1, 101)})], False),
        ([path("1d", {1: (1, 1, 101), 2: (1, 1, 1)})], False),
        ([path("15m", {99: (1, 1, 101), 100: (1, 1, 7)})], True),
        ([path("5m", {12 * 25: (1, 1, 101), 400: (1, 1, 7)})], True),
        ([path("5m", {12 * 25 + 1: (1, 1, 101), 400: (1, 1, 7)})], False),
        ([path("1h", {24: (1, 1, 7)}), path("15m", {99: (1, 1, 101)})], True),
        ([path("15m", {100: (1, 1, 7)}), path("1h", {24: (1, 1, 101)})], True),
    ],
    ids=[
        "the candle that ends there",
        "not before it is closed",
        "an hour too late",
        "too coarse a series",
        "of a finer series",
        "the first after a small hole",
        "nothing after a large hole",
        "the finest that has it",
        "a coarser one where the finest has it not",
    ],
)
def test_the_price_after_an_hour(paths: list[Path], known: bool) -> None:
    found = work_out(one(), paths, LONG_AFTER).horizons["1h"][0]
    assert found == pytest.approx(1.0) if known else np.isnan(found)


@pytest.mark.parametrize(
    ("through", "due", "known"),
    [
        (AT, AT + HOUR, 0),
        (AT + HOUR - 1, AT + HOUR, 0),
        (AT + HOUR, AT + 4 * HOUR, 1),
        (AT + 4 * HOUR, AT + DAY, 2),
        (AT + DAY, AT + 7 * DAY, 3),
        (AT + 7 * DAY, 0, 4),
    ],
)
def test_what_falls_due_next(through: int, due: int, known: int) -> None:
    """However many candles are there already."""
    found = work_out(one(), [path("1h", HOURLY)], through)
    assert found.due.tolist() == [due]
    assert sum(not np.isnan(values[0]) for values in found.horizons.values()) == known


def test_without_candles_nothing_is_known() -> None:
    found = work_out(one(), [], LONG_AFTER)
    assert all(np.isnan(values[0]) for values in (found.best, found.worst, *found.horizons.values()))
    assert found.due.tolist() == [0]


PRICES = st.floats(min_value=1, max_value=1e6)


@settings(deadline=None)
@given(
    candles=st.lists(st.tuples(PRICES, PRICES, PRICES).map(sorted), min_size=1, max_size=40),
    ats=st.lists(st.integers(min_value=-3, max_value=45), min_size=1, max_size=5),
    side=st.sampled_from(["long", "short"]),
    hours=st.integers(min_value=0, max_value=60),
)
def test_as_one_would_do_it_by_hand(candles: list[list[float]], ats: list[int], side: str, hours: int) -> None:
    made = path("1h", {number: (high, low, close) for number, (low, close, high) in enumerate(candles)})
    through = START + hours * HOUR
    found = work_out(signals_of([(START + at * HOUR, 100.0, side) for at in ats]), [made], through)

    def gain(price: float) -> float:
        return (price / 100.0 - 1.0) * 100.0 * (1 if side == "long" else -1)

    for place, at in enumerate(ats):
        fallen = [length for length in (1, 4, 24, 168) if at + length <= hours]
        seen = [one for number, one in enumerate(candles) if fallen and at <= number < at + fallen[-1]]
        extremes = [gain(price) for low, _, high in seen for price in (low, high)]
        assert found.best[place] == max(extremes) if extremes else np.isnan(found.best[place])
        assert found.worst[place] == min(extremes) if extremes else np.isnan(found.worst[place])
        for length, values in zip((1, 4, 24, 168), found.horizons.values(), strict=True):
            last = at + length - 1
            if length in fallen and 0 <= last < len(candles):
                assert values[place] == gain(candles[last][1])
