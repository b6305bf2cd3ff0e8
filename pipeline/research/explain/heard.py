"""What live and a backtest each made of a signal, and what is stored beside it. Pure: data only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

from schemas.orders import Order
from schemas.signals import Kind, Side, Verdict


class Decided(NamedTuple):
    """What was decided on a signal, and by what."""

    at: int
    quantity: Decimal
    notional: Decimal
    equity: Decimal
    bound: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, with its reason. `at`: None where nobody came to decide."""

    verdict: Verdict
    reason: str | None = None
    at: int | None = None
    decided: Decided | None = None


class Candle(NamedTuple):
    """That of a signal. `written`: the time of the newest frame or answer that wrote it."""

    close: Decimal
    written: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A signal, and its two verdicts."""

    id: str
    symbol: str
    interval: str
    strategy: str
    kind: Kind
    side: Side
    at: int
    price: Decimal
    live: Judged
    paper: Judged | None = None
    from_history: bool = False
    candle: Candle | None = None
    """As it is stored now; None: not looked at."""


class Away(NamedTuple):
    """From when to when a process that was to live did not."""

    role: str
    since: int
    until: int


@dataclass(frozen=True)
class Stored:
    """All that is asked for a cause."""

    signals: Mapping[str, Heard] = field(default_factory=dict)
    orders: Mapping[str, Sequence[Order]] = field(default_factory=dict)
    """The journal's, by their signal."""
    away: Sequence[Away] = ()
    hears_after: int = 500
    """By how much later than its close a backtest hears of a signal, in milliseconds."""

    @cached_property
    def at_once(self) -> Mapping[tuple[str, int], Sequence[Heard]]:
        """The signals of a symbol that were said at the same moment."""
        found: dict[tuple[str, int], list[Heard]] = {}
        for one in self.signals.values():
            found.setdefault((one.symbol, one.at), []).append(one)
        return found
