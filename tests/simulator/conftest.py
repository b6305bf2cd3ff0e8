"""What the tests of the exchange ask for: a plain caller of its REST interface, which signs by the book."""

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
import requests

from pipeline.simulator.handle import Simulator


class Reply(NamedTuple):
    """An answer as it came."""

    status: int
    body: Any
    headers: requests.structures.CaseInsensitiveDict[str]

    @property
    def code(self) -> int:
        """The exchange's error code."""
        return int(self.body["code"])


class Desk:
    """Calls one exchange, with the ready key unless told otherwise."""

    def __init__(self, simulator: Simulator, key: str = "sim-key", secret: str = "sim-secret") -> None:
        self.simulator = simulator
        self.key = key
        self.secret = secret

    def public(self, path: str, **params: Any) -> Reply:
        """A question without a key."""
        return self.send("GET", path, urlencode(params))

    def signed(self, method: str, path: str, *, answer_within: float = 10, **params: Any) -> Reply:
        """A signed request, stamped with the exchange's own time."""
        params.setdefault("timestamp", self.simulator.now())
        query = urlencode(params)
        signature = hmac.new(self.secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        return self.send(method, path, f"{query}&signature={signature}", timeout=answer_within)

    def send(self, method: str, path: str, query: str, body: str | None = None, timeout: float = 10) -> Reply:
        """Any request, as it is."""
        answer = requests.request(
            method,
            f"{self.simulator.url}{path}" + (f"?{query}" if query else ""),
            data=body,
            headers={"X-MBX-APIKEY": self.key, "Content-Type": "application/x-www-form-urlencoded"},
            timeout=timeout,
        )
        return Reply(answer.status_code, json.loads(answer.content) if answer.content else None, answer.headers)


@pytest.fixture
def desk(simulator: Simulator) -> Desk:
    """The caller of the shared exchange."""
    return Desk(simulator)


@pytest.fixture
def desk_of() -> Callable[..., Desk]:
    """A caller of any exchange, with any key."""
    return Desk
