"""`tidemark signals` and the live view say why a signal was not acted on."""

import csv
import io
import json
from typing import Any

import pytest
from pymongo.database import Database

from tests.cli import desk
from tests.cli.conftest import Run


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_skipped_signal_says_why(tidemark: Run, db: Database[Any], signal_document: Any, width: int) -> None:
    desk.lay_out(db, signal_document)
    shown = tidemark("signals", COLUMNS=str(width)).stdout
    assert "verdict" in shown
    column = shown.splitlines()[0].index("verdict")
    said = " ".join(line[column:].split("  ")[0] for line in shown.splitlines()[2:])
    assert f"skipped: {desk.HELD}" in said
    assert f"skipped: {desk.LONG}" in said
    assert "taken" in said


def test_a_program_gets_verdict_and_reason(tidemark: Run, db: Database[Any], signal_document: Any) -> None:
    desk.lay_out(db, signal_document)
    found = json.loads(tidemark("signals", "--json").stdout)
    assert {(one["verdict"], one["reason"]) for one in found} >= {("taken", None), ("skipped", desk.HELD)}
    rows = list(csv.DictReader(io.StringIO(tidemark("signals", "--csv").stdout)))
    assert {(row["verdict"], row["reason"]) for row in rows} >= {("taken", ""), ("skipped", desk.HELD)}
