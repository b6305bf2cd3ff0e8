"""Runs of flows begin as forks of a process that has loaded Prefect and the flows. To load those takes longer than most
runs do, and two begin each minute.

    forks = Forkserver()

comes first of all, before there is a thread. Which run begins when, and in which environment, is Prefect's affair.
"""

import asyncio
import gc
import os
import runpy
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Final, NoReturn, Self

from anyio.abc import TaskStatus

_ENDINGS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Wanted = tuple[Mapping[str, str], Path | str | None]
"""The environment of a run, and the folder that it works in."""


def run_engine() -> None:
    """What `python -m prefect.engine` does."""
    sys.modules.pop("prefect.engine", None)  # of what is loaded already `runpy` complains
    runpy.run_module("prefect.engine", run_name="__main__")


class Fork:
    """A run, with what Prefect asks of a process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    def end(self, code: int) -> None:
        """It has ended so."""
        self.returncode = code
        self._ended.set()

    async def wait(self) -> None:
        """Until it has ended. Whoever is told not to wait any more leaves nothing running."""
        try:
            await self._ended.wait()
        finally:
            if self.returncode is None:
                self.kill()

    def kill(self) -> None:
        """Whatever it is in the middle of. It may have ended, and nobody have heard of it yet."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


class Forkserver:
    """The process that forks, from the side of who asks it. `begin`: what is done in a fork."""

    def __init__(self, begin: Callable[[], None] = run_engine) -> None:
        self._channel, theirs = Pipe()
        gc.collect()
        gc.freeze()  # the garbage collector writes to whatever it looks at, and memory that is written to is not shared
        if _fork() == 0:
            self._channel.close()
            _serve(theirs, begin)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)
        theirs.close()
        self._asked: deque[asyncio.Future[Fork]] = deque()
        self._forks: dict[int, Fork] = {}
        self._gone = asyncio.Event()

    async def hear(self) -> None:
        """Hear of its forks, until there is no forkserver any more."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._channel.fileno(), self._hear)
        try:
            await self._gone.wait()
        finally:
            loop.remove_reader(self._channel.fileno())

    async def run_process(
        self,
        command: list[str],  # noqa: ARG002 - there is one thing to do
        *,
        env: Mapping[str, str],
        cwd: Path | str | None = None,
        task_status: TaskStatus[Any],
        task_status_handler: Callable[[Any], Any],
        **_: Any,
    ) -> Fork:
        """A run from its beginning to its end, as Prefect calls for it. What it says goes where we say it."""
        asked: asyncio.Future[Fork] = asyncio.get_running_loop().create_future()
        self._asked.append(asked)
        self._channel.send((dict(env), cwd))
        fork = await asked
        task_status.started(task_status_handler(fork))
        await fork.wait()
        return fork

    def _hear(self) -> None:
        try:
            pid, code = self._channel.recv()
        except (EOFError, OSError):
            self._gone.set()
            return
        if code is not None:
            self._forks.pop(pid).end(code)
            return
        self._forks[pid] = Fork(pid)
        asked = self._asked.popleft()
        if asked.cancelled():
            self._forks[pid].kill()
        else:
            asked.set_result(self._forks[pid])


def _fork() -> int:
    """What either side is told to end by waits until it has said how it takes it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDINGS)
    return os.fork()


def _serve(channel: Connection, begin: Callable[[], None]) -> NoReturn:
    """Fork whenever somebody asks, until nobody can any more."""
    for one in _ENDINGS:
        signal.signal(one, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)
    with _Ends() as ends:
        wanted = _until_forked(channel, ends)
        if wanted is None:
            os._exit(0)
    channel.close()
    _become(*wanted)
    begin()
    raise SystemExit


def _until_forked(channel: Connection, ends: "_Ends") -> Wanted | None:
    """In a fork, what was asked for it; otherwise None, when nobody asks any more."""
    with suppress(EOFError, OSError):
        while True:
            ready = wait([channel, ends.fileno()])
            if ends.fileno() in ready:
                for ended in ends.heard():
                    channel.send(ended)
            if channel not in ready:
                continue
            wanted: Wanted = channel.recv()
            pid = _fork()
            if pid == 0:
                return wanted
            channel.send((pid, None))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)
    return None


class _Ends:
    """The ends of forks, as something that can be waited for: a handler alone would not wake up who just began to."""

    def __enter__(self) -> Self:
        self._heard, self._told = os.pipe()
        os.set_blocking(self._told, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._told, warn_on_full_buffer=False)
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._heard)
        os.close(self._told)

    def fileno(self) -> int:
        """What can be read when there is one."""
        return self._heard

    def heard(self) -> Iterator[tuple[int, int]]:
        """Those that have ended, and their exit codes."""
        os.read(self._heard, 4096)
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                yield ended[0], os.waitstatus_to_exitcode(ended[1])


def _become(environment: Mapping[str, str], folder: Path | str | None) -> None:
    """A process like any that was just begun."""
    for one in _ENDINGS:
        signal.signal(one, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDINGS)
    os.environ.clear()
    os.environ.update(environment)
    if folder is not None:
        os.chdir(folder)
