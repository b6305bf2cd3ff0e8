"""What `tidemark status` says after a restore: of processes of another life it says nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pymongo.database import Database

from pipeline.store.prepare import prepare
from tests.cli.conftest import Run


def test_processes_of_the_time_of_the_backup_are_not_called_dead(tidemark: Run, db: Database[Any], home: Path) -> None:
    prepare(db)
    then = datetime.now(UTC) - timedelta(minutes=10)
    beat = {
        "_id": "heartbeat:ingester:here:7", "kind": "heartbeat", "role": "ingester", "host": "here", "pid": 7,
        "started_at": then, "at": then, "detail": "1/1", "figures": {}, "calls": {},
    }  # fmt: skip
    uptime = {
        "_id": "uptime:ingester:1/1", "kind": "uptime", "role": "ingester", "detail": "1/1",
        "since": then - timedelta(hours=1), "outages": [],
    }  # fmt: skip
    db.control.insert_many([beat, uptime])
    assert tidemark("status").exit_code == 3, "it was killed, as far as anybody knows"
    assert tidemark("backup", str(home / "copy")).exit_code == 0
    db.control.delete_one({"_id": beat["_id"]})  # it ended in order after the backup
    assert tidemark("restore", str(home / "copy"), "--force").exit_code == 0
    said = tidemark("status")
    assert "DEAD" not in said.stdout
    assert "No ingester runs" in said.stderr
    assert said.exit_code == 0
    assert db.control.find_one({"kind": "heartbeat"}) is None, "nor does its uptime count an outage since"
    assert (
        db.control.find_one({"kind": "uptime"})["since"].timestamp() == int(uptime["since"].timestamp() * 1000) / 1000
    )
