"""Whatever happens to a run of benchmarks, Ctrl-C included: no process and no folder of it stays behind."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import psutil

PREFIX = "tidemark-bench-"
PATIENCE = 10.0
"""Seconds for the processes that are left to end by themselves when asked."""

_STOPS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def leaving_nothing() -> Iterator[None]:
    """One folder for everything that is written meanwhile, gone afterwards, as are the processes that were begun."""
    begun: set[psutil.Process] = set()
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder, _writing_to(folder):
        before = {number: signal.signal(number, _interrupt(begun)) for number in _STOPS}
        try:
            yield
        finally:
            for number in _STOPS:  # impatience must not keep anything from being cleared away
                signal.signal(number, signal.SIG_IGN)
            end(begun | _children())
            for number, handler in before.items():
                signal.signal(number, handler)


def end(processes: set[psutil.Process]) -> None:
    """Ask them to end, then make them."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    for process in psutil.wait_procs(processes, PATIENCE)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _interrupt(begun: set[psutil.Process]) -> Callable[[int, FrameType | None], None]:
    def interrupt(*_: object) -> None:
        """Once is enough. Who is a child of whom is known now, not when the first of them has ended."""
        for number in _STOPS:
            signal.signal(number, signal.SIG_IGN)
        begun.update(_children())
        raise KeyboardInterrupt

    return interrupt


def _children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


@contextmanager
def _writing_to(folder: str) -> Iterator[None]:
    """Temporary files go there, those of the processes begun from here too."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"], tempfile.tempdir = folder, folder
    try:
        yield
    finally:
        tempfile.tempdir = None
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
