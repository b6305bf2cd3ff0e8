"""Backtests that were begun on the page: one at a time, in a process of its own, so that nobody who looks waits for it.

What came out is kept as every run is; a run that was cancelled leaves nothing.
"""

import multiprocessing
import signal
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final, Literal

from pipeline.errors import TidemarkError, UsageError

State = Literal["running", "done", "failed", "cancelled"]
_REMEMBERED: Final = 50
_SPAWN: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be run; empty: as the settings have it."""

    strategies: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    intervals: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    days: float | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One of them: how far it is, under which name its run is kept, or why there is none."""

    id: str
    exchange: str
    began: datetime
    state: State = "running"
    what: str = "reading candles"
    done: int = 0
    whole: int = 0
    run: str | None = None
    why: str | None = None


class Backtests:
    """Those of one server."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._running: tuple[str, SpawnProcess] | None = None

    def begin(self, exchange: str, wanted: Wanted) -> Job:
        """Refused while one runs."""
        with self._lock:
            if self._running is not None and self._jobs[self._running[0]].state == "running":
                raise UsageError("a backtest runs already: wait for it, or cancel it")
            job = Job(uuid.uuid4().hex[:12], exchange, datetime.now(UTC))
            ours, theirs = _SPAWN.Pipe(duplex=False)
            process = _SPAWN.Process(target=_work, args=(exchange, wanted, theirs), name="backtest", daemon=True)
            process.start()
            theirs.close()
            self._jobs = dict([*self._jobs.items(), (job.id, job)][-_REMEMBERED:])
            self._running = job.id, process
        threading.Thread(target=self._listen, args=(job.id, process, ours), name="backtest", daemon=True).start()
        return job

    def named(self, name: str) -> Job:
        """One of them, now."""
        if name not in self._jobs:
            raise UsageError(f"no backtest {name!r} was begun here; what was kept is among the runs")
        return self._jobs[name]

    def cancel(self, name: str) -> Job:
        """End it; nothing of it is kept. One that has ended stays as it is."""
        with self._lock:
            if self._running is not None and self._running[0] == name:
                self._jobs[name] = replace(self.named(name), state="cancelled", why="cancelled")
                self._running[1].terminate()
        return self.named(name)

    def stop(self) -> None:
        """The server ends."""
        if self._running is not None:
            self._running[1].kill()

    def _listen(self, name: str, process: SpawnProcess, heard: Connection) -> None:
        with heard:
            while True:
                try:
                    told = heard.recv()
                except (EOFError, OSError):
                    break
                with self._lock:
                    if self._jobs[name].state == "running":
                        self._jobs[name] = replace(self._jobs[name], **told)
        process.join()
        with self._lock:
            if self._running is not None and self._running[0] == name:
                self._running = None
            if self._jobs[name].state == "running":
                why = f"its process ended with {process.exitcode}: perhaps the machine has no memory left"
                self._jobs[name] = replace(self._jobs[name], state="failed", why=why)


def _work(exchange: str, wanted: Wanted, told: Connection) -> None:
    """In the process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        told.send({"state": "done", "run": _run(exchange, wanted, told)})
    except TidemarkError as error:
        told.send({"state": "failed", "why": str(error)})
    except Exception as error:  # noqa: BLE001 - a strategy is the user's own code, and its error is theirs to read
        told.send({"state": "failed", "why": f"{type(error).__name__}: {error}"})


def _run(exchange: str, wanted: Wanted, told: Connection) -> str:
    from pipeline.app.backtest import backtest  # noqa: PLC0415
    from pipeline.app.opened import Opened  # noqa: PLC0415
    from pipeline.app.runs import AskedFor, keep  # noqa: PLC0415
    from pipeline.settings import load  # noqa: PLC0415

    def progress(what: str, done: int, whole: int) -> None:
        told.send({"what": what, "done": done, "whole": whole})

    asked = AskedFor(wanted.strategies, wanted.symbols, wanted.intervals, wanted.parameters, wanted.exact)
    with Opened(load().at(exchange)) as tm:
        found = backtest(
            tm,
            wanted.strategies,
            symbols=wanted.symbols,
            intervals=wanted.intervals,
            parameters=wanted.parameters,
            days=wanted.days,
            exact=wanted.exact,
            progress=progress,
        )
        return keep(tm, found, asked)
