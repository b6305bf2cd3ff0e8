"""Health, retention, the account's snapshot and the sweep: small flows, on a real server, database and exchange."""

import os
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.exceptions import ParameterTypeError
from pymongo.database import Database

from flows.account import account
from flows.explain import ExplainChoice, explain_days
from flows.health import HealthChoice, health
from flows.indicators import IndicatorsChoice, indicators
from flows.retention import RetentionChoice, retention
from flows.returns import ReturnsChoice, returns
from flows.sweep import SweepChoice, sweep
from pipeline.app.audit_trail import file_of
from pipeline.errors import AttentionError, TidemarkError, UsageError
from pipeline.research.explain.answer import Explained, rows_of
from pipeline.research.explain.heard import Stored
from pipeline.store.deployments import DeploymentStore
from pipeline.store.lease import LeaseStore
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import DAY, to_ms
from schemas.accounts import Snapshot
from schemas.positions import Position
from schemas.series import SeriesKey
from tests.contracts import BTC
from tests.flows.artifacts import newest_artifact
from tests.research.test_explain import ONE, PAPER

pytestmark = pytest.mark.usefixtures("settings_of_the_run")

NOW = datetime.now(UTC)


def beat(db: Database[Any], role: str, age: timedelta) -> None:
    db["control"].insert_one(
        {
            "_id": f"heartbeat:{role}:{age}",
            "kind": "heartbeat",
            "role": role,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started_at": NOW - age,
            "at": datetime.now(UTC) - age,
            "figures": {"lag_p50": 0.1},
            "detail": "1/1",
        }
    )


def snapshot(at: datetime, equity: str = "1") -> dict[str, Any]:
    money = dict.fromkeys(("wallet", "available", "unrealized", "realized_today", "fees_today", "funding_today"), "1")
    fields = {"asset": "USDT", "transfers_today": "0", "open_positions": 0, "equity": equity, **money}
    return Snapshot(_id=f"sim:{at.isoformat()}", environment="sim", at=at, **fields).to_mongo()


