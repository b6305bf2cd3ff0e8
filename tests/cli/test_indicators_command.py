"""`tidemark indicators` as a person runs it, and what `tidemark backfill` leaves for it to do."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pexpect
from pymongo.database import Database

from tests.cli.conftest import Run

OF_THE_NEWEST = 1
"""What is said of a candle is left to the live side for five minutes, which may be over when it is looked at again."""


def test_a_backfill_leaves_nothing_to_compute_and_other_settings_everything(tidemark: Run, db: Database[Any]) -> None:
    filled = tidemark("backfill", "BTCUSDT", "-i", "1h", "-i", "1d", "--days", "60", "--json")
    assert filled.exit_code == 0, filled.stderr
    computed = int(re.search(r"indicators of 1,(\d+) candles computed", filled.stderr)[1])
    assert 499 <= computed <= 502, "an hour and a day may have ended while they were fetched"
    assert db["signals"].count_documents({"source": "history"}) > 100

    nothing = tidemark("indicators", "--json")
    assert nothing.exit_code == 0, nothing.stderr
    rows = {row["interval"]: row for row in json.loads(nothing.stdout)}
    assert {code: row["written"] for code, row in rows.items()} == {"1d": 0, "1h": 0}
    assert all(row["new"] <= OF_THE_NEWEST for row in rows.values())

    everything = tidemark("indicators", "btcusdt", "-i", "1h", "--json", TIDEMARK_INDICATORS__RSI="9")
    (row,) = json.loads(everything.stdout)
    assert row["candles"] >= 1_439
    assert row["written"] >= 1_400

    table = tidemark("indicators")
    assert table.exit_code == 0, table.stderr
    assert "withdrawn" in table.stdout


def test_what_other_strategies_found_is_named_before_it_is_withdrawn(
    tidemark: Run, db: Database[Any], chosen: dict[str, str], home: Path
) -> None:
    two = {"TIDEMARK_STRATEGIES": "macd_cross,bollinger"}
    assert tidemark("backfill", "BTCUSDT", "-i", "1h", "--days", "60", "--json", **two).exit_code == 0
    found = {"strategy": "bollinger", "confirmed": True}
    stored = db["signals"].count_documents(found)
    assert stored > 0
    one = {"TIDEMARK_STRATEGIES": "macd_cross"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    candles = db["candles"].estimated_document_count()
    for asked in (["indicators"], ["backfill", "BTCUSDT", "-i", "1h", "--days", "90"]):
        terminal = pexpect.spawn(
            sys.executable,
            ["-c", "from pipeline.cli import main; main()", *asked],
            env=kept | chosen | one,
            cwd=home,
            timeout=90,
            encoding="utf-8",
            dimensions=(40, 200),
        )
        terminal.expect(f"{stored} stored signals of bollinger")
        terminal.expect("Withdraw them")
        terminal.sendline("n")
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 1
        assert db["signals"].count_documents(found) == stored, "a person said no"
        assert db["candles"].estimated_document_count() == candles, "asked before anything is done"

    gone = tidemark("indicators", "--json", **one)
    assert f"{stored} stored signals of bollinger are withdrawn" in gone.stderr
    assert "name it in `strategies` again" in gone.stderr
    assert db["signals"].count_documents(found) == 0
    assert tidemark("indicators", "--json", **one).stderr == "", "it is said once"
    assert tidemark("indicators", "--json", **two).exit_code == 0
    assert stored <= db["signals"].count_documents(found) <= stored + OF_THE_NEWEST, "and they are back"


def test_nothing_stored_is_no_fault_and_an_unknown_symbol_is_one(tidemark: Run) -> None:
    empty = tidemark("indicators")
    assert (empty.exit_code, "nothing is stored yet" in empty.stderr) == (0, True)
    unknown = tidemark("indicators", "NOSUCH")
    assert unknown.exit_code == 2
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
    assert done.exit_code == 0, done.stderr
    assert "strategy mine failed: ValueError: too much" in done.stderr
    assert db["candles"].find_one({"candles.rsi": {"$gt": 0}}) is not None
    failed = tidemark("indicators", TIDEMARK_STRATEGY_PATHS=f"{home / 'mine.py'}:Mine")
    assert failed.exit_code == 1
    assert "strategy mine failed" in failed.stderr
