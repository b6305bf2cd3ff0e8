"""What goes into the execution core. Data only.

The shell tells what happened and nothing else; each event may come twice, late, or in another order than it happened.
`asof` is a moment of the exchange's clock that surely lies before it read what it answered.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine.state import (
    AccountView,
    Bracket,
    BreakerView,
    By,
    Holding,
    Margin,
    OrderRecord,
    OrderTold,
    PositionTold,
    SignalView,
    TradeTold,
    TradingView,
)
from schemas.shared import Mode


@dataclass(frozen=True, slots=True)
class SignalSeen:
    """A signal without a verdict, by change stream or sweep."""

    signal: SignalView


@dataclass(frozen=True, slots=True)
class IntentJournaled:
    """The order of a `JournalIntent` is durably in the journal: it may be sent now."""

    order_id: str


@dataclass(frozen=True, slots=True)
class IntentRefused:
    """The journal did not take the intent. `exists`: an order of that id is there already, so it must not be sent;
    `known` is that order."""

    order_id: str
    exists: bool
    reason: str
    known: OrderRecord | None = None


@dataclass(frozen=True, slots=True)
class OrderSeen:
    """The exchange has the order, and this is how it stands: the answer to a `Place`, a `Cancel` or a `Query`, or the
    stream."""

    told: OrderTold
    by: By


@dataclass(frozen=True, slots=True)
class OrderRejected:
    """A `Place` was refused with a code: surely not carried out."""

    order_id: str
    code: int
    text: str


@dataclass(frozen=True, slots=True)
class OrderUnknown:
    """A `Place` may or may not have been carried out: timeout, reset, 408, -1000, -1006, -1007, "Unknown error"."""

    order_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderFailed:
    """A `Place` was surely not carried out, but may be later: overload, rate limit, our clock, no connection."""

    order_id: str
    reason: str
    until: int | None = None


@dataclass(frozen=True, slots=True)
class CancelFailed:
    """A `Cancel` was refused, failed or was lost: the order may be open or not."""

    order_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderNotFound:
    """The answer to a `Query`: the exchange knows no such order (-2013)."""

    order_id: str
    asof: int


@dataclass(frozen=True, slots=True)
class SymbolGone:
    """The answer to a `Query` (of that order) or a `QueryFills`: the exchange knows no such symbol (-1121)."""

    symbol: str
    asof: int
    order_id: str | None = None


@dataclass(frozen=True, slots=True)
class NumberNotFound:
    """The answer to a `QueryNumber`: the exchange cannot say whose order that is."""

    number: int


@dataclass(frozen=True, slots=True)
class FillsSeen:
    """The answer to `QueryFills`."""

    symbol: str
    trades: tuple[TradeTold, ...]
    since: int
    asof: int


@dataclass(frozen=True, slots=True)
class Recalled:
    """The answer to `Recall`: every order of the account in the symbol, open or not, conditional ones first; those of
    them that are in the journal; the trades; and the signals that could have opened something, where one of ours is
    `unexplained` without."""

    symbol: str
    orders: tuple[OrderTold, ...]
    known: tuple[OrderRecord, ...]
    trades: tuple[TradeTold, ...]
    signals: tuple[SignalView, ...]


@dataclass(frozen=True, slots=True)
class PositionsSeen:
    """Positions as the exchange says them: ACCOUNT_UPDATE (`asof` is its time), or the answer to `QueryPositions`,
    where a symbol that was asked for and is not listed is told as zero."""

    positions: tuple[PositionTold, ...]
    asof: int
    by: By


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The answer to `Reconcile`: everything open at the exchange, read after `asof`. `positions` lists what is not
    zero; all others are. `accounts`: one for each asset that positions are margined in."""

    orders: tuple[OrderTold, ...]
    positions: tuple[PositionTold, ...]
    accounts: tuple[AccountView, ...]
    asof: int


@dataclass(frozen=True, slots=True)
class ReconcileFailed:
    """`Reconcile` could not be answered. Nothing new is opened until one is."""

    reason: str


@dataclass(frozen=True, slots=True)
class AccountSeen:
    """Equity and what is available."""

    account: AccountView


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """ACCOUNT_UPDATE: the wallet of an asset (None: it is not said) and the positions margined in it that changed, flat
    ones with a quantity of zero. `earned`: by trading, and not because money was paid in or out."""

    asset: str
    wallet: Decimal | None
    holdings: tuple[Holding, ...]
    asof: int
    earned: bool


