"""What an order of spot is, and a list of orders of which one hangs on another. State only: no matching, no money."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

from pipeline.simulator.venue.orders import ZERO, Side


class OrderType(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    LIMIT_MAKER = "LIMIT_MAKER"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"


STOP_LOSSES: Final = frozenset((OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT))
STOPS: Final = STOP_LOSSES | {OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
"""Those that wait for a price before they work."""

AT_MARKET: Final = frozenset((OrderType.MARKET, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT))
"""Those without a price of their own."""

TIMED: Final = frozenset((OrderType.LIMIT, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT))
"""Those that are told how long to stay."""


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class SelfTrade(StrEnum):
    NONE = "NONE"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"
    DECREMENT = "DECREMENT"


class ResponseType(StrEnum):
    ACK = "ACK"
    RESULT = "RESULT"
    FULL = "FULL"


class Status(StrEnum):
    PENDING_NEW = "PENDING_NEW"
    """Of a list: it is placed when another is filled."""
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REJECTED = "REJECTED"


OPEN: Final = frozenset((Status.PENDING_NEW, Status.NEW, Status.PARTIALLY_FILLED))


class Contingency(StrEnum):
    OCO = "OCO"
    """Either of the two: when one begins to trade, the other is gone."""
    OTO = "OTO"
    """One after the other: when the first is filled, the rest is placed."""


@dataclass(slots=True)
class Hold:
    """What is set aside of an asset: for one order, or for two of which one alone will trade."""

    asset: str
    amount: Decimal = ZERO


@dataclass(slots=True, kw_only=True)
class Order:
    """An order of a pair. Without a price of its own it has price 0, without a stop price stop price 0."""

    id: int
    client_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal
    stop_price: Decimal
    quote_quantity: Decimal = ZERO
    """How much money it was told to trade, where it was told that instead of a quantity."""
    self_trade: SelfTrade
    created: int
    updated: int
    worked: int = -1
    """Since when it can trade: -1 while it waits for its price or for another order."""
    status: Status = Status.NEW
    filled: Decimal = ZERO
    turned_over: Decimal = ZERO
    """What it traded, in the quote asset."""
    hold: Hold
    group: "OrderList | None" = None

    @property
    def remaining(self) -> Decimal:
        """What may still fill."""
        return self.quantity - self.filled

    @property
    def is_open(self) -> bool:
        """Whether anything can still become of it."""
        return self.status in OPEN

    @property
    def is_working(self) -> bool:
        """Whether it is in the book."""
        return self.is_open and self.worked >= 0

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its price."""
        return self.is_open and self.worked < 0 and self.status is not Status.PENDING_NEW

    @property
    def list_id(self) -> int:
        """The number of its list, -1 without one."""
        return self.group.id if self.group else -1

    @property
    def needs(self) -> Decimal:
        """What has to be set aside for the rest of it: coins to sell, or the money to buy them at its own price."""
        if self.side is Side.SELL:
            return self.remaining
        price = self.price or self.stop_price
        return self.remaining * price if price else self.hold.amount

    def is_reached(self, price: Decimal) -> bool:
        """Whether it begins to work at that price: a buying stop-loss once it has risen to it, a buying take-profit
        once it has fallen to it; a selling one the other way round."""
        rises = (self.type in STOP_LOSSES) is (self.side is Side.BUY)
        return price >= self.stop_price if rises else price <= self.stop_price


@dataclass(slots=True, kw_only=True)
class OrderList:
    """Orders that belong together. Of an OTO the first works, and the others wait until it is filled."""

    id: int
    client_id: str
    symbol: str
    contingency: Contingency
    created: int
    updated: int
    orders: list[Order] = field(default_factory=list)
    is_told: bool = False
    """Whether its owner knows that it is done with."""

    @property
    def is_open(self) -> bool:
        """Whether any of them is."""
        return any(order.is_open for order in self.orders)

    def rivals(self, order: Order) -> list[Order]:
        """Those that are gone when that one begins to trade: they share what is set aside."""
        return [one for one in self.orders if one is not order and one.is_open and one.hold is order.hold]

    def pending(self) -> list[Order]:
        """Those that wait for the first one."""
        return [order for order in self.orders if order.status is Status.PENDING_NEW]
