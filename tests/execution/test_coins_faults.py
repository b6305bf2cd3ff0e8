"""Seeded fault schedules through the execution core on spot: lost answers, unknown outcomes, fills in part,
pairs that are told by half, restarts, lost journals, an exchange that forgets, and a user who moves coins of his own.

A failing schedule names its seed; `TIDEMARK_FAULT_SEED=<seed> pytest <this file>` replays it alone.
"""

import os

import pytest

from tests.execution.coins.schedule import Schedule, broken_law

SEEDS, CHUNKS = int(os.environ.get("DRILL_SEEDS", "10000")), 20


def seeds(chunk: int) -> range:
    chosen = os.environ.get("TIDEMARK_FAULT_SEED")
    if chosen is not None:
        return range(int(chosen), int(chosen) + (chunk == 0))
    share = SEEDS // CHUNKS
    return range(chunk * share, (chunk + 1) * share)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_after_any_schedule_of_faults_every_law_of_spot_holds(chunk):
    for seed in seeds(chunk):
        schedule = Schedule(seed)
        schedule.run()
        found = broken_law(schedule)
        assert found is None, f"{found}\nreplay alone: TIDEMARK_FAULT_SEED={seed} pytest {os.path.relpath(__file__)}"
