"""Keeps market streams flowing: connects, reconnects, and renews before the exchange hangs up.

One `Feed` spreads its streams over connections. A connection that is renewed stays until the new one carries data. It
promises no order and no completeness: frames may repeat around a renewal and are missing after a break.
"""

import asyncio
import logging
import random
import time
from collections.abc import Iterable, Iterator

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from pipeline.errors import AttentionError
from pipeline.exchange.environments import Environment
from pipeline.exchange.stream_session import (
    FeedCounters,
    FeedLimits,
    FeedListener,
    Session,
    SilentFeedError,
    batches,
)
from pipeline.exchange.uptime import DAY, Uptime, share_up

log = logging.getLogger(__name__)


class StreamBlockedError(AttentionError):
    """The exchange will not take this connection however often it is tried. A person checks the address."""


def worth_reconnecting(error: BaseException) -> bool:
    """Whether the same connection may work later.

    - the network, a closed or silent connection, a server in trouble or overloaded: yes
    - an address the exchange does not know, or that is no address: no, somebody has to change it
    """
    if isinstance(error, InvalidURI):
        return False
    if isinstance(error, InvalidStatus):
        return error.response.status_code in {403, 408, 418, 429} or error.response.status_code >= 500
    return isinstance(error, OSError | TimeoutError | ConnectionClosed | InvalidHandshake | SilentFeedError | EOFError)


def reconnect_delays(random_: random.Random, first: float, longest: float) -> Iterator[float]:
    """Seconds to wait before each try: a random first delay so that a crowd does not return at once, then twice as
    long each time, up to `longest`."""
    delay = random_.uniform(0, 2 * first)
    while True:
        yield min(delay, longest)
        delay = max(2 * delay, first)


