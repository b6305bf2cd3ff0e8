"""What the exchange needs of the accounts of a market, and how those of the futures are opened."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Protocol

from pipeline.simulator.types import Prices
from pipeline.simulator.venue.account import PositionMode
from pipeline.simulator.venue.desks import Desks
from pipeline.simulator.venue.ledger import LedgerEntry
from pipeline.simulator.venue.terms import USD_TERMS, Terms
from pipeline.simulator.venue.venue import Venue


class Trading(Protocol):
    """The accounts of a market: calls and the time come in, answers, events and a ledger come out."""

    @property
    def ledger(self) -> list[LedgerEntry]:
        """Everything that truly happened, in order."""
        ...

    @property
    def endpoints(self) -> frozenset[tuple[str, str]]:
        """Every (method, path) that `call` answers."""
        ...

    def open_account(self, name: str, deposits: Mapping[str, Decimal], mode: PositionMode | None = None) -> None:
        """A new account with so much of each asset in it."""
        ...

    def deposit(self, name: str, asset: str, amount: Decimal, now: int) -> None:
        """Something comes in from outside, or goes out: less than nothing, and no more than is free."""
        ...

    def call(self, account: str, method: str, path: str, params: dict[str, str], now: int) -> object:
        """The answer of a signed endpoint; a refusal is an ApiError."""
        ...

    def advance(self, now: int) -> None:
        """Let the market run up to now."""
        ...

    def drain_events(self, account: str) -> list[dict[str, object]]:
        """The user data events since the last time, in order."""
        ...


Opens = Callable[[Prices, int, int], Trading]
"""Opens the trading of a market, with a seed, at a moment."""


def futures(desks: Desks, terms: Terms = USD_TERMS) -> Opens:
    """Trading with margin and positions, where those desks answer."""

    def opened(market: Prices, seed: int, now: int) -> Trading:
        return Venue(market, desks, terms, seed=seed, now=now)

    return opened
