"""Keeps the user data stream open: by a listen key that is prolonged, or by a signed message; connects, reconnects.

There is no replay: whatever happened while it was down was not told. So it says `connected` after every connect, and
whoever listens must ask by REST then. A listen key is a secret: it is in no log line and no message of this module.
"""

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from pipeline.exchange.answers import Call, Raw, failure
from pipeline.exchange.environments import Environment
from pipeline.exchange.errors import ExchangeError
from pipeline.exchange.frames import MOST_FRAME_BYTES
from pipeline.exchange.products.product import NotOfferedError
from pipeline.exchange.stream_session import SilentFeedError
from pipeline.exchange.streams import StreamBlockedError, reconnect_delays, worth_reconnecting
from pipeline.exchange.trading import Trading
from pipeline.exchange.user_events import EVENT_NAMES, KeyExpired, UserEvent, decode_event, decode_message
from pipeline.tasks import until_one_ends

log = logging.getLogger(__name__)

T = TypeVar("T")

NO_SUCH_KEY: Final = -1125
_SUBSCRIBE: Final = "userDataStream.subscribe.signature"
_SUBSCRIBED: Final = "subscribe"
_OK: Final = 200


class UserListener(Protocol):
    """Who wants to know."""

    def user_event(self, event: UserEvent) -> None:
        """Something happened to the account."""

    def user_connected(self) -> None:
        """The stream carries from now on; what happened before has to be asked for."""

    def user_lost(self, reason: str) -> None:
        """Nothing is told until `user_connected`, or something was told that could not be read."""


@dataclass(frozen=True, slots=True)
class UserLimits:
    """Patience, in seconds."""

    prolong_every: float = 30 * 60.0
    lifetime: float = 23 * 3600.0
    open_timeout: float = 10.0
    ping_every: float = 20.0
    news_within: float = 5.0
    first_delay: float = 0.2
    longest_delay: float = 10.0


class KeyGoneError(SilentFeedError):
    """The listen key is over: the next connection takes a new one."""


class _ByKey:
    """The way by a listen key, which is prolonged."""

    called = "the listen key"

    def __init__(self, trading: Trading, limits: UserLimits) -> None:
        self._trading = trading
        self._limits = limits

    async def address(self, place: Environment) -> str:
        """Where to connect."""
        key = await _in_thread(self._trading.open_listen_key)
        return place.stream_url + place.product.user_stream(quote(key, safe=""), "/".join(EVENT_NAMES))

    async def begin(self, socket: ClientConnection) -> None:
        """Whoever connects with a key is told at once."""

    def decode(self, message: bytes) -> UserEvent | None:
        """What was told."""
        return decode_event(message)

    async def keep(self) -> None:
        """Prolong the key, for as long as the connection is there."""
        while True:
            await asyncio.sleep(self._limits.prolong_every)
            try:
                await _in_thread(self._trading.prolong_listen_key)
            except ExchangeError as error:
                if error.code == NO_SUCH_KEY:
                    raise KeyGoneError("the listen key is gone") from None
                if error.exit_code != 1:
                    raise
                log.warning("the listen key could not be prolonged: %s; a new connection follows", error)
                raise KeyGoneError("the listen key could not be prolonged") from None


class _BySignature:
    """The way by a signed message on a connection, whose end is that of the subscription."""

    called = "the subscription"

    def __init__(self, trading: Trading, limits: UserLimits) -> None:
        self._client = trading.client
        self._limits = limits

    async def address(self, place: Environment) -> str:
        """Where to connect."""
        if place.message_url is None:
            raise NotOfferedError(f"{place.name} has no address for messages: the account cannot be followed")
        return place.message_url

    async def begin(self, socket: ClientConnection) -> None:
        """Subscribe. What comes before the answer is about nobody's account."""
        parameters = await _in_thread(self._client.signed_message)
        await socket.send(json.dumps({"id": _SUBSCRIBED, "method": _SUBSCRIBE, "params": parameters}))
        async with asyncio.timeout(self._limits.open_timeout):
            while (answer := _answer(await socket.recv(decode=False))) is None:
                pass
        status, body = answer
        if status != _OK:
            raise failure(Call("WS", _SUBSCRIBE), Raw(status, {}, body), self._client.clock.now())

    def decode(self, message: bytes) -> UserEvent | None:
        """What was told."""
        return decode_message(message)

    async def keep(self) -> None:
        """A subscription needs nothing more."""
        await asyncio.Event().wait()


