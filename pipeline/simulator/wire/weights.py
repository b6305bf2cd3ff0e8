"""How much a caller may ask: request weight per address and orders per account, in fixed windows, then 429, then 418.

Pure counting: the time is passed in. It knows no endpoint; what a request weighs is said by `routes`.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.simulator.errors import ApiError
from pipeline.timeline import DAY, HOUR, MINUTE, SECOND

TEN_SECONDS = 10 * SECOND
_UNITS = {"DAY": DAY, "HOUR": HOUR, "MINUTE": MINUTE, "SECOND": SECOND}
_TEN = 10
FIRST_BAN = 2 * MINUTE
LONGEST_BAN = 3 * DAY


class Period(NamedTuple):
    """A length of time as the exchange writes it."""

    unit: str
    number: int

    @classmethod
    def of(cls, length: int) -> "Period":
        """So many of the largest unit that it is whole ones of."""
        unit = next(unit for unit, milliseconds in _UNITS.items() if length % milliseconds == 0)
        return cls(unit, length // _UNITS[unit])

    @property
    def header(self) -> str:
        """As the header of its count ends."""
        return f"{self.number}{self.unit[0]}"

    def __str__(self) -> str:
        if self.number == 1:
            return self.unit
        return f"{'TEN' if self.number == _TEN else self.number}_{self.unit}S"


@dataclass(frozen=True, slots=True)
class Limits:
    """What is allowed. `orders`: how many by the length of their period, in ms. `strikes` is how often a caller may go
    on after a 429 before it is banned."""

    weight: int = 2400
    orders: Mapping[int, int] = field(default_factory=lambda: {MINUTE: 1200, TEN_SECONDS: 300})
    strikes: int = 10
    retry_after: bool = True
    enforced: bool = True


class RefusedError(ApiError):
    """Too much: 429 or 418. `wait` is how long until it makes sense to ask again."""

    def __init__(self, code: int, message: str, status: int, wait: int) -> None:
        super().__init__(code, message, status)
        self.wait = wait


@dataclass(slots=True)
class _Caller:
    minute: int = -1
    used: int = 0
    strikes: int = 0
    bans: int = 0
    banned_until: int = 0


@dataclass(slots=True)
class _Orders:
    windows: dict[int, tuple[int, int]] = field(default_factory=dict)  # length -> (number of the window, count)

    def count(self, length: int, now: int) -> int:
        number, count = self.windows.get(length, (-1, 0))
        return count if number == now // length else 0

    def add(self, length: int, amount: int, now: int) -> None:
        self.windows[length] = (now // length, self.count(length, now) + amount)


class Meter:
    """Counts what each address and each account has used of its window."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._callers: defaultdict[str, _Caller] = defaultdict(_Caller)
        self._orders: defaultdict[str, _Orders] = defaultdict(_Orders)

    def charge(self, address: str, weight: int, now: int) -> int:
        """Take `weight` from the address's minute and return what it has used; raise where that is too much."""
        caller = self._callers[address]
        if now < caller.banned_until:
            raise self._banned(address, caller, now)
        if caller.minute != now // MINUTE:
            caller.minute, caller.used, caller.strikes = now // MINUTE, 0, 0
        caller.used += weight
        if self.limits.enforced and caller.used > self.limits.weight:
            caller.strikes += 1
            if caller.strikes > self.limits.strikes:
                raise self.ban(address, now)
            raise RefusedError(
                -1003,
                f"Too many requests; current limit of IP({address}) is {self.limits.weight} requests per minute. "
                "Please use the websocket for live updates to avoid polling the API.",
                429,
                MINUTE - now % MINUTE,
            )
        return caller.used

    def give_back(self, address: str, weight: int) -> None:
        """Take back what a call has weighed."""
        self._callers[address].used -= weight

    def used(self, address: str, now: int) -> int:
        """The weight used in the minute of `now`."""
        caller = self._callers[address]
        return caller.used if caller.minute == now // MINUTE else 0

    def ban(self, address: str, now: int) -> RefusedError:
        """Ban the address, each time for twice as long; what it is told from now on."""
        caller = self._callers[address]
        caller.banned_until = now + min(FIRST_BAN << caller.bans, LONGEST_BAN)
        caller.bans += 1
        return self._banned(address, caller, now)

    def forgive(self) -> None:
        """Forget every count and every ban."""
        self._callers.clear()
        self._orders.clear()

    def charge_orders(self, account: str, amount: int, now: int) -> None:
        """Count orders against each period of the account, or refuse them all with -1015."""
        orders = self._orders[account]
        for length, limit in sorted(self.limits.orders.items()) if self.limits.enforced else ():
            if orders.count(length, now) + amount > limit:
                message = f"Too many new orders; current limit is {limit} orders per {Period.of(length)}."
                raise RefusedError(-1015, message, 429, length - now % length)
        for length in self.limits.orders:
            orders.add(length, amount, now)

    def order_counts(self, account: str, now: int) -> dict[str, int]:
        """Orders of each running period, by the ends of their headers."""
        orders = self._orders[account]
        return {Period.of(length).header: orders.count(length, now) for length in self.limits.orders}

    @staticmethod
    def _banned(address: str, caller: _Caller, now: int) -> RefusedError:
        return RefusedError(
            -1003,
            f"Way too many requests; IP({address}) banned until {caller.banned_until}. "
            "Please use the websocket for live updates to avoid bans.",
            418,
            caller.banned_until - now,
        )
