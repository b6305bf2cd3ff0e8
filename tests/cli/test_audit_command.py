"""`tidemark audit` as a person runs it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.simulator.handle import Simulator

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def tidemark(db: Database[Any], mongo_uri: str, simulator: Simulator, home: Path) -> Run:
    """The command, with a database of the test's own and the shared exchange."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")},
        "TIDEMARK_HOME": str(home),
        "TIDEMARK_MONGO_URI": mongo_uri,
        "TIDEMARK_DATABASE": db.name,
        "TIDEMARK_SIM_URL": simulator.url,
        "COLUMNS": "160",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments]
        return subprocess.run(
            program, env=environment, cwd=home, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def test_sound_then_damaged_then_repaired(tidemark: Run, db: Database[Any]) -> None:
    assert tidemark("backfill", "BTCUSDT", "-i", "1h", "--days", "20").returncode == 0
    sound = tidemark("audit")
    assert sound.returncode == 0, sound.stderr
    assert "sound" in sound.stdout

    bucket = db.candles.find_one({})
    assert bucket is not None
    filled = next(number for number, candle in enumerate(bucket["candles"]) if candle is not None)
    db.candles.update_one({"_id": bucket["_id"]}, {"$set": {f"candles.{filled}.high": 1.0}})
    damaged = tidemark("audit", "btcusdt", "-i", "1h", "--samples", "0")
    assert damaged.returncode == 1
    assert "sanity" in damaged.stdout
    assert "BTCUSDT 1h: not sound; see --repair" in damaged.stderr

    repaired = tidemark("audit", "--repair", "--samples", "0", "--json")
    assert repaired.returncode == 0, repaired.stderr
    (series,) = json.loads(repaired.stdout)
    assert series["sound"] is True
    (finding,) = series["findings"]
    assert (finding["check"], finding["state"], finding["candles"]) == ("sanity", "repaired", 1)


def test_a_series_that_is_not_stored_is_a_usage_error(tidemark: Run) -> None:
    done = tidemark("audit", "BTCUSDT")
    assert done.returncode == 2
    assert "no candles of 'BTCUSDT' are stored" in done.stderr
