"""The symbols the exchange lists, kept at hand: asked for once, and again when somebody wants one that is not there."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

from pipeline.errors import UsageError
from pipeline.exchange.market import MarketData
from pipeline.exchange.markets import meant
from pipeline.timeline import DAY, iso, to_ms
from schemas.symbols import Symbol

TRADING: Final = "TRADING"
ENDED: Final = frozenset({"CLOSE", "SETTLING", "DELIVERING", "DELIVERED"})
"""What the exchange calls a contract that nobody trades any more."""
AGAIN_AFTER: Final = 30.0
"""Seconds between two questions for what may have changed."""


class NotTradedError(UsageError):
    """The exchange does not trade this symbol, or not any more: choose another, or wait until it does."""


class EndedError(NotTradedError):
    """It was traded once, and can still be asked for its past. `end`: when that was, where the exchange says so."""

    def __init__(self, message: str, end: int | None) -> None:
        super().__init__(message)
        self.end = end


def unlisted(name: str, known: Iterable[str], exchange: str) -> NotTradedError:
    """The exchange does not name this symbol; the nearest that it does, or where it is listed."""
    return NotTradedError(f"the exchange lists no symbol {name!r}.{meant(name.upper(), exchange, known)}")


def ending(name: str, status: str, delivery: int, now: int) -> str | None:
    """Why a contract trades no more; None while it does, and until the moment that was set for its end."""
    if delivery <= now:
        return f"{name!r} ended {iso(delivery)} ({status})"
    if status in ENDED and delivery > now + DAY:
        return f"{name!r} ended ({status})"
    return None


class Listed:
    """A directory of symbols. Safe to ask from several threads."""

    def __init__(
        self, market: MarketData, *, monotonic: Callable[[], float] = time.monotonic, again_after: float = AGAIN_AFTER
    ) -> None:
        self._market = market
        self._again_after = again_after
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._symbols: dict[str, Symbol] = {}

    def all(self) -> list[Symbol]:
        """Everything listed when the exchange was last asked."""
        with self._lock:
            if not self._symbols:
                self._ask()
            return list(self._symbols.values())

    def at_hand(self, name: str) -> Symbol | None:
        """The symbol, if it is known without asking."""
        return self._symbols.get(name)

    def symbol(self, name: str) -> Symbol:
        """The symbol; `NotTradedError` where the exchange, asked not long ago, does not list it."""
        with self._lock:
            if name not in self._symbols:
                self._ask_again()
            found = self._symbols.get(name)
        if found is None:
            raise unlisted(name, self._symbols, self._market.client.environment.name)
        return found

    def must_trade(self, name: str, now: int) -> None:
        """`NotTradedError` where the exchange, asked not long ago, does not trade the symbol any more; `EndedError` if
        it names it still."""
        with self._lock:
            self._ask_again()
        found = self.symbol(name)
        delivery = to_ms(found.delivery)
        why = ending(name, found.status, delivery, now)
        if why is not None:
            raise EndedError(why, delivery if delivery <= now else None)

    def _ask_again(self) -> None:
        if self._monotonic() > self._asked_at + self._again_after:
            self._ask()

    def _ask(self) -> None:
        self._symbols = {one.symbol: one for one in self._market.symbols()}
        self._asked_at = self._monotonic()
