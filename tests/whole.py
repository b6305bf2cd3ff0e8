"""A whole Tidemark in a folder of its own, as a person runs it in a terminal: `tidemark demo`, `tidemark up`."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import psutil

from pipeline.store import connect
from pipeline.store.mongod.folder import Folder, Remembered
from pipeline.store.mongod.launch import any_free_port
from pipeline.store.mongod.server import Server
from pipeline.supervise.whole import STEPS

COMMAND = str(Path(sys.executable).with_name("tidemark"))
METRONOME = Path(__file__).with_name("metronome.py")
PATIENCE = 280


def until(condition: Callable[[], Any], what: str, otherwise: Callable[[], object] = str) -> Any:
    """Wait for it; `otherwise` says what there was instead."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"in vain waited for {what}: {otherwise()}"
        time.sleep(0.1)
    return found


def until_ready(terminal: pexpect.spawn) -> None:
    """Wait for the steps of its start, from the candles on. Together they may take long, as long as it goes on."""
    names = [one.name for one in STEPS]
    for name in names[names.index("candles") :]:
        terminal.expect(rf"\n{name} ")
    terminal.expect("ready after")


class House:
    """A data folder, and the command in it. `chosen`: settings besides the few that keep it small."""

    def __init__(self, home: Path, **chosen: str) -> None:
        self.home = home
        folder = Folder(home)
        folder.create()
        folder.remember(Remembered(port=any_free_port()))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIDEMARK_", "PREFECT_"))}
        self.environment = kept | {
            "TIDEMARK_HOME": str(home),
            "TIDEMARK_SYMBOLS": "BTCUSDT,ETHUSDT",
            "TIDEMARK_INTERVALS": "1h,1d",
            "TIDEMARK_HISTORY_DAYS": "12",
            "TIDEMARK_STRATEGIES": "ma_breakout",
            "TIDEMARK_STRATEGY_PATHS": f"{METRONOME}:Metronome",
            **chosen,
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
            codec_errors="replace",  # Ctrl-C may cut a line in the middle of a character
            dimensions=(46, 140),
        )

    def runs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the command to its end."""
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
