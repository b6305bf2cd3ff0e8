"""Who hears what: the connections, their streams, and the frames on their way, tampered with where the panel says so.

A frame is encoded once and handed to all its subscribers. The hub owns no socket: a connection is something that takes
bytes and can be dropped.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol
from zlib import crc32

from pipeline.simulator.clock import Clock
from pipeline.simulator.errors import ApiError
from pipeline.simulator.faults.rules import Facts, Fault, FaultPanel, Kind, Stage
from pipeline.simulator.wire.feeds import Feed, Lateness, Payload, Streamed, make_feed
from pipeline.simulator.wire.session import Session
from pipeline.simulator.wire.streams import Route, Stream, parse_stream

SLOTS = 10
"""The streams are spread over so many turns, so that no turn keeps a REST request waiting for long."""


class Frame:
    """A payload in both its forms; the wrapped one is made when somebody wants it."""

    def __init__(self, name: str, payload: Payload) -> None:
        self.name = name
        self.closing = payload.closing
        self.bare = payload.body
        self._wrapped: bytes | None = None

    def form(self, *, combined: bool) -> bytes:
        """The bytes for a combined or a bare connection."""
        if not combined:
            return self.bare
        if self._wrapped is None:
            self._wrapped = b'{"stream":"%s","data":%s}' % (self.name.encode(), self.bare)
        return self._wrapped


class Listener(Protocol):
    """A connection, as the hub sees it."""

    session: Session

    def send(self, message: bytes) -> None:
        """Queue a message; never waits."""
        ...

    def drop(self) -> None:
        """Cut the line without a word."""
        ...

    def freeze(self) -> None:
        """Keep the line and say nothing on it any more."""
        ...


class Hub:
    """The streams of a market and their subscribers. `beside`: the other markets of its pool."""

    def __init__(
        self,
        name: str,
        streamed: Streamed,
        panel: FaultPanel,
        lateness: Callable[[str], Lateness],
        beside: Sequence[Streamed] = (),
    ) -> None:
        self._name = name
        self._market, self._rules = streamed
        self._beside = beside
        self._panel = panel
        self._lateness = lateness
        self._feeds: list[dict[str, tuple[Stream, Feed]]] = [{} for _ in range(SLOTS)]
        self._subscribers: defaultdict[str, dict[Listener, None]] = defaultdict(dict)
        self._held: dict[tuple[Listener, str], bytes] = {}
        self.listeners: dict[Listener, None] = {}
        self.counts: Counter[str] = Counter()

    def join(self, listener: Listener, now: int) -> None:
        """A new connection with the streams of its URL."""
        self.listeners[listener] = None
        self.follow(listener, (), now)

    def leave(self, listener: Listener) -> None:
        """A connection is gone."""
        self.listeners.pop(listener, None)
        for name in listener.session.names:
            self._unsubscribe(listener, name)

    def follow(self, listener: Listener, before: Iterable[str], now: int) -> None:
        """Bring the subscriptions in line with the session, which had the names `before`."""
        wanted, had = listener.session.names, set(before)
        for name in had - wanted.keys():
            self._unsubscribe(listener, name)
        for name in [name for name in wanted if name not in had]:
            self._subscribe(listener, name, now)

    def _subscribe(self, listener: Listener, name: str, now: int) -> None:
        stream, route = parse_stream(name, self._market.specs, now, self._rules.intervals), listener.session.route
        if stream is None:
            if route is Route.PRIVATE or not self._rules.routed:
                self._subscribers[name][listener] = None
            return
        is_delivered = not self._rules.routed or route in stream.routes
        if not is_delivered or stream.topic not in self._rules.topics or not self._trades(stream, now):
            return
        self._subscribers[name][listener] = None
        if name not in self._feeds[_slots(name)[0]]:
            self._feed(stream, now)

    def _feed(self, stream: Stream, now: int) -> None:
        feed = make_feed(self._market, stream, self._lateness(stream.name), now, self._rules, self._beside)
        for slot in _slots(stream.name):
            self._feeds[slot][stream.name] = stream, feed

    def _unsubscribe(self, listener: Listener, name: str) -> None:
        self._held.pop((listener, name), None)
        remaining = self._subscribers.get(name)
        if remaining is None:
            return
        remaining.pop(listener, None)
        if not remaining:
            del self._subscribers[name]
            self._forget(name)

    def _forget(self, name: str) -> None:
        for slot in _slots(name):
            self._feeds[slot].pop(name, None)

    def _trades(self, stream: Stream, now: int) -> bool:
        spec = self._market.specs.get(stream.symbol)
        return spec is None or spec.trades_at(now)

    def poll(self, slot: int, now: int) -> None:
        """Send what is due on the streams of one slot."""
        for stream, feed in list(self._feeds[slot].values()):
            try:
                payloads = feed.poll(now)
            except ApiError:  # the market has no such candles: acknowledged and silent, like every stream it has not
                self._forget(stream.name)
                continue
            for payload in payloads:
                self.publish(Frame(stream.name, payload))
            if stream.until is not None and stream.until <= now:
                self._succeed(stream, now)

    def _succeed(self, stream: Stream, now: int) -> None:
        """Go on with the contract that has taken the place of one that has ended, if there is one."""
        successor = parse_stream(stream.name, self._market.specs, now)
        if successor is None:
            self._forget(stream.name)
        else:
            self._feed(successor, now)

    def publish(self, frame: Frame) -> None:
        """Hand a frame to everyone who follows its stream."""
        tampered = bool(self._held) or self._panel.has(Stage.FRAME)
        for listener in list(self._subscribers.get(frame.name, ())):
            message = listener.session.form(frame)
            if tampered:
                self._tamper(listener, frame, message)
            else:
                self._send(listener, message)

    def publish_event(self, name: str, event: str, body: bytes) -> None:
        """Hand user data to those who hold the listen key and want that event."""
        frame = Frame(name, Payload(body))
        for listener in list(self._subscribers.get(name, ())):
            if listener.session.wants_event(event):
                message = listener.session.form(frame)
                self._tamper(listener, frame, message)

    def _send(self, listener: Listener, message: bytes) -> None:
        self.counts["sent"] += 1
        listener.send(message)

    def _tamper(self, listener: Listener, frame: Frame, message: bytes) -> None:
        facts = Facts(market=self._name, stream=frame.name, route=listener.session.route, closing=frame.closing)
        fault = self._panel.strike(Stage.FRAME, facts)
        if fault is not None:
            self.counts[fault.kind.value] += 1
            self._damage(fault, listener, frame, message)
            return
        self._send(listener, message)
        held = self._held.pop((listener, frame.name), None)
        if held is not None:
            self._send(listener, held)

    def _damage(self, fault: Fault, listener: Listener, frame: Frame, message: bytes) -> None:
        match fault.kind:
            case Kind.REPEAT:
                self._send(listener, message)
                self._send(listener, message)
            case Kind.DELAY:
                late = (fault.milliseconds or 0) / 1_000
                asyncio.get_running_loop().call_later(late, self._send, listener, message)
            case Kind.REORDER:
                self._held[listener, frame.name] = message  # goes out after the next one
            case Kind.GARBLE:
                self._send(listener, message[: len(message) // 2])
            case Kind.DROP:
                listener.drop()
            case Kind.FREEZE:
                listener.freeze()
            case _:  # lost
                pass


class Ticker:
    """Polls the hub's slots in turn, so that each stream has its turn every `period` ms of server time, or as fast as
    the wall allows where the clock runs fast."""

    SHORTEST = 0.02  # seconds of wall time for a round

    def __init__(self, hub: Hub, clock: Clock, period: int = 250) -> None:
        self._hub = hub
        self._clock = clock
        self._period = period

    async def run(self) -> None:
        """Poll for ever."""
        loop = asyncio.get_running_loop()
        pause = max(self._clock.seconds(self._period), self.SHORTEST) / SLOTS
        turn, due = 0, loop.time()
        while True:
            self._hub.poll(turn % SLOTS, self._clock.now())
            turn, due = turn + 1, max(due + pause, loop.time() - pause)
            await asyncio.sleep(max(0.0, due - loop.time()))


def _slots(name: str) -> tuple[int, ...]:
    """When in a round a stream has its turn: candles of a second have two."""
    slot = crc32(name.encode()) % SLOTS
    return (slot, (slot + SLOTS // 2) % SLOTS) if name.endswith(_OF_A_SECOND) else (slot,)


_OF_A_SECOND = "@kline_1s"
