"""The simulated exchange of a data folder, shared by every process that uses the folder, as its database is.

Whoever needs it first starts it, the last to leave stops it, and it ends by itself when all who used it were killed, or
its folder was deleted; its account lives no longer. Its market is the same every time. While a `tidemark demo` or `up`
runs in the folder, it is theirs.

    <home>/exchange/exchange.json  where each of its markets answers, and its process
    <home>/exchange/serving.lock   held for as long as it is there, by it or by whoever looks after it
    <home>/exchange/exchange.log   what it complains of

`python -m pipeline.app.home_exchange FOLDER PORT` is the exchange itself.
"""

import asyncio
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psutil

from pipeline.errors import AttentionError, TidemarkError
from pipeline.exchange_names import EXCHANGES
from pipeline.simulator.options import Options, Running
from pipeline.store.mongod import launch
from pipeline.store.mongod.sharing import Shared, close, is_locked, write_private

_START_WITHIN: Final = 30.0
_STOP_WITHIN: Final = 5.0
_LOOKED_AT_EVERY: Final = 1.0
_POLL: Final = 0.02


MARKETS: Final = tuple(dict.fromkeys(one.market for one in EXCHANGES.values()))
FIRST: Final = MARKETS[0]
"""Markets of the exchange: each has an address of its own."""

_children: dict[int, "subprocess.Popen[bytes]"] = {}
"""The exchanges this process started: they outlive whoever started them, and are reaped here when they end before."""


class HomeExchange:
    """The exchange of one data folder."""

    def __init__(self, home: Path) -> None:
        self._folder = Shared(home.absolute() / "exchange", "the exchange")
        self._state_file = self._folder.path / "exchange.json"
        self._serving_lock = self._folder.path / "serving.lock"
        self._log = self._folder.path / "exchange.log"

    @property
    def url(self) -> str | None:
        """Where its first market answers, if it runs."""
        return self.urls.get(FIRST)

    @property
    def urls(self) -> Mapping[str, str]:
        """Where each of its markets answers; none while it does not run."""
        return self._remembered()[0] if is_locked(self._serving_lock) else {}

    @contextmanager
    def running(self, market: str = FIRST) -> Iterator[str]:
        """The address of that market, for the length of a `with` block."""
        close(self._folder.path)
        with self._folder.starting(_START_WITHIN):
            membership = self._folder.enter()
            try:
                if not is_locked(self._serving_lock):
                    self._start(self._port())
            except BaseException:
                os.close(membership)
                raise
        try:
            yield self._address(market)
        finally:
            self._leave(membership)

    def _address(self, market: str) -> str:
        urls = self._remembered()[0]
        if market not in urls:
            raise AttentionError(
                f"the simulated exchange of {self._folder.path.parent} has the markets {', '.join(urls)}, and not "
                f"{market}. End what uses it, and begin again"
            )
        return urls[market]

    @contextmanager
    def served(self, urls: Mapping[str, str]) -> Iterator[None]:
        """Whoever runs an exchange there says so, market by market, for the length of a `with` block: from now on it is
        the folder's."""
        close(self._folder.path)
        with ExitStack() as ends:
            with self._folder.starting(_START_WITHIN):
                if is_locked(self._serving_lock):
                    raise AttentionError(
                        f"another tidemark command uses a simulated exchange in {self._folder.path.parent} already, at "
                        f"{self._remembered()[0].get(FIRST)}. End that one, or give this one a folder of its own with "
                        "TIDEMARK_HOME"
                    )
                self._serve_at(urls, None, ends)
            yield

    def _leave(self, membership: int) -> None:
        with self._folder.starting(_START_WITHIN):
            os.close(membership)
            number = self._remembered()[1]
            if number is not None and is_locked(self._serving_lock) and not self._folder.has_users():
                launch.end(psutil.Process(number), _STOP_WITHIN)
                _reap()

    def _serve_at(self, urls: Mapping[str, str], process_id: int | None, ends: ExitStack) -> None:
        descriptor = os.open(self._serving_lock, os.O_RDWR | os.O_CREAT, 0o600)
        ends.callback(os.close, descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        write_private(self._state_file, json.dumps({"urls": dict(urls), "process_id": process_id}))

    def _start(self, port: int) -> None:
        _reap()
        with self._log.open("wb") as log:
            child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "pipeline.app.home_exchange", str(self._folder.path), str(port)],
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
                raise AttentionError(f"the simulated exchange of {self._folder.path.parent} did not start: {said}")
            time.sleep(_POLL)

    def _port(self) -> int:
        """The last one of the first market, for those who know it; else one whose neighbours are free as well."""
        port = urlsplit(self._remembered()[0].get(FIRST, "")).port
        last = port is not None and all(
            launch.becomes_free(port + number, _STOP_WITHIN) for number in range(len(MARKETS))
        )
        return port if port is not None and last else launch.any_free_port(len(MARKETS))

    def _remembered(self) -> tuple[dict[str, str], int | None]:
        """Where its markets answer, or did, and its process, where it is one of its own."""
        try:
            stored = json.loads(self._state_file.read_text(encoding="utf-8"))
            urls = {str(market): str(url) for market, url in stored["urls"].items()}
            return urls, stored["process_id"] and int(stored["process_id"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}, None

    def serve(self, port: int) -> None:
        """Be the exchange, until nobody uses it any more."""
        from pipeline.simulator.host import serve  # noqa: PLC0415 - whoever only looks need not load it

        async def serving(ends: ExitStack) -> None:
            stopped = asyncio.Event()
            watching = asyncio.create_task(self._watch(ends, stopped))

            def announce(running: Running) -> None:
                self._serve_at({name: at.url for name, at in running.markets.items()}, os.getpid(), ends)

            try:
                await serve(Options(port=port, markets=MARKETS), announce, stopped)
            finally:
                watching.cancel()

        with ExitStack() as ends:
            asyncio.run(serving(ends))

    async def _watch(self, ends: ExitStack, stopped: asyncio.Event) -> None:
        """Stop when all who used it are gone, or its folder. Nobody comes in before it has ended: the lock goes with
        the process."""
        while not stopped.is_set():
            await asyncio.sleep(_LOOKED_AT_EVERY)
            with ExitStack() as holding:
                try:
                    holding.enter_context(self._folder.starting(0))
                    left = not self._folder.has_users()
                except FileNotFoundError:
                    left = True
                except (AttentionError, OSError):
                    left = False
                if left:
                    ends.push(holding.pop_all())
                    stopped.set()


def _reap() -> None:
    """Take note of every exchange of ours that has ended."""
    for number, child in list(_children.items()):
        if child.poll() is not None:
            _children.pop(number)


def main() -> int:
    """Run; the exit code is that of the error, if one ends it."""
    folder, port = sys.argv[1:]
    try:
        HomeExchange(Path(folder).parent).serve(int(port))
    except TidemarkError as failure:
        sys.stderr.write(f"{failure}\n")
        return failure.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
