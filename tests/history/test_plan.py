"""Planning as tables and laws: what is missing, and how it is cut."""

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exchange.environments import PRODUCTS
from pipeline.exchange.products.um import UM
from pipeline.history.plan import MOST_BUCKETS, Slots, archived, chunks, lacking, pages, wanted
from pipeline.store.candles.coverage import SlotState
from pipeline.timeline import DAY, HOUR, INTERVALS, MINUTE, Interval, Window, interval, to_ms
from schemas.series import Hole, Series
from schemas.shared import SLOTS_PER_BUCKET

M1, H1, D1 = interval("1m"), interval("1h"), interval("1d")
PAGE = UM.klines.page
NEVER = 4_133_404_800_000


def at(*parts: int) -> int:
    return to_ms(datetime(*parts, tzinfo=UTC))


NOW = at(2025, 11, 20, 12, 30) + 30_500


@pytest.mark.parametrize(
    ("code", "days", "listed", "delivered", "expected"),
    [
        ("1m", 300, 0, NEVER, (at(2025, 1, 24, 12, 30), at(2025, 11, 20, 12, 29))),
        ("1h", 1, 0, NEVER, (at(2025, 11, 19, 12), at(2025, 11, 20, 11))),
        ("1d", 300, 0, NEVER, (at(2025, 1, 24), at(2025, 11, 19))),
        ("1w", 10, 0, NEVER, (at(2025, 11, 10), at(2025, 11, 10))),
        ("1M", 300, 0, NEVER, (at(2025, 2, 1), at(2025, 10, 1))),
        ("1M", 10, 0, NEVER, None),
        ("1h", 300, at(2025, 11, 1, 9, 30), NEVER, (at(2025, 11, 1, 9), at(2025, 11, 20, 11))),
        ("1h", 300, at(2025, 12, 1), NEVER, None),
        ("1h", 300, NOW - MINUTE, NEVER, None),
        ("1h", 300, at(2025, 11, 1), at(2025, 11, 2, 0, 30), (at(2025, 11, 1), at(2025, 11, 2, 0))),
        ("1h", 300, at(2025, 11, 1), at(2025, 11, 2), (at(2025, 11, 1), at(2025, 11, 1, 23))),
        ("1h", 10, at(2020, 1, 1), at(2022, 1, 1), None),
    ],
)
def test_what_is_wanted(code: str, days: int, listed: int, delivered: int, expected: tuple[int, int] | None) -> None:
    assert wanted(interval(code), NOW, days, listed, delivered) == expected


@pytest.mark.parametrize(
    ("code", "limit", "listed", "delivered", "expected"),
    [
        ("1m", 240, 0, NEVER, (at(2025, 11, 20, 8, 30), at(2025, 11, 20, 12, 29))),
        ("1M", 2, 0, NEVER, (at(2025, 9, 1), at(2025, 10, 1))),
        ("1h", 300, at(2025, 11, 20, 9, 30), NEVER, (at(2025, 11, 20, 9), at(2025, 11, 20, 11))),
        ("1h", 3, 0, at(2022, 1, 1), (at(2021, 12, 31, 21), at(2021, 12, 31, 23))),
        ("1h", 3, at(2025, 12, 1), NEVER, None),
    ],
)
def test_so_many_candles_are_wanted(
    code: str, limit: int, listed: int, delivered: int, expected: tuple[int, int] | None
) -> None:
    assert wanted(interval(code), NOW, 1, listed, delivered, limit) == expected


def moment(hour: int) -> datetime:
    return datetime(2025, 11, 1, tzinfo=UTC) + timedelta(hours=hour)


