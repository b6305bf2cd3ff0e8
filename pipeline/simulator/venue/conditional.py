"""When a conditional order fires. Pure rules on one order and one price: it places nothing."""

from decimal import Decimal
from typing import Final

from pipeline.simulator.venue.orders import Algo, OrderType, Side
from pipeline.simulator.venue.refusals import refuse

_STOPS: Final = frozenset({OrderType.STOP, OrderType.STOP_MARKET})
_PERCENT: Final = Decimal(100)


def is_reached(algo: Algo, price: Decimal) -> bool:
    """Whether a stop or a take-profit fires at that price: a buy stop when the price has risen to it, a buy
    take-profit when it has fallen to it; for a sell the other way round."""
    rises = (algo.type in _STOPS) is (algo.side is Side.BUY)
    return price >= algo.trigger if rises else price <= algo.trigger


def is_activated(algo: Algo, price: Decimal) -> bool:
    """Whether a trailing stop begins to follow the price: a sell once it has risen to the activation price."""
    if algo.activate is None:
        return True
    return price >= algo.activate if algo.side is Side.SELL else price <= algo.activate


def follow(algo: Algo, price: Decimal) -> bool:
    """Let a trailing stop see a price. True when it fires: the price has come back from its extreme by the callback
    rate."""
    if algo.extreme is None:
        if is_activated(algo, price):
            algo.extreme = price
        return False
    if algo.callback is None:
        raise ValueError(f"trailing stop {algo.id} has no callback rate")
    if algo.side is Side.SELL:
        algo.extreme = max(algo.extreme, price)
        return price <= algo.extreme * (1 - algo.callback / _PERCENT)
    algo.extreme = min(algo.extreme, price)
    return price >= algo.extreme * (1 + algo.callback / _PERCENT)


def sees(algo: Algo, price: Decimal) -> bool:
    """Whether the order fires at that price. A trailing stop remembers what it saw."""
    return follow(algo, price) if algo.type is OrderType.TRAILING_STOP_MARKET else is_reached(algo, price)


def check_not_triggered(algo: Algo, price: Decimal) -> None:
    """An order that would fire the moment it is placed is refused."""
    if algo.type is OrderType.TRAILING_STOP_MARKET:
        already = algo.activate is not None and is_activated(algo, price)
    else:
        already = is_reached(algo, price)
    if already:
        raise refuse(-2021)


def begin_trailing(algo: Algo, price: Decimal) -> None:
    """A trailing stop without an activation price follows from the price at which it was placed."""
    if algo.type is OrderType.TRAILING_STOP_MARKET and algo.activate is None:
        algo.activate = algo.extreme = price
