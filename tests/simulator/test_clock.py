"""The exchange's time: shifted, faster, skewed, and the same for everyone."""

import pytest

from pipeline.errors import UsageError
from pipeline.simulator.clock import Clock


class Hands:
    """A wall clock and a steady one, moved by hand."""

    def __init__(self) -> None:
        self.wall = 1_000.0
        self.steady = 50.0

    def clock(self, **options: float) -> Clock:
        return Clock(wall=lambda: self.wall, steady=lambda: self.steady, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "at_first", "after_two_seconds"),
    [
        ({}, 1_000_000, 1_002_000),
        ({"speed": 20}, 1_000_000, 1_040_000),
        ({"speed": 0.5}, 1_000_000, 1_001_000),
        ({"offset": -5_000}, 995_000, 997_000),
    ],
)
def test_time_passes(options: dict[str, float], at_first: int, after_two_seconds: int) -> None:
    hands = Hands()
    clock = hands.clock(**options)
    assert clock.now() == at_first
    hands.steady += 2
    assert clock.now() == after_two_seconds


def test_a_wall_clock_that_jumps_changes_nothing() -> None:
    hands = Hands()
    clock = hands.clock()
    hands.wall += 3_600
    assert clock.now() == 1_000_000


def test_how_long_a_client_waits() -> None:
    assert Hands().clock(speed=20).seconds(60_000) == 3


@pytest.mark.parametrize("speed", [0, -1])
def test_a_clock_that_stands_still_is_refused(speed: float) -> None:
    with pytest.raises(UsageError, match="must be above 0"):
        Hands().clock(speed=speed)
