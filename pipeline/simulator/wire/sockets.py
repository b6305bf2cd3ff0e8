"""One websocket: an outbox, a reader and a writer between the socket and its session.

Nothing here knows what a stream is. A client that reads too slowly is cut off, as the exchange does, so that it can
never hold up the others.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import WSCloseCode, WSMsgType, web

from pipeline.simulator.wire.hub import Hub
from pipeline.simulator.wire.session import FloodError, Session

LARGEST_OUTBOX = 20_000


@dataclass(frozen=True, slots=True)
class Manners:
    """How the exchange treats a connection, in seconds: how often it pings, how long it waits for a pong, how long the
    connection may live."""

    ping_every: float = 180
    patience: float = 600
    life: float = 86_400


class Connection:
    """A listener of the hub with a socket behind it."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, session: Session) -> None:
        self.session = session
        self._socket = socket
        self._request = request
        self._outbox: deque[bytes] = deque()
        self._filled = asyncio.Event()
        self._frozen = False
        self._heard = time.monotonic()

    def send(self, message: bytes) -> None:
        """Queue a message."""
        if self._frozen:
            return
        self._outbox.append(message)
        self._filled.set()
        if len(self._outbox) > LARGEST_OUTBOX:
            self.drop()

    def drop(self) -> None:
        """Cut the line without a closing handshake."""
        if self._request.transport is not None:
            self._request.transport.abort()

    def freeze(self) -> None:
        """Say nothing any more, and answer nothing."""
        self._frozen = True
        self._outbox.clear()

    async def serve(self, hub: Hub, now: Callable[[], int], manners: Manners) -> None:
        """Read, write and ping until either side ends it."""
        helpers = [asyncio.create_task(self._write()), asyncio.create_task(self._ping(manners))]
        try:
            async with asyncio.timeout(manners.life):
                await self._read(hub, now)
        except TimeoutError:
            await self._socket.close(code=WSCloseCode.GOING_AWAY, message=b"the connection has reached its age")
        except FloodError:
            await self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"Too many requests")
        finally:
            for helper in helpers:
                helper.cancel()
            outcomes = await asyncio.gather(*helpers, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionError):
                raise outcome

    async def _read(self, hub: Hub, now: Callable[[], int]) -> None:
        async for message in self._socket:
            match message.type:
                case WSMsgType.TEXT:
                    before = list(self.session.names)
                    self.receive(message.data)
                    hub.follow(self, before, now())
                case WSMsgType.PING:
                    self._count()
                    await self._socket.pong(message.data)
                case WSMsgType.PONG:
                    self._count()
                    self._heard = time.monotonic()

    def receive(self, text: str) -> None:
        """Do what a message says, and answer it."""
        self.send(self.session.receive(text, int(time.monotonic() * 1_000)).encode())

    def _count(self) -> None:
        if self.session.rules.counts_pongs:
            self.session.count(int(time.monotonic() * 1_000))

    async def _write(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._outbox:
                await self._socket.send_frame(self._outbox.popleft(), WSMsgType.TEXT)

    async def _ping(self, manners: Manners) -> None:
        while True:
            await asyncio.sleep(manners.ping_every)
            if time.monotonic() - self._heard > manners.patience:
                self.drop()
            await self._socket.ping()
