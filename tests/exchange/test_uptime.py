"""How much of the time a connection carried data: a table of lives, and a law against the plain way to count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exchange.uptime import DAY, Span, Uptime, share_up

GRACE = 60.0
WEEK = 7 * DAY


def lived(*changes: tuple[str, float]) -> Uptime:
    made = Uptime(0.0, GRACE)
    for what, at in changes:
        (made.carries if what == "up" else made.lost)(at)
    return made


@pytest.mark.parametrize(
    ("changes", "now", "seconds", "down"),
    [
        ([("up", 2)], 102, 100, 0),  # connecting is no outage
        ([("up", 90)], 180, 180, 90),  # connecting for too long is
        ([], 61, 61, 61),  # it never came up
        ([("up", 0), ("lost", 10)], 15, 15, 5),  # down at present
        ([("up", 0), ("lost", 10), ("up", 12), ("lost", 50), ("up", 51)], 100, 100, 3),
        ([("up", 0), ("lost", 10), ("lost", 30), ("up", 40)], 100, 100, 30),  # said twice, down once
        ([("up", 0), ("up", 20)], 100, 100, 0),
        ([("up", 5), ("lost", 3), ("up", 8)], 105, 100, 3),  # never down before it began
        ([("lost", 10), ("up", 20)], 120, 100, 0),
    ],
)
def test_since_the_start(changes: list[tuple[str, float]], now: float, seconds: float, down: float) -> None:
    assert lived(*changes).span(now) == Span(seconds, down)


def test_before_the_first_data_nothing_is_claimed() -> None:
    assert lived().span(GRACE) is None
    assert share_up([]) is None


def test_a_day_forgets_what_is_older() -> None:
    made = lived(("up", 0), ("lost", 600), ("up", 1200), ("lost", DAY), ("up", DAY + 60))
    assert made.span(DAY + 60, DAY) == Span(DAY, 660)
    assert made.span(DAY + 1260, DAY) == Span(DAY, 60)
    assert made.span(DAY + 1260) == Span(DAY + 1260, 660)


def test_an_outage_that_lasts_for_days_fills_the_day_and_no_more() -> None:
    made = lived(("up", 0), ("lost", DAY))
    assert made.span(3 * DAY, DAY) == Span(DAY, DAY)
    made.carries(3 * DAY)
    assert made.span(3 * DAY, DAY) == Span(DAY, DAY)
    assert made.span(3 * DAY) == Span(3 * DAY, 2 * DAY)


def test_connections_count_by_their_streams() -> None:
    assert share_up([(3, Span(100, 0)), (1, Span(100, 100))]) == 0.75
    assert share_up([(0, Span(100, 100))]) is None


@given(st.lists(st.integers(1, 40 * 3600), min_size=1, max_size=12), st.integers(0, 3 * 86_400))
def test_it_is_what_counting_each_second_gives(stretches: list[int], rest: int) -> None:
    """Up, down, up, down, ... in whole minutes, so that the day's edge falls between minutes."""
    edges = [0]
    for stretch in stretches:
        edges.append(edges[-1] + stretch * 60)
    made = Uptime(0.0, GRACE)
    for number, edge in enumerate(edges):
        (made.lost if number % 2 else made.carries)(float(edge))
    now = edges[-1] + rest * 60
    outages = [
        (begin, end) for number, (begin, end) in enumerate(zip(edges, [*edges[1:], now], strict=True)) if number % 2
    ]
    for period in (DAY, float("inf")):
        first = max(0.0, now - period)
        down = sum(max(0.0, end - max(begin, first)) for begin, end in outages)
        span = made.span(float(now), period)
        assert span is not None
        assert (span.seconds, span.down) == (min(now, period), pytest.approx(down))
