"""The websocket API: requests as messages on one connection, and the user data of an account beside their answers.

Text in, text out, without a socket. What is asked is asked of the exchange as REST would ask it: only the signature is
over something else, and a connection that has logged on needs none.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlencode

from pipeline.simulator.wire.session import Framed, Session

ASKED_BY_MESSAGE: Final = "WS"
"""The method of what has no address in REST."""

LOG_ON: Final = "session.logon"
SUBSCRIBE: Final = "userDataStream.subscribe"
SUBSCRIBE_SIGNED: Final = "userDataStream.subscribe.signature"

_DONE: Final = 200


@dataclass(frozen=True, slots=True)
class ApiRules:
    """Where the websocket API of a market is, and what its methods are called in REST."""

    path: str
    methods: Mapping[str, tuple[str, str]]


class Told(Protocol):
    """An answer of the exchange."""

    status: int
    body: bytes


class Asked(NamedTuple):
    """A request as the exchange gets it. `payload` is what its signature is over; on a connection that has logged on
    there is none."""

    method: str
    path: str
    query: str
    key: str
    payload: bytes
    is_known: bool


class Desk(Protocol):
    """The exchange as a connection sees it."""

    def ask(self, asked: Asked) -> Told:
        """The answer to a request."""
        ...

    def usage(self, key: str) -> list[dict[str, object]]:
        """What has been used of what is allowed."""
        ...

    def may_log_on(self, key: str) -> bool:
        """Whether one signature with that key may stand for a connection."""
        ...

    def now(self) -> int:
        """The time."""
        ...


class Reply(NamedTuple):
    """What goes back, and the answer of the exchange in it, if it was asked."""

    text: str
    told: Told | None = None


class _RefusedError(Exception):
    """A message that is answered with a code and a text, before the exchange is asked."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.shown = {"status": status, "error": {"code": code, "msg": message}}


@dataclass(slots=True, kw_only=True)
class ApiSession(Session):
    """The state of one connection: who has logged on, and what is listened to. `names` has the key of the account that
    is listened to, if any."""

    api: ApiRules
    desk: Desk
    opened: int
    key: str = ""
    """Whose connection it is, once it has logged on."""
    since: int | None = None
    number: int = -1
    """Of the running subscription, or of the last one."""
    _told: list[Told] = field(default_factory=list)

    def form(self, frame: Framed) -> bytes:
        """User data, with the number of its subscription."""
        return b'{"subscriptionId":%d,"event":%s}' % (self.number, frame.bare)

    def said(self, event: dict[str, object]) -> dict[str, object]:
        """An event of no subscription."""
        return {"event": event}

    def answer(self, text: str) -> Reply:
        """Do what a message says and answer it."""
        self._told.clear()
        head: dict[str, object] = {"id": None}
        key = self.key
        try:
            message = _read(text)
            head["id"] = message.get("id")
            params = _params(message)
            key = params.get("apiKey", key)
            shown = self._shown(str(message.get("method", "")), params)
        except _RefusedError as refusal:
            shown = refusal.shown
        reply = json.dumps({**head, **shown, "rateLimits": self.desk.usage(key)})
        return Reply(reply, self._told[-1] if self._told else None)

    def _shown(self, method: str, params: dict[str, str]) -> dict[str, object]:
        match method:
            case "session.logon":
                return self._log_on(params)
            case "session.logout":
                self.key, self.since = "", None
                return _done(self._state())
            case "session.status":
                return _done(self._state())
            case "session.subscriptions":
                return _done([{"subscriptionId": self.number}] if self.names else [])
            case "userDataStream.subscribe" | "userDataStream.subscribe.signature":
                return self._listen(method, params)
            case "userDataStream.unsubscribe":
                self.names = {}
                return _done({})
        if method not in self.api.methods:
            raise _RefusedError(400, -1100, f"Unknown method {method!r}.")
        return self._asked(*self.api.methods[method], params)

    def _log_on(self, params: dict[str, str]) -> dict[str, object]:
        shown = self._asked(ASKED_BY_MESSAGE, LOG_ON, params)
        if shown["status"] != _DONE:
            return shown
        if not self.desk.may_log_on(params["apiKey"]):
            raise _RefusedError(400, -4056, "HMAC_SHA256 API key is not supported.")
        self.key, self.since = params["apiKey"], self.desk.now()
        return _done(self._state())

    def _state(self) -> dict[str, object]:
        return {
            "apiKey": self.key or None,
            "authorizedSince": self.since,
            "connectedSince": self.opened,
            "returnRateLimits": True,
            "serverTime": self.desk.now(),
            "userDataStream": bool(self.names),
        }

    def _listen(self, method: str, params: dict[str, str]) -> dict[str, object]:
        if method == SUBSCRIBE and not self.key:
            raise _RefusedError(401, -1002, "You are not authorized to execute this request.")
        if method == SUBSCRIBE:
            params = {**params, "timestamp": str(self.desk.now())}
        shown = self._asked(ASKED_BY_MESSAGE, method, params)
        if shown["status"] != _DONE or not isinstance(shown["result"], dict):
            return shown
        key = shown["result"]["listenKey"]
        if key in self.names:
            raise _RefusedError(400, -2035, "User Data Stream subscription already active.")
        self.names = {key: None}
        self.number += 1
        return _done({"subscriptionId": self.number})

    def _asked(self, method: str, path: str, params: dict[str, str]) -> dict[str, object]:
        """Ask the exchange: as the key that the message names, or as the one that has logged on."""
        key = params.get("apiKey", self.key)
        unsigned = {name: value for name, value in params.items() if name != "signature"}
        payload = "&".join(f"{name}={unsigned[name]}" for name in sorted(unsigned))
        query = urlencode({name: value for name, value in params.items() if name != "apiKey"})
        is_known = bool(self.key) and key == self.key and "signature" not in params
        told = self.desk.ask(Asked(method, path, query, key, payload.encode(), is_known))
        self._told.append(told)
        try:
            found = json.loads(told.body)
        except ValueError:  # a fault has left nothing of it that can be read
            found = None
        return {"status": told.status, ("result" if told.status == _DONE else "error"): found}


def _done(result: object) -> dict[str, object]:
    return {"status": _DONE, "result": result}


def _read(text: str) -> dict[str, object]:
    try:
        message = json.loads(text, parse_float=str, parse_int=str)
        identifier = json.loads(text)
    except ValueError as failure:
        raise _RefusedError(400, -1135, "Invalid JSON Request") from failure
    if not isinstance(message, dict):
        raise _RefusedError(400, -1135, "Invalid JSON Request")
    return {**message, "id": identifier.get("id")}


def _params(message: dict[str, object]) -> dict[str, str]:
    """What is sent with it, as text: numbers as they were written."""
    sent = message.get("params") or {}
    if not isinstance(sent, dict):
        raise _RefusedError(400, -1135, "Invalid JSON Request")
    return {str(name): _text(value) for name, value in sent.items() if value is not None}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
