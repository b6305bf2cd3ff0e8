"""Heartbeats of processes: the dead make room, the time without a process is noted, nothing waits for a database."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pipeline.store import connect
from pipeline.store.heartbeat import Heartbeat
from pipeline.store.mongod.launch import any_free_port
from pipeline.store.prepare import prepare


async def test_a_new_process_takes_the_place_of_a_dead_one_and_of_no_other(async_db, db):
    prepare(db)
    heartbeat = Heartbeat(async_db, "ingester", "sim", "1/1")
    now = datetime.now(UTC)
    known = {"kind": "heartbeat", "host": "h", "pid": 1, "started_at": now, "figures": {}}
    beats = [
        ("dead", "ingester", "sim", "1/1", now - timedelta(minutes=1)),
        ("dead, of an older version", "ingester", None, "1/1", now - timedelta(minutes=1)),
        ("stand-by", "ingester", "sim", "1/1", now),
        ("other share", "ingester", "sim", "2/2", now - timedelta(minutes=1)),
        ("other exchange", "ingester", "sim-cm", "1/1", now - timedelta(minutes=1)),
        ("other role", "executor", "sim", "1/1", now - timedelta(minutes=1)),
    ]
    for name, role, exchange, detail, at in beats:
        named = {"_id": f"heartbeat:{name}", "role": role, "exchange": exchange, "detail": detail, "at": at}
        db["control"].insert_one(known | named)
    await heartbeat.succeed()
    left = {one["_id"].partition(":")[2] for one in db["control"].find({"kind": "heartbeat"})}
    assert left == {"stand-by", "other share", "other exchange", "other role"}


async def test_two_exchanges_are_followed_by_processes_that_know_nothing_of_each_other(async_db, db):
    prepare(db)
    um, cm = (Heartbeat(async_db, "ingester", exchange, "1/1") for exchange in ("sim", "sim-cm"))
    cm._id = cm._known["_id"] = "heartbeat:of another process"
    await um.succeed()
    await um.beat({})
    assert await cm.succeed() is None, "nobody follows that exchange yet"
    assert {one["_id"] for one in db["control"].find({"kind": "uptime"})} == {
        "uptime:ingester:sim:1/1", "uptime:ingester:sim-cm:1/1",
    }  # fmt: skip


async def test_what_an_older_version_noted_of_its_uptime_goes_on(async_db, db):
    prepare(db)
    since = datetime.now(UTC).replace(microsecond=0) - timedelta(days=9)
    outage = {"since": since, "until": since + timedelta(hours=1)}
    for role, detail in (("ingester", "1/1"), ("executor", "sim")):
        noted = {"kind": "uptime", "role": role, "detail": detail, "since": since, "outages": [outage]}
        db["control"].insert_one({"_id": f"uptime:{role}:{detail}", **noted})
    for heart in (Heartbeat(async_db, "ingester", "sim", "1/1"), Heartbeat(async_db, "executor", "sim")):
        await heart.succeed()
        await heart.succeed()
    found = {one["_id"]: one for one in db["control"].find({"kind": "uptime"})}
    assert found.keys() == {"uptime:ingester:sim:1/1", "uptime:executor:sim"}
    assert all((one["since"], one["outages"], one["exchange"]) == (since, [outage], "sim") for one in found.values())


async def test_the_time_without_a_process_is_noted_once(async_db, db):
    prepare(db)

    def noted():
        return [(one["since"], one["until"]) for one in db["control"].find_one({"kind": "uptime"})["outages"]]

    first, second, third = (Heartbeat(async_db, "ingester", "sim", "1/1") for _ in range(3))
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
    await second.beat({})
    db["control"].update_one({"_id": "heartbeat:1"}, {"$set": {"at": died}})
    await third.end()
    assert db["control"].count_documents({"kind": "heartbeat", "at": died}) == 0, "the dead needs nobody's attention"
    await first.succeed()
    assert len(noted()) == 1, "an orderly end is no outage"


@pytest.mark.parametrize("driver", ["pymongo", "motor"])
async def test_a_database_that_is_away_does_not_lock_the_driver(driver):
    """Whatever the time-out: also where it falls together with one of the driver's own, every half second."""
    client = connect.async_client(f"mongodb://127.0.0.1:{any_free_port()}", driver)
    hearts = [Heartbeat(client["away"], "ingester", "sim", str(n), patience=0.5 + n * 0.0005) for n in range(8)]
    async with asyncio.timeout(60):
        for _ in range(6):
            await asyncio.gather(*(heart.beat({}) for heart in hearts))
        await asyncio.gather(*(heart.end() for heart in hearts))
        await connect.close(client)