def test_health_is_good_while_what_must_live_lives(db: Database[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(db)
    beat(db, "ingester", timedelta(0))
    assert health().processes[0].alive
    assert newest_artifact("health").startswith("# All is well")
    monkeypatch.setenv("TIDEMARK_MODE", "auto-execute")
    with pytest.raises(TidemarkError, match="no executor lives"):
        health()
    LeaseStore(db, "executor:sim", "desk:1").acquire()
    health()
    assert "decided on by desk:1" in newest_artifact("health")


def test_health_names_what_is_dead_and_what_is_behind(db: Database[Any]) -> None:
    prepare(db)
    beat(db, "ingester", timedelta(minutes=2))
    Watchlist(db, "sim").seed([SeriesKey("sim", "BTCUSDT", "1h")], NOW)
    with pytest.raises(TidemarkError, match="no ingester lives; BTCUSDT 1h is not stored at all"):
        health(HealthChoice(behind=2))
    assert "**no ingester lives**" in newest_artifact("health")


def test_the_page_of_health_holds_only_what_is_wrong(db: Database[Any]) -> None:
    """With 2,500 series a page of all of them, each minute, is what would fill Prefect's database."""
    prepare(db)
    beat(db, "ingester", timedelta(0))
    current, late = (SeriesKey("sim", symbol, "1h") for symbol in ("BTCUSDT", "ETHUSDT"))
    now = datetime.now(UTC)
    for key, hours in ((current, 1), (late, 30)):
        Watchlist(db, "sim").seed([key], now)
        closed = (now - timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0)
        named = {"exchange": "sim", "symbol": key.symbol, "interval": "1h"}
        db.series.insert_one({"_id": str(key), **named, "stored": 1, "last_closed": closed})
    with pytest.raises(TidemarkError, match=r"ETHUSDT 1h is (28|29|30) candles behind"):
        health()
    page = newest_artifact("health")
    assert "2 series" in page
    assert "ETHUSDT" in page
    assert "BTCUSDT" not in page


def test_prefect_keeps_days_and_not_a_quarter_of_a_year() -> None:
    with get_client(sync_client=True) as client:
        server = client.request("GET", "/admin/settings").json()["server"]
    assert server["services"]["db_vacuum"]["retention_period"] in (259_200.0, "P3D")
    assert server["events"]["retention_period"] in (21_600.0, "PT6H")
    compose = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())
    assert compose["services"]["prefect-server"]["environment"].items() >= {
        ("PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD", "259200"),
        ("PREFECT_SERVER_EVENTS_RETENTION_PERIOD", "PT6H"),
    }


def test_health_is_good_without_what_the_exchange_trades_no_more(db: Database[Any]) -> None:
    prepare(db)
    beat(db, "ingester", timedelta(0))
    gone = SeriesKey("sim", "LUNAUSDT", "1h")
    Watchlist(db, "sim").seed([gone], NOW)
    SeriesStore(db).note_gone(gone, "'LUNAUSDT' ended", to_ms(NOW))
    assert [one.symbol for one in health().series] == ["LUNAUSDT"]
    assert "| LUNAUSDT 1h | - | 'LUNAUSDT' ended | 0 |" in newest_artifact("health")


def test_health_names_a_deployment_that_does_not_run_and_not_itself(db: Database[Any]) -> None:
    prepare(db)
    beat(db, "ingester", timedelta(0))
    store = DeploymentStore(db, "sim")
    served = {"health/every-minute": timedelta(minutes=1), "returns/every-minute": timedelta(minutes=1)}
    store.serve(served, datetime.now(UTC))
    health()
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    store.serve(served, long_ago)
    store.complete("returns/every-minute", datetime(2026, 3, 1, 12, 5, tzinfo=UTC))
    with pytest.raises(TidemarkError) as failure:
        health()
    assert str(failure.value) == (
        "returns/every-minute has not succeeded since 2026-03-01 12:05 UTC (it is due every 60 s)"
    )
    store.complete("returns/every-minute", datetime.now(UTC))
    health()


def test_retention_thins_snapshots_and_forgets_the_dead(db: Database[Any]) -> None:
    prepare(db)
    beat(db, "ingester", timedelta(days=2))
    beat(db, "ingester", timedelta(hours=2))
    old = NOW.replace(hour=1, minute=0) - timedelta(days=40)
    db["accounts"].insert_many([snapshot(at) for at in (old, old + timedelta(hours=1), old + timedelta(days=1), NOW)])
    rows = retention()
    assert {row["what"]: row["count"] for row in rows} == {
        "signals nobody acted on": 0,
        "account snapshots, but the last of a day": 1,
        "backtests": 0,
        "trades of backtests that were never finished": 0,
        "signs of life of dead processes": 1,
    }
    kept = {one["at"].replace(tzinfo=UTC) for one in db["accounts"].find()}
    assert old not in {at.replace(second=old.second, microsecond=old.microsecond) for at in kept}
    assert len(kept) == 3


def test_retention_keeps_what_a_backfill_would_fetch_again() -> None:
    with pytest.raises(UsageError, match="history_days is 300"):
        retention(RetentionChoice(candles_days=30))
    with pytest.raises(ParameterTypeError):
        retention({"candles_days": 0})  # type: ignore[arg-type]


def test_without_keys_the_page_is_of_what_the_executor_stored(db: Database[Any]) -> None:
    prepare(db)
    db["accounts"].insert_many([snapshot(NOW - timedelta(hours=1)), snapshot(NOW, "1234.5")])
    held = {"_id": "sim:BTCUSDT:BOTH", "environment": "sim", "symbol": "BTCUSDT", "quantity": "0.5"}
    db["positions"].insert_one(
        Position(**held, entry_price="100", ours=True, updated_at=NOW).to_mongo()  # type: ignore[arg-type]
    )
    (taken,) = account()
    assert Decimal(taken["equity"]) == Decimal("1234.5")
    page = newest_artifact("account")
    assert page.startswith("# 1,234.50 USDT")
    assert "| BTCUSDT | 0.5 | 100 | not known | not known |" in page


def test_the_account_is_looked_at_where_there_are_keys(db: Database[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(db)
    assert account() == []
    monkeypatch.setenv("TIDEMARK_API_KEY", "sim-key")
    monkeypatch.setenv("TIDEMARK_API_SECRET", "sim-secret")
    (taken,) = account()
    stored = db["accounts"].find_one({"environment": "sim"})
    assert stored is not None
    assert str(stored["equity"]) == str(taken["equity"])
    assert newest_artifact("account").startswith("# ")


def test_a_sweep_stands_back_while_a_service_acts_and_else_makes_one_pass(db: Database[Any]) -> None:
    prepare(db)
    lease = LeaseStore(db, "executor:sim", "desk:1")
    grant = lease.acquire()
    assert sweep() == []
    assert lease.holder() == "desk:1"
    lease.release(grant.fence)
    assert sweep(SweepChoice(seconds=120)) == []
    assert db["control"].find_one({"_id": "lease:executor:sim"})["fence"] == grant.fence + 1


def test_a_sweep_looks_at_the_key_before_it_takes_the_lease(db: Database[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(db)

    def refuse(*_: object) -> None:
        raise AttentionError("this API key may withdraw money")

    monkeypatch.setattr("pipeline.app.sweep.check_key", refuse)
    with pytest.raises(AttentionError, match="may withdraw money"):
        sweep(SweepChoice(seconds=120))
    assert db["control"].find_one({"_id": "lease:executor:sim"}) is None


def test_what_a_flow_orders_is_noted(db: Database[Any], home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(db)
    indicators()
    indicators(IndicatorsChoice(anew=True))
    returns()
    returns(ReturnsChoice(symbols=["btcusdt"], anew=True))
    retention()
    account()
    monkeypatch.setenv("TIDEMARK_API_KEY", "sim-key")
    monkeypatch.setenv("TIDEMARK_API_SECRET", "sim-secret")
    account()
    sweep(SweepChoice(seconds=120))
    assert [line.split(" ", 1)[1] for line in file_of(home).read_text().splitlines()] == [
        "flow indicators: derive nothing",
        "flow indicators: derive nothing anew",
        "flow returns: returns of BTCUSDT anew",
        "flow retention: retention, keeps snapshots of 30 days",
        "flow account: snapshot of the account",
        "flow sweep: sweep, signal-only",
    ]


def test_a_night_without_trades_is_explained_by_nothing(db: Database[Any]) -> None:
    prepare(db)
    assert explain_days() == []


def test_a_night_with_trades_shows_causes_and_rest(db: Database[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(db)
    asked: list[dict[str, Any]] = []
    late = replace(PAPER, gross=PAPER.gross - 1)
    rows = rows_of([late], [PAPER], {BTC: ONE}, Stored())
    found = Explained("USDT", 0, DAY, rows, signals=3, alike=2, notes=["one of them is left out"])
    monkeypatch.setattr("pipeline.app.explain.explain", lambda _, **more: asked.append(more) or [found])
    assert explain_days(ExplainChoice(days=2)) == [{"exchange": "sim", "asset": "USDT", "rest": str(found.rest)}]
    assert asked[0]["until"] - asked[0]["since"] == 2 * DAY
    assert asked[0]["until"] % DAY == 0
    page = newest_artifact("explain")
    assert page.startswith("# live +8.90 USDT, the backtest +9.90, unexplained -1.00")
    for words in (
        "2 of 3 signals",
        "| rest | -1.00 | -100.00 | nothing explains it |",
        "| BTCUSDT | long |",
        "- one of",
    ):
        assert words in page
