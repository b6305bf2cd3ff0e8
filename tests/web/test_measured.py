"""What was measured lately: one note every five minutes, a day of them, and a gap where nothing was known."""

from datetime import UTC, datetime, timedelta

from pipeline.app.status import TargetNow
from pipeline.web.measured import EVERY, KEPT, Measured

BEGAN = datetime(2026, 11, 27, tzinfo=UTC)


def target(measured: float | None) -> TargetNow:
    return TargetNow("naked", "positions without a stop", "s", "0 s", measured, None)


def test_it_is_noted_every_five_minutes_for_a_day() -> None:
    lately = Measured()
    for minute in range(26 * 60):
        lately.note([target(None if minute == 25 * 60 else float(minute))], BEGAN + timedelta(minutes=minute))
    assert len(lately.at) == KEPT // EVERY
    assert {after - before for before, after in zip(lately.at, lately.at[1:], strict=False)} == {EVERY}
    found = lately.of("naked")
    assert found[-1] == 26 * 60 - 5
    assert found.count(None) == 1
    assert lately.of("another") == [None] * len(lately.at)
