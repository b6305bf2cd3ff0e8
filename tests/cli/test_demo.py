"""`tidemark demo` and `tidemark up` as a person runs them: in a terminal, with everything they start."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import psutil
import pytest

from pipeline.store import connect
from pipeline.store.folder import Folder, Remembered
from pipeline.store.launch import any_free_port
from pipeline.store.server import Server

COMMAND = str(Path(sys.executable).with_name("tidemark"))
PATIENCE = 280

METRONOME = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class Metronome:
    '''An entry at every candle: long where it rose, short where it fell.'''

    name: ClassVar[str] = "metronome"

    @property
    def needs(self):
        return ("open", "close", "atr")

    @property
    def lookback(self):
        return 0

    def signals(self, columns):
        codes = np.where(columns["close"] >= columns["open"], 2, -2).astype(np.int8)
        codes[np.isnan(columns["atr"])] = 0
        return codes
"""


def until(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"in vain waited for {what}"
        time.sleep(0.1)
    return found


class House:
    """A data folder, and the command in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        folder = Folder(home)
        folder.create()
        folder.remember(Remembered(port=any_free_port()))
        (home / "metronome.py").write_text(METRONOME)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEMARK_", "PREFECT_"))}
        self.environment = kept | {
            "TIDEMARK_HOME": str(home),
            "TIDEMARK_SYMBOLS": "BTCUSDT,ETHUSDT",
            "TIDEMARK_INTERVALS": "1h,1d",
            "TIDEMARK_HISTORY_DAYS": "12",
            "TIDEMARK_STRATEGIES": "ma_breakout",
            "TIDEMARK_STRATEGY_PATHS": f"{home}/metronome.py:Metronome",
        }

    def run(self, *arguments: str) -> pexpect.spawn:
        """Start the command in a terminal."""
        return pexpect.spawn(
            COMMAND,
            list(arguments),
            cwd=str(self.home),
            env=self.environment,
            timeout=PATIENCE,
            encoding="utf-8",
            dimensions=(46, 140),
        )

    def refused(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command to an end that is no good one."""
        return subprocess.run(
            [COMMAND, *arguments],
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    @contextmanager
    def database(self) -> Iterator[Any]:
        """Its database, while it runs."""
        with connect.client(Server(self.home).uri) as client:
            yield client["tidemark"]

    def processes(self) -> list[psutil.Process]:
        """Everything that was started for this folder and lives."""
        return [one for one in psutil.process_iter() if self._is_ours(one)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.status() != psutil.STATUS_ZOMBIE and (
                process.environ().get("TIDEMARK_HOME") == str(self.home)
            )
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False

    def kill(self) -> None:
        """End it all, whatever state it is in."""
        for process in self.processes():
            process.kill()


@pytest.fixture
def house(home: Path) -> Iterator[House]:
    made = House(home)
    yield made
    made.kill()


def end(terminal: pexpect.spawn) -> None:
    """Press Ctrl-C, and wait for the last word."""
    terminal.sendintr()
    terminal.expect("stopped; the data stay in")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def filled_order(db: Any) -> Any:
    """A live signal that was taken, and its order that was filled."""
    taken = db["signals"].find_one({"source": "live", "verdict": "taken", "strategy": "metronome"})
    return taken and db["orders"].find_one(
        {"signal": taken["_id"], "state": "filled", "leg": {"$in": ["entry", "trial"]}}
    )


@pytest.mark.timeout(900)
def test_from_nothing_to_an_executed_signal_and_on_after_a_restart(house: House) -> None:
    terminal = house.run("demo")
    for step in ("database", "exchange", "candles", "indicators", "returns", "ingester", "executor", "flows"):
        terminal.expect(step)
    terminal.expect("the newest signals")
    terminal.expect(r"Prefect +http://127\.0\.0\.1:\d+")
    terminal.expect("ready after")
    terminal.expect("candles/s")

    second = house.refused("demo", "--plain")
    assert second.returncode == 3
    assert "another `tidemark demo` or `tidemark up` runs in" in second.stderr

    with house.database() as db:
        order = until(lambda: filled_order(db), "a live signal to be executed")
        assert db["signals"].count_documents({"source": "history", "return_pct": {"$ne": None}})
        assert db["accounts"].find_one({"environment": "sim"})
        stored = db["candles"].estimated_document_count()
    end(terminal)
    assert house.processes() == []

    again = house.run("demo", "--plain")
    again.expect("8, 0 of them made now")
    again.expect("the account goes on, without its positions")
    again.expect("ready after")
    with house.database() as db:
        assert db["orders"].find_one({"_id": order["_id"]})["state"] == "filled"
        assert db["candles"].estimated_document_count() >= stored
    end(again)
    assert house.processes() == []


@pytest.mark.timeout(600)
def test_killed_it_leaves_no_process_behind(house: House) -> None:
    terminal = house.run("up", "--plain")
    terminal.expect("candles +[0-9,]+ of")
    assert len(house.processes()) > 3
    terminal.kill(signal.SIGKILL)
    terminal.close()
    until(lambda: not house.processes(), "everything to end")


def test_it_says_what_is_wrong_and_leaves_nothing_behind(house: House) -> None:
    house.environment["TIDEMARK_MINIMUM_FREE_MB"] = "999999999"
    refused = house.refused("demo")
    assert refused.returncode == 3
    assert "error: the disk of " in refused.stderr
    assert house.processes() == []
