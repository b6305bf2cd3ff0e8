"""What a term of the executor works with, and what the next term works with again. Holds; does nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

from pipeline.exchange.market import MarketData
from pipeline.exchange.reports import Account
from pipeline.exchange.trading import Trading
from pipeline.exchange.userdata import UserLimits
from pipeline.execution.account.clean_days import CleanDays
from pipeline.execution.account.fees import Rates
from pipeline.execution.engine.effects import Notify
from pipeline.execution.engine.exposure import Exposure
from pipeline.execution.engine.state import Policy
from pipeline.execution.gateway.reports_in import Market
from pipeline.execution.runtime.writing import Stores
from schemas.accounts import Snapshot
from schemas.shared import Mode

Symbols = Callable[[], set[str]]


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is done, in seconds."""

    tick: float = 0.1
    switches: float = 0.5
    sweep: float = 5.0
    watched: float = 5.0
    clock: float = 600.0
    clock_in_doubt: float = 1.0
    rules: float = 3600.0
    fees: float = 2.0
    clean_days: float = 3600.0
    last_words: float = 5.0
    workers: int = 8


class Books(Protocol):
    """What the account is worth over time."""

    @property
    def asset(self) -> str | None:
        """The one that the account counts in; None: each of several by itself."""

    def day_starts(self, account: Account, asof: int) -> Mapping[str, Decimal]:
        """The equity in each asset at 00:00 UTC, moved by deposits and withdrawals since."""

    def earned(self) -> Mapping[str, Decimal]:
        """What each symbol has brought today."""

    def snapshots(self, account: Account, open_positions: Mapping[str | None, int], now: int) -> list[Snapshot]:
        """Write down what the account was worth then."""


@dataclass(slots=True)
class Comparisons:
    """How often the exchange was compared with the journal, and how often they were not equal."""

    made: int = 0
    unequal: int = 0


@dataclass(frozen=True, slots=True)
class Context:
    """What a term works with, and what the next term works with again."""

    policy: Policy
    default_mode: Mode
    may_execute: bool
    """False: whatever the switch says, nothing is sent."""
    sending: Trading
    asking: Trading
    market: MarketData
    listed: Market
    """What the market has listed."""
    stores: Stores
    unhurried: Stores
    """The same, where a write waits for no disk."""
    rates: Rates
    books: Books
    clean_days: CleanDays
    symbols: Symbols
    notify: Callable[[Notify], None]
    pace: Pace = field(default_factory=Pace)
    hears: bool = True
    """False: no signal is decided about."""
    user_limits: UserLimits = field(default_factory=UserLimits)
    comparisons: Comparisons = field(default_factory=Comparisons)
    exposure: Exposure = field(default_factory=Exposure)

    def now(self) -> int:
        """The exchange's time."""
        return self.sending.client.clock.now()
