"""Work that was begun on the page: of each kind one at a time, in a process of its own, so that nobody who looks waits
for it.

What comes of it is kept by the work itself. One that is cancelled is interrupted, as by Ctrl-C, and keeps what it
always keeps then.
"""

import multiprocessing
import signal
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final, Literal

from pipeline.errors import TidemarkError, UsageError

State = Literal["running", "done", "failed", "cancelled"]
Tell = Callable[..., None]
"""Hears what of a job is new, by the names of its fields."""
Work = Callable[[str, Any, Tell], str]
"""At an exchange, what is wanted, and who hears how far it is; answers under which name it is kept, or what it is."""
_REMEMBERED: Final = 50
_SPAWN: Final = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Job:
    """One of them: how far it is, under which name its result is kept, or why there is none."""

    id: str
    exchange: str
    began: datetime
    state: State = "running"
    what: str = "beginning"
    done: int = 0
    whole: int = 0
    run: str | None = None
    why: str | None = None


class Jobs:
    """Those of one kind, of one server."""

    def __init__(self, kind: str, work: Work) -> None:
        self._kind = kind
        self._does = work
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._running: tuple[str, SpawnProcess] | None = None

    def begin(self, exchange: str, wanted: object) -> Job:
        """Refused while one runs."""
        return self._begin(exchange, wanted)[0]

    def carry_out(self, exchange: str, wanted: object) -> str:
        """Begin it and wait for it: what it answers. Refused with its own words where it failed."""
        job, ends = self._begin(exchange, wanted)
        ends.join()
        ended = self.named(job.id)
        if ended.run is None:
            raise UsageError(ended.why or f"the {self._kind} ended without an answer")
        return ended.run

    def _begin(self, exchange: str, wanted: object) -> tuple[Job, threading.Thread]:
        with self._lock:
            if self._running is not None and self._jobs[self._running[0]].state == "running":
                raise UsageError(f"a {self._kind} runs already: wait for it, or cancel it")
            job = Job(uuid.uuid4().hex[:12], exchange, datetime.now(UTC))
            ours, theirs = _SPAWN.Pipe(duplex=False)
            process = _SPAWN.Process(
                target=_work, args=(self._does, exchange, wanted, theirs), name=self._kind, daemon=True
            )
            process.start()
            theirs.close()
            self._jobs = dict([*self._jobs.items(), (job.id, job)][-_REMEMBERED:])
            self._running = job.id, process
        listening = threading.Thread(target=self._listen, args=(job.id, process, ours), name=self._kind, daemon=True)
        listening.start()
        return job, listening

    def named(self, name: str) -> Job:
        """One of them, now."""
        if name not in self._jobs:
            raise UsageError(f"no {self._kind} {name!r} was begun here; what was kept is listed by itself")
        return self._jobs[name]

    def cancel(self, name: str) -> Job:
        """End it. One that has ended stays as it is."""
        with self._lock:
            if self._running is not None and self._running[0] == name and self.named(name).state == "running":
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


def _work(work: Work, exchange: str, wanted: object, told: Connection) -> None:
    """In the process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _interrupted)

    def tell(**news: object) -> None:
        told.send(news)

    try:
        tell(run=work(exchange, wanted, tell), state="done")
    except TidemarkError as error:
        tell(state="failed", why=str(error))
    except Exception as error:  # noqa: BLE001 - a strategy is the user's own code, and its error is theirs to read
        tell(state="failed", why=f"{type(error).__name__}: {error}")


def _interrupted(*_: object) -> None:
    raise SystemExit
