"""How fast the disk is while something else is measured: MongoDB acknowledges nothing before the disk has it."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

EVERY = 0.1
"""Seconds between two looks."""
_PAGE = bytes(4096)


@contextmanager
def watched(folder: Path) -> Iterator[list[float]]:
    """Meanwhile, how many milliseconds the disk of this folder takes, each time, until it has a page."""
    took: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        with (folder / "page").open("wb", buffering=0) as file:
            while not stop.wait(EVERY):
                begun = perf_counter()
                os.pwrite(file.fileno(), _PAGE, 0)
                os.fsync(file.fileno())
                took.append((perf_counter() - begun) * 1_000)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield took
    finally:
        stop.set()
        watcher.join()


def in_words(took: list[float]) -> str:
    """What that says of a delay beside it."""
    if len(took) < 2:
        return ""
    return (
        f"meanwhile the disk took {median(took):.1f} ms to have a page, p99 {quantiles(took, n=100)[-1]:.1f} ms, at "
        f"worst {max(took):.0f} ms, and MongoDB acknowledges nothing sooner"
    )
