"""What one websocket client has asked for, and what it is answered: the subscription protocol without a socket.

Text in, text out. It knows no market: whether a stream exists or is delivered is the hub's business, because the
exchange acknowledges either way.
"""

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.simulator.wire.streams import Route, StreamRules

MOST_STREAMS = 1024
METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class FloodError(Exception):
    """Too many messages in a second: the exchange hangs up."""


class _InvalidError(Exception):
    """A message that is answered with a code and a text."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Framed(Protocol):
    """A payload of a stream, bare or wrapped in its name."""

    name: str
    bare: bytes

    def form(self, *, combined: bool) -> bytes:
        """The bytes."""
        ...


@dataclass(slots=True)
class Session:
    """The state of one connection. `combined` payloads are wrapped in their stream's name."""

    route: Route
    combined: bool
    names: dict[str, None] = field(default_factory=dict)  # in the order of subscription
    events: frozenset[str] | None = None
    rules: StreamRules = field(default_factory=StreamRules)
    _received: deque[int] = field(default_factory=deque)

    def wants_event(self, event: str) -> bool:
        """Whether user data of that kind is delivered: all of it, or what `events=` named."""
        return self.events is None or event in self.events

    def form(self, frame: Framed) -> bytes:
        """A frame as this connection gets it."""
        return frame.form(combined=self.combined)

    def farewell(self, now: int) -> bytes:
        """That the connection will end soon."""
        return json.dumps(self.said({"e": "serverShutdown", "E": now})).encode()

    def said(self, event: dict[str, object]) -> dict[str, object]:
        """An event that no stream has, as this connection gets it."""
        return {"stream": f"!{event['e']}", "data": event} if self.combined else event

    def receive(self, text: str, now: int) -> str:
        """Do what a message says and answer it. `now` is real time: the limit protects the server, not the market."""
        self.count(now)
        known: dict[str, object] = {}
        try:
            message = _read(text)
            known["id"] = None if self.rules.null_id and message.get("id") is None else _identifier(message)
            return json.dumps({"result": self._result(message), **known})
        except _InvalidError as refusal:
            error = {"code": refusal.code, "msg": str(refusal)}
            return json.dumps({**error, **known} if self.rules.flat_errors else {"error": error, **known})

    def count(self, now: int) -> None:
        """Count a message, or hang up: there were too many within a second."""
        if len(self._received) == self.rules.most_messages and now - self._received[0] < 1_000:
            raise FloodError
        self._received.append(now)
        while len(self._received) > self.rules.most_messages:
            self._received.popleft()

    def _result(self, message: dict[str, object]) -> object:
        if "method" not in message:
            raise _InvalidError(2, "Invalid request: missing field `method`")
        method = message["method"]
        if method not in METHODS:
            raise _InvalidError(2, f"Invalid request: unknown variant `{method}`, expected one of {', '.join(METHODS)}")
        if method == "LIST_SUBSCRIPTIONS":
            return list(self.names)
        if method == "GET_PROPERTY":
            return self.combined
        if method == "SET_PROPERTY":
            self._set_property(message.get("params"))
            return None
        self._subscribe(method == "SUBSCRIBE", _stream_names(message))
        return None

    def _subscribe(self, wanted: bool, names: list[str]) -> None:
        if not wanted:
            for name in names:
                self.names.pop(name, None)
            return
        if len(self.names.keys() | set(names)) > MOST_STREAMS:
            raise _InvalidError(2, f"Invalid request: too many streams, at most {MOST_STREAMS} on one connection")
        self.names.update(dict.fromkeys(names))

    def _set_property(self, params: object) -> None:
        if not isinstance(params, list) or len(params) != 2 or params[0] != "combined":
            raise _InvalidError(0, "Unknown property")
        if not isinstance(params[1], bool):
            raise _InvalidError(1, "Invalid value type: expected Boolean")
        self.combined = params[1]


def _read(text: str) -> dict[str, object]:
    try:
        message = json.loads(text)
    except ValueError as failure:
        raise _InvalidError(3, f"Invalid JSON: {failure}") from failure
    if not isinstance(message, dict):
        raise _InvalidError(2, "Invalid request: request must be an object")
    return message


def _identifier(message: dict[str, object]) -> int | str:
    """The request's id: an unsigned integer, or text as the official connector sends it."""
    found = message.get("id")
    is_number = isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**64
    is_text = isinstance(found, str) and 0 < len(found) <= 36
    if not (is_number or is_text):
        raise _InvalidError(2, "Invalid request: request ID must be an unsigned integer")
    return found  # type: ignore[return-value]


def _stream_names(message: dict[str, object]) -> list[str]:
    params = message.get("params")
    if not isinstance(params, list):
        raise _InvalidError(2, "Invalid request: params must be an array of stream names")
    if not all(isinstance(name, str) for name in params):
        raise _InvalidError(2, "Invalid request: property name must be a string")
    if any(not name or any(map(str.isspace, name)) for name in params):
        raise _InvalidError(2, "Invalid request: invalid stream")
    return params
