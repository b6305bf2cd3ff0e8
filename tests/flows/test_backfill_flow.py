"""The backfill flow on a real Prefect server: tasks, artifacts, retries, cancelling."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from prefect import flow
from prefect.context import FlowRunContext
from prefect.exceptions import ParameterTypeError
from prefect.settings import get_current_settings
from prefect.states import Failed
from pymongo.database import Database

from flows.audit import AuditChoice, audit
from flows.backfill import BackfillChoice, IncompleteError, backfill, worth_another_run
from flows.reporting import groups
from flows.running import is_scheduled
from pipeline.errors import TidemarkError, UsageError
from pipeline.exchange.limits import Need
from pipeline.exchange.rest import RestClient
from pipeline.history.report import SeriesReport
from pipeline.simulator.handle import Simulator
from tests.flows.artifacts import newest_artifact

pytestmark = pytest.mark.usefixtures("settings_of_the_run")

KLINES = "/fapi/v1/klines"


def test_the_table_says_what_each_series_came_to(db: Database[Any]) -> None:
    rows = backfill(BackfillChoice(symbols=["BTCUSDT", "TIDEUSDT"], intervals=["1h", "1d"], days=10))
    assert [(row["symbol"], row["interval"], row["holes"]) for row in rows] == [
        ("BTCUSDT", "1h", 0),
        ("BTCUSDT", "1d", 0),
        ("TIDEUSDT", "1h", 0),
        ("TIDEUSDT", "1d", 0),
    ]
    assert rows[0]["stored"] == rows[0]["wanted"] == 240
    assert db.series.count_documents({"stored": {"$gt": 0}}) == 4
    assert newest_artifact("backfill-progress") == 100.0
    assert '"symbol": "BTCUSDT"' in newest_artifact("backfill-series")


@flow
def asking(due: bool) -> bool:
    """What the flow runs ask, where Prefect's server says of the run that it made it itself, or did not."""
    context = FlowRunContext.get()
    assert context is not None
    assert context.flow_run is not None
    assert context.flow_run.auto_scheduled is False
    context.flow_run.auto_scheduled = due
    return is_scheduled()


