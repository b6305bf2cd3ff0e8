"""Funding: at its moment every position pays or receives its share."""

from pipeline.simulator.venue import events, ledger
from pipeline.simulator.venue.account import Account
from pipeline.simulator.venue.engine import Engine
from pipeline.simulator.venue.funding import funding_rate
from pipeline.simulator.venue.positions import CENT


def exchange_funding(engine: Engine, account: Account, time: int) -> None:
    """A long pays `value at the mark price x rate`, a short receives it; an isolated position out of its own margin."""
    for position in list(account.held()):
        rate = funding_rate(engine.market, position.symbol, time)
        amount = -(position.notional(engine.mark(position.symbol, time)) * rate).quantize(CENT)
        if position.symbol in account.isolated:
            position.isolated_wallet += amount
        engine.ledger.append(ledger.Funding(time, account.name, position.symbol, position.side, rate, amount))
        engine.book_income(account, "FUNDING_FEE", position.symbol, amount, time)
        changed = [position] if position.symbol in account.isolated else []
        account.events.append(
            events.account_update(account, "FUNDING_FEE", time, changed, engine.marks(time), change=amount)
        )
