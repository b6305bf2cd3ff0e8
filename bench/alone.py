"""Benchmarks, each in a process of its own: memory that another has used, and its garbage, are nothing to it."""

import importlib
import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from time import perf_counter
from typing import Any

from bench.table import Row


@dataclass(frozen=True, slots=True)
class Ended:
    """A benchmark after so many seconds. Without rows it failed, and what it said itself is above."""

    name: str
    seconds: float
    rows: list[Row] | None


def measured_alone(names: Sequence[str], *, quick: bool, at_once: int) -> Iterator[Ended]:
    """These benchmarks as they end, never more than so many of them at once."""
    left, running = list(names), dict[Any, _Begun]()
    while left or running:
        while left and len(running) < at_once:
            begun = _begun(left.pop(0), quick)
            running[begun.says] = begun
        for ready in wait(running):
            yield running.pop(ready).ended()


@dataclass(frozen=True, slots=True)
class _Begun:
    name: str
    at: float
    process: BaseProcess
    says: "Connection[None, list[Row]]"

    def ended(self) -> Ended:
        """Wait for its rows, or for its end without any."""
        rows = None
        with self.says, suppress(EOFError):
            rows = self.says.recv()
        self.process.join()
        return Ended(self.name, perf_counter() - self.at, rows)


def _begun(name: str, quick: bool) -> _Begun:
    context, at = multiprocessing.get_context("spawn"), perf_counter()
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(name, quick, sending))
    process.start()
    sending.close()
    return _Begun(name, at, process, receiving)


def _measure(name: str, quick: bool, sending: "Connection[list[Row], None]") -> None:
    with suppress(KeyboardInterrupt):
        sending.send(importlib.import_module(f"bench.{name}").run(quick))
