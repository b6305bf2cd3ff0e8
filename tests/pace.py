"""How the test run comes to its end soon: what begins first, what runs in one process, where lines are counted.

Never decides what a test does, or whether one runs; and no law fails for the time that an example took.
"""

import gc
from collections.abc import Generator
from pathlib import Path

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, is_hypothesis_test, settings
from xdist.scheduler import LoadFileScheduling

HERE = Path(__file__).parent

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

LONGEST = (
    "soak/test_soak.py", "cli/test_demo.py", "browser/test_prefect_pages.py", "execution/test_core_faults.py",
    "ingest/test_core_faults.py", "execution/test_coins_faults.py", "door/test_search.py",
    "door/test_search_workers.py", "door/test_trial.py", "history/test_given_out.py",
    "research/test_fast.py", "web/test_page.py", "web/test_server.py", "web/test_story.py",
    "flows/test_backfill_flow.py",
    "history/test_parity.py", "ingest/test_service.py",
    "cli/test_backfill_command.py", "cli/test_db.py", "cli/test_live.py", "store/test_candle_machine.py",
    "faults/test_killed_ingester.py", "faults/test_failover.py", "test_compose.py", "history/test_interrupted.py",
    "cli/test_indicators_command.py", "execution/service/test_faults.py", "execution/service/test_kill_switch.py",
    "flows/test_indicators_flow.py", "cli/test_sim.py", "test_security.py", "test_docs.py", "strategies/test_check.py",
    "store/test_server_recovery.py", "history/test_derive.py", "store/test_backup.py", "web/test_desk.py",
    "web/test_steady.py", "strategies/test_executed_year.py", "cli/test_waiting.py",
    "execution/service/test_live_equals_backtest.py",
)  # fmt: skip
"""These begin first, so that no process is still at one when the others have nothing left to do."""

COUNTED = ("store/test_server_recovery.py", "history/test_derive.py", "store/test_backup.py")
"""Of these, lines are counted all the same."""

TOGETHER = "tests/flows/"
"""These share a Prefect server, which takes seconds to start: one process runs them all."""


WHOLE = (
    "tests/cli/test_demo.py", "tests/soak/", "tests/browser/", "tests/faults/test_killed_flows.py",
    "tests/test_newcomer.py", "tests/test_compose.py",
)  # fmt: skip
"""Each of these starts a database, an exchange, a Prefect server and its flows, and waits for what they do: one process
runs them one after another, or each would wait for the others."""


class Sharing(LoadFileScheduling):
    """A file is run by one process, and so are the folder that shares a server and those that start the whole."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(WHOLE):
            return "whole"
        return TOGETHER if nodeid.startswith(TOGETHER) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Sharing:
    return Sharing(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """What is imported stays: no garbage is looked for while it comes, which would take a quarter of the time, nor in
    it afterwards, and seldom in what the tests leave. Every process imports the same: the first counts the lines of it
    for all."""
    counting = Coverage.current()
    others = getattr(session.config, "workerinput", {}).get("workerid", "gw0") != "gw0"
    gc.disable()
    if counting and others:
        counting.stop()
    try:
        return (yield)
    finally:
        if counting and others:
            counting.start()
        gc.freeze()
        gc.set_threshold(20_000)
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order, and where lines are not counted, which doubles the time: in the longest tests, and in laws that are
    tried with a hundred examples. The printed coverage leaves out what only these run."""
    places = {HERE / name: place for place, name in enumerate(LONGEST)}
    uncounted = places.keys() - {HERE / name for name in COUNTED}
    items.sort(key=lambda item: places.get(item.path, len(places)))
    for item in items:
        if item.path in uncounted or is_hypothesis_test(getattr(item, "obj", None)):
            item.add_marker(pytest.mark.no_cover)


def pytest_configure(config: pytest.Config) -> None:
    """pytest-cov begins, in each process of xdist, the coverage of the process that leads them too, and never ends it:
    under the process's own, which `no_cover` would stop, it would go on counting lines, and nobody would read them."""
    coverage = config.pluginmanager.get_plugin("_cov")
    if hasattr(config, "workerinput") and coverage is not None and coverage.cov_controller is not None:
        coverage.cov_controller.cov.stop()