class _Line:
    """A share of the streams and the connection that carries it: always one session, two while one is renewed."""

    def __init__(
        self,
        place: Environment,
        listener: FeedListener,
        limits: FeedLimits,
        counters: FeedCounters,
        random_: random.Random,
    ) -> None:
        self.streams: set[str] = set()
        self._place = place
        self._listener = listener
        self._limits = limits
        self._counters = counters
        self._random = random_
        self._live: list[Session] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._is_up = False
        self.uptime = Uptime(time.monotonic(), limits.silence)

    def add(self, streams: Iterable[str]) -> None:
        new = set(streams) - self.streams
        self.streams |= new
        self._tell("SUBSCRIBE", new)
        if self._is_up:
            self._listener.up(new)

    def remove(self, streams: Iterable[str]) -> None:
        gone = self.streams & set(streams)
        self.streams -= gone
        self._tell("UNSUBSCRIBE", gone)

    def renew(self, streams: Iterable[str]) -> None:
        """Subscribe again what went silent."""
        mine = self.streams & set(streams)
        self._tell("UNSUBSCRIBE", mine)
        self._tell("SUBSCRIBE", mine)

    def _tell(self, method: str, streams: set[str]) -> None:
        for session in self._live:
            session.tell(method, sorted(streams))

    async def keep(self) -> None:
        """Carry the streams until cancelled; no connection is left then."""
        try:
            await self._keep()
        finally:
            await self._ended()

    async def _keep(self) -> None:
        delays = self._delays()
        while True:
            broke = await self._carry()
            if self._is_up:
                delays = self._delays()
            self._went_down(broke)
            if not worth_reconnecting(broke):
                address = self._place.stream_url
                raise StreamBlockedError(f"the stream at {address} refuses us: {broke}. Check the address") from broke
            await asyncio.sleep(next(delays))

    def _delays(self) -> Iterator[float]:
        return reconnect_delays(self._random, self._limits.first_delay, self._limits.longest_delay)

    async def _carry(self) -> BaseException:
        """Follow a session, and the sessions that renew it, until one breaks; the error that broke it."""
        current = self._begin()
        try:
            await current.carries_or_ends()
            while not current.task.done():
                self._came_up()
                await asyncio.wait([current.task], timeout=self._limits.lifetime * self._random.uniform(0.9, 1.0))
                if not current.task.done():
                    current = await self._renewed(current)
            return _reason(current.task)
        finally:
            self._end(current)

    async def _renewed(self, old: Session) -> Session:
        """The session that takes over once it carries data, or the old one: it goes on, or is seen to have broken."""
        fresh = self._begin()
        coming_up = asyncio.create_task(fresh.carries_or_ends())
        try:
            await asyncio.wait([coming_up, old.task], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._end(fresh)
            raise
        finally:
            coming_up.cancel()
        if not fresh.carrying.is_set():
            if fresh.task.done():
                log.warning("a connection could not be renewed and stays as it is: %s", _reason(fresh.task))
            self._end(fresh)
            return old
        self._end(old)
        self._counters.renewals += 1
        return fresh

    def _begin(self) -> Session:
        url = self._place.stream_url + self._place.product.streams.market
        session = Session(url, self._place, self.streams, self._listener, self._limits, self._counters)
        self._live.append(session)
        return session

    def _end(self, session: Session) -> None:
        self._live.remove(session)
        self._ending.add(session.task)
        session.task.add_done_callback(self._ending.discard)
        session.task.cancel()

    async def _ended(self) -> None:
        """Wait for the connections. Who is cancelled meanwhile is in a hurry: they say no goodbye then."""
        while self._ending:
            try:
                await asyncio.wait(self._ending)
            except asyncio.CancelledError:
                for task in self._ending:
                    task.cancel()

    def _came_up(self) -> None:
        if not self._is_up:
            self._is_up = True
            self.uptime.carries(time.monotonic())
            self._listener.up(frozenset(self.streams))

    def _went_down(self, broke: BaseException) -> None:
        self._counters.breaks += 1
        self._counters.last_break = str(broke) or type(broke).__name__
        self._is_up = False
        self.uptime.lost(time.monotonic() - (broke.silent_for if isinstance(broke, SilentFeedError) else 0.0))
        self._listener.down(frozenset(self.streams), self._counters.last_break)


def _reason(task: asyncio.Task[None]) -> BaseException:
    if task.cancelled():
        return asyncio.CancelledError()
    return task.exception() or EOFError("the exchange ended the stream")


class Feed:
    """All streams of this process. Run it in a task; add and remove streams while it runs."""

    def __init__(
        self,
        place: Environment,
        listener: FeedListener,
        *,
        limits: FeedLimits | None = None,
        random_: random.Random | None = None,
    ) -> None:
        self.counters = FeedCounters()
        self._place = place
        self._listener = listener
        self._limits = limits or FeedLimits.of(place.product.streams)
        self._random = random_ or random.Random()
        self._lines: list[_Line] = []
        self._started: asyncio.Queue[_Line] = asyncio.Queue()

    @property
    def streams(self) -> set[str]:
        """The names of all streams."""
        return {name for line in self._lines for name in line.streams}

    def add(self, streams: Iterable[str]) -> None:
        """Subscribe these as well."""
        waiting = sorted(set(streams) - self.streams)
        for line in self._lines:
            room = self._limits.streams_per_connection - len(line.streams)
            share, waiting = waiting[:room], waiting[room:]
            line.add(share)
        for names in batches(waiting, self._limits.streams_per_connection):
            line = _Line(self._place, self._listener, self._limits, self.counters, self._random)
            line.add(names)
            self._lines.append(line)
            self._started.put_nowait(line)

    def remove(self, streams: Iterable[str]) -> None:
        """Unsubscribe these."""
        gone = set(streams)
        for line in self._lines:
            line.remove(gone)

    def renew(self, streams: Iterable[str]) -> None:
        """Subscribe these again: they were found silent."""
        again = set(streams)
        for line in self._lines:
            line.renew(again)

    def figures(self) -> dict[str, float]:
        """The share of the time in which the streams carried data, since the start and in the last day."""
        now = time.monotonic()
        found = {"uptime": self._uptime(now, float("inf")), "uptime_day": self._uptime(now, DAY)}
        return {name: share for name, share in found.items() if share is not None}

    def _uptime(self, now: float, period: float) -> float | None:
        spans = [(len(line.streams), line.uptime.span(now, period)) for line in self._lines]
        return share_up([(streams, span) for streams, span in spans if span is not None])

    async def run(self) -> None:
        """Carry everything until cancelled. Ends with `StreamBlockedError` where trying again is of no use."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    line = await self._started.get()
                    tasks.create_task(line.keep())
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
