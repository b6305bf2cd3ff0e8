"""A client that does not read must never hold up the others."""

from types import SimpleNamespace
from typing import Any

from pipeline.simulator.wire.session import Session
from pipeline.simulator.wire.sockets import LARGEST_OUTBOX, Connection
from pipeline.simulator.wire.streams import Route


class Line:
    """A transport that only remembers that it was cut."""

    def __init__(self) -> None:
        self.cut = False

    def abort(self) -> None:
        self.cut = True


def connection(line: Line) -> Connection:
    nothing: Any = None
    request: Any = SimpleNamespace(transport=line)
    return Connection(nothing, request, Session(Route.MARKET, combined=False))


def test_a_client_that_does_not_read_is_cut_off() -> None:
    line = Line()
    slow = connection(line)
    for _ in range(LARGEST_OUTBOX):
        slow.send(b"frame")
    assert not line.cut
    slow.send(b"one too many")
    assert line.cut


def test_a_frozen_line_keeps_nothing() -> None:
    line = Line()
    frozen = connection(line)
    frozen.freeze()
    for _ in range(LARGEST_OUTBOX + 1):
        frozen.send(b"frame")
    assert not line.cut
