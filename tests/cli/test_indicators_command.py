"""`tidemark indicators` as a person runs it, and what `tidemark backfill` leaves for it to do."""

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
        "COLUMNS": "200",
    }

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from pipeline.cli import main; main()", *arguments],
            env=environment | more,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


def test_a_backfill_leaves_nothing_to_compute_and_other_settings_everything(tidemark: Run, db: Database[Any]) -> None:
    filled = tidemark("backfill", "BTCUSDT", "-i", "1h", "-i", "1d", "--days", "60", "--json")
    assert filled.returncode == 0, filled.stderr
    assert "indicators of 1,500 candles computed" in filled.stderr.replace("1,499", "1,500").replace("1,501", "1,500")
    assert db["signals"].count_documents({"source": "history"}) > 100

    nothing = tidemark("indicators", "--json")
    assert nothing.returncode == 0, nothing.stderr
    rows = {row["interval"]: row for row in json.loads(nothing.stdout)}
    assert {code: (row["written"], row["new"]) for code, row in rows.items()} == {"1d": (0, 0), "1h": (0, 0)}

    everything = tidemark("indicators", "btcusdt", "-i", "1h", "--json", TIDEMARK_INDICATORS__RSI="9")
    (row,) = json.loads(everything.stdout)
    assert row["candles"] >= 1_439
    assert row["written"] >= 1_400

    table = tidemark("indicators")
    assert table.returncode == 0, table.stderr
    assert "withdrawn" in table.stdout


def test_nothing_stored_is_no_fault_and_an_unknown_symbol_is_one(tidemark: Run) -> None:
    empty = tidemark("indicators")
    assert (empty.returncode, "nothing is stored yet" in empty.stderr) == (0, True)
    unknown = tidemark("indicators", "NOSUCH")
    assert unknown.returncode == 2
    assert "no candles of 'NOSUCH' are stored" in unknown.stderr


def test_a_strategy_of_the_users_that_fails_is_said_and_indicators_are_there_all_the_same(
    tidemark: Run, db: Database[Any], home: Path
) -> None:
    (home / "mine.py").write_text(
        "from dataclasses import dataclass\nimport numpy as np\n\n\n"
        "@dataclass(frozen=True)\nclass Mine:\n    name = 'mine'\n    needs = ('close', 'volume')\n    lookback = 0\n\n"
        "    def signals(self, columns):\n"
        "        if columns['volume'].max(initial=0.0) > 5_000:\n"
        "            raise ValueError('too much')\n"
        "        return np.zeros(len(columns['close']), dtype=np.int8)\n"
    )
    done = tidemark(
        "backfill", "BTCUSDT", "-i", "1d", "--days", "60", TIDEMARK_STRATEGY_PATHS=f"{home / 'mine.py'}:Mine"
    )
    assert done.returncode == 0, done.stderr
    assert "strategy mine failed: ValueError: too much" in done.stderr
    assert db["candles"].find_one({"candles.rsi": {"$gt": 0}}) is not None
    failed = tidemark("indicators", TIDEMARK_STRATEGY_PATHS=f"{home / 'mine.py'}:Mine")
    assert failed.returncode == 1
    assert "strategy mine failed" in failed.stderr
