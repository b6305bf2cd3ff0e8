"""The state of one account and the arithmetic of its margin. Changes nothing outside itself and matches no order."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue import brackets
from pipeline.simulator.venue.orders import ZERO, Algo, Order, PositionSide, Side
from pipeline.simulator.venue.positions import Position

DEFAULT_LEVERAGE: Final = 20

MARGIN_ASSET: Final = "USDT"
MarkOf = Callable[[str], Decimal]


@dataclass(frozen=True, slots=True)
class Trade:
    """A fill as `userTrades` remembers it."""

    id: int
    order_id: int
    symbol: str
    side: Side
    position_side: PositionSide
    price: Decimal
    quantity: Decimal
    fee: Decimal
    fee_asset: str
    realised: Decimal
    maker: bool
    time: int


@dataclass(frozen=True, slots=True)
class Income:
    """A change of the wallet as `income` remembers it."""

    id: int
    kind: str
    symbol: str
    amount: Decimal
    asset: str
    info: str
    time: int
    trade_id: str


@dataclass(frozen=True, slots=True)
class MarginMove:
    """Margin that was moved into an isolated position, or out of it."""

    symbol: str
    side: PositionSide
    amount: Decimal
    asset: str
    time: int


@dataclass(slots=True)
class PositionMode:
    """Whether a person's positions have two sides: one setting in all the markets of a pool."""

    dual: bool = False
    accounts: list["Account"] = field(default_factory=list)


