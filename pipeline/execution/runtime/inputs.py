"""Where the core's news come from: signals, prices, switches. Each tells; none decides."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal

from pymongo.errors import PyMongoError

from pipeline.exchange.environments import Environment
from pipeline.exchange.frames import KlineFrame, kline_stream
from pipeline.exchange.stream_session import FeedLimits
from pipeline.exchange.streams import Feed
from pipeline.execution.engine.events import (
    AllocationSeen,
    BreakersSeen,
    Event,
    GoalSeen,
    HaltSeen,
    ModeSeen,
    PriceSeen,
    SignalSeen,
    StageSeen,
    TradingSeen,
)
from pipeline.execution.engine.state import BreakerView, PositionRecord, TradingView
from pipeline.execution.runtime import documents
from pipeline.store.control import Controls
from pipeline.store.signals.feed import SignalFeed
from schemas.shared import Mode
from schemas.signals import Side, Signal

log = logging.getLogger(__name__)

Tell = Callable[[Event], None]
PRICE_INTERVAL = "1m"
REMEMBER_EVERY = 1.0
"""Seconds between two notes of how far the feed was read, where a signal came."""
REMEMBER_QUIET = 60.0
"""The same where none came: the server keeps hours of what it would be read again from."""
AGAIN_AFTER = 1.0


@dataclass(slots=True)
class Signals:
    """Follows the feed of signals, in a thread of its own until `ended` is set. May tell of a signal twice."""

    feed: SignalFeed
    tell: Tell
    ended: threading.Event

    def follow(self) -> None:
        """Tell of each signal as it is written. A database that is away is waited for."""
        while not self.ended.is_set():
            try:
                self._follow()
            except PyMongoError as error:
                log.warning("signals cannot be followed: %s; trying again", str(error)[:200])
                self.ended.wait(AGAIN_AFTER)

    def sweep(self) -> None:
        """Tell of every signal that has no verdict: what the change stream missed is among them."""
        try:
            for signal in self.feed.undecided():
                self._told(signal)
        except PyMongoError as error:
            log.warning("signals cannot be looked for: %s", str(error)[:200])

    def remind(self, held: Iterable[PositionRecord]) -> None:
        """Tell of what the strategy of each position said last, where that closes it and nobody acted on it: it was
        found late, or it expired before an older signal opened the position."""
        try:
            for position in (book for one in held for book in one.books or (one,)):
                if position.side is not None and position.strategy is not None:
                    self._remind(position, position.strategy, position.side)
        except PyMongoError as error:
            log.warning("what was said last of what is held cannot be read: %s", str(error)[:200])

    def _remind(self, held: PositionRecord, strategy: str, side: Side) -> None:
        said = self.feed.newest_word(held.symbol, strategy, held.interval, side, trial=held.trial)
        if said is not None and said.verdict == "expired":
            self._told(said)

    def _follow(self) -> None:
        news, remembered = True, float("-inf")
        for signal, token in self.feed.follow():
            if signal is not None:
                self._told(signal)
                news = True
            since = time.monotonic() - remembered
            if token is not None and since > (REMEMBER_EVERY if news else REMEMBER_QUIET):
                self.feed.remember(token, datetime.now(UTC))
                news, remembered = False, time.monotonic()
            if self.ended.is_set():
                return

    def _told(self, signal: Signal) -> None:
        view = documents.signal_view(signal)
        if view.leaves is not None:
            view = replace(view, last_word=not self.feed.spoken_for_since(signal, view.leaves))
        self.tell(SignalSeen(view))


class Prices:
    """The newest price of each symbol, from its candle stream."""

    def __init__(self, place: Environment, tell: Tell, limits: FeedLimits | None = None) -> None:
        self.feed = Feed(place, self, limits=limits)
        self._tell = tell
        self._symbols: dict[str, str] = {}

    def follow(self, symbols: Iterable[str]) -> None:
        """Follow these as well."""
        names = {kline_stream(symbol, PRICE_INTERVAL): symbol for symbol in symbols}
        self._symbols |= names
        self.feed.add(names)

    def frame(self, stream: str, frame: KlineFrame) -> None:
        """A price."""
        self._tell(PriceSeen(self._symbols[stream], Decimal(repr(frame.k.c)), frame.E))

    def up(self, streams: Iterable[str]) -> None:
        """Nothing to do: what is old is seen to be old."""

    def down(self, streams: Iterable[str], reason: str) -> None:
        """Prices grow old until it is back."""
        log.warning("the prices of %d symbols are down: %s; connecting anew", len(set(streams)), reason)

    def refused(self, streams: Iterable[str], reason: str) -> None:
        """Without a price nothing is opened in these."""
        log.error("the exchange refuses the prices of %s: %s", ", ".join(streams), reason)


@dataclass(slots=True)
class Switches:
    """Tells what changed since it was last told."""

    default_mode: Mode
    may_execute: bool
    mode: Mode | None = None
    halt: HaltSeen = field(default_factory=lambda: HaltSeen(halted=False, flatten=False))
    goal: GoalSeen = field(default_factory=lambda: GoalSeen(None, "stop"))
    shares: Mapping[str, Decimal] | None = None
    stage: int = 1
    breakers: frozenset[BreakerView] = frozenset()
    trips: int = 0
    trading: Mapping[str, TradingView] = field(default_factory=dict)

    def tripped(self, breaker: BreakerView) -> None:
        """The core has tripped it and it is written: missing from now on means that somebody has reset it."""
        self.breakers = frozenset(one for one in self.breakers if one.name != breaker.name) | {breaker}
        self.trips += 1

    def changes(self, controls: Controls) -> list[Event]:
        """The events that bring the core up to date."""
        mode = self._mode(controls)
        halted = controls.halt
        halt = HaltSeen(halted.halted, halted.flatten) if halted else HaltSeen(halted=False, flatten=False)
        wanted = controls.goal
        goal = GoalSeen(wanted.daily_profit_percent, wanted.when_reached) if wanted else GoalSeen(None, "stop")
        shares = controls.allocation.shares if controls.allocation else None
        stage = controls.stage.stage if controls.stage else 1
        breakers = frozenset(documents.breaker_view(one) for one in controls.breakers.values() if one.tripped)
        trading = {symbol: documents.trading_view(one) for symbol, one in controls.trading.items()}
        news: list[Event] = []
        if mode != self.mode:
            news.append(ModeSeen(mode))
        if halt != self.halt:
            news.append(halt)
        if goal != self.goal:
            news.append(goal)
        if shares != self.shares:
            news.append(AllocationSeen(shares))
        if stage != self.stage:
            news.append(StageSeen(stage))
        if breakers != self.breakers:
            news.append(BreakersSeen(tuple(breakers - self.breakers), tuple(self.breakers - breakers)))
        news += [TradingSeen(symbol, one) for symbol, one in trading.items() if one != self.trading.get(symbol)]
        self.mode, self.halt, self.goal, self.shares, self.stage = mode, halt, goal, shares, stage
        self.breakers, self.trading = breakers, trading
        return news

    def _mode(self, controls: Controls) -> Mode:
        """What is wanted, and allowed: without the confirmation of production nothing is ever sent there."""
        wanted: Mode = controls.mode.mode if controls.mode else self.default_mode
        if wanted == "signal-only" or self.may_execute:
            return wanted
        if self.mode is None:
            log.error("auto-execute is switched on but production is not confirmed: signal-only, nothing is sent")
        return "signal-only"
