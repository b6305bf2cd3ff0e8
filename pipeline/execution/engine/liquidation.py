"""At which price the exchange would take a position away. Pure arithmetic, by the brackets of the exchange.

A position is judged by its own margin alone. That is exact in isolated margin. In crossed margin the account stands
behind it as well; but as long as no position may lose more than its own margin, none can take another's.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine.state import Bracket

ROOM: Final = Decimal("0.8")
"""Share of the way to the liquidation price that a stop may be away. The rest is for what comes on top: a market that
runs on while the stop is filled, a mark price that is not the last price, funding out of the position's margin."""


def price(
    of: Instrument, quantity: Decimal, entry: Decimal, leverage: int, brackets: Sequence[Bracket]
) -> Decimal | None:
    """The mark price at which the margin of a position is no more than it must keep; None where no price does that.
    `quantity` is negative for a short.

    The bracket that asks for most counts (that is what `cum` is made for): so the price that is reached first.
    """
    margin = of.notional(quantity, entry) / leverage
    found = [of.liquidation(quantity, entry, margin, one.ratio, one.cum) for one in brackets]
    prices = [one for one in found if one is not None]
    return (max if quantity > 0 else min)(prices, default=None)


def too_near(stop: Decimal, entry: Decimal, liquidation: Decimal) -> bool:
    """Whether there is not enough room between the stop and the liquidation price."""
    return abs(stop - entry) > ROOM * abs(liquidation - entry)


def room(of: Instrument, quantity: Decimal, entry: Decimal, leverage: int, brackets: Sequence[Bracket]) -> Decimal:
    """How far from its entry a position's stop may be at most: where no price liquidates it, as if nought did."""
    liquidated = price(of, quantity, entry, leverage, brackets)
    return ROOM * abs((liquidated or Decimal(0)) - entry)


def most(leverage: int, brackets: Sequence[Bracket]) -> Decimal:
    """What a position may be worth at that leverage."""
    return max((one.cap for one in brackets if one.leverage >= leverage), default=Decimal(0))
