"""What comes out of the execution core. Data only.

The shell performs the effects in the order given: a journal write is durable before the next one is, or with it; a
request is only begun, and waits for no write. `Place` is never given before `IntentJournaled` came in for its order:
the journal is asked first, so a crash at any point leaves either no trace of an order anywhere, or one in the journal,
beside whatever was to be journaled before it.
"""

from dataclasses import dataclass
from typing import Literal

from pipeline.execution.engine.state import BreakerView, By, DecisionView, Margin, OrderRecord, PositionRecord
from schemas.signals import Verdict


@dataclass(frozen=True, slots=True)
class JournalIntent:
    """Insert the order, durably, under our fence; then tell `IntentJournaled` or `IntentRefused`. `why`: what
    for, where no signal and no plan says so."""

    order: OrderRecord
    why: str | None = None


@dataclass(frozen=True, slots=True)
class JournalOrder:
    """Write the order as it stands now, and append its state to its history."""

    order: OrderRecord
    by: By
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class JournalPosition:
    """Write the position as it stands now."""

    position: PositionRecord


@dataclass(frozen=True, slots=True)
class WriteVerdict:
    """Write it on the signal, if it has none yet (`verdict` is `fresh`)."""

    signal_id: str
    verdict: Verdict
    reason: str | None = None
    decision: DecisionView | None = None
    orders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explain:
    """Write on a signal that is taken what became of its order. Told before the order's end is journaled, and told
    again by whoever has to find out that end anew."""

    signal_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Place:
    """Send the order (`order.algo`: as a conditional one). Ends in `OrderSeen`, `OrderRejected`, `OrderUnknown` or
    `OrderFailed`; the shell never sends it again by itself. `beside`: goes in the same request, of which the exchange
    carries out one; the answer is told of `order`, and of both where both stand. `instead`: stands, and is cancelled by
    the same request first: where it cannot be, nothing is placed. Its end is told first (`OrderSeen`), or that it was
    not cancelled (`CancelFailed`)."""

    order: OrderRecord
    beside: OrderRecord | None = None
    instead: OrderRecord | None = None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel the order. Ends in `OrderSeen` (cancelled) or `CancelFailed`."""

    order: OrderRecord


@dataclass(frozen=True, slots=True)
class Query:
    """Ask for the order by its client id. Ends in `OrderSeen`, `OrderNotFound`, or nothing: it is asked again."""

    order: OrderRecord


@dataclass(frozen=True, slots=True)
class QueryNumber:
    """Ask for the order that the exchange has under that number: whose are its trades? Ends in `OrderSeen`, whatever
    its id is, in `NumberNotFound`, or nothing: it is asked again."""

    symbol: str
    number: int


@dataclass(frozen=True, slots=True)
class QueryFills:
    """Ask for the trades of a symbol since a moment: `FillsSeen`."""

    symbol: str
    since: int


@dataclass(frozen=True, slots=True)
class QueryPositions:
    """Ask for the position of a symbol: `PositionsSeen`."""

    symbol: str


@dataclass(frozen=True, slots=True)
class Recall:
    """Read the past of a symbol since a moment, at the exchange and in the journal: `Recalled`, or nothing: it is asked
    again."""

    symbol: str
    since: int


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Read open orders, algo orders, positions and the account: `Snapshot`, or `ReconcileFailed`."""

    reason: str


@dataclass(frozen=True, slots=True)
class SetMargin:
    """Set how a symbol that holds nothing is margined, then tell `MarginSet` or `MarginNotSet`."""

    symbol: str
    margin: Margin


@dataclass(frozen=True, slots=True)
class TripBreaker:
    """Write the breaker into `control`, with its reason."""

    breaker: BreakerView


@dataclass(frozen=True, slots=True)
class ResetBreaker:
    """Its time is over."""

    name: str


@dataclass(frozen=True, slots=True)
class CloseDone:
    """What a person asked at that moment to be closed is: write that it need not be done again."""

    symbol: str
    asked: int


@dataclass(frozen=True, slots=True)
class Notify:
    """Tell a person: log and notification."""

    level: Literal["info", "warning", "error"]
    title: str
    text: str


Effect = (
    JournalIntent
    | JournalOrder
    | JournalPosition
    | WriteVerdict
    | Explain
    | Place
    | Cancel
    | Query
    | QueryNumber
    | QueryFills
    | QueryPositions
    | Recall
    | Reconcile
    | SetMargin
    | TripBreaker
    | ResetBreaker
    | CloseDone
    | Notify
)
