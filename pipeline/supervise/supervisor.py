"""Runs the processes of `demo` and `up`: starts them, waits for them, starts a dead one again, ends them all.

Each is a process group of its own, so that Ctrl-C reaches the supervisor alone, and writes to a log file of its own.
If the supervisor itself is killed, its reaper ends what it had started. It never decides what is to run, and no process
ever waits for a terminal that nobody reads.
"""

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path
from queue import Full, Queue
from types import TracebackType
from typing import IO, Final, Self

from pipeline import log_file
from pipeline.errors import TidemarkError
from pipeline.store.mongod.sharing import close
from pipeline.supervise.reaper import Reaper

STOP_WITHIN: Final = 5.0
_LONGEST_DELAY: Final = 30.0
_STEADY_AFTER: Final = 60.0
_POLL: Final = 0.1
_REMEMBERED: Final = 30
_UNTOLD: Final = 1_000
_TOLD_WITHIN: Final = 1.0


class ServiceError(TidemarkError):
    """A process did not become ready, or cannot be started. The message names it, says why, and where its log is."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class State(StrEnum):
    """How a service is."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPED = "stopped"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Service:
    """One process: what runs, and in which environment. It is ready when it has said `says`, if anything is named, and
    `is_ready`. `ends_last`: others still tell it something as they end. `once`: it does something and
    ends; nobody waits for it, and it is not started again."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    says: str | None = None
    is_ready: Callable[[], bool] = lambda: True
    ready_within: float = 90.0
    ends_last: bool = False
    once: bool = False


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What a person asks about a service."""

    name: str
    state: State
    process_id: int | None
    restarts: int
    log: Path


def delays(shortest: float = 0.5, longest: float = _LONGEST_DELAY) -> Iterator[float]:
    """How long to wait before the next start: twice as long each time, up to a limit."""
    return (min(longest, shortest * 2**number) for number in count())


class Log:
    """The log file of one service: appended to, the older half kept as `.1` when it grows beyond its limit."""

    def __init__(self, path: Path, limit: int = log_file.LIMIT) -> None:
        self.path = path
        self._limit = limit
        self._recent: deque[str] = deque(maxlen=_REMEMBERED)

    def write(self, line: str) -> None:
        """Add a line. Where its folder is gone it is only remembered: the process is heard to its end."""
        self._recent.append(line)
        with suppress(FileNotFoundError):
            log_file.append(self.path, line, self._limit)

    @property
    def recent(self) -> Sequence[str]:
        """The last lines."""
        return tuple(self._recent)

    @property
    def last_words(self) -> str:
        """The last line that says something: the reason, if the process died."""
        return next((line.strip() for line in reversed(self.recent) if line.strip()), "it said nothing")


