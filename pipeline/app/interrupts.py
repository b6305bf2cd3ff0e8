"""Ctrl-C of work that ends in order: it is noted, and heeded where that is looked at."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def signals_set(stop: threading.Event, *numbers: signal.Signals) -> Iterator[None]:
    """These, or SIGINT and SIGTERM, set the event once; after that they do what they did before. They are the main
    thread's: in another one nothing is to be done about them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {}

    def on_signal(*_: object) -> None:
        stop.set()
        restore()

    def restore() -> None:
        while before:
            number, handler = before.popitem()
            signal.signal(number, handler)

    for number in numbers or (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        restore()