@pytest.mark.parametrize(
    ("first", "last", "stored", "holes", "missing"),
    [
        (0, 9, 10, [], 0),
        (0, 9, 8, [], 2),
        (0, 9, 8, [(3, 4)], 0),
        (4, 9, 6, [], 4),
        (4, 9, 6, [(0, 3)], 0),
        (4, 9, 6, [(-3, 1)], 2),
        (-5, 9, 15, [], 0),
        (-5, 9, 12, [], 3),
        (0, 12, 13, [], 0),
        (0, 9, 10, [(2, 3)], 0),
        (None, None, 0, [], 10),
    ],
)
def test_what_is_lacking_by_the_document(
    first: int | None, last: int | None, stored: int, holes: list[tuple[int, int]], missing: int
) -> None:
    known = Series(
        id="x",
        exchange="x",
        symbol="x",
        interval="1h",
        first=None if first is None else moment(first),
        last_closed=None if last is None else moment(last),
        stored=stored,
        holes=[Hole(start=moment(a), end=moment(b), evidence="", found_at=moment(0)) for a, b in holes],
    )
    assert lacking(known, H1, Window(to_ms(moment(0)), to_ms(moment(9)))) == missing


def test_300_days_of_minutes_are_432_000_candles() -> None:
    window = wanted(M1, NOW, 300, 0, NEVER)
    assert window is not None
    assert M1.count(*window) == 432_000


def slots(states: str, holes: tuple[tuple[int, int], ...] = (), step: Interval = M1) -> Slots:
    """`#` stored, `o` stored as open, `.` missing; holes by number."""
    numbers = np.array([".o#".index(state) for state in states], np.uint8)
    start = step.floor(at(2025, 11, 3))
    known = [Window(step.after(start, first), step.after(start, last)) for first, last in holes]
    return Slots.of(step, Window(start, step.after(start, len(states) - 1)), numbers, known)


@pytest.mark.parametrize(
    ("states", "holes", "runs"),
    [
        ("....", (), [(0, 3)]),
        ("####", (), []),
        ("##..", (), [(2, 3)]),
        ("..##", (), [(0, 1)]),
        ("#.#.#", (), [(1, 1), (3, 3)]),
        ("##oo", (), [(2, 3)]),
        ("#....#", ((2, 3),), [(1, 1), (4, 4)]),
        ("#....#", ((1, 4),), []),
        ("....", ((-5, 1), (3, 99)), [(2, 2)]),
        ("####", ((1, 2),), []),
    ],
)
@pytest.mark.parametrize("code", ["1m", "1d", "1w", "1M"])
def test_the_missing_runs(
    code: str, states: str, holes: tuple[tuple[int, int], ...], runs: list[tuple[int, int]]
) -> None:
    found = slots(states, holes, interval(code))
    base = found.step.index(found.window.start)
    assert [(found.step.index(run.start) - base, found.step.index(run.end) - base) for run in found.to_fetch()] == runs


@given(code=st.sampled_from(sorted(INTERVALS)), states=st.text("#o.", min_size=1, max_size=60))
def test_the_runs_are_exactly_what_is_not_stored_closed(code: str, states: str) -> None:
    found = slots(states, (), interval(code))
    base = found.step.index(found.window.start)
    covered = {
        number - base
        for run in found.to_fetch()
        for number in range(found.step.index(run.start), found.step.index(run.end) + 1)
    }
    assert covered == {number for number, state in enumerate(states) if state != "#"}
    assert found.missing == len(covered)


def test_given_up_pages_are_not_asked_for_again_but_stay_missing() -> None:
    found = slots("......")
    page = Window(found.window.start + MINUTE, found.window.start + 2 * MINUTE)
    assert [M1.count(*run) for run in found.without([page]).to_fetch()] == [1, 3]
    assert found.without([page]).missing == 6


