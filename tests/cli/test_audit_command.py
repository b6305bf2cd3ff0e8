"""`tidemark audit` as a person runs it."""

import json
from typing import Any

from pymongo.database import Database

from tests.cli.conftest import Run


def test_sound_then_damaged_then_repaired(tidemark: Run, db: Database[Any]) -> None:
    assert tidemark("backfill", "BTCUSDT", "-i", "1h", "--days", "20").exit_code == 0
    sound = tidemark("audit")
    assert sound.exit_code == 0, sound.stderr
    assert "sound" in sound.stdout

    bucket = db.candles.find_one({})
    assert bucket is not None
    filled = next(number for number, candle in enumerate(bucket["candles"]) if candle is not None)
    db.candles.update_one({"_id": bucket["_id"]}, {"$set": {f"candles.{filled}.high": 1.0}})
    damaged = tidemark("audit", "btcusdt", "-i", "1h", "--samples", "0")
    assert damaged.exit_code == 1
    assert "sanity" in damaged.stdout
    assert "BTCUSDT 1h: not sound; see --repair" in damaged.stderr

    repaired = tidemark("audit", "--repair", "--samples", "0", "--json")
    assert repaired.exit_code == 0, repaired.stderr
    (series,) = json.loads(repaired.stdout)
    assert series["sound"] is True
    (finding,) = series["findings"]
    assert (finding["check"], finding["state"], finding["candles"]) == ("sanity", "repaired", 1)


def test_a_series_that_is_not_stored_is_a_usage_error(tidemark: Run) -> None:
    done = tidemark("audit", "BTCUSDT")
    assert done.exit_code == 2
    assert "no candles of 'BTCUSDT' are stored" in done.stderr
