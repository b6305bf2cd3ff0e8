"""The symbols the exchange lists, kept at hand: asked for once, and again when somebody wants one that is not there."""

import threading
import time
from collections.abc import Callable
from difflib import get_close_matches
from typing import Final

from pipeline.errors import UsageError
from pipeline.exchange.market import Market
from schemas.symbols import Symbol

AGAIN_AFTER: Final = 30.0
"""Seconds between two questions for a symbol that is not listed."""


class Listed:
    """A directory of symbols. Safe to ask from several threads."""

    def __init__(self, market: Market, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._market = market
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
        """The symbol; `UsageError` where the exchange, asked not long ago, does not list it."""
        with self._lock:
            if name not in self._symbols and self._monotonic() > self._asked_at + AGAIN_AFTER:
                self._ask()
            found = self._symbols.get(name)
        if found is None:
            near = get_close_matches(name, self._symbols, n=1, cutoff=0.4)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f"the exchange lists no symbol {name!r}.{hint}")
        return found

    def _ask(self) -> None:
        self._symbols = {one.symbol: one for one in self._market.symbols()}
        self._asked_at = self._monotonic()
