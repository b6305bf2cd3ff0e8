"""What the exchange settles at its moments: funding, and the delivery of a contract that ends."""

from decimal import Decimal
from typing import Final

from pipeline.simulator.venue import ledger
from pipeline.simulator.venue.account import Account
from pipeline.simulator.venue.engine import DELIVERED, Engine
from pipeline.simulator.venue.liquidation import Force, end_orders, force_out
from pipeline.simulator.venue.positions import CENT
from pipeline.timeline import MINUTE, SECOND

AVERAGED: Final = 30 * MINUTE
"""The time before a delivery whose mean price, second by second, is that of the delivery."""


def exchange_funding(engine: Engine, account: Account, time: int) -> None:
    """A long pays `value at the mark price x rate`, a short receives it; an isolated position out of its own margin."""
    for position in list(account.held()):
        due = engine.fundings.of(position.symbol, time)
        if due is None:
            continue
        (rate, price), asset = due, position.worth.asset
        amount = -(position.notional(price or engine.mark(position.symbol, time)) * rate).quantize(CENT)
        if position.symbol in account.isolated:
            position.isolated_wallet += amount
        engine.ledger.append(ledger.Funding(time, account.name, position.symbol, position.side, rate, amount, asset))
        engine.book_income(account, "FUNDING_FEE", position.symbol, amount, time, asset=asset)
        changed = [position] if position.symbol in account.isolated else []
        engine.tell(account, "FUNDING_FEE", time, changed, asset=asset, change=amount)


def deliver(engine: Engine, account: Account, symbol: str, time: int) -> None:
    """End the contract: its orders expire, and what is held of it is closed at the mean price, for a taker's fee."""
    end_orders(engine, account, symbol, time)
    held = [position for position in account.held() if position.symbol == symbol]
    if not held:
        return
    price = delivery_price(engine, symbol, time)
    for position in held:
        quantity = position.quantity
        force_out(engine, account, position, price, time, Force.SETTLEMENT, engine.taker(symbol), DELIVERED)
        engine.ledger.append(ledger.Delivered(time, account.name, symbol, position.side, quantity, price))


def delivery_price(engine: Engine, symbol: str, time: int) -> Decimal:
    """The mean of the mark prices of the last half hour."""
    moments = range(time - AVERAGED, time, SECOND)
    total = sum((engine.market.mark_price(symbol, moment) for moment in moments), Decimal())
    return (total / len(moments)).quantize(CENT)
