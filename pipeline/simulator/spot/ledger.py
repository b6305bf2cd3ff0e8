"""What truly happened on spot, for a test to compare beliefs with: the entries that the futures have not."""

from dataclasses import dataclass
from decimal import Decimal

from pipeline.simulator.venue.ledger import LedgerEntry


@dataclass(frozen=True, slots=True)
class Accepted(LedgerEntry):
    """An order was accepted: into the book, to wait for its price, or to wait for another order."""

    order_id: int
    list_id: int
    client_id: str
    symbol: str
    side: str
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    stop_price: Decimal
    status: str


@dataclass(frozen=True, slots=True)
class Worked(LedgerEntry):
    """An order that had waited began to work."""

    order_id: int
    client_id: str
    symbol: str


@dataclass(frozen=True, slots=True)
class Fill(LedgerEntry):
    """A trade: `quantity` of `base` against `turnover` of `quote`, and the fee."""

    trade_id: int
    order_id: int
    list_id: int
    client_id: str
    symbol: str
    side: str
    price: Decimal
    quantity: Decimal
    base: str
    turnover: Decimal
    quote: str
    fee: Decimal
    fee_asset: str
    maker: bool
