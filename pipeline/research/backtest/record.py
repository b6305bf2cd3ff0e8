"""What the executor did over the past, for everything that is told of a run. Data only."""

from dataclasses import dataclass, field
from decimal import Decimal

from pipeline.execution.engine.effects import WriteVerdict
from pipeline.execution.engine.state import BreakerView, OrderRecord
from pipeline.simulator.venue.ledger import LedgerEntry


@dataclass(frozen=True, slots=True)
class Marked:
    """What the account was worth at a moment."""

    at: int
    equity: Decimal


@dataclass(frozen=True, slots=True)
class Told:
    """Something the executor told a person."""

    at: int
    title: str
    text: str


@dataclass(slots=True)
class Record:
    """What happened in a run, as it happened."""

    start: int
    end: int
    equity: list[Marked] = field(default_factory=list)
    ledger: list[LedgerEntry] = field(default_factory=list)
    orders: dict[str, OrderRecord] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    """What an order was for, of those that no signal and no plan says it of."""
    verdicts: dict[str, WriteVerdict] = field(default_factory=dict)
    breakers: list[BreakerView] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    untold: int = 0
    """Minutes that do not tell in which order things happened to the account."""
    undecided: tuple[str, ...] = ()
    """Signals that the end of the candles left without a decision."""
