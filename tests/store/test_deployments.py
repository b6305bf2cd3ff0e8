"""What is overdue, by what is stored of the deployments."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.store.deployments import DeploymentStore, is_overdue
from pipeline.store.prepare import prepare
from schemas.control import Deployment

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def deployment(served: int | None, completed: int | None, *, paused: bool = False) -> Deployment:
    """One that is due every minute, served and completed so many minutes ago."""
    ago = {"served_since": served, "completed_at": completed}
    times = {name: None if minutes is None else NOW - minutes * MINUTE for name, minutes in ago.items()}
    return Deployment(
        _id="deployment:sim:a/b", kind="deployment", environment="sim", name="a/b", every_seconds=60, paused=paused,
        **times,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("one", "late"),
    [
        (deployment(10, 1), False),
        (deployment(10, 3), False),
        (deployment(10, 4), True),
        (deployment(10, None), True),
        (deployment(3, None), False),
        (deployment(3, 60), False),
        (deployment(4, 60), True),
        (deployment(10, 4, paused=True), False),
        (deployment(None, 4), False),
    ],
    ids=[
        "it runs", "within three", "beyond three", "never", "given its time", "served again", "and still not", "paused",
        "not served",
    ],
)  # fmt: skip
def test_what_is_overdue(one: Deployment, late: bool) -> None:
    assert is_overdue(one, NOW) is late


def test_it_keeps_one_document_a_deployment(db: Database[Any]) -> None:
    prepare(db)
    store, other = DeploymentStore(db, "sim"), DeploymentStore(db, "binance-um")
    other.serve({"a/b": MINUTE}, NOW)
    store.serve({"a/b": MINUTE, "c/d": 60 * MINUTE}, NOW)
    store.complete("a/b", NOW + MINUTE)
    store.complete("backfill/on-demand", NOW)
    assert [(one.name, one.every_seconds, one.completed_at) for one in store.list()] == [
        ("a/b", 60, NOW + MINUTE),
        ("c/d", 3600, None),
    ]
    store.serve({"a/b": 5 * MINUTE}, NOW + 9 * MINUTE)
    (kept,) = store.list()
    assert (kept.every_seconds, kept.completed_at, kept.served_since) == (300, NOW + MINUTE, NOW + 9 * MINUTE)
    store.stop_serving()
    assert store.list()[0].served_since is None
    assert other.list()[0].served_since == NOW


def test_a_pause_is_written_where_it_differs(db: Database[Any]) -> None:
    prepare(db)
    store = DeploymentStore(db, "sim")
    store.serve({"a/b": MINUTE, "c/d": MINUTE}, NOW)
    with db.watch() as changes:
        for paused in (["c/d"], ["c/d"], ["a/b"]):
            store.pause(paused)
        db["control"].delete_many({})
        written = []
        while (change := next(changes))["operationType"] != "delete":
            written.append(change["documentKey"]["_id"])
    assert written == ["deployment:sim:c/d", "deployment:sim:a/b", "deployment:sim:c/d"]