def test_what_a_person_starts_goes_before_what_is_due_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both share the request weight of one address: a run by its schedule takes half of what another may use up."""
    needs: list[Need] = []
    made = RestClient.__init__

    def noted(client: RestClient, *arguments: Any, need: Need, **more: Any) -> None:
        needs.append(need)
        made(client, *arguments, need=need, **more)

    monkeypatch.setattr(RestClient, "__init__", noted)
    choice = BackfillChoice(symbols=["BTCUSDT"], intervals=["1d"], days=2)
    backfill(choice)
    assert [asking(due=False), asking(due=True)] == [False, True]
    for name in ("flows.backfill.is_scheduled", "flows.audit.is_scheduled"):
        monkeypatch.setattr(name, lambda: True)
    backfill(choice)
    audit(AuditChoice(symbols=["BTCUSDT"], intervals=["1d"], repair=True))
    assert needs == [Need.BULK, Need.SCHEDULED, Need.SCHEDULED]


def test_a_series_that_fails_once_is_tried_again_from_where_the_store_stands(simulator: Simulator) -> None:
    rule = simulator.faults.add("malformed_rows", symbol="BTCUSDT", next=3, start=0, end=2**42)
    (row,) = backfill(BackfillChoice(symbols=["BTCUSDT"], intervals=["15m"], days=12, source="rest"))
    assert simulator.faults.struck(rule) == 3, "the page was given up once"
    assert row["holes"] == 0
    assert row["fetched"] <= 499 + 1, "the second try fetched only what the first could not"


def test_a_series_that_stays_bad_fails_the_flow_with_the_list_and_the_others_are_whole(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.reporting.RETRY_DELAYS", [0.0])
    simulator.faults.add("malformed_rows", symbol="BTCUSDT", start=0, end=2**42)
    chosen = BackfillChoice(symbols=["BTCUSDT", "ETHUSDT"], intervals=["1h"], days=5, source="rest")
    with pytest.raises(TidemarkError, match=r"1 of 2 series are not whole:\nBTCUSDT 1h: 120 candles.*klines answer"):
        backfill(chosen)
    table = newest_artifact("backfill-series")
    assert '"symbol": "ETHUSDT", "interval": "1h", "wanted": 120, "stored": 120' in table


def test_an_unknown_symbol_is_said_as_on_the_command_line() -> None:
    with pytest.raises(UsageError, match="Did you mean BTCUSDT"):
        backfill(BackfillChoice(symbols=["BTUSDT"]))


def test_a_symbol_of_the_settings_that_is_not_listed_stops_no_other(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TIDEMARK_SYMBOLS", "BTCUSDT,ETHUSDT")
    simulator.delist("ETHUSDT", "UNLISTED")
    for _ in range(2):
        (row,) = backfill(BackfillChoice(intervals=["1h"], days=3))
        assert (row["symbol"], row["holes"]) == ("BTCUSDT", 0)
        assert audit()[0]["sound"]
    said = [one.message for one in caplog.records if "ETHUSDT" in one.message]
    assert len(said) == 1
    assert "the exchange lists no symbol 'ETHUSDT'" in said[0]


@pytest.mark.parametrize("wrong", [{"days": 0}, {"source": "moon"}, {"symbol": "BTCUSDT"}])
def test_the_form_refuses_bad_values(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterTypeError):
        backfill(wrong)


REPORT = SeriesReport("BTCUSDT", "1m", 10, 5, 5, 5, 0, "rest", 1.0, failures=("a page",), exit_code=1)


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (IncompleteError([REPORT]), True),
        (IncompleteError([replace(REPORT, failures=("banned until ...",), exit_code=3)]), False),
        (IncompleteError([replace(REPORT, failures=("told to stop",))]), False),
        (IncompleteError([replace(REPORT, failures=(), exit_code=0)]), False),
        (TidemarkError("the database failed"), True),
        (UsageError("no such symbol"), False),
        (RuntimeError("a bug"), False),
    ],
)
def test_what_is_worth_another_run(error: Exception, again: bool) -> None:
    assert worth_another_run(None, None, Failed(data=error)) is again  # type: ignore[arg-type]


@pytest.mark.parametrize(("series", "sizes"), [(0, []), (2, [1, 1]), (26, [3] * 8 + [2]), (2_500, [209] * 11 + [201])])
def test_a_task_is_a_group_of_series_and_there_are_only_so_many_tasks(series: int, sizes: list[int]) -> None:
    assert [len(group) for group in groups(list(range(series)))] == sizes


def test_a_failure_without_an_error_is_not_retried() -> None:
    assert worth_another_run(None, None, Failed(message="crashed")) is False  # type: ignore[arg-type]


def test_cancelled_it_ends_at_once_and_the_next_run_goes_on(db: Database[Any], simulator: Simulator) -> None:
    simulator.faults.add("slow", path=KLINES, milliseconds=40)
    program = (
        "from flows.backfill import *; "
        "backfill(BackfillChoice(symbols=['BTCUSDT'], intervals=['1m'], days=60, source='rest'))"
    )
    environment = os.environ | get_current_settings().to_environment_variables(exclude_unset=True, include_secrets=True)
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.PIPE) as process:
        try:
            with db.watch(max_await_time_ms=200) as changes:
                while (change := changes.try_next()) is None or change["ns"]["coll"] != "candles":
                    assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
        finally:
            process.kill()
    stored = db.candles.count_documents({})
    assert 0 < stored < 360
    simulator.faults.clear()
    (row,) = backfill(BackfillChoice(symbols=["BTCUSDT"], intervals=["1m"], days=60, source="rest"))
    assert row["holes"] == 0
    assert row["fetched"] < row["wanted"]
