"""What is held now: one document a symbol and position side, kept equal to the exchange by reconciliation."""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from pydantic import Field
from pymongo import ASCENDING, IndexModel

from schemas.base import Collection, Document, Money
from schemas.orders import PositionSide


class Book(Document):
    """What one strategy holds of a position, as if it held it alone. `quantity` is signed."""

    quantity: Money
    entry_price: Money
    side: Literal["long", "short"] | None = None
    strategy: str | None = None
    interval: str | None = None
    signal: str | None = Field(default=None, description="the signal that opened it")
    trial: bool = False
    unit_quantity: Money | None = None
    atr: Money | None = None
    last_add_price: Money | None = None
    stop_price: Money | None = None
    take_profit_price: Money | None = None
    closing: str | None = Field(default=None, description="why it is being closed, while it is")
    opened_at: datetime | None = None
    stop_order: str | None = Field(
        default=None, description="of coins: id in `orders`; each book has a pair of its own"
    )
    take_profit_order: str | None = None
    unprotected_since: datetime | None = Field(default=None, description="of coins: None while its stop stands")
    parts: list[str] = Field(default=[], description="of coins: the orders that bought them and sold of them")
    missing: Money = Field(default=Decimal(0), description="of coins: how many of these somebody else has taken")


class CountedOrder(Document):
    """How much of an order's fills is in the books."""

    order: str = Field(description="id in `orders`")
    filled: Money
    at: datetime
    price: Money | None = None


class Position(Document):
    """A position and what protects it. `quantity` is signed: negative is short, zero is flat."""

    id: str = Field(alias="_id", description="<environment>:<symbol>:<position side>")
    environment: str
    symbol: str
    position_side: PositionSide = "BOTH"
    quantity: Money
    entry_price: Money
    mark_price: Money | None = None
    unrealized: Money | None = None
    leverage: int | None = None
    liquidation_price: Money | None = None

    ours: bool = Field(description="False: opened by someone else; reported, left alone")
    installation: str | None = Field(
        default=None, description="that it is a position of; None: from before they had names"
    )
    side: Literal["long", "short"] | None = None
    strategy: str | None = None
    interval: str | None = Field(default=None, description="of its signals; None: from before it was kept")
    signal: str | None = Field(default=None, description="the signal that opened it")
    trial: bool = Field(default=False, description="nothing but its trial was filled; False too before it was kept")
    units: Money | None = Field(default=None, description="how many units it holds by now")
    unit_quantity: Money | None = Field(default=None, description="the size of a unit when it was opened")
    atr: Money | None = Field(default=None, description="the ATR when it was opened; adds and stop are measured in it")
    last_add_price: Money | None = None
    stop_order: str | None = Field(default=None, description="id in `orders`")
    stop_price: Money | None = None
    take_profit_order: str | None = None
    take_profit_price: Money | None = None
    unprotected_since: datetime | None = Field(default=None, description="None while its stop stands")
    closing: str | None = Field(default=None, description="why it is being closed, while it is")
    opened_at: datetime | None = None
    parts: list[str] = Field(default=[], description="of coins: the orders that bought them and sold of them")
    missing: Money = Field(default=Decimal(0), description="of coins: how many of ours somebody else has taken")
    books: list[Book] = Field(default=[], description="what each strategy holds of it, where each has a book")
    counted: list[CountedOrder] = Field(
        default=[],
        description="the fills that are in the books, of the last orders; of coins: those that are not counted again, "
        "because somebody has taken of what they bought",
    )
    evened_at: datetime | None = Field(default=None, description="when the exchange had said what the books followed")
    updated_at: datetime


POSITIONS = Collection(
    "positions",
    Position,
    (IndexModel([("environment", ASCENDING), ("symbol", ASCENDING)], name="symbol"),),
)
