"""The real demo, driven from outside: started in a terminal, watched by what it says, its processes killed one by one,
and ended with Ctrl-C."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pexpect
import psutil

from bench.prefect_api import start_run
from pipeline.exchange.environments import SIM, at
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import Trading
from pipeline.simulator.handle import RunningSimulator
from pipeline.simulator.options import READY_KEY, READY_SECRET
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
    "TIDEMARK_RISK__MAX_POSITION_PERCENT": "20",
    "TIDEMARK_RISK__MAX_ERROR_PERCENT": "100",
    "TIDEMARK_RISK__DAILY_LOSS_PERCENT": "100",
    "TIDEMARK_LOG_LEVEL": "info",
}
"""Small series, four strategies of which three speak often, and limits that do not end the trading where most requests
fail on purpose."""
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

    @contextmanager
    def account(self, exchange: RunningSimulator) -> Iterator[Trading]:
        """What the exchange says of the account that the executor trades with."""
        with RestClient(at(SIM, exchange.url), Credentials(READY_KEY, signer_for(READY_SECRET))) as client:
            client.sync_clock()
            yield Trading(client)

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for it."""
        return self.house.processes()

    def kill(self, role: str) -> bool:
        """kill -9; False if there is nobody to kill."""
        for process in self.processes():
            try:
                if role_of(process.cmdline()) == role:
                    process.kill()
                    return True
            except psutil.NoSuchProcess:
                continue
        return False

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


def becomes_true(so: Callable[[], Any], seconds: float) -> Any:
    """Ask until it is so, or the time is over; the last answer."""
    deadline = time.monotonic() + seconds
    while not (found := so()) and time.monotonic() < deadline:
        time.sleep(0.25)
    return found