class _Runner:
    """One service from its first start to its end, in a thread of its own."""

    def __init__(self, service: Service, log: Log, reaper: Reaper, say: Callable[[str], None]) -> None:
        self.service = service
        self.log = log
        self.restarts = 0
        self.was_ready = threading.Event()
        self.exit_code: int | None = None
        self._reaper, self._say = reaper, say
        self._has_said = threading.Event()
        self._stopping = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._changing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"supervise-{service.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def process_id(self) -> int | None:
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    @property
    def is_ready(self) -> bool:
        return (self.service.says is None or self._has_said.is_set()) and self.service.is_ready()

    @property
    def state(self) -> State:
        if not self._thread.is_alive():
            return State.DONE if self.service.once and self.exit_code == 0 else State.STOPPED
        if self.process_id is None:
            return State.RESTARTING
        return State.RUNNING if self.service.once or self.was_ready.is_set() else State.STARTING

    def ask_to_stop(self) -> None:
        with self._changing:
            self._stopping.set()
        self._signal(signal.SIGTERM)

    def make_stop(self, deadline: float) -> bool:
        """Wait until it has ended; past the deadline, kill it. Returns whether it ended by itself."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        ended = not self._thread.is_alive()
        self._signal(signal.SIGKILL)
        self._thread.join()
        return ended

    def _run(self) -> None:
        waits = delays()
        while not self._stopping.is_set():
            began = time.monotonic()
            self.exit_code = self._run_once()
            if self._stopping.is_set() or not self.was_ready.is_set():
                return
            if time.monotonic() - began > _STEADY_AFTER:
                waits = delays()
            delay = next(waits)
            self.restarts += 1
            self._line(f"ended {_how(self.exit_code)}; starting it again in {delay:g} s")
            self._stopping.wait(delay)

    def _run_once(self) -> int:
        with self._changing:
            if self._stopping.is_set():
                return 0
            try:
                process = self._spawn()
            except OSError as error:
                self._line(f"cannot be started: {error.strerror}: {self.service.command[0]}")
                return 127
            self._process = process
        self._reaper.started(process.pid)
        reader = threading.Thread(target=self._read, args=(process.stdout,), daemon=True)
        reader.start()
        code = process.wait()
        _kill_group(process.pid, signal.SIGKILL)
        reader.join()
        self._reaper.ended(process.pid)
        return code

    def _spawn(self) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - our own argument list, no shell
            self.service.command,
            env={"PYTHONUNBUFFERED": "1", **self.service.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )

    def _read(self, output: IO[str]) -> None:
        with output:
            for line in output:
                if self.service.says is not None and self.service.says in line:
                    self._has_said.set()
                self._line(line.rstrip())

    def _line(self, line: str) -> None:
        self.log.write(line)
        self._say(line)

    def _signal(self, number: signal.Signals) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            _kill_group(process.pid, number)


class _Teller:
    """Passes lines on in a thread of its own. A terminal that takes none (Ctrl-S) holds up nobody but this thread: what
    finds no room is left out, for it stands in the logs."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        self._say = say
        self._lines: Queue[tuple[str, str] | None] = Queue(_UNTOLD)
        self._left_out = 0
        self._thread = threading.Thread(target=self._run, name="teller", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def tell(self, name: str, line: str) -> None:
        try:
            self._lines.put_nowait((name, line))
        except Full:
            self._left_out += 1

    def end(self) -> None:
        """What was told is said, if it can be said soon."""
        with suppress(Full):
            self._lines.put(None, timeout=_TOLD_WITHIN)
            self._thread.join(_TOLD_WITHIN)

    def _run(self) -> None:
        while told := self._lines.get():
            self._say(*told)
            if self._left_out and self._lines.empty():
                left_out, self._left_out = self._left_out, 0
                self._say(told[0], f"{left_out} lines of all were not shown: they are in the logs")


class Supervisor:
    """The processes of one run. `say` hears every line that one of them writes, with its name, as fast as it takes
    them."""

    def __init__(self, logs: Path, reaper: Reaper, say: Callable[[str, str], None] = lambda *_: None) -> None:
        self._logs = logs
        self._reaper = reaper
        self._teller = _Teller(say)
        self._runners: dict[str, _Runner] = {}

    def __enter__(self) -> Self:
        close(self._logs)
        self._teller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._teller.end()

    def start(self, service: Service) -> None:
        """Start it, and return at once."""
        log = Log(self._logs / f"{service.name}.log")
        runner = _Runner(service, log, self._reaper, lambda line: self._teller.tell(service.name, line))
        self._runners[service.name] = runner
        runner.start()

    def wait_ready(self, name: str) -> None:
        """Wait until it is ready; `ServiceError` if it ends before, or takes too long."""
        runner = self._runners[name]
        deadline = time.monotonic() + runner.service.ready_within
        while not runner.is_ready:
            if runner.state is State.STOPPED:
                why = f"{name} ended {_how(runner.exit_code)} before it was ready: {runner.log.last_words}"
                raise ServiceError(f"{why} (its log: {runner.log.path})", _code(runner.exit_code))
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"{name} was not ready within {runner.service.ready_within:.0f} s. "
                    f"It said last: {runner.log.last_words} (its log: {runner.log.path})"
                )
            time.sleep(_POLL)
        runner.was_ready.set()

    def statuses(self) -> list[ServiceStatus]:
        """All services, in the order of their start."""
        return [
            ServiceStatus(name, one.state, one.process_id, one.restarts, one.log.path)
            for name, one in self._runners.items()
        ]

    def stop(self, within: float = STOP_WITHIN) -> list[str]:
        """End all of them at once, then those that are to be the last, and return when all are gone; the names of those
        that had to be killed."""
        runners = list(reversed(self._runners.values()))
        first = [one for one in runners if not one.service.ends_last]
        last = [one for one in runners if one.service.ends_last]
        return [*self._end(first, within), *self._end(last, within)]

    def _end(self, runners: Sequence[_Runner], within: float) -> list[str]:
        for runner in runners:
            runner.ask_to_stop()
        deadline = time.monotonic() + within
        killed = [runner.service.name for runner in runners if not runner.make_stop(deadline)]
        for name in killed:
            self._teller.tell(name, f"did not end within {within:g} s and was killed")
        return killed


def _kill_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _how(code: int | None) -> str:
    if code is None:
        return "unexpectedly"
    return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"


def _code(code: int | None) -> int:
    """Usage errors and calls for attention keep their meaning; anything else is a failure."""
    return code if code in {2, 3} else 1
