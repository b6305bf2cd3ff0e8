"""Stays under the exchange's limits by obeying its own count, which sees every process of our address.

The exchange counts in fixed periods (a minute for weight) that reset together. The decision is one pure function; the
gate around it remembers the last count, adds what this process has in flight, and makes callers wait. It never guesses
downwards: a call whose count did not come back is taken as spent. What costs nothing passes, unless the exchange itself
has said stop.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

from pipeline.exchange.clock import ServerClock
from pipeline.exchange.errors import BannedError, RateLimitedError, StoppedError, until_text
from pipeline.timeline import DAY, HOUR, MINUTE, SECOND

_RECHECK: float = 0.25
"""Seconds a waiting thread sleeps at most before it looks again: it may have been told to stop."""


class Need(Enum):
    """What a call is for: that decides how much of a limit it may use up."""

    SCHEDULED = auto()
    """History that is due by itself: half of what bulk work may use, so that what a person began goes first."""
    BULK = auto()
    """History and the like: the share that the environment allows."""
    OPENING = auto()
    """What opens a position, or prepares that: half of what bulk work leaves."""
    PROTECTION = auto()
    """What protects or closes a position, or tells what is held and what stands: all of it."""

    def share(self, bulk: float) -> float:
        """The part of a limit that it may use up, where bulk work may use `bulk`."""
        return {Need.SCHEDULED: bulk / 2, Need.BULK: bulk, Need.OPENING: (1 + bulk) / 2, Need.PROTECTION: 1.0}[self]


def wait_ms(used: int, cost: int, limit: int, share: float, now: int, *, period: int = MINUTE) -> int:
    """How long to wait before spending `cost`: nothing while the share of the limit holds it, or if it is nothing, else
    until the period's count resets. `now` is the exchange's time."""
    allowed = int(limit * share)
    if cost > allowed:
        raise ValueError(f"one call costs {cost}, but only {allowed} of {limit} may ever be used; raise the buffer")
    if cost == 0 or used + cost <= allowed:
        return 0
    return period - now % period


def period_of(name: str) -> int:
    """The period of a count as the exchange names it in a header: `10s`, `1m`, `1d`."""
    return int(name[:-1]) * {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY}[name[-1]]


@dataclass(slots=True)
class Ticket:
    """Permission for one call; hand in the exchange's count with `count` if the answer had one."""

    cost: int
    sent: int
    count: int | None = None
    answered: bool = False


@dataclass(slots=True)
class LimitGate:
    """Holds callers back until their cost fits. One a client and limit, shared by its threads.

    Near a reset nobody knows in which period a call is counted, so the share may be passed by what is in flight then;
    the rest that the share keeps back is for that, and for other processes.
    """

    limit: int
    share: float
    clock: ServerClock
    period: int = MINUTE
    stop: threading.Event = field(default_factory=threading.Event)
    _period_number: int = -1
    _used: int = 0
    _in_flight: int = 0
    _sure: bool = True
    _closed_until: int = 0
    _ban: BannedError | None = None
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False)
    _held_until: dict[int, int] = field(default_factory=dict, repr=False)

    @property
    def used(self) -> int:
        """What the exchange last counted in this period, or more."""
        with self._changed:
            self._roll()
            return self._used

    @property
    def waiting_ms(self) -> int:
        """How long it still takes until those who wait now are looked at again; 0 where nobody waits."""
        with self._changed:
            return max(0, max(self._held_until.values(), default=0) - self.clock.now())

    @contextmanager
    def spend(self, cost: int, *, need: Need = Need.BULK, patience_ms: int | None = None) -> Iterator[Ticket]:
        """Wait until `cost` fits into what the need may use up, then hold it in flight while the body makes the call.

        A wait that would be longer than `patience_ms` raises instead; nothing was sent then.
        """
        ticket = self._acquire(cost, need.share(self.share), patience_ms)
        try:
            yield ticket
        finally:
            self._settle(ticket)

    def close_until(self, until: int) -> None:
        """The exchange said stop: nobody passes before `until` (the exchange's time)."""
        with self._changed:
            self._closed_until = max(self._closed_until, until)

    def ban(self, error: BannedError) -> None:
        """This address is shut out: every caller gets this error until the ban is over."""
        with self._changed:
            self._ban = error
            self._changed.notify_all()

    def _acquire(self, cost: int, share: float, patience_ms: int | None) -> Ticket:
        me = threading.get_ident()
        with self._changed:
            try:
                while True:
                    now = self.clock.now()
                    wait = self._wait(now, cost, share)
                    if wait == 0:
                        self._in_flight += cost
                        return Ticket(cost, now)
                    if patience_ms is not None and wait > patience_ms:
                        raise RateLimitedError(
                            f"the request limit is used up {until_text(now + wait)}; nothing was sent", now + wait
                        )
                    self._held_until[me] = now + wait
                    self._changed.wait(min(wait / SECOND, _RECHECK))
            finally:
                self._held_until.pop(me, None)

    def _wait(self, now: int, cost: int, share: float) -> int:
        if self.stop.is_set():
            raise StoppedError("told to stop; nothing was sent")
        if self._ban is not None:
            if now < self._ban.until:
                raise self._ban
            self._ban = None
        if now < self._closed_until:
            return self._closed_until - now
        self._roll()
        return wait_ms(self._used + self._in_flight, cost, self.limit, share, self.clock.surely, period=self.period)

    def _roll(self) -> None:
        """A new period is used only when it has surely begun."""
        number = self.clock.surely // self.period
        if number > self._period_number:
            self._period_number, self._used, self._sure = number, 0, False

    def _settle(self, ticket: Ticket) -> None:
        with self._changed:
            self._in_flight -= ticket.cost
            self._roll()
            self._learn(ticket)
            self._changed.notify_all()

    def _learn(self, ticket: Ticket) -> None:
        """Take the exchange's count over. One that spans the reset may be the old period's: while nothing better is
        known, a small one is believed, and a large one counts as this call alone."""
        spans_reset = self._spans_reset(ticket.sent, self.clock.now())
        if ticket.count is None:
            self._used += ticket.cost
        elif not spans_reset:
            self._used = max(self._used, ticket.count) if self._sure else ticket.count
            self._sure = True
        elif self._sure or ticket.count <= self.limit * self.share / 2:
            self._used = max(self._used, ticket.count)
        else:
            self._used += ticket.cost

    def _spans_reset(self, sent: int, received: int) -> bool:
        doubt = self.clock.uncertainty
        return (sent - doubt) // self.period != (received + doubt) // self.period
