"""The question on a database: a day of two symbols as ingester and executor leave it behind, explained whole, from the
middle of a position on, and with an outage."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo.database import Database

from bench.explaining import LATE, store, week
from bench.research import BEGIN
from pipeline.app.explain import explain
from pipeline.app.opened import Opened
from pipeline.research.backtest.exact import ExactRun
from pipeline.settings import Settings
from pipeline.store.prepare import prepare
from pipeline.store.processes import first_lived, outages
from pipeline.timeline import HOUR, MINUTE, to_datetime
from schemas.control import CONTROL
from schemas.orders import ORDERS
from schemas.signals import SIGNALS

UPTIME = {"_id": "uptime:executor:sim", "kind": "uptime", "role": "executor", "exchange": "sim", "detail": "sim"}


@pytest.fixture
def tm(db: Database[dict[str, Any]], mongo_uri: str, home: Path) -> Iterator[Opened]:
    """Live is the executor itself, whose signals came twenty seconds after they were said."""
    prepare(db)
    asked = week(2, 1)
    store(db, asked, ExactRun(replace(asked, assumptions=replace(asked.assumptions, signal_delay=LATE))).run())
    settings = Settings(home=home, mongo_uri=SecretStr(mongo_uri), database=db.name, environment="sim")
    with Opened(settings) as opened:
        yield opened


def test_a_day_is_explained_and_so_is_what_was_held_when_the_window_began(tm: Opened) -> None:
    (whole,) = explain(tm, since=BEGIN)
    assert len(whole.rows) > 5
    assert whole.rest == 0
    assert {"late", "slippage"} <= whole.by_cause.keys()
    held = max(whole.rows, key=lambda one: (one.closed_at or 0) - one.opened_at)
    assert held.closed_at is not None
    assert held.closed_at - held.opened_at > 5 * MINUTE
    middle = (held.opened_at + held.closed_at) // 2
    (from_there,) = explain(tm, since=middle)
    (again,) = [one for one in from_there.rows if one.signal == held.signal]
    assert (again.opened_at, again.live, again.rest) == (held.opened_at, held.live, 0)
    (after,) = explain(tm, since=held.closed_at + MINUTE)
    assert held.signal not in {one.signal for one in after.rows}
    assert explain(tm, since=BEGIN + 2 * 24 * HOUR) == []


def test_what_was_said_while_nobody_lived_is_an_outage(tm: Opened) -> None:
    first = explain(tm, since=BEGIN)[0].rows[0]
    at = tm.db[SIGNALS.name].find_one({"_id": first.signal})["at"]  # type: ignore[index]
    expired = {"verdict": "expired", "reason": "seen late", "decision": None, "decided_at": None}
    tm.db[SIGNALS.name].update_one({"_id": first.signal}, {"$set": expired})
    tm.db[ORDERS.name].delete_many({"_id": {"$in": list(first.orders)}})
    minute = to_datetime(MINUTE) - to_datetime(0)
    away = {"since": at - minute, "until": at + minute}
    began = to_datetime(BEGIN)
    tm.db[CONTROL.name].insert_one(UPTIME | {"since": began, "outages": [away]})
    assert first_lived(tm.db, "executor", "sim") == began
    assert outages(tm.db, "sim", began, to_datetime(BEGIN + 24 * HOUR)) == [("executor", at - minute, at + minute)]
    (row,) = [one for one in explain(tm, since=BEGIN)[0].rows if one.signal == first.signal]
    assert (row.live, list(row.by_cause), row.rest) == (None, ["outage"], 0)
