"""The state of one account on spot: what it has of each asset, free and set aside, its orders and its trades."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from pipeline.simulator.spot.orders import Hold, Order, OrderList
from pipeline.simulator.venue.orders import ZERO, Side


@dataclass(slots=True)
class Balance:
    """What there is of an asset."""

    free: Decimal = ZERO
    locked: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Trade:
    """A fill as `myTrades` remembers it."""

    id: int
    order_id: int
    list_id: int
    symbol: str
    side: Side
    price: Decimal
    quantity: Decimal
    turnover: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    time: int


@dataclass(slots=True)
class Account:
    """Everything that spot knows about an account."""

    name: str
    opened: int
    updated: int
    balances: dict[str, Balance] = field(default_factory=dict)
    burns: bool = False
    """Whether fees are paid in BNB while there is any."""
    orders: dict[int, Order] = field(default_factory=dict)
    open_orders: dict[int, Order] = field(default_factory=dict)
    by_client_id: dict[str, Order] = field(default_factory=dict)
    lists: dict[int, OrderList] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    events: list[dict[str, object]] = field(default_factory=list)

    def balance(self, asset: str) -> Balance:
        """What it has of an asset."""
        return self.balances.setdefault(asset, Balance())

    def free(self, asset: str) -> Decimal:
        """What it may use of an asset."""
        held = self.balances.get(asset)
        return held.free if held else ZERO

    def set_aside(self, hold: Hold, amount: Decimal) -> None:
        """Move so much of what is free into a hold."""
        balance = self.balance(hold.asset)
        balance.free -= amount
        balance.locked += amount
        hold.amount += amount

    def release(self, hold: Hold, amount: Decimal) -> None:
        """Give back so much of a hold."""
        self.set_aside(hold, -amount)

    def pay(self, hold: Hold, amount: Decimal) -> None:
        """Pay out of a hold, and what that lacks out of what is free."""
        held, balance = min(hold.amount, amount), self.balance(hold.asset)
        hold.amount -= held
        balance.locked -= held
        balance.free -= amount - held

    def orders_of(self, symbol: str) -> list[Order]:
        """The open orders of a pair, oldest first."""
        return [order for order in self.open_orders.values() if order.symbol == symbol]

    def trades_of(self, order: Order) -> list[Trade]:
        """What an order has traded."""
        found = []
        for trade in reversed(self.trades):
            if trade.time < order.created:
                break
            if trade.order_id == order.id:
                found.append(trade)
        return found[::-1]

    def watched(self) -> set[str]:
        """The pairs whose prices can change this account."""
        return {order.symbol for order in self.open_orders.values()}

    def open_lists(self) -> Iterable[OrderList]:
        """The lists of which something is open."""
        return [one for one in self.lists.values() if one.is_open]