@dataclass(frozen=True, slots=True)
class PriceSeen:
    """The newest price of a symbol's feed and the event time of its frame."""

    symbol: str
    price: Decimal
    at: int


@dataclass(frozen=True, slots=True)
class RulesSeen:
    """What the exchange allows for a symbol (None: it is not traded now), how it was margined at `asof`, and how much
    margin a position must keep."""

    symbol: str
    instrument: Instrument | None
    margin: Margin | None
    asof: int
    brackets: tuple[Bracket, ...] = ()


@dataclass(frozen=True, slots=True)
class FeeSeen:
    """What the account pays of the worth of an order that is filled at once."""

    symbol: str
    taker_fee: Decimal


@dataclass(frozen=True, slots=True)
class MarginSet:
    """The exchange has set it, at `asof` at the latest."""

    symbol: str
    margin: Margin
    asof: int


@dataclass(frozen=True, slots=True)
class MarginNotSet:
    """It was not set, or only in part, or nobody knows. `refused`: the exchange will not set it as things are."""

    symbol: str
    margin: Margin
    reason: str
    refused: bool


@dataclass(frozen=True, slots=True)
class TradingSeen:
    """A symbol's own trading settings."""

    symbol: str
    trading: TradingView


@dataclass(frozen=True, slots=True)
class ModeSeen:
    """Whether orders are sent or only worked out."""

    mode: Mode


@dataclass(frozen=True, slots=True)
class HaltSeen:
    """The kill switch."""

    halted: bool
    flatten: bool


@dataclass(frozen=True, slots=True)
class BreakersSeen:
    """What changed in `control`: these are tripped, and those, exactly as they were, have been reset."""

    tripped: tuple[BreakerView, ...]
    reset: tuple[BreakerView, ...] = ()


@dataclass(frozen=True, slots=True)
class GoalSeen:
    """The account's profit target for the day in percent (None: as in the settings), and what follows when it is
    reached."""

    daily_profit_percent: Decimal | None
    when_reached: Literal["stop", "close"]


@dataclass(frozen=True, slots=True)
class AllocationSeen:
    """How much of the equity each strategy goes by, in percent; None: each by all of it."""

    shares: Mapping[str, Decimal] | None


@dataclass(frozen=True, slots=True)
class AlikeSeen:
    """Of each symbol, as far as it was measured, those that move like it."""

    groups: Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True)
class StageSeen:
    """How much production trading may hold: 1, 2, or 3 for the user's own limit."""

    stage: int


@dataclass(frozen=True, slots=True)
class CallCounted:
    """A call to the exchange ended; `ok` False if it gave no sensible answer. A refusal is an answer."""

    ok: bool


@dataclass(frozen=True, slots=True)
class StreamBack:
    """The user data stream is connected (again): what happened in between was not told. `asof`: no later by the
    exchange's clock, as a comparison that is begun then says it; None: by the time at which this is told."""

    asof: int | None = None


@dataclass(frozen=True, slots=True)
class Time:
    """Time has passed. To be told at least twice a second."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """The process is to end, and nobody may be there to protect what is filled then: nothing rests any more."""


@dataclass(frozen=True, slots=True)
class LeaseLost:
    """Somebody else acts now. This core does nothing ever again: build a new one when the lease is back."""


Event = (
    SignalSeen
    | IntentJournaled
    | IntentRefused
    | OrderSeen
    | OrderRejected
    | OrderUnknown
    | OrderFailed
    | CancelFailed
    | OrderNotFound
    | NumberNotFound
    | SymbolGone
    | FillsSeen
    | Recalled
    | PositionsSeen
    | Snapshot
    | ReconcileFailed
    | AccountSeen
    | AccountChanged
    | PriceSeen
    | RulesSeen
    | FeeSeen
    | MarginSet
    | MarginNotSet
    | TradingSeen
    | ModeSeen
    | HaltSeen
    | BreakersSeen
    | GoalSeen
    | AllocationSeen
    | AlikeSeen
    | StageSeen
    | CallCounted
    | StreamBack
    | Time
    | Leaving
    | LeaseLost
)
