"""Whose a position is, as the fills say that made it. Pure; what a journal takes it for does not count here."""

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import NamedTuple

from pipeline.execution.engine.state import ZERO, TradeTold


class Fill(NamedTuple):
    """What the order of that number has added to the position, signed."""

    number: int
    change: Decimal


def fill_of(trade: TradeTold) -> Fill:
    """What the trade has added."""
    return Fill(trade.exchange_id, trade.quantity if trade.side == "BUY" else -trade.quantity)


def since_flat(quantity: Decimal, fills: Sequence[Fill]) -> Sequence[Fill]:
    """The fills of what is held, from the one before which nothing was held on this side; none if that one is older
    than these."""
    left = quantity
    for place in range(len(fills) - 1, -1, -1):
        left -= fills[place].change
        if left == 0 or (left > 0) != (quantity > 0):
            return fills[place:]
    return ()


def entered_by(numbers: Collection[int], quantity: Decimal, fills: Sequence[Fill]) -> bool | None:
    """Whether orders of these numbers have put more into what is held than they took out; None if it is older than the
    fills. What others have added to it belongs to it: there is one position a symbol, and one stop closes it."""
    made = since_flat(quantity, fills)
    if not made:
        return None
    return sum((one.change for one in made if one.number in numbers), ZERO) * quantity > 0
