"""The question on a database: a day of two symbols as ingester and executor leave it behind, explained whole, from the
middle of a position on, and with an outage."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo.database import Database

from bench.explaining import LATE, store, week
from bench.research import BEGIN
from pipeline.app.backtest import backtest
from pipeline.app.explain import explain
from pipeline.app.opened import Opened
from pipeline.app.slippage import adopt, adopted, forget
from pipeline.errors import UsageError
from pipeline.research.backtest.assumptions import Fitted
from pipeline.research.backtest.exact import ExactRun
from pipeline.settings import Settings
from pipeline.store.prepare import prepare
from pipeline.store.processes import first_lived, outages
from pipeline.timeline import HOUR, MINUTE, to_datetime, to_ms
from schemas.control import CONTROL
from schemas.orders import ORDERS
from schemas.signals import SIGNALS

PAID = Fitted(points=Decimal(3), symbols={"B1USDT": Decimal(5)}, orders=1, since=0, until=0, by="")
UPTIME = {"_id": "uptime:executor:sim", "kind": "uptime", "role": "executor", "exchange": "sim", "detail": "sim"}


@pytest.fixture
def tm(db: Database[dict[str, Any]], mongo_uri: str, home: Path) -> Iterator[Opened]:
    """Live is the executor itself, whose signals came twenty seconds after they were said, and who paid more."""
    prepare(db)
    asked = week(2, 1)
    assumed = replace(asked.assumptions, signal_delay=LATE, slippage=PAID)
    store(db, asked, ExactRun(replace(asked, assumptions=assumed)).run())
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


def test_a_position_that_its_stop_ended_is_there_where_nothing_was_said(tm: Opened) -> None:
    (whole,) = explain(tm, since=BEGIN)
    spoken = [to_ms(one["at"]) for one in tm.db[SIGNALS.name].find({}, {"at": 1})]
    stopped, quiet = next(
        (one, before)
        for one in whole.rows
        if one.closed_at and "-s-" in one.orders[-1]
        if (before := one.closed_at // MINUTE * MINUTE - MINUTE) > max(at for at in spoken if at < one.closed_at)
    )
    until = min(at for at in spoken if at > quiet)
    (there,) = explain(tm, since=quiet, until=until)
    (row,) = [one for one in there.rows if one.signal == stopped.signal]
    assert (row.closed_at, row.live, row.rest) == (stopped.closed_at, stopped.live, 0)


def test_an_order_that_a_hurried_clock_sent_before_its_signals_moment_is_of_the_next_window(tm: Opened) -> None:
    first = explain(tm, since=BEGIN)[0].rows[0]
    said = tm.db[SIGNALS.name].find_one({"_id": first.signal})["at"]  # type: ignore[index]
    early = said - timedelta(seconds=2.5)
    at = {"created_at": early, "updated_at": early, "history.$[].at": early}
    tm.db[ORDERS.name].update_one({"_id": first.orders[0]}, {"$set": at})
    assert explain(tm, since=BEGIN, until=to_ms(said))[0].rows == []
    (row,) = [one for one in explain(tm, since=to_ms(said))[0].rows if one.signal == first.signal]
    assert (row.live, row.rest) == (first.live, 0)


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


def test_slippage_is_adopted_on_request_and_every_backtest_assumes_it_until_it_is_forgotten(tm: Opened) -> None:
    (before,) = explain(tm, since=BEGIN)
    with pytest.raises(UsageError, match=f"^{len(before.fills)} orders .* 30 at least: name an earlier --since"):
        adopt(tm, [before], by="ana")
    assert adopted(tm) is None
    four_days = replace(before, fills=[*before.fills] * 4)
    fitted = adopt(tm, [four_days], by="ana", reason="measured")
    assert float(fitted.points) == pytest.approx(4, abs=1)
    assert {name: float(one) for name, one in fitted.symbols.items()} == pytest.approx(
        {"B0USDT": 3, "B1USDT": 5}, abs=0.1
    )
    assert (fitted, fitted.by) == (adopted(tm), "ana")
    assert fitted.orders == len(four_days.fills)
    (after,) = explain(tm, since=BEGIN)
    assert (after.rest, after.fills) == (0, before.fills)
    assumed = [(one.assumed, one.median) for one in after.slippage if one.assumed is not None]
    assert all(one == pytest.approx(other, abs=0.2) for one, other in assumed)
    assert assumed
    run = backtest(tm, ["macd_cross"], symbols=["B0USDT"], intervals=["1m"], start=BEGIN + 22 * HOUR, exact=True)
    told = run.backtest.assumed["spread"]
    assert told.startswith(f"slippage {fitted.points} bp, B0USDT {fitted.symbols['B0USDT']}, B1USDT ")
    assert f"fitted on {fitted.orders} orders of " in told
    assert "by ana" in told

    forget(tm, by="bob")
    assert adopted(tm) is None
    assert explain(tm, since=BEGIN)[0].by_cause == before.by_cause
    first, second = tm.db[CONTROL.name].find_one({"_id": "slippage:sim"})["changes"]  # type: ignore[index]
    assert (first["by"], first["reason"], first["old"]) == ("ana", "measured", None)
    assert (second["by"], second["old"], second["new"]) == ("bob", first["new"], "as usual")
