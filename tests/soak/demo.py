"""The real demo, driven from outside: started in a terminal, watched by what it says, its processes killed one by one,
and ended with Ctrl-C."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pexpect
import psutil

from bench.prefect_api import start_run
from pipeline.app.door import Door
from pipeline.simulator.handle import RunningSimulator
from pipeline.supervise.prefect_login import login_of
from tests.soak.memory import role_of
from tests.whole import METRONOME, House

DICE = Path(__file__).with_name("dice.py")
DICES = ("RedDice", "BlueDice")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
SETTINGS = {
    "TIDEMARK_SYMBOLS": ",".join(SYMBOLS),
    "TIDEMARK_INTERVALS": "1m,5m",
    "TIDEMARK_HISTORY_DAYS": "1",
    "TIDEMARK_STRATEGIES": "ma_breakout",
    "TIDEMARK_STRATEGY_PATHS": ",".join([f"{METRONOME}:Metronome", *(f"{DICE}:{one}" for one in DICES)]),
    "TIDEMARK_PORTFOLIO__BOOKS": "true",
    "TIDEMARK_RISK__MAX_POSITION_PERCENT": "20",
    "TIDEMARK_RISK__MAX_ERROR_PERCENT": "100",
    "TIDEMARK_RISK__DAILY_LOSS_PERCENT": "100",
    "TIDEMARK_LOG_LEVEL": "info",
}
"""Small series, four strategies of which three speak often, each with books of its own, and limits that do not end the
trading where most requests fail on purpose."""
EXCHANGE_ENDED = "exchange | ended"
READY = "ready after"
STOPPED = "stopped; the data stay in"
ENDS_WITHIN = 30.0


class DemoError(AssertionError):
    """It did not do what it must do. The message says what, and what it said last."""


class Demo:
    """A demo in a terminal."""

    def __init__(self, home: Path) -> None:
        self.house = House(home, **SETTINGS)
        self.said = home / "said.log"
        self.said.touch()
        self._terminal: pexpect.spawn | None = None
        self._reader = threading.Thread(target=self._read, daemon=True)

    @contextmanager
    def running(self) -> Iterator[None]:
        """For the length of the block; whatever happens in it, nothing is left."""
        self._terminal = self.house.run("demo", "--plain")
        self._reader.start()
        try:
            yield
        finally:
            self.house.kill()
            self._reader.join()
            self._terminal.close(force=True)

    def wait_for(self, text: str, seconds: float) -> str:
        """Wait until it says that; everything that it has said so far."""
        deadline = time.monotonic() + seconds
        while text not in (said := self.said.read_text(encoding="utf-8")):
            if time.monotonic() > deadline or not self._reader.is_alive():
                raise DemoError(f"the demo did not say {text!r} within {seconds:g} s. It said last:\n{said[-3000:]}")
            time.sleep(0.05)
        return said

    def exchange(self) -> RunningSimulator:
        """The simulated exchange that it started."""
        found = re.search(r"panel +(http://\S+)/sim", self.wait_for("Ctrl-C ends it.", 60))
        if found is None:
            raise DemoError("the demo did not say where the panel of its exchange is")
        return RunningSimulator(found[1])

    def start_flow(self, deployment: str) -> None:
        """Ask its Prefect for a run, as a person does on the page."""
        found = re.search(r"http://127\.0\.0\.1:(\d+) schedules the flows", self.wait_for(READY, 0))
        if found is None:
            raise DemoError("the demo did not say where its Prefect is")
        start_run(int(found[1]), login_of(self.house.home), deployment, {})

    def link(self) -> str:
        """To its page, for whoever opens it within minutes."""
        found = re.search(r"page +(http://\S+)", self.wait_for(READY, 0))
        if found is None:
            raise DemoError("the demo did not say where its page is")
        return f"{found[1]}/enter?code={Door(self.house.home).code()}"

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for it."""
        return self.house.processes()

    def victim(self, name: str) -> psutil.Process | None:
        """A role, and of which exchange where there is one for each: "executor of sim-cm"."""
        role, _, exchange = name.partition(" of ")
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                command = process.cmdline()
                if role_of(command) == role and (not exchange or serves(command, exchange)):
                    return process
        return None

    def interrupt(self) -> float:
        """Press Ctrl-C, and wait for the end; how long it took. `DemoError` if anything is left."""
        if self._terminal is None:
            raise DemoError("the demo was never started")
        began = time.monotonic()
        self._terminal.sendintr()
        self._reader.join(ENDS_WITHIN)
        if self._reader.is_alive():
            raise DemoError(f"the demo did not end within {ENDS_WITHIN:g} s of Ctrl-C")
        took = time.monotonic() - began
        self._terminal.close()
        left = [" ".join(one.cmdline()) for one in self.processes()]
        if left:
            raise DemoError(f"Ctrl-C left running: {left}")
        self.wait_for(STOPPED, 0)
        if self._terminal.exitstatus != 0:
            raise DemoError(f"the demo ended with exit code {self._terminal.exitstatus}")
        return took

    def _read(self) -> None:
        """Its terminal must be emptied, or it would wait."""
        terminal = self._terminal
        with self.said.open("a", encoding="utf-8") as log:
            while terminal is not None:
                try:
                    log.write(terminal.read_nonblocking(65_536, timeout=None))
                    log.flush()
                except pexpect.EOF:
                    return


def serves(command: Sequence[str], exchange: str) -> bool:
    """Whether that is what it was started for."""
    return ("--exchange", exchange) in pairwise(command)


def becomes_true(so: Callable[[], Any], seconds: float) -> Any:
    """Ask until it is so, or the time is over; the last answer."""
    deadline = time.monotonic() + seconds
    while not (found := so()) and time.monotonic() < deadline:
        time.sleep(0.25)
    return found
