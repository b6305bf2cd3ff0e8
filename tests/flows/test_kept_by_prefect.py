"""What Prefect keeps of a run has a most, however many series there are: tasks, rows of tables, lines of pages."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from pymongo.database import Database

from flows.audit import audit
from flows.backfill import BackfillChoice, backfill
from flows.health import health
from flows.indicators import indicators
from pipeline.store.prepare import prepare
from pipeline.store.watchlist import Watchlist
from schemas.series import SeriesKey

pytestmark = pytest.mark.usefixtures("settings_of_the_run")

SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT"]
SERIES = 8
MOST = 3


Kept = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def kept(caplog: pytest.LogCaptureFixture) -> Kept:
    """Runs a flow: how many tasks it had, and its artifacts by key."""

    def run(flow: Flow[..., Any], *arguments: Any) -> tuple[int, dict[str, Any]]:
        caplog.clear()
        run = flow(*arguments, return_state=True).state_details.flow_run_id
        ended = [one for one in caplog.messages if one.startswith("Finished in state")]
        of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run]))
        with get_client(sync_client=True) as client:
            return len(ended) - 1, {str(one.key): one for one in client.read_artifacts(artifact_filter=of_run)}

    return run


def test_many_series_are_few_tasks_and_few_rows(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.reporting.TASKS", MOST)
    monkeypatch.setattr("flows.reporting.SHOWN", MOST)
    tasks, artifacts = kept(backfill, BackfillChoice(symbols=SYMBOLS, intervals=["1h", "4h"], days=3))
    assert 1 < tasks <= MOST
    table = artifacts["backfill-series"]
    assert len(json.loads(table.data)) == MOST
    assert table.description.endswith(f"; {SERIES - MOST} more are not shown")
    tasks, artifacts = kept(audit)
    assert tasks == 1
    assert len(json.loads(artifacts["audit-series"].data)) == MOST
    tasks, artifacts = kept(indicators)
    assert tasks == 1


def test_of_a_whole_market_that_is_behind_the_page_names_the_first(db: Database[Any], kept: Kept) -> None:
    prepare(db)
    now = datetime.now(UTC)
    keys = [SeriesKey("sim", f"S{number:03}USDT", "1h") for number in range(200)]
    Watchlist(db, "sim").seed(keys, now)
    long_ago = now.replace(minute=0, second=0, microsecond=0) - timedelta(days=3)
    db.series.insert_many(
        {
            "_id": str(key),
            "exchange": "sim",
            "symbol": key.symbol,
            "interval": "1h",
            "stored": 1,
            "last_closed": long_ago,
        }
        for key in keys
    )
    _, artifacts = kept(health)
    page = artifacts["health"]
    assert "**S040USDT 1h is 7" in page.data
    assert "S199USDT" not in page.data
    assert "and 151 more" in page.data
    assert len(page.data) + len(page.description) < 12_000
