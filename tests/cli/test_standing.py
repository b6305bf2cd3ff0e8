"""One first line says how trading stands: environment, mode, a halt, what is held, and what today has brought."""

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.database import Database
from rich.console import Console

from pipeline.app.overview import Overviews
from pipeline.app.standing import standing
from pipeline.cli.live_view import line, live_view
from pipeline.store.control import ControlStore
from pipeline.store.prepare import prepare
from tests.cli import desk
from tests.cli.conftest import Run

ASKING = (["status"], ["mode"], ["positions"], ["account"], ["orders"], ["trading"], ["breakers"])


def halted(db: Database[Any], tidemark: Run) -> str:
    assert tidemark("halt", "--reason", "the market is mad").exit_code == 0
    found = ControlStore(db, "sim").read().halt
    assert found is not None
    (change,) = found.changes
    return f"HALTED since {change.at:%Y-%m-%d %H:%M} UTC by {change.by}: the market is mad"


@pytest.mark.parametrize("asked", ASKING, ids=" ".join)
def test_the_first_line_says_that_it_is_halted(
    tidemark: Run, db: Database[Any], signal_document: Any, asked: list[str]
) -> None:
    desk.lay_out_today(db, signal_document)
    first, *_ = tidemark(*asked).stdout.splitlines()
    assert first == "sim, auto-execute; held: 1000PEPEUSDT, BTCUSDT; today -1.23 %"
    said = halted(db, tidemark)
    first, *_ = tidemark(*asked).stdout.splitlines()
    assert first == f"sim, auto-execute; {said}; held: 1000PEPEUSDT, BTCUSDT; today -1.23 %"
    for width in (60, 80, 100, 120):
        shown = tidemark(*asked, COLUMNS=str(width)).stdout
        assert " ".join(shown.split()).startswith(f"sim, auto-execute; {said}")
    assert tidemark("resume").exit_code == 0
    assert "HALTED" not in tidemark(*asked).stdout


@pytest.mark.parametrize("asked", ["status", "mode", "account", "positions", "orders"])
def test_json_says_it_too(tidemark: Run, db: Database[Any], signal_document: Any, asked: str) -> None:
    desk.lay_out_today(db, signal_document)
    halted(db, tidemark)
    found = json.loads(tidemark(asked, "--json").stdout)["standing"]
    assert (found["environment"], found["mode"]) == ("sim", "auto-execute")
    assert (found["halted"]["reason"], found["halted"]["flatten"]) == ("the market is mad", False)
    assert (found["held"], found["today_pct"]) == (["1000PEPEUSDT", "BTCUSDT"], pytest.approx(-1.2345))


def test_a_list_in_json_stays_a_list_and_the_line_goes_beside_it(tidemark: Run, db: Database[Any]) -> None:
    prepare(db)
    said = halted(db, tidemark)
    shown = tidemark("breakers", "--json")
    assert json.loads(shown.stdout) == []
    assert said in shown.stderr


def test_the_live_view_begins_with_it(tidemark: Run, db: Database[Any]) -> None:
    prepare(db)
    assert not line(Overviews(db, "sim").look()).startswith("HALTED")
    said = halted(db, tidemark)
    seen = Overviews(db, "sim").look()
    assert line(seen).startswith(said)
    for width in (80, 100, 120):
        console = Console(width=width, file=io.StringIO(), record=True)
        console.print(live_view(seen, [], {}, ()))
        assert " ".join(console.export_text().split()).startswith(f"sim, signal-only; {said}; nothing held; today -")


def test_a_halt_goes_on_from_its_beginning_and_what_today_brought_is_not_yesterdays(
    db: Database[Any], signal_document: Any
) -> None:
    desk.lay_out(db, signal_document)
    control, now = ControlStore(db, "sim"), datetime.now(UTC).replace(microsecond=0)
    for minutes, flatten, reason in ((9, False, "looks odd"), (5, True, None)):
        control.set_halt(True, flatten=flatten, by="me@desk", now=now - timedelta(minutes=minutes), reason=reason)
    found = standing(db, "sim", "signal-only", now + timedelta(days=1))
    assert found.halted is not None
    assert (found.halted.since, found.halted.reason, found.halted.flatten) == (
        now - timedelta(minutes=9), "looks odd", True,
    )  # fmt: skip
    assert found.today_pct is None


@pytest.mark.parametrize(("sends", "mode"), [(1.0, "auto-execute"), (0.0, "signal-only")])
def test_where_nobody_has_switched_the_mode_is_that_of_the_executor(
    tidemark: Run, db: Database[Any], sends: float, mode: str
) -> None:
    prepare(db)
    now = datetime.now(UTC)
    db["control"].insert_one(
        {"_id": "heartbeat:executor:desk:1", "kind": "heartbeat", "role": "executor", "host": "desk", "pid": 1,
         "started_at": now, "at": now + timedelta(minutes=1), "detail": "sim", "figures": {"acts": 1.0, "sends": sends}}
    )  # fmt: skip
    assert json.loads(tidemark("mode", "--json").stdout)["mode"] == mode
    assert f"sim: {mode}" in tidemark("mode").stdout
