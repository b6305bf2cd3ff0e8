"""What became of a signal, as a table of small markets."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.store.signals.outcomes import Path, Signals, followed, newest, path_of, settled, work_out
from pipeline.timeline import DAY, HOUR, MINUTE, interval

M15, H1, D1 = (interval(code) for code in ("15m", "1h", "1d"))
START = H1.floor(1_760_000_000_000) // DAY * DAY


def path(code: str, candles: dict[int, tuple[float, float, float]], *, open_since: int | None = None) -> Path:
    """Candles by number since START: high, low, close. The last one is open if `open_since` says how long."""
    step = interval(code)
    opens = [step.after(START, number) for number in candles]
    closed = [True] * len(opens)
    events = [step.after(t) for t in opens]
    if open_since is not None:
        closed[-1], events[-1] = False, opens[-1] + open_since
    high, low, close = (list(map(float, column)) for column in zip(*candles.values(), strict=True))
    frame = pl.DataFrame(
        {
            "t": opens,
            "te": [step.close_time(t) for t in opens],
            "high": high,
            "low": low,
            "close": close,
            "closed": closed,
            "u": events,
        }
    )
    made = path_of(step, frame)
    assert made is not None
    return made


def flat(code: str, first: int, last: int, price: float = 100.0) -> dict[int, tuple[float, float, float]]:
    return dict.fromkeys(range(first, last + 1), (price, price, price))


def signals(*told: tuple[int, float, str]) -> Signals:
    at, price, side = zip(*told, strict=True)
    return Signals(np.array(at, np.int64), np.array(price), np.array([1.0 if one == "long" else -1.0 for one in side]))


def test_a_table_without_candles_is_no_path() -> None:
    assert path_of(H1, pl.DataFrame({name: [] for name in ("t", "te", "high", "low", "close", "closed", "u")})) is None


@pytest.mark.parametrize(("side", "current", "best", "worst"), [("long", 2.0, 10.0, -5.0), ("short", -2.0, 5.0, -10.0)])
def test_signed_by_side(side: str, current: float, best: float, worst: float) -> None:
    one = path("1h", {1: (105, 95, 100), 2: (110, 99, 103), 3: (104, 101, 102)})
    found = work_out(signals((START + HOUR, 100.0, side)), [one])
    assert (found.current[0], found.best[0], found.worst[0]) == pytest.approx((current, best, worst))


def test_a_candle_that_opened_before_the_signal_does_not_count() -> None:
    coarse = path("1h", {0: (900, 1, 100), 1: (103, 99, 101)})
    fine = path("15m", {3: (700, 2, 100), 4: (102, 99, 101)})
    found = work_out(signals((START + HOUR, 100.0, "long")), [coarse, fine])
    assert (found.best[0], found.worst[0]) == pytest.approx((3.0, -1.0))


def test_extremes_are_those_of_all_series_together() -> None:
    """The fine series begins later than the coarse one and knows the newest price."""
    coarse = path("1h", {1: (120, 80, 100), 2: (105, 95, 101)})
    fine = path("15m", {8: (104, 96, 100), 12: (130, 99, 125)})
    found = work_out(signals((START + HOUR, 100.0, "long")), [coarse, fine])
    assert (found.current[0], found.best[0], found.worst[0]) == pytest.approx((25.0, 30.0, -20.0))


AT = START + DAY
HOURLY = flat("1h", 24, 24 + 7 * 24) | {24: (1, 1, 101), 27: (1, 1, 104), 47: (1, 1, 124), 191: (1, 1, 207)}


def test_the_four_horizons() -> None:
    found = work_out(signals((AT, 100.0, "long"), (AT, 100.0, "short")), [path("1h", HOURLY)])
    told = [found.horizons[name].tolist() for name in ("1h", "4h", "1d", "7d")]
    assert told == [pytest.approx(pair) for pair in ([1, -1], [4, -4], [24, -24], [107, -107])]
    assert found.due.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("paths", "known"),
    [
        ([path("1h", {24: (1, 1, 101), 25: (1, 1, 1)})], True),
        ([path("1h", {24: (1, 1, 101)}, open_since=HOUR - 1)], False),
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
    found = work_out(signals((AT, 100.0, "long")), paths).horizons["1h"][0]
    assert found == pytest.approx(1.0) if known else np.isnan(found)


@pytest.mark.parametrize(
    ("last", "due"),
    [
        (24, AT + 4 * HOUR),
        (27, AT + DAY),
        (47, AT + 7 * DAY),
        (191, 0),
    ],
)
def test_what_falls_due_next(last: int, due: int) -> None:
    stored = {number: candle for number, candle in HOURLY.items() if number <= last}
    assert work_out(signals((AT, 100.0, "long")), [path("1h", stored)]).due.tolist() == [due]


@pytest.mark.parametrize(
    ("hours", "due"), [(25, AT + HOUR), (26, AT + 4 * HOUR), (28, AT + 4 * HOUR), (29, AT + 7 * DAY)]
)
def test_a_price_that_stays_away_is_waited_for_a_day(hours: int, due: int) -> None:
    """The candles of the first 20 hours after the signal are missing; `hours` have passed."""
    found = work_out(signals((AT, 100.0, "long")), [path("1h", flat("1h", 24 + 20, 24 + hours - 1))])
    assert [np.isnan(found.horizons[name][0]) for name in ("1h", "4h", "1d")] == [True, True, False]
    assert found.due.tolist() == [due]


def test_the_newest_price_and_the_series_to_follow() -> None:
    hour = path("1h", {0: (1, 1, 1), 1: (1, 1, 2)}, open_since=40 * MINUTE)
    quarter = path("15m", flat("15m", 0, 6), open_since=9 * MINUTE)
    stale = path("1m", flat("1m", 0, 60))
    assert newest([hour, quarter, stale]) is hour
    assert followed([hour, quarter, stale]) is quarter
    assert followed([hour, stale]) is hour


@pytest.mark.parametrize(
    ("stored", "open_since", "since", "through"),
    [
        (range(4), None, 0, 4),
        (range(4), 5 * MINUTE, 0, 3),
        (range(4), None, 2, 4),
        (range(4), None, 4, 4),
        (range(4), None, 9, 9),
        ((0, 1, 3), None, 0, 2),
        ((1, 2, 3), None, 0, 0),
        ((0, 1, 200), None, 0, 201 - 96),
        ((0, *range(2, 200)), None, 0, 200),
    ],
    ids=[
        "all",
        "up to the open one",
        "from the middle",
        "nothing new",
        "nothing yet",
        "a hole is waited for",
        "also at the beginning",
        "for a day",
        "and no longer",
    ],
)
def test_how_far_candles_are_final(stored: tuple[int, ...], open_since: int | None, since: int, through: int) -> None:
    one = path("15m", dict.fromkeys(stored, (1.0, 1.0, 1.0)), open_since=open_since)
    assert settled(one, M15.after(START, since)) == M15.after(START, through)


PRICES = st.floats(min_value=1, max_value=1e6)


@settings(deadline=None)
@given(
    candles=st.lists(st.tuples(PRICES, PRICES, PRICES).map(sorted), min_size=2, max_size=30),
    at=st.integers(min_value=0, max_value=28),
    side=st.sampled_from(["long", "short"]),
)
def test_the_current_return_lies_between_worst_and_best(candles: list[list[float]], at: int, side: str) -> None:
    at = min(at, len(candles) - 1)
    one = path("1h", {number: (high, low, close) for number, (low, close, high) in enumerate(candles)})
    found = work_out(signals((START + at * HOUR, 100.0, side)), [one])
    assert found.worst[0] <= found.current[0] <= found.best[0]
    since = candles[at:]
    extremes = (max(high for *_, high in since), min(low for low, *_ in since))
    gains = sorted((price / 100.0 - 1.0) * 100.0 * (1 if side == "long" else -1) for price in extremes)
    assert (found.worst[0], found.best[0]) == tuple(gains)
