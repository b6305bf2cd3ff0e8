"""What the ingester says of itself: falling behind is said once, gauges tell the truth."""

import math

import pytest

from pipeline.exchange.stream_session import FeedCounters
from pipeline.ingest.core import Core
from pipeline.ingest.telemetry import Metrics, Telemetry
from pipeline.ingest.window import Recipe
from pipeline.store.heartbeat import Heartbeat
from pipeline.store.prepare import prepare
from pipeline.timeline import HOUR


@pytest.fixture
def vital(db, async_db):
    prepare(db)
    metrics, counters = Metrics(), FeedCounters()
    heartbeat = Heartbeat(async_db, "ingester", "sim", "1/1")
    telemetry = Telemetry(Core(Recipe(lambda *_: (), 11)), counters, metrics, heartbeat, behind_after=2.0)
    return telemetry, metrics, counters


async def test_falling_behind_is_said_when_it_begins_and_when_it_ends(vital, caplog, db):
    caplog.set_level("INFO")
    telemetry, metrics, counters = vital
    for lag in (0.1, 5.0, 5.0, 0.1, 0.1):
        counters.frames += 2_000
        for _ in range(1_000):
            metrics.recent_lags.add(lag)
        await telemetry.beat(0)
        assert metrics.is_behind is (lag > 2)
        assert db["control"].find_one({"kind": "heartbeat"})["figures"]["behind"] == float(lag > 2)
    said = [record.message for record in caplog.records]
    assert sum("falling behind: frames are 5.0 s old" in one for one in said) == 1
    assert sum("keeping up again" in one for one in said) == 1


async def test_each_hour_is_summed_up(vital, caplog):
    caplog.set_level("INFO")
    telemetry, metrics, _ = vital
    metrics.hour.closes, metrics.hour.signals = 60, 2
    for now in (HOUR - 1, HOUR, HOUR + 1, 2 * HOUR):
        await telemetry.beat(now)
    assert [one.message for one in caplog.records] == [
        "the hour: 60 candles closed, 2 signals; 0 series, 0 candles missing",
        "the hour: 0 candles closed, 0 signals; 0 series, 0 candles missing",
    ]


async def test_without_frames_nothing_is_behind(vital):
    telemetry, metrics, _ = vital
    metrics.recent_lags.add(60.0)
    await telemetry.beat(0)
    assert not metrics.is_behind


async def test_how_the_exchange_serves_us_is_in_the_heartbeat_and_the_metrics(db, async_db):
    prepare(db)
    metrics, told = Metrics(), {}
    heartbeat = Heartbeat(async_db, "ingester", "sim", "1/1")
    telemetry = Telemetry(Core(Recipe(lambda *_: (), 11)), FeedCounters(), metrics, heartbeat, exchange=lambda: told)

    def sample(name, **labels):
        return metrics.registry.get_sample_value(name, labels)

    await telemetry.beat(0)
    assert sample("tidemark_api_latency_seconds", quantile="0.99") is None, "nothing was measured yet"
    assert sample("tidemark_stream_uptime_ratio", since="day") is None
    assert math.isnan(sample("tidemark_request_weight_ratio"))
    assert not {"api_p99", "uptime_day", "weight_most"} & set(db["control"].find_one({"kind": "heartbeat"})["figures"])

    told |= {"api_p50": 0.05, "api_p99": 0.15, "uptime": 0.5, "uptime_day": 0.75, "weight_most": 0.25}
    await telemetry.beat(0)
    assert db["control"].find_one({"kind": "heartbeat"})["figures"].items() >= told.items()
    assert sample("tidemark_api_latency_seconds", quantile="0.5") == 0.05
    assert sample("tidemark_api_latency_seconds", quantile="0.99") == 0.15
    assert sample("tidemark_stream_uptime_ratio", since="start") == 0.5
    assert sample("tidemark_stream_uptime_ratio", since="day") == 0.75
    assert sample("tidemark_request_weight_ratio") == 0.25