@dataclass(slots=True)
class Account:
    """Everything that one market of the exchange knows about an account."""

    name: str
    alias: str
    opened: int
    wallets: dict[str, Decimal] = field(default_factory=dict)
    """What it has, by asset."""
    mode: PositionMode = field(default_factory=PositionMode)
    multi_assets: bool = False
    burns: bool = False
    """Whether fees are paid in BNB while there is any."""
    leverages: dict[str, int] = field(default_factory=dict)
    isolated: set[str] = field(default_factory=set)
    positions: dict[tuple[str, PositionSide], Position] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    open_orders: dict[int, Order] = field(default_factory=dict)
    by_client_id: dict[str, Order] = field(default_factory=dict)
    algos: dict[int, Algo] = field(default_factory=dict)
    open_algos: dict[int, Algo] = field(default_factory=dict)
    trades: list[Trade] = field(default_factory=list)
    incomes: list[Income] = field(default_factory=list)
    margin_moves: list[MarginMove] = field(default_factory=list)
    countdowns: dict[str, int] = field(default_factory=dict)
    """When the orders of a symbol are cancelled, unless the account asks for more time before."""
    events: list[dict[str, object]] = field(default_factory=list)
    warned: set[str] = field(default_factory=set)
    """The assets whose margin is so thin that it was told of."""

    @property
    def dual(self) -> bool:
        """Whether positions have two sides."""
        return self.mode.dual

    @property
    def wallet(self) -> Decimal:
        """What it has of the asset that USD-M is margined in."""
        return self.wallets.get(MARGIN_ASSET, ZERO)

    def leverage(self, symbol: str) -> int:
        """The leverage chosen for a symbol."""
        return self.leverages.get(symbol, DEFAULT_LEVERAGE)

    def sides(self) -> tuple[PositionSide, ...]:
        """The position sides that exist in the account's mode."""
        return (PositionSide.LONG, PositionSide.SHORT) if self.dual else (PositionSide.BOTH,)

    def position(self, symbol: str, side: PositionSide) -> Position:
        """The position of that symbol and side, flat if there never was one."""
        return self.positions.get((symbol, side)) or Position(symbol, side)

    def held(self) -> Iterator[Position]:
        """The positions that are not flat."""
        return (position for position in self.positions.values() if position.quantity)

    def watched(self) -> set[str]:
        """The symbols whose prices can change this account."""
        symbols = {position.symbol for position in self.held()}
        symbols.update(order.symbol for order in self.open_orders.values())
        symbols.update(algo.symbol for algo in self.open_algos.values())
        symbols.update(self.countdowns)
        return symbols

    def orders_of(self, symbol: str) -> list[Order]:
        """The open orders of a symbol, oldest first."""
        return [order for order in self.open_orders.values() if order.symbol == symbol]

    def algos_of(self, symbol: str) -> list[Algo]:
        """The waiting conditional orders of a symbol, oldest first."""
        return [algo for algo in self.open_algos.values() if algo.symbol == symbol]

    def closable(self, symbol: str, position_side: PositionSide, side: Side) -> Decimal:
        """How much an order that may only close could fill now."""
        quantity = self.position(symbol, position_side).quantity
        return abs(quantity) if quantity * side.sign < 0 else ZERO

    def held_in(self, asset: str, *, cross_only: bool = False) -> list[Position]:
        """The positions that are margined in that asset."""
        return [p for p in self.held() if p.worth.asset == asset and not (cross_only and p.symbol in self.isolated)]

    def cross_wallet(self, asset: str) -> Decimal:
        """What it has of an asset, less what is set aside for isolated positions."""
        apart = (p.isolated_wallet for p in self.positions.values() if p.worth.asset == asset)
        return self.wallets.get(asset, ZERO) - sum(apart, ZERO)

    def unrealised(self, mark: MarkOf, asset: str = MARGIN_ASSET, *, cross_only: bool = False) -> Decimal:
        """The unrealised profit of all positions in that asset, or of those in cross margin."""
        held = self.held_in(asset, cross_only=cross_only)
        return sum((p.unrealised(mark(p.symbol)) for p in held), ZERO)

    def position_margin(self, position: Position, mark: MarkOf) -> Decimal:
        """The initial margin of a position."""
        if not position.quantity:
            return ZERO
        return abs(position.notional(mark(position.symbol))) / self.leverage(position.symbol)

    def order_notionals(self, symbol: str, side: PositionSide) -> tuple[Decimal, Decimal]:
        """What the open orders that can enlarge the position would buy and sell, at their prices."""
        bids = asks = ZERO
        for order in self.open_orders.values():
            if order.symbol == symbol and order.position_side is side and not order.only_closes:
                if order.side is Side.BUY:
                    bids += order.notional
                else:
                    asks += order.notional
        return bids, asks

    def order_margin(
        self, symbol: str, side: PositionSide, mark: MarkOf, buy: Decimal = ZERO, sell: Decimal = ZERO
    ) -> Decimal:
        """The initial margin that the open orders need beyond the position's own, were `buy` and `sell` added: only
        the worse direction counts."""
        bids, asks = self.order_notionals(symbol, side)
        bids, asks = bids + buy, asks + sell
        if not bids and not asks:
            return ZERO
        position = self.position(symbol, side)
        held = position.notional(mark(symbol)) if position.quantity else ZERO
        worst = max(abs(held + bids), abs(held - asks), abs(held))
        return (worst - abs(held)) / self.leverage(symbol)

    def order_keys(self, asset: str | None = None) -> set[tuple[str, PositionSide]]:
        """Which positions the open orders belong to: all, or those in that asset."""
        orders = self.open_orders.values()
        return {(order.symbol, order.position_side) for order in orders if asset in {None, order.worth.asset}}

    def available(self, mark: MarkOf, asset: str = MARGIN_ASSET) -> Decimal:
        """What new orders may use of that asset as margin."""
        cross = self.held_in(asset, cross_only=True)
        used = sum((self.position_margin(p, mark) for p in cross), ZERO)
        used += sum((self.order_margin(*key, mark) for key in self.order_keys(asset)), ZERO)
        return max(ZERO, self.cross_wallet(asset) + self.unrealised(mark, asset, cross_only=True) - used)

    def maintenance(self, specs: dict[str, SymbolSpec], mark: MarkOf, asset: str = MARGIN_ASSET) -> Decimal:
        """The maintenance margin of all cross positions in that asset."""
        return sum((maintenance_of(p, specs, mark) for p in self.held_in(asset, cross_only=True)), ZERO)


def maintenance_of(position: Position, specs: dict[str, SymbolSpec], mark: MarkOf) -> Decimal:
    """The maintenance margin of one position."""
    if not position.quantity:
        return ZERO
    return brackets.maintenance(specs[position.symbol], abs(position.notional(mark(position.symbol))))
