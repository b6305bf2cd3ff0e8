"""A connection to the websocket API: carries messages in and answers out, or what a fault leaves of them."""

import asyncio
from collections.abc import Callable

from aiohttp import web

from pipeline.simulator.exchange import Answer, Exchange, Floor, Request
from pipeline.simulator.faults.rules import Kind
from pipeline.simulator.wire.api_session import ApiSession, Asked
from pipeline.simulator.wire.sockets import Connection


class ApiDesk:
    """The exchange, asked from one address."""

    def __init__(self, exchange: Exchange, floor: Floor, address: str, tell: Callable[[], None]) -> None:
        self._exchange = exchange
        self._floor = floor
        self._address = address
        self._tell = tell

    def ask(self, asked: Asked) -> Answer:
        """The answer to a request. Who listens is told of it before."""
        method, path, query, key, payload, is_known = asked
        market = self._floor.product.name
        request = Request(method, path, query, "", key, self._address, market, payload, is_known)
        answer = self._exchange.handle(request)
        self._tell()
        return answer

    def usage(self, key: str) -> list[dict[str, object]]:
        """What has been used of what is allowed."""
        return self._exchange.usage(self._floor, self._address, key)

    def may_log_on(self, key: str) -> bool:
        """Whether one signature with that key may stand for a connection."""
        return self._exchange.keys.may_log_on(key)

    def now(self) -> int:
        """The time that is shown."""
        return self._exchange.clock.now() + self._exchange.skew


class ApiConnection(Connection):
    """A listener of the hub that also asks."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, session: ApiSession) -> None:
        super().__init__(socket, request, session)
        self._api = session

    def receive(self, text: str) -> None:
        """Answer a message, as far as the fault that strikes its answer lets it."""
        reply = self._api.answer(text)
        fault = reply.told.fault if isinstance(reply.told, Answer) else None
        body = reply.text.encode()
        match fault.kind if fault else None:
            case Kind.HANG_BEFORE | Kind.HANG_AFTER:
                pass
            case Kind.RESET_BEFORE | Kind.RESET_AFTER:
                self.drop()
            case Kind.SLOW if fault is not None:
                asyncio.get_running_loop().call_later((fault.milliseconds or 0) / 1_000, self.send, body)
            case Kind.TRUNCATED:
                self.send(body[: len(body) // 2])
            case Kind.INVALID_JSON:
                self.send(b"<html>" + body)
            case _:
                self.send(body)
