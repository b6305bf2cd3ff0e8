"""Ten thousand seeded fault schedules through the execution core and a model exchange: whatever the network, the
journal, the stream, the market and the process do, once they are quiet again every law of docs/execution.md holds.

A failing schedule names its seed; `TIDEMARK_FAULT_SEED=<seed> pytest <this file>` replays it alone. What goes wrong
is in `drill/faults.py`, the laws are in `drill/laws.py` and `drill/on_the_way.py`.
"""

import os

import pytest

from pipeline.execution.engine.state import ENTERING
from pipeline.timeline import SECOND
from tests.execution.drill.laws import broken_law
from tests.execution.drill.schedule import Schedule
from tests.execution.drill.setting import RISK

SEEDS, CHUNKS = int(os.environ.get("DRILL_SEEDS", "10000")), 20


def seeds(chunk: int) -> range:
    chosen = os.environ.get("TIDEMARK_FAULT_SEED")
    if chosen is not None:
        return range(int(chosen), int(chosen) + (chunk == 0))
    share = SEEDS // CHUNKS
    return range(chunk * share, (chunk + 1) * share)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_after_any_schedule_of_faults_every_law_holds(chunk):
    for seed in seeds(chunk):
        schedule = Schedule(seed)
        schedule.run()
        found = broken_law(schedule)
        assert found is None, f"{found}\nreplay alone: TIDEMARK_FAULT_SEED={seed} pytest {os.path.relpath(__file__)}"


def test_the_schedules_reach_what_they_are_for():
    turned, climbed, killed, rested, parts, naked = 0, 0, 0, 0, 0, 0
    for seed in range(2_000):
        schedule = Schedule(seed)
        schedule.run()
        verdicts = schedule.journal.verdicts.values()
        turned += any(one.verdict == "taken" and len(one.orders) == 2 and one.decision for one in verdicts)
        killed += any((one.reason or "").startswith("closed, and") and not one.decision for one in verdicts)
        climbed += sum(one.leg in ENTERING and one.state == "filled" for one in schedule.journal.orders.values()) == 4
        withdrawn = [one for one in schedule.exchange.orders if one.price is not None and one.status == "cancelled"]
        rested += any(not one.filled for one in withdrawn)
        parts += any(one.filled for one in withdrawn)
        naked += schedule.faults.slow_to_fire and schedule.naked_for > RISK.unprotected_seconds * SECOND
    assert turned > 33
    assert climbed > 6
    assert killed > 3
    assert rested > 100
    assert parts > 6
    assert naked > 6
