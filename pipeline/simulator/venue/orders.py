"""What an order is and which states it passes through, ordinary and conditional. State only: no matching, no money."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from pipeline.simulator.worth import LINEAR, Worth

ZERO: Final = Decimal(0)


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 where the order adds to the signed position, -1 where it takes away."""
        return 1 if self is Side.BUY else -1


class PositionSide(StrEnum):
    BOTH = "BOTH"
    LONG = "LONG"
    SHORT = "SHORT"


class OrderType(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP = "STOP"
    STOP_MARKET = "STOP_MARKET"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_MARKET = "TAKE_PROFIT_MARKET"
    TRAILING_STOP_MARKET = "TRAILING_STOP_MARKET"
    LIQUIDATION = "LIQUIDATION"


CONDITIONAL: Final = frozenset(
    {
        OrderType.STOP,
        OrderType.STOP_MARKET,
        OrderType.TAKE_PROFIT,
        OrderType.TAKE_PROFIT_MARKET,
        OrderType.TRAILING_STOP_MARKET,
    }
)


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"
    GTD = "GTD"
    GTE_GTC = "GTE_GTC"
    """Of a conditional order: it ends with the position that it closes. A GTC one stays, also beside nothing."""


class WorkingType(StrEnum):
    CONTRACT_PRICE = "CONTRACT_PRICE"
    MARK_PRICE = "MARK_PRICE"


class SelfTrade(StrEnum):
    NONE = "NONE"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"


class ResponseType(StrEnum):
    ACK = "ACK"
    RESULT = "RESULT"


class Status(StrEnum):
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


OPEN: Final = frozenset({Status.NEW, Status.PARTIALLY_FILLED})


class AlgoStatus(StrEnum):
    NEW = "NEW"
    TRIGGERING = "TRIGGERING"
    TRIGGERED = "TRIGGERED"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


@dataclass(slots=True, kw_only=True)
class Order:
    """An order the matching engine knows. A market order has price 0."""

    id: int
    client_id: str
    symbol: str
    side: Side
    position_side: PositionSide
    type: OrderType
    original_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal
    reduce_only: bool
    created: int
    updated: int
    close_position: bool = False
    stop_price: Decimal = ZERO
    working_type: WorkingType = WorkingType.CONTRACT_PRICE
    self_trade: SelfTrade = SelfTrade.EXPIRE_MAKER
    good_till: int = 0
    algo_id: int | None = None
    status: Status = Status.NEW
    filled: Decimal = ZERO
    quote: Decimal = ZERO
    """The values of its fills."""
    worth: Worth = LINEAR

    @property
    def remaining(self) -> Decimal:
        """What may still fill."""
        return self.quantity - self.filled

    @property
    def is_open(self) -> bool:
        """Whether it rests in the book."""
        return self.status in OPEN

    @property
    def average(self) -> Decimal:
        """The mean price of its fills, 0 before the first."""
        return self.worth.price_at(self.quote / self.filled) if self.filled else ZERO

    @property
    def notional(self) -> Decimal:
        """What the rest of it is worth at its own price; nothing where it has none."""
        return self.remaining * self.worth.notional(self.price) if self.price else ZERO

    @property
    def only_closes(self) -> bool:
        """Whether it may only make a position smaller: asked for, or because it sells a LONG or buys back a SHORT."""
        return self.reduce_only or closes(self.side, self.position_side)


def closes(side: Side, position_side: PositionSide) -> bool:
    """Whether that side of a hedge-mode position shrinks by that order."""
    if position_side is PositionSide.LONG:
        return side is Side.SELL
    return position_side is PositionSide.SHORT and side is Side.BUY


@dataclass(slots=True, kw_only=True)
class Algo:
    """A conditional order: waits for its price outside the matching engine, then becomes an ordinary order."""

    id: int
    client_id: str
    symbol: str
    side: Side
    position_side: PositionSide
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal
    trigger: Decimal
    working_type: WorkingType
    close_position: bool
    reduce_only: bool
    price_protect: bool
    self_trade: SelfTrade
    created: int
    updated: int
    activate: Decimal | None = None
    callback: Decimal | None = None
    extreme: Decimal | None = None
    good_till: int = 0
    status: AlgoStatus = AlgoStatus.NEW
    triggered: int = 0
    order: Order | None = None
    reason: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it still waits for its price."""
        return self.status is AlgoStatus.NEW

    @property
    def only_closes(self) -> bool:
        """Whether it may only make a position smaller."""
        return self.reduce_only or self.close_position or closes(self.side, self.position_side)
