"""Which settlements a run goes by: those that are stored, whatever their interval, and what is assumed without."""

from decimal import Decimal

from pipeline.research.backtest.funding import ASSUMED, Scheduled, schedule_of
from pipeline.timeline import HOUR, to_datetime
from schemas.funding import Settlement

MIDNIGHT = 1_772_409_600_000


def at(hour: int, rate: str = "0.0003", late: int = 0) -> Settlement:
    return Settlement(t=to_datetime(MIDNIGHT + hour * HOUR + late), rate=Decimal(rate), mark=Decimal(100))


def hours(due: list) -> list[tuple[int, bool]]:  # type: ignore[type-arg]
    return [((one.time - MIDNIGHT) // HOUR, one.known) for one in due]


def test_without_any_the_usual_is_assumed_to_either_end() -> None:
    due = schedule_of((), MIDNIGHT + HOUR, MIDNIGHT + 25 * HOUR)
    assert hours(due) == [(8, False), (16, False), (24, False)]
    assert {one.rate for one in due} == {ASSUMED}


def test_what_is_stored_is_kept_to_the_full_minute() -> None:
    (due,) = schedule_of([at(8, late=7)], MIDNIGHT + HOUR, MIDNIGHT + 9 * HOUR)
    assert due == (MIDNIGHT + 8 * HOUR, Decimal("0.0003"), Decimal(100), True)


def test_an_interval_that_changes_is_honoured() -> None:
    due = schedule_of([at(8), at(12), at(13), at(14)], MIDNIGHT, MIDNIGHT + 15 * HOUR)
    assert hours(due) == [(8, True), (12, True), (13, True), (14, True)]


def test_a_gap_of_more_than_the_usual_is_filled_and_named() -> None:
    due = schedule_of([at(8), at(32)], MIDNIGHT, MIDNIGHT + 33 * HOUR)
    assert hours(due) == [(8, True), (16, False), (24, False), (32, True)]


def test_one_at_the_very_start_is_not_of_the_run_and_one_at_the_end_is() -> None:
    due = schedule_of([at(0), at(8)], MIDNIGHT, MIDNIGHT + 8 * HOUR)
    assert hours(due) == [(8, True)]


def test_the_venue_asks_symbol_by_symbol() -> None:
    schedules = {
        "A": schedule_of([at(4)], MIDNIGHT, MIDNIGHT + 5 * HOUR),
        "B": schedule_of((), MIDNIGHT, MIDNIGHT + 9 * HOUR),
    }
    fundings = Scheduled(schedules)
    assert [(one - MIDNIGHT) // HOUR for one in fundings.times(MIDNIGHT, MIDNIGHT + 9 * HOUR)] == [4, 8]
    assert fundings.of("A", MIDNIGHT + 4 * HOUR) == (Decimal("0.0003"), Decimal(100))
    assert fundings.of("B", MIDNIGHT + 4 * HOUR) is None
    assert fundings.next(MIDNIGHT + 8 * HOUR) is None


def test_a_settlement_that_lacks_between_others_is_filled_and_named() -> None:
    due = schedule_of([at(4), at(8), at(16), at(20)], MIDNIGHT, MIDNIGHT + 21 * HOUR)
    assert hours(due) == [(4, True), (8, True), (12, False), (16, True), (20, True)]
    hourly = schedule_of([at(1), at(2), at(5), at(6)], MIDNIGHT, MIDNIGHT + 7 * HOUR)
    assert hours(hourly) == [(1, True), (2, True), (3, False), (4, False), (5, True), (6, True)]
