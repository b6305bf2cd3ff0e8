"""One websocket of market data, from its handshake to its end: subscribes, receives, and notices when nothing comes."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from pipeline.exchange.environments import Environment
from pipeline.exchange.frames import MOST_FRAME_BYTES, Incoming, KlineFrame, decode, ends
from pipeline.exchange.products.product import Streams
from pipeline.tasks import until_one_ends

log = logging.getLogger(__name__)

TURN: Final = 0.01
"""Seconds for which one connection's frames keep everything else waiting."""


class SilentFeedError(Exception):
    """A connection is up and carries nothing: it is given up and made anew."""

    def __init__(self, said: str, silent_for: float = 0.0) -> None:
        super().__init__(said)
        self.silent_for = silent_for
        """Seconds since its last data."""


class FeedListener(Protocol):
    """Who wants to know."""

    def frame(self, stream: str, frame: KlineFrame) -> None:
        """A candle arrived."""

    def up(self, streams: Iterable[str]) -> None:
        """These streams carry data, or at least their connection does."""

    def down(self, streams: Iterable[str], reason: str) -> None:
        """These streams carry nothing until `up` says otherwise."""

    def refused(self, streams: Iterable[str], reason: str) -> None:
        """The exchange will not send these."""


@dataclass(frozen=True, slots=True)
class FeedLimits:
    """The exchange's limits with room to spare, and our patience. Seconds."""

    streams_per_connection: int = 200
    names_per_command: int = 100
    command_every: float = 0.2
    open_timeout: float = 10.0
    ack_timeout: float = 10.0
    silence: float = 60.0
    lifetime: float = 23 * 3600.0
    first_delay: float = 0.3
    longest_delay: float = 30.0

    @classmethod
    def of(cls, streams: Streams) -> Self:
        """What a market's streams allow."""
        return cls(command_every=streams.command_every, silence=streams.silence)


@dataclass(slots=True)
class FeedCounters:
    """What the feed saw, for metrics."""

    frames: int = 0
    undecodable: int = 0
    connects: int = 0
    breaks: int = 0
    renewals: int = 0
    connections: int = 0
    last_break: str = ""


def batches(names: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """The names in groups of at most `size`."""
    for begin in range(0, len(names), size):
        yield tuple(names[begin : begin + size])


@dataclass(slots=True, eq=False)
class Session:
    """One websocket, from its handshake to its end."""

    url: str
    place: Environment
    streams: set[str]
    listener: FeedListener
    limits: FeedLimits
    counters: FeedCounters
    commands: asyncio.Queue[tuple[str, tuple[str, ...]]] = field(default_factory=asyncio.Queue)
    carrying: asyncio.Event = field(default_factory=asyncio.Event)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _unanswered: dict[int, tuple[str, ...]] = field(default_factory=dict)
    _asked_at: dict[int, float] = field(default_factory=dict)
    _heard_at: float = 0.0
    task: asyncio.Task[None] = field(init=False)

    def __post_init__(self) -> None:
        self.task = asyncio.create_task(self._run())

    async def carries_or_ends(self) -> None:
        """Wait until data flows, or until there is no hope that it will."""
        carrying = asyncio.create_task(self.carrying.wait())
        try:
            await asyncio.wait([self.task, carrying], return_when=asyncio.FIRST_COMPLETED)
        finally:
            carrying.cancel()

    async def _run(self) -> None:
        """Carry data until something breaks, and raise what broke."""
        async with self._connection() as socket:
            self.counters.connects += 1
            self.counters.connections += 1
            self._heard_at = asyncio.get_running_loop().time()
            self.tell("SUBSCRIBE", sorted(self.streams))
            try:
                await until_one_ends(self._receive(socket), self._send(socket), self._watch())
            finally:
                self.counters.connections -= 1

    def tell(self, method: str, streams: Sequence[str]) -> None:
        """Queue a command, in as many messages as its names need."""
        for names in batches(streams, self.limits.names_per_command):
            self.commands.put_nowait((method, names))

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[ClientConnection]:
        socket = await connect(
            self.url,
            proxy=self.place.stream_proxy,
            open_timeout=self.limits.open_timeout,
            close_timeout=1.0,
            max_size=MOST_FRAME_BYTES,
            compression=None,
            ping_interval=None,  # `_watch` judges by data: a pong may wait behind seconds of frames and prove nothing
        )
        try:
            yield socket
        finally:
            try:
                await socket.close()
            finally:
                socket.transport.abort()  # where the goodbye was cancelled

    async def _receive(self, socket: ClientConnection) -> None:
        """What came in one go is handed on in turns: at a close, thousands of frames have much to be done for each."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        while True:
            message = await socket.recv(decode=False)
            if clock() - begun > TURN:
                await asyncio.sleep(0)
                begun = clock()
            incoming = decode(message)
            if incoming is None and ends(message):
                raise SilentFeedError("the exchange is about to end this connection")
            if incoming is None:
                self._undecodable(message)
            elif incoming.data is not None:
                self._heard_at = clock()
                self.counters.frames += 1
                if not self.carrying.is_set() and self._is_subscribed():
                    self.carrying.set()
                self.listener.frame(incoming.stream, incoming.data)
            else:
                self._answered(incoming)

    def _is_subscribed(self) -> bool:
        """Whether every command so far is sent and acknowledged, so that no stream is still to come."""
        return self.commands.empty() and not self._asked_at

    def _undecodable(self, message: bytes) -> None:
        self.counters.undecodable += 1
        if self.counters.undecodable == 1:
            log.warning("a frame could not be read and was left out (further ones are only counted): %r", message[:500])

    def _answered(self, incoming: Incoming) -> None:
        if incoming.id is None:
            if incoming.refusal is not None:
                log.warning("the exchange complains about a command: %s", incoming.refusal)
            return
        names = self._unanswered.pop(incoming.id, ())
        self._asked_at.pop(incoming.id, None)
        if incoming.refusal is not None:
            self.listener.refused(names, incoming.refusal)

    async def _send(self, socket: ClientConnection) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            method, names = await self.commands.get()
            number = next(self._ids)
            self._unanswered[number] = names
            self._asked_at[number] = clock()
            await socket.send(msgspec.json.encode({"method": method, "params": names, "id": number}), text=True)
            await asyncio.sleep(self.limits.command_every)

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(min(1.0, self.limits.silence / 4))
            now = clock()
            if any(now - asked > self.limits.ack_timeout for asked in self._asked_at.values()):
                raise SilentFeedError(f"a command was not acknowledged within {self.limits.ack_timeout:g} s")
            if self.streams and now - self._heard_at > self.limits.silence:
                raise SilentFeedError(self._silence(), now - self._heard_at)

    def _silence(self) -> str:
        if self.carrying.is_set():
            return f"no data for {self.limits.silence:g} s on a connection that carried some"
        path = self.place.product.streams.market
        return (
            f"connected and acknowledged, but no data came within {self.limits.silence:g} s: the address may not be "
            f"routed to market data (candles flow at {path}), or nothing trades in its {len(self.streams)} streams"
        )
