"""The audit flow on a real Prefect server: sound, not sound, mended."""

from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from flows.audit import AuditChoice, audit
from flows.backfill import BackfillChoice, backfill
from pipeline.app.audit_trail import file_of
from pipeline.errors import TidemarkError

pytestmark = pytest.mark.usefixtures("settings_of_the_run")


def test_it_fails_on_damage_and_passes_after_the_repair(db: Database[Any]) -> None:
    backfill(BackfillChoice(symbols=["BTCUSDT"], intervals=["1h"], days=12, source="rest"))
    assert audit(AuditChoice())[0]["sound"] is True

    bucket = db.candles.find_one(sort=[("_id", 1)])
    assert bucket is not None
    filled = next(number for number, candle in enumerate(bucket["candles"]) if candle is not None)
    db.candles.update_one({"_id": bucket["_id"]}, {"$set": {f"candles.{filled}.high": 1.0}})
    with pytest.raises(TidemarkError, match="not sound: BTCUSDT 1h"):
        audit(AuditChoice(symbols=["BTCUSDT"], samples=0))
    (row,) = audit(AuditChoice(repair=True, samples=0))
    assert (row["sound"], row["findings"]) == (True, 1)
    assert audit(AuditChoice(samples=0))[0]["findings"] == 0


def test_what_is_fetched_and_proved_is_noted(home: Path) -> None:
    backfill(BackfillChoice(symbols=["BTCUSDT"], intervals=["1h"], days=2, source="rest"))
    audit(AuditChoice(repair=True))
    assert [line.split(" ", 1)[1] for line in file_of(home).read_text().splitlines()] == [
        "flow backfill: backfill BTCUSDT 1h",
        "flow audit: audit BTCUSDT 1h, repair",
    ]


def test_the_second_night_has_nothing_to_look_at(db: Database[Any]) -> None:
    backfill(BackfillChoice(symbols=["BTCUSDT"], intervals=["1h", "15m"], days=12, source="rest"))
    night = AuditChoice(repair=True, everything=False)
    assert [(row["interval"], row["sound"], row["candles"] > 0) for row in audit(night)] == [
        ("15m", True, True),
        ("1h", True, True),
    ]
    assert [(row["candles"], row["compared"]) for row in audit(night)] == [(0, 0), (0, 0)]