@given(
    code=st.sampled_from(sorted(INTERVALS)),
    moment=st.integers(0, 2**40),
    count=st.integers(1, 30_000),
    most=st.integers(1, 1_500),
)
def test_chunks_cover_a_run_once_share_no_bucket_and_fill_pages(code: str, moment: int, count: int, most: int) -> None:
    step = interval(code)
    if step.milliseconds is None:
        count = min(count, 300)
    start = step.floor(moment)
    run = Window(start, step.after(start, count - 1))
    cut = list(chunks(step, run, most))
    assert (cut[0].start, cut[-1].end) == run
    assert all(step.after(sooner.end) == later.start for sooner, later in itertools.pairwise(cut))
    assert all(step.bucket(sooner.end) != step.bucket(later.start) for sooner, later in itertools.pairwise(cut))
    for chunk in cut:
        assert step.count(*chunk) <= MOST_BUCKETS * SLOTS_PER_BUCKET
        assert sum(step.count(*page) for page in pages(step, chunk, most)) == step.count(*chunk)
        assert all(step.count(*page) <= most for page in pages(step, chunk, most))


@pytest.mark.parametrize("page", [one.klines.page for one in PRODUCTS.values()], ids=PRODUCTS)
def test_whole_chunks_waste_almost_nothing_of_their_pages(page: int) -> None:
    chunk, *_ = chunks(M1, Window(0, DAY * 30 - MINUTE), page)
    assert M1.count(*chunk) / (sum(1 for _ in pages(M1, chunk, page)) * page) > 0.99


def of_days(stored: set[int], days: int = 40, step: Interval = M1) -> Slots:
    """Slots from 2025-10-01, of which these whole days (counted from 0) are stored."""
    a_day = step.count(at(2025, 10, 1), at(2025, 10, 1) + DAY - 1)
    states = np.full(days * a_day, SlotState.MISSING, np.uint8)
    for day in stored:
        states[day * a_day : (day + 1) * a_day] = SlotState.CLOSED
    return Slots.of(step, Window(at(2025, 10, 1), at(2025, 10, 1) + days * DAY - (step.milliseconds or 0)), states, [])


def names(found: Slots, now: int = NOW) -> list[str]:
    return [file.name.split("-", 2)[2] for file in archived("BTCUSDT", found, now, PAGE)]


def test_whole_months_and_days_of_which_nothing_is_stored_come_from_the_archive() -> None:
    assert names(of_days(set())) == ["2025-10", *(f"2025-11-{day:02}" for day in range(1, 10))]


def test_of_a_month_that_is_partly_stored_only_the_empty_days() -> None:
    stored = set(range(31)) - {3, 4}
    assert names(of_days(stored, days=31)) == ["2025-10-04", "2025-10-05"]


def test_a_day_that_is_partly_stored_is_left_to_rest() -> None:
    found = of_days(set(range(40)) - {35})
    first = 35 * 1440
    found.stored[first + 700] = True
    assert names(found) == []


def test_where_one_page_would_do_the_archive_is_not_asked() -> None:
    assert names(of_days(set(), step=D1)) == []
    assert names(of_days(set(), step=H1)) == ["2025-10"]  # 744 candles a month, 24 a day


def test_known_holes_do_not_count_as_worth_a_download() -> None:
    empty = of_days(set(), days=1)
    hole = Window(at(2025, 10, 1), at(2025, 10, 1) + 20 * HOUR)
    assert names(empty.without([hole])) == []


@given(stored=st.sets(st.integers(0, 39)))
def test_nothing_stored_is_ever_in_a_chosen_file(stored: set[int]) -> None:
    found = of_days(stored)
    for file in archived("BTCUSDT", found, NOW, PAGE):
        assert not found.part(file.window).stored.any()


@given(
    states=st.text("#o.", min_size=1, max_size=60),
    spans=st.lists(st.tuples(st.integers(-90, 90), st.integers(0, 60)).map(lambda one: (one[0], sum(one))), max_size=4),
)
def test_what_was_given_up_is_excused_as_a_hole_is_wherever_it_lies(states: str, spans: list[tuple[int, int]]) -> None:
    found = slots(states)
    given_up = [
        Window(M1.after(found.window.start, first), M1.after(found.window.start, last)) for first, last in spans
    ]
    assert found.without(given_up).to_fetch() == slots(states, tuple(spans)).to_fetch()
