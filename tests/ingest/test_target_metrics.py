"""The targets as metrics: what was measured has samples, what was not has none, and a database that is away takes
nothing back."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.exchange.environments import SIM
from pipeline.ingest.telemetry import Metrics, TargetMetrics
from pipeline.store.goals import GOALS, Target
from pipeline.store.prepare import prepare


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_each_target_has_its_limit_and_what_was_measured_its_figure(db):
    prepare(db)
    now = datetime.now(UTC)
    known = {"kind": "heartbeat", "role": "ingester", "host": "h", "pid": 1, "detail": "1/1", "started_at": now}
    db["control"].insert_one(
        known | {"_id": "heartbeat:a", "at": now, "figures": {"api_p99": 0.25, "weight_most": 0.7}}
    )
    metrics = Metrics()
    TargetMetrics(db, replace(SIM, weight_buffer=0.75), metrics).look()
    assert sample(metrics, "tidemark_slo_target", slo="weight", unit="%") == 75
    assert sample(metrics, "tidemark_slo", slo="weight", unit="%") == pytest.approx(70)
    assert sample(metrics, "tidemark_slo_met", slo="weight") == 1
    assert sample(metrics, "tidemark_slo", slo="api_latency", unit="ms") == 250
    assert sample(metrics, "tidemark_slo_met", slo="api_latency") == 0
    assert sample(metrics, "tidemark_slo_target", slo="slippage", unit="%") == 0.1
    assert sample(metrics, "tidemark_slo", slo="slippage", unit="%") is None
    assert sample(metrics, "tidemark_slo_met", slo="slippage") is None


def test_the_calls_of_every_living_process_are_there_and_those_of_the_dead_are_gone(db):
    prepare(db)
    now = datetime.now(UTC)
    known = {"kind": "heartbeat", "host": "h", "detail": "1/1", "started_at": now, "figures": {}}
    order, time = "POST /fapi/v1/order", "GET /fapi/v1/time"
    beats = [
        ("executor", 1, now, {order: {"answered": 3, "refused": 1}}),
        ("ingester", 2, now, {time: {"answered": 5}}),
        ("ingester", 3, now, {time: {"answered": 2}}),
        ("executor", 4, now - timedelta(minutes=1), {order: {"answered": 9}}),
    ]
    for role, pid, at, calls in beats:
        beat = {"_id": f"heartbeat:{pid}", "role": role, "pid": pid, "at": at, "calls": calls}
        db["control"].insert_one(known | beat)
    metrics = Metrics()

    def counted(role: str, call: str, became: str) -> float | None:
        return sample(metrics, "tidemark_api_calls", role=role, call=call, became=became)

    TargetMetrics(db, SIM, metrics).look()
    assert (counted("executor", order, "answered"), counted("executor", order, "refused")) == (3, 1)
    assert counted("ingester", time, "answered") == 7
    db["control"].delete_one({"_id": "heartbeat:1"})
    TargetMetrics(db, SIM, metrics).look()
    assert counted("executor", order, "answered") is None
    assert counted("ingester", time, "answered") == 7


def test_what_is_not_known_any_more_has_no_sample():
    metrics = Metrics()
    for value in (10.0, None, None, 20.0):
        metrics.judged([Target(goal, value) for goal in GOALS])
        for goal in GOALS:
            assert sample(metrics, "tidemark_slo", slo=goal.key, unit=goal.unit) == value
            assert (sample(metrics, "tidemark_slo_met", slo=goal.key) is None) == (value is None)


def test_a_database_that_is_away_takes_nothing_back(db, unreachable):
    metrics = Metrics()
    metrics.judged([Target(GOALS[0], 10.0)])
    TargetMetrics(unreachable, SIM, metrics, patience=0.2).look()
    assert sample(metrics, "tidemark_slo", slo=GOALS[0].key, unit=GOALS[0].unit) == 10


@pytest.fixture
def unreachable():
    from pymongo import MongoClient  # noqa: PLC0415

    with MongoClient("mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=100") as client:
        yield client["nowhere"]
