"""`tidemark signals` and the live view say why a signal was not acted on."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128
from pymongo.database import Database

from pipeline.timeline import HOUR, MINUTE, to_datetime, to_ms
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


WOULD = {
    "verdict": "would-take",
    "reason": "signal-only: nothing is sent",
    "decision": {
        "mode": "signal-only", "at": desk.NOW, "units": Decimal128("2"), "quantity": Decimal128("0.14"),
        "notional": Decimal128("9933.28"), "equity": Decimal128("10000"), "leverage": 3,
        "stop_price": Decimal128("71036.3"),
    },
}  # fmt: skip


@pytest.mark.parametrize("width", [80, 100, 120])
def test_what_would_have_been_done_stands_beside_it_and_is_fresh_for_its_time(
    tidemark: Run, db: Database[Any], signal_document: Any, width: int
) -> None:
    desk.lay_out(db, signal_document)
    now = to_ms(datetime.now(UTC))
    soon, past = (to_datetime(now + by * MINUTE) for by in (2, -2))
    db.signals.insert_many(
        [
            signal_document(now, strategy="rsi_reversal", fresh_until=soon, **WOULD),
            signal_document(now - HOUR // 2, strategy="bollinger", fresh_until=past, **WOULD),
        ]
    )
    shown = tidemark("signals", "--fresh", COLUMNS=str(width)).stdout
    column = shown.splitlines()[0].index("verdict")
    assert " ".join(line[column:].strip() for line in shown.splitlines()[2:]) == "would-take: 0.14, stop 71,036.3"
    assert len(json.loads(tidemark("signals", "--fresh", "--json").stdout)) == 1
    assert len(list(db.fresh_signals.find())) == 1
    rows = list(csv.DictReader(io.StringIO(tidemark("signals", "--csv").stdout)))
    assert [(one["quantity"], one["stop_price"]) for one in rows if one["verdict"] == "would-take"] == [
        ("0.14", "71036.3")
    ] * 2


def test_a_program_gets_verdict_and_reason(tidemark: Run, db: Database[Any], signal_document: Any) -> None:
    desk.lay_out(db, signal_document)
    found = json.loads(tidemark("signals", "--json").stdout)
    assert {(one["verdict"], one["reason"]) for one in found} >= {("taken", None), ("skipped", desk.HELD)}
    rows = list(csv.DictReader(io.StringIO(tidemark("signals", "--csv").stdout)))
    assert {(row["verdict"], row["reason"]) for row in rows} >= {("taken", ""), ("skipped", desk.HELD)}
