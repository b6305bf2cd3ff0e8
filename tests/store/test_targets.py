"""The targets of the operations page, on a journal whose figures are known."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database

from pipeline.store.targets import Target, targets

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def order(number: int, state: str = "filled", *, delay: float = 100, **fields: Any) -> list[dict[str, Any]]:
    """A signal, and the order that it led to so many milliseconds later."""
    at = NOW - HOUR
    signal = {"_id": f"signal {number}", "created_at": at}
    made = {
        "_id": f"order {number}", "environment": "sim", "signal": signal["_id"], "leg": "entry", "state": state,
        "history": [{"by": "executor"}, {"by": "stream"}], "created_at": at + timedelta(milliseconds=delay),
    }  # fmt: skip
    return [signal, made | fields]


def measured(db: Database, *pairs: list[dict[str, Any]]) -> dict[str, Target]:
    for signal, made in pairs:
        db["signals"].insert_one(signal)
        db["orders"].insert_one(made)
    return {one.name: one for one in targets(db, "sim", NOW)}


def test_of_an_empty_database_nothing_is_claimed(db: Database) -> None:
    found = measured(db)
    assert len(found) == 6
    assert [(one.measured, one.met) for one in found.values()] == [(None, None)] * 6


def test_the_figures_are_those_of_the_journal(db: Database) -> None:
    found = measured(
        db,
        order(1, slippage_pct=0.05),
        order(2, slippage_pct=0.11, delay=450),
        order(3, "rejected", delay=499),
        order(4, history=[{"by": "executor"}, {"by": "reconcile"}]),
        order(5, "accepted", delay=700),
    )
    assert found["orders that succeed"].measured == 75
    assert found["orders that succeed"].met is False
    assert found["orders known without reconciling"].measured == 75
    assert found["from signal to order, p99"].measured == 700
    assert found["from signal to order, p99"].met is False
    assert round(found["slippage, mean"].measured or 0, 6) == 0.08
    assert found["slippage, mean"].met is True


def test_what_belongs_to_others_or_is_old_does_not_count(db: Database) -> None:
    found = measured(
        db,
        order(1, "rejected", environment="binance-um"),
        order(2, "rejected", created_at=NOW - timedelta(days=8)),
        order(3, "rejected", signal=None),
        order(4, leg="stop", delay=90_000),
        order(5),
    )
    assert found["orders that succeed"].measured == 100
    assert found["from signal to order, p99"].measured == 100


def test_the_slowest_living_ingester_and_the_last_backup(db: Database) -> None:
    beats = [("a", 0, 0.2), ("b", 5, 0.6), ("dead", 60, 9.0)]
    db["control"].insert_many(
        {"_id": name, "kind": "heartbeat", "role": "ingester", "at": NOW - timedelta(seconds=age),
         "figures": {"stored_after_p99": seconds}}
        for name, age, seconds in beats
    )  # fmt: skip
    db["backups"].insert_many(
        [{"finished_at": NOW - 30 * HOUR}, {"finished_at": NOW - 5 * HOUR}, {"started_at": NOW}, {"_id": "restore"}]
    )
    found = measured(db)
    assert found["a frame stored within, p99"].measured == 600
    assert found["age of the last backup"].measured == 5
    assert found["age of the last backup"].met is True
