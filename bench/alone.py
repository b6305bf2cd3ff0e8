"""One benchmark in a process of its own: memory that another has used, and its garbage, are nothing to it."""

import importlib
import multiprocessing
from contextlib import suppress
from multiprocessing.connection import Connection

from bench.table import Row


class FailedError(Exception):
    """A benchmark ended without a result. What it said itself is above."""


def measure_alone(name: str, *, quick: bool) -> list[Row]:
    """The rows of that benchmark."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(name, quick, sending))
    process.start()
    sending.close()
    try:
        rows: list[Row] = receiving.recv()
    except EOFError:
        raise FailedError(name) from None
    finally:
        receiving.close()
    process.join()
    return rows


def _measure(name: str, quick: bool, sending: "Connection[list[Row], None]") -> None:
    with suppress(KeyboardInterrupt):
        sending.send(importlib.import_module(f"bench.{name}").run(quick))
