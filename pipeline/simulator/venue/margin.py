"""The sums of an account's margin in an asset, and the price at which a position is liquidated. Pure arithmetic."""

from dataclasses import dataclass
from decimal import Decimal

from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue.account import MARGIN_ASSET, Account, MarkOf, maintenance_of
from pipeline.simulator.venue.brackets import brackets_of
from pipeline.simulator.venue.orders import ZERO
from pipeline.simulator.venue.positions import Position


@dataclass(frozen=True, slots=True)
class Margins:
    """An account's money in one asset at one moment, beyond its wallet."""

    unrealised: Decimal
    cross_unrealised: Decimal
    positions: Decimal
    orders: Decimal
    maintenance: Decimal
    available: Decimal
    withdrawable: Decimal

    @property
    def initial(self) -> Decimal:
        """The initial margin of positions and open orders together."""
        return self.positions + self.orders

    @staticmethod
    def of(account: Account, specs: dict[str, SymbolSpec], mark: MarkOf, asset: str = MARGIN_ASSET) -> "Margins":
        """The sums of one asset at these mark prices."""
        available, held = account.available(mark, asset), account.held_in(asset)
        cross_unrealised = account.unrealised(mark, asset, cross_only=True)
        return Margins(
            unrealised=account.unrealised(mark, asset),
            cross_unrealised=cross_unrealised,
            positions=sum((account.position_margin(p, mark) for p in held), ZERO),
            orders=sum((account.order_margin(*key, mark) for key in account.order_keys(asset)), ZERO),
            maintenance=sum((maintenance_of(p, specs, mark) for p in held), ZERO),
            available=available,
            withdrawable=max(ZERO, available - max(ZERO, cross_unrealised)),
        )


def liquidation_price(account: Account, position: Position, specs: dict[str, SymbolSpec], mark: MarkOf) -> Decimal:
    """The mark price of this symbol at which its margin falls to the maintenance margin, all else equal; 0 if none.

    Solves `margin + quantity x value - cost = |quantity| x notional x rate - cum` for the value, in the bracket in
    which the position is at that price.
    """
    if not position.quantity:
        return ZERO
    margin = _margin_behind(account, position, specs, mark)
    worth, held = position.worth, abs(position.quantity)
    for bracket in brackets_of(specs[position.symbol]):
        value = (position.cost - margin - bracket.cum) / (position.quantity - held * bracket.rate * worth.sign)
        if held * value * worth.sign <= bracket.cap:
            break
    return worth.price_at(value) if value * worth.sign > 0 else ZERO


def _margin_behind(account: Account, position: Position, specs: dict[str, SymbolSpec], mark: MarkOf) -> Decimal:
    if position.symbol in account.isolated:
        return position.isolated_wallet
    asset = position.worth.asset
    own_profit = position.unrealised(mark(position.symbol))
    own_maintenance = maintenance_of(position, specs, mark)
    others = account.unrealised(mark, asset, cross_only=True) - own_profit
    return account.cross_wallet(asset) + others - (account.maintenance(specs, mark, asset) - own_maintenance)
