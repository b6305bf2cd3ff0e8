"""What the ingester says of itself: falling behind is said once, the dead make room, gauges tell the truth."""

import asyncio
import math
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.exchange.stream_session import FeedCounters
from pipeline.ingest.core import Core
from pipeline.ingest.figures import Figures
from pipeline.ingest.heartbeat import Heartbeat
from pipeline.ingest.pulse import Pulse
from pipeline.store import connect
from pipeline.store.mongod.launch import any_free_port
from pipeline.store.prepare import prepare


@pytest.fixture
def vital(db, async_db):
    prepare(db)
    figures, counters = Figures(), FeedCounters()
    heartbeat = Heartbeat(async_db, "ingester", "1/1")
    pulse = Pulse(Core(lambda *_: (), window_size=10), counters, figures, heartbeat, behind_after=2.0)
    return pulse, figures, counters, heartbeat


async def test_falling_behind_is_said_when_it_begins_and_when_it_ends(vital, caplog, db):
    caplog.set_level("INFO")
    pulse, figures, counters, _ = vital
    for lag in (0.1, 5.0, 5.0, 0.1, 0.1):
        counters.frames += 2_000
        for _ in range(1_000):
            figures.recent_lags.add(lag)
        await pulse.beat(0)
        assert figures.is_behind is (lag > 2)
        assert db["control"].find_one({"kind": "heartbeat"})["figures"]["behind"] == float(lag > 2)
    said = [record.message for record in caplog.records]
    assert sum("falling behind: frames are 5.0 s old" in one for one in said) == 1
    assert sum("keeping up again" in one for one in said) == 1


async def test_without_frames_nothing_is_behind(vital):
    pulse, figures, _, _ = vital
    figures.recent_lags.add(60.0)
    await pulse.beat(0)
    assert not figures.is_behind


async def test_a_new_process_takes_the_place_of_a_dead_one_and_of_no_other(vital, db):
    _, _, _, heartbeat = vital
    now = datetime.now(UTC)
    known = {"kind": "heartbeat", "host": "h", "pid": 1, "started_at": now, "figures": {}}
    beats = [
        ("dead", "ingester", "1/1", now - timedelta(minutes=1)),
        ("stand-by", "ingester", "1/1", now),
        ("other share", "ingester", "2/2", now - timedelta(minutes=1)),
        ("other role", "executor", "1/1", now - timedelta(minutes=1)),
    ]
    for name, role, detail, at in beats:
        db["control"].insert_one(known | {"_id": f"heartbeat:{name}", "role": role, "detail": detail, "at": at})
    await heartbeat.succeed()
    left = {one["_id"].partition(":")[2] for one in db["control"].find({"kind": "heartbeat"})}
    assert left == {"stand-by", "other share", "other role"}


async def test_the_time_without_a_process_is_noted_once(async_db, db):
    prepare(db)

    def noted():
        return [(one["since"], one["until"]) for one in db["control"].find_one({"kind": "uptime"})["outages"]]

    first, second, third = (Heartbeat(async_db, "ingester", "1/1") for _ in range(3))
    for number, heart in enumerate((first, second, third)):  # as in processes of their own
        heart._id = heart._known["_id"] = f"heartbeat:{number}"
        heart._others["_id"] = {"$ne": heart._id}
    await first.succeed()
    await first.beat({})
    assert noted() == [], "an orderly beginning is no outage"
    died = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=3)
    db["control"].update_one({"_id": "heartbeat:0"}, {"$set": {"at": died}})
    await second.succeed()
    await third.succeed()
    ((since, until),) = noted()
    assert since == died
    assert timedelta(minutes=3) <= until - died < timedelta(minutes=4)

    await second.beat({})
    await third.beat({})
    db["control"].update_one({"_id": "heartbeat:1"}, {"$set": {"at": died}})
    await first.succeed()
    assert len(noted()) == 1, "another went on with the work"
    await third.end()
    await first.succeed()
    assert len(noted()) == 1, "an orderly end is no outage"


async def test_how_the_exchange_serves_us_is_in_the_heartbeat_and_the_metrics(db, async_db):
    prepare(db)
    figures, told = Figures(), {}
    heartbeat = Heartbeat(async_db, "ingester", "1/1")
    pulse = Pulse(Core(lambda *_: (), window_size=10), FeedCounters(), figures, heartbeat, exchange=lambda: told)

    def sample(name, **labels):
        return figures.registry.get_sample_value(name, labels)

    await pulse.beat(0)
    assert sample("tidemark_api_latency_seconds", quantile="0.99") is None, "nothing was measured yet"
    assert sample("tidemark_stream_uptime_ratio", since="day") is None
    assert math.isnan(sample("tidemark_request_weight_ratio"))
    assert not {"api_p99", "uptime_day", "weight_most"} & set(db["control"].find_one({"kind": "heartbeat"})["figures"])

    told |= {"api_p50": 0.05, "api_p99": 0.15, "uptime": 0.5, "uptime_day": 0.75, "weight_most": 0.25}
    await pulse.beat(0)
    assert db["control"].find_one({"kind": "heartbeat"})["figures"].items() >= told.items()
    assert sample("tidemark_api_latency_seconds", quantile="0.5") == 0.05
    assert sample("tidemark_api_latency_seconds", quantile="0.99") == 0.15
    assert sample("tidemark_stream_uptime_ratio", since="start") == 0.5
    assert sample("tidemark_stream_uptime_ratio", since="day") == 0.75
    assert sample("tidemark_request_weight_ratio") == 0.25


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_a_database_that_is_away_does_not_lock_the_driver(driver):
    """Whatever the time-out: also where it falls together with one of the driver's own, every half second."""
    client = connect.async_client(f"mongodb://127.0.0.1:{any_free_port()}", driver)
    hearts = [Heartbeat(client["away"], "ingester", str(n), patience=0.5 + n * 0.0005) for n in range(8)]
    async with asyncio.timeout(60):
        for _ in range(6):
            await asyncio.gather(*(heart.beat({}) for heart in hearts))
        await asyncio.gather(*(heart.end() for heart in hearts))
        await connect.close(client)
