"""While one process brings the candles of an older version into today's form: who else writes candles is told, and who
reads goes on."""

import io
from typing import Any

import pytest
from pymongo.database import Database
from rich.console import Console

from pipeline.cli.upgrade_bar import bring_up
from pipeline.store.lease import LeaseStore
from pipeline.store.upgrade import LEASE, META, upgrade
from tests.cli.conftest import Run


@pytest.fixture
def old(tidemark: Run, db: Database[Any]) -> Database[Any]:
    """A database in which nobody has noted that its candles are in today's form."""
    assert tidemark("backfill", "BTCUSDT", "-i", "1h", "--days", "20").exit_code == 0
    db[META].update_one({"_id": "schema"}, {"$unset": {"upgraded": 1}})
    return db


def test_only_who_writes_candles_has_to_wait(tidemark: Run, old: Database[Any]) -> None:
    before = list(old["candles"].find({}, {"rev": 1}))
    LeaseStore(old, LEASE, "desk:77:abc", life=60.0).acquire()
    old[META].update_one({"_id": "schema"}, {"$set": {"upgrading.candle fields": {"done": 2, "total": 3}}})
    for writing in (["backfill"], ["audit"], ["indicators"], ["live", "--plain"]):
        done = tidemark(*writing)
        assert done.exit_code == 1, writing
        assert "by process 77 on desk (2 of 3 documents done)" in done.stderr
    for reading in (["status"], ["candles", "BTCUSDT", "1h", "--last", "3"], ["signals"], ["performance"]):
        done = tidemark(*reading)
        assert done.exit_code == 0, done.stderr
        assert "desk" not in done.output
    assert list(old["candles"].find({}, {"rev": 1})) == before


def test_the_next_who_writes_candles_does_it(tidemark: Run, old: Database[Any]) -> None:
    assert tidemark("status").exit_code == 0
    assert "upgraded" not in old[META].find_one({"_id": "schema"})  # type: ignore[operator]
    assert tidemark("backfill", "BTCUSDT", "-i", "1h", "--days", "20").exit_code == 0
    assert old[META].find_one({"_id": "schema"})["upgraded"] == ["candle fields", "small signals", "closed counts"]  # type: ignore[index]


def test_a_person_sees_how_far_it_is(db: Database[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    db["candles"].insert_many([{"_id": f"sim:S{number}:1m", "candles": []} for number in range(3)])
    monkeypatch.setattr("pipeline.store.upgrade._BUCKETS_AT_ONCE", 2)
    screen, log = io.StringIO(), io.StringIO()
    bring_up(db, Console(file=screen, force_terminal=True, width=120))
    assert "candles of an older version" in screen.getvalue()
    assert "3/3" in screen.getvalue()
    db[META].update_one({"_id": "schema"}, {"$unset": {"upgraded": 1}})
    bring_up(db, Console(file=log))
    assert log.getvalue() == ""
    upgrade(db)