def _answer(message: bytes) -> tuple[int, bytes] | None:
    """Status and error of the answer to the subscription, if that is what it is."""
    try:
        found = msgspec.json.decode(message, type=_Answer)
    except msgspec.MsgspecError:
        return None
    return (found.status, bytes(found.error)) if found.id == _SUBSCRIBED else None


class _Answer(msgspec.Struct):
    id: str | int | None = None
    status: int = 0
    error: msgspec.Raw = msgspec.Raw()


class UserStream:
    """The user data of one account. Run it in a task."""

    def __init__(
        self,
        trading: Trading,
        listener: UserListener,
        *,
        limits: UserLimits | None = None,
        random_: random.Random | None = None,
    ) -> None:
        self._trading = trading
        self._place: Environment = trading.client.environment
        self._listener = listener
        self._limits = limits or UserLimits()
        by_key = self._place.product.streams.user is not None
        self._way: _ByKey | _BySignature = (_ByKey if by_key else _BySignature)(trading, self._limits)
        self._random = random_ or random.Random()
        self._news_due: float | None = None
        self._heard_at = 0.0
        self.connects = 0
        self.unreadable = 0

    def expect_news(self, since: float) -> None:
        """Something was done, begun at that time of the loop's clock, that the stream must tell of soon: if it does
        not, the connection is a dead one. It may have told already: it is often quicker than the answer."""
        if self._news_due is None and self._heard_at < since:
            self._news_due = asyncio.get_running_loop().time() + self._limits.news_within

    async def run(self) -> None:
        """Carry events until cancelled. Ends with an error where trying again is of no use: a key that is refused, an
        address that is wrong."""
        delays = self._delays()
        while True:
            before = self.connects
            broke = await self._carry()
            if self.connects > before:
                delays = self._delays()
            self._listener.user_lost(str(broke) or type(broke).__name__)
            if isinstance(broke, ExchangeError):
                if broke.exit_code != 1:
                    raise broke
            elif not worth_reconnecting(broke):
                address = self._place.stream_url
                told = f"the user data stream at {address} refuses us ({type(broke).__name__}). Check the address"
                raise StreamBlockedError(told) from None
            await asyncio.sleep(next(delays))

    def _delays(self) -> Any:
        return reconnect_delays(self._random, self._limits.first_delay, self._limits.longest_delay)

    async def _carry(self) -> Exception:
        """One connection from its key to its end; what ended it."""
        try:
            address = await self._way.address(self._place)
            async with self._connection(address) as socket:
                await self._way.begin(socket)
                self.connects += 1
                self._news_due = None
                self._listener.user_connected()
                await until_one_ends(self._receive(socket), self._way.keep(), self._watch())
        except (
            ExchangeError,
            SilentFeedError,
            OSError,
            ConnectionClosed,
            InvalidHandshake,
            InvalidURI,
            TimeoutError,
        ) as error:
            return error
        return EOFError("the stream ended")

    @contextlib.asynccontextmanager
    async def _connection(self, address: str) -> Any:
        async with connect(
            address,
            proxy=self._place.stream_proxy,
            open_timeout=self._limits.open_timeout,
            close_timeout=1.0,
            ping_interval=self._limits.ping_every,
            ping_timeout=self._limits.ping_every,
            max_size=MOST_FRAME_BYTES,
            compression=None,
        ) as socket:
            yield socket

    async def _receive(self, socket: ClientConnection) -> None:
        while True:
            event = self._way.decode(await socket.recv(decode=False))
            self._news_due, self._heard_at = None, asyncio.get_running_loop().time()
            if event is None:
                self.unreadable += 1
                self._listener.user_lost("an event could not be read")
                self._listener.user_connected()
            elif isinstance(event, KeyExpired):
                raise KeyGoneError(f"{self._way.called} has expired")
            else:
                self._listener.user_event(event)

    async def _watch(self) -> None:
        """End a connection that should have said something, and one that is nearly as old as the exchange allows."""
        clock = asyncio.get_running_loop().time
        ends = clock() + self._limits.lifetime * self._random.uniform(0.9, 1.0)
        while True:
            await asyncio.sleep(min(1.0, self._limits.news_within / 4))
            if self._news_due is not None and clock() > self._news_due:
                raise SilentFeedError(f"no word of what was done within {self._limits.news_within:g} s")
            if clock() > ends:
                raise SilentFeedError("the connection is old and is made anew")


async def _in_thread(do: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, do)
