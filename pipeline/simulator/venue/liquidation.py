"""What the exchange does when an account's margin is nearly or wholly gone: it warns, then it closes by force. And the
other reasons for which it closes a position without being asked."""

from decimal import Decimal
from enum import StrEnum
from typing import Final

from pipeline.simulator.venue import events, ledger
from pipeline.simulator.venue.account import Account, MarkOf, maintenance_of
from pipeline.simulator.venue.engine import CLEARED, Booked, Engine
from pipeline.simulator.venue.orders import ZERO, AlgoStatus, Order, OrderType, Side, Status, TimeInForce
from pipeline.simulator.venue.positions import Position

WARN_AT: Final = Decimal("0.8")
"""The share of the margin that the maintenance margin may take before the account is warned."""


class Force(StrEnum):
    """Why the exchange closes a position, and how the client id of its order begins then."""

    LIQUIDATION = "autoclose-"
    ADL = "adl_autoclose"
    SETTLEMENT = "settlement_autoclose-"


def watch(engine: Engine, account: Account, time: int) -> None:
    """Look at every position at this second's mark prices."""
    held = list(account.held())
    if not held:
        return
    mark = engine.judging(time)
    for position in held:
        if position.symbol in account.isolated:
            _watch_isolated(engine, account, position, mark, time)
    for asset in dict.fromkeys(position.worth.asset for position in held):
        _watch_cross(engine, account, asset, mark, time)


def _watch_isolated(engine: Engine, account: Account, position: Position, mark: MarkOf, time: int) -> None:
    margin = position.isolated_wallet + position.unrealised(mark(position.symbol))
    if margin > maintenance_of(position, engine.market.specs, mark):
        return
    for order in account.orders_of(position.symbol):
        engine.end(account, order, Status.CANCELED, time)
    asset = position.worth.asset
    floor = account.wallets[asset] - max(ZERO, position.isolated_wallet)
    _liquidate(engine, account, position, mark, time)
    _insure(engine, account, asset, floor - account.wallets[asset], time)


def _watch_cross(engine: Engine, account: Account, asset: str, mark: MarkOf, time: int) -> None:
    """All positions in cross margin that share an asset stand and fall together."""
    cross = account.held_in(asset, cross_only=True)
    if not cross:
        return
    margin = account.cross_wallet(asset) + account.unrealised(mark, asset, cross_only=True)
    maintenance = account.maintenance(engine.market.specs, mark, asset)
    if margin <= maintenance:
        for order in [one for one in account.open_orders.values() if one.worth.asset == asset]:
            engine.end(account, order, Status.CANCELED, time)
        for position in cross:
            _liquidate(engine, account, position, mark, time)
        _insure(engine, account, asset, -account.cross_wallet(asset), time)
        return
    is_thin = maintenance > margin * WARN_AT
    if is_thin and asset not in account.warned:
        account.events.append(events.margin_call(account, engine.market.specs, mark, cross, asset, time))
    (account.warned.add if is_thin else account.warned.discard)(asset)


def close_by_force(engine: Engine, account: Account, symbol: str, force: Force, time: int) -> int:
    """Close what the account holds of a symbol, for another's loss or because the contract has ended; how many
    positions that were. With the contract every order in it ends."""
    held = [position for position in account.held() if position.symbol == symbol]
    if force is Force.SETTLEMENT:
        end_orders(engine, account, symbol, time)
    mark = engine.marks(time)
    for position in held:
        if force is Force.LIQUIDATION:
            _liquidate(engine, account, position, mark, time)
        else:
            force_out(engine, account, position, mark(symbol), time, force, ZERO)
    return len(held)


def end_orders(engine: Engine, account: Account, symbol: str, time: int) -> None:
    """With a contract every order in it ends."""
    for order in account.orders_of(symbol):
        engine.end(account, order, Status.EXPIRED, time)
    for algo in account.algos_of(symbol):
        engine.move(account, algo, AlgoStatus.EXPIRED, time)


def force_out(
    engine: Engine,
    account: Account,
    position: Position,
    price: Decimal,
    time: int,
    force: Force,
    fee_rate: Decimal,
    booked: Booked = CLEARED,
) -> None:
    """Close a position at that price by an order of the exchange's own."""
    quantity = abs(position.quantity)
    order = _order(engine, position, price, time, force)
    engine.enter(account, order, time)
    engine.fill(account, order, quantity, price, time, maker=False, fee_rate=fee_rate, booked=booked)


def _liquidate(engine: Engine, account: Account, position: Position, mark: MarkOf, time: int) -> None:
    quantity, price = position.quantity, mark(position.symbol)
    fee_rate = engine.spec(position.symbol).liquidation_fee
    force_out(engine, account, position, price, time, Force.LIQUIDATION, fee_rate)
    engine.ledger.append(ledger.Liquidated(time, account.name, position.symbol, position.side, quantity, price))


def _insure(engine: Engine, account: Account, asset: str, missing: Decimal, time: int) -> None:
    """Nobody loses more than the margin behind the position: the insurance fund pays the rest."""
    if missing <= 0:
        return
    engine.book_income(account, "INSURANCE_CLEAR", "", missing, time, asset=asset)
    engine.ledger.append(ledger.Insured(time, account.name, missing, asset))
    engine.tell(account, "INSURANCE_CLEAR", time, [], asset=asset, change=missing)


def _order(engine: Engine, position: Position, price: Decimal, time: int, force: Force) -> Order:
    number = engine.ids.take("order")
    return Order(
        id=number,
        client_id=force if force is Force.ADL else f"{force}{number}",
        symbol=position.symbol,
        side=Side.SELL if position.quantity > 0 else Side.BUY,
        position_side=position.side,
        type=OrderType.LIQUIDATION,
        original_type=OrderType.LIQUIDATION,
        time_in_force=TimeInForce.IOC,
        quantity=abs(position.quantity),
        price=price,
        reduce_only=False,
        created=time,
        updated=time,
        worth=position.worth,
    )
