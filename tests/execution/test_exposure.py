"""For how long positions had no stop: what placing one takes does not count, everything beyond it does."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine.exposure import Exposure
from pipeline.execution.engine.state import PositionRecord
from pipeline.timeline import SECOND

T = 1_760_000_000_000
HELD = PositionRecord("BTCUSDT", Decimal(1), Decimal(100), as_of=T)


def naked(since: int) -> PositionRecord:
    return replace(HELD, unprotected_since=T + since)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ([], 0),
        ([(0, HELD)], 0),
        ([(0, naked(0)), (900, HELD)], 0),  # what placing takes
        ([(0, naked(0)), (4_000, HELD)], 3),
        ([(0, naked(0)), (1_000, naked(0)), (4_000, HELD), (9_000, HELD)], 3),
        ([(0, naked(0)), (4_000, HELD), (5_000, naked(5_000)), (8_000, HELD)], 5),
        ([(0, naked(0)), (3_000, replace(HELD, quantity=Decimal(0)))], 2),  # closed without one
        ([(9_000, naked(4_000))], 5),  # not over yet; found after a restart
        ([(0, replace(naked(0), ours=False)), (9_000, replace(naked(0), ours=False))], 0),
    ],
)
def test_the_seconds_beyond_placing_a_stop_come_together(told, seconds):
    exposure = Exposure()
    for at, position in told:
        exposure.seen(position, T + at)
    assert exposure.seconds(T + 10 * SECOND) == seconds


def test_each_position_counts_for_itself():
    exposure = Exposure()
    exposure.seen(naked(0), T)
    exposure.seen(replace(naked(0), symbol="ETHUSDT"), T)
    exposure.seen(HELD, T + 3 * SECOND)
    assert exposure.seconds(T + 5 * SECOND) == 2 + 4
