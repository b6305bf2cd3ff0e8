"""The pretend exchange of a data folder, shared by every process that uses the folder, as its database is.

Whoever needs it first starts it, the last to leave stops it, and it ends by itself when all who used it were killed;
its account lives no longer. Its market is the same every time.

    <home>/exchange/exchange.json  where it answers, and its process
    <home>/exchange/exchange.log   what it complains of

`python -m pipeline.cli.home_exchange FOLDER OPTIONS` is the exchange itself.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec
import psutil

from pipeline.errors import AttentionError, TidemarkError
from pipeline.simulator.options import READY_KEY, READY_SECRET, Account, Options, Running
from pipeline.store import launch
from pipeline.store.sharing import Shared, write_private

DEPOSIT: Final = "10000"
_START_WITHIN: Final = 30.0
_STOP_WITHIN: Final = 5.0
_LOOKED_AT_EVERY: Final = 1.0
_POLL: Final = 0.02


_children: dict[int, "subprocess.Popen[bytes]"] = {}
"""The exchanges this process started: they outlive whoever started them, and are reaped here when they end before."""


class HomeExchange:
    """The exchange of one data folder."""

    def __init__(self, home: Path) -> None:
        self._folder = Shared(home.absolute() / "exchange", "the exchange")
        self._state_file = self._folder.path / "exchange.json"
        self._log = self._folder.path / "exchange.log"

    @property
    def url(self) -> str | None:
        """Where it answers, if it runs."""
        return None if self._process() is None else self._remembered()[0]

    @contextmanager
    def running(self, *, port: int | None = None, deposit: str = DEPOSIT) -> Iterator[str]:
        """Its address, for the length of a `with` block. Port and deposit are those of a start: one that runs already
        is joined as it is."""
        self._folder.path.mkdir(parents=True, exist_ok=True)
        with self._folder.starting(_START_WITHIN):
            membership = self._folder.enter()
            try:
                if self._process() is None:
                    self._start(port or self._port(), deposit)
            except BaseException:
                os.close(membership)
                raise
        try:
            yield self._remembered()[0]
        finally:
            self._leave(membership)

    def revive(self, deposit: str = DEPOSIT) -> bool:
        """Start it again if it has died while this process uses it; whether it had. Its accounts begin anew, where its
        users know it to be."""
        if self._process() is not None:
            return False
        with self._folder.starting(_START_WITHIN):
            if self._process() is None:
                self._start(self._port(), deposit)
        return True

    def _leave(self, membership: int) -> None:
        with self._folder.starting(_START_WITHIN):
            os.close(membership)
            process = self._process()
            if process is not None and not self._folder.has_users():
                launch.end(process, _STOP_WITHIN)
                self._process()  # reaps it

    def _start(self, port: int, deposit: str) -> None:
        account = Account(name="main", key=READY_KEY, secret=READY_SECRET, deposit=deposit)
        options = msgspec.json.encode(Options(port=port, accounts=(account,))).decode()
        with self._log.open("wb") as log:
            child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "pipeline.cli.home_exchange", str(self._folder.path), options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # Ctrl-C ends whoever uses it, one by one
            )
        _children[child.pid] = child
        deadline = time.monotonic() + _START_WITHIN
        while self._remembered()[1] != child.pid:
            if child.poll() is not None or time.monotonic() > deadline:
                child.kill()
                child.wait()
                said = self._log.read_text(errors="replace").strip() or "it said nothing"
                raise AttentionError(f"the pretend exchange of {self._folder.path.parent} did not start: {said}")
            time.sleep(_POLL)

    def _port(self) -> int:
        """The last one, for those who know it; a free one where that is taken, or there was none."""
        port = urlsplit(self._remembered()[0]).port
        return port if port is not None and launch.becomes_free(port, _STOP_WITHIN) else launch.any_free_port()

    def _process(self) -> psutil.Process | None:
        """It, alive. A process that only inherited its number is not taken for it."""
        for number, child in list(_children.items()):
            if child.poll() is not None:
                _children.pop(number, None)
        try:
            process = psutil.Process(self._remembered()[1])
            alive = process.status() != psutil.STATUS_ZOMBIE and str(self._folder.path) in process.cmdline()
        except (psutil.Error, ValueError):
            return None
        return process if alive else None

    def _remembered(self) -> tuple[str, int]:
        try:
            stored = json.loads(self._state_file.read_text(encoding="utf-8"))
            return str(stored["url"]), int(stored["process_id"])
        except (OSError, ValueError, TypeError, KeyError):
            return "", -1

    def serve(self, options: Options) -> None:
        """Be the exchange, until nobody uses it any more."""
        from pipeline.simulator.host import serve  # noqa: PLC0415 - whoever only looks need not load it

        async def serving(ends: ExitStack) -> None:
            stopped = asyncio.Event()
            watching = asyncio.create_task(self._watch(ends, stopped))
            try:
                await serve(options, self._announce, stopped)
            finally:
                watching.cancel()

        with ExitStack() as ends:
            asyncio.run(serving(ends))

    def _announce(self, running: Running) -> None:
        write_private(self._state_file, json.dumps({"url": running.url, "process_id": os.getpid()}))

    async def _watch(self, ends: ExitStack, stopped: asyncio.Event) -> None:
        """Stop when all who used it are gone. Nobody comes in before it has ended: the lock goes with the process."""
        while not stopped.is_set():
            await asyncio.sleep(_LOOKED_AT_EVERY)
            with ExitStack() as holding:
                try:
                    holding.enter_context(self._folder.starting(0))
                except AttentionError:
                    continue
                if not self._folder.has_users():
                    ends.push(holding.pop_all())
                    stopped.set()


def main() -> int:
    """Run; the exit code is that of the error, if one ends it."""
    folder, options = sys.argv[1:]
    try:
        HomeExchange(Path(folder).parent).serve(msgspec.json.decode(options, type=Options))
    except TidemarkError as failure:
        sys.stderr.write(f"{failure}\n")
        return failure.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
