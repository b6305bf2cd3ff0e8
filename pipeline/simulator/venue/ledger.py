"""The truth: everything that happened on the exchange, in order, for a test to compare beliefs with. Written
once, never read by the exchange itself."""

from dataclasses import dataclass, fields
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """Something that happened to an account."""

    time: int
    account: str

    def as_dict(self) -> dict[str, object]:
        """As JSON: money as text, the kind by its name."""
        pairs: dict[str, object] = {"kind": type(self).__name__}
        for field in fields(self):
            value = getattr(self, field.name)
            pairs[field.name] = str(value) if isinstance(value, Decimal | str) else value
        return pairs


@dataclass(frozen=True, slots=True)
class Deposit(LedgerEntry):
    """Money came in from outside."""

    amount: Decimal
    asset: str


@dataclass(frozen=True, slots=True)
class Accepted(LedgerEntry):
    """An order entered the matching engine."""

    order_id: int
    client_id: str
    symbol: str
    side: str
    position_side: str
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    reduce_only: bool


@dataclass(frozen=True, slots=True)
class Amended(LedgerEntry):
    """A resting order was given another price or quantity."""

    order_id: int
    symbol: str
    quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class Fill(LedgerEntry):
    """A trade."""

    trade_id: int
    order_id: int
    client_id: str
    symbol: str
    side: str
    position_side: str
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    realised: Decimal
    asset: str
    maker: bool


@dataclass(frozen=True, slots=True)
class Ended(LedgerEntry):
    """An order left the book with something unfilled: CANCELED by its owner or EXPIRED by the exchange."""

    order_id: int
    client_id: str
    symbol: str
    status: str
    filled: Decimal


@dataclass(frozen=True, slots=True)
class AlgoMoved(LedgerEntry):
    """A conditional order was accepted or changed its state."""

    algo_id: int
    client_id: str
    symbol: str
    status: str
    order_id: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Funding(LedgerEntry):
    """Funding was paid (negative) or received (positive)."""

    symbol: str
    position_side: str
    rate: Decimal
    amount: Decimal
    asset: str


@dataclass(frozen=True, slots=True)
class Liquidated(LedgerEntry):
    """A position was closed by the exchange; its `Fill` precedes this entry."""

    symbol: str
    position_side: str
    quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class Delivered(LedgerEntry):
    """A dated contract has ended at this price, and with it a position; its `Fill` precedes this entry."""

    symbol: str
    position_side: str
    quantity: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class MarginMoved(LedgerEntry):
    """Margin went into an isolated position, or out of it (negative). The wallet is the same."""

    symbol: str
    position_side: str
    amount: Decimal
    asset: str


@dataclass(frozen=True, slots=True)
class Insured(LedgerEntry):
    """The insurance fund made good what a liquidated account could not pay."""

    amount: Decimal
    asset: str


@dataclass(frozen=True, slots=True)
class Configured(LedgerEntry):
    """A setting of the account changed."""

    setting: str
    symbol: str
    value: str
