"""Says that request weight is waited for: the limits of the exchange may hold everything back for most of a minute.

It looks at the gate from a thread of its own, and speaks while it holds nothing of it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Final

from pipeline.exchange.limits import LimitGate
from pipeline.timeline import SECOND

WORTH_SAYING: Final = 3_000
"""Milliseconds: a shorter wait is over before it is read."""
_LOOK_EVERY: Final = 1.0


def waiting_words(ms: int) -> str:
    """`waiting for request weight, 21 s`."""
    return f"waiting for request weight, {ceil(ms / SECOND)} s"


@contextmanager
def waits_said(gate: LimitGate, say: Callable[[str], None], *, every: float = _LOOK_EVERY) -> Iterator[None]:
    """While it is entered: `say` is told of a wait about once a second for as long as it lasts."""
    over = threading.Event()

    def look() -> None:
        is_waiting = False
        while not over.wait(every):
            left = gate.waiting_ms
            is_waiting = left > (0 if is_waiting else WORTH_SAYING)
            if is_waiting:
                say(waiting_words(left))

    watching = threading.Thread(target=look, name="waits", daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
