"""How orders meet the market: the quotes around the last trade, what a taker sweeps, what a resting order gets from a
trade. Pure functions. Nobody moves the market: the depth is the same for everyone and refills at
once, and every resting order meets the trades of the market alone."""

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Final, NamedTuple, Protocol

from pipeline.simulator.types import SymbolSpec, Tick
from pipeline.simulator.venue.orders import ZERO, Side

LEVEL_NOTIONAL: Final = Decimal(50_000)
"""How much is offered at one level of the book. Levels are a basis point apart: a larger order pays a worse price."""

_MILLION: Final = 1_000_000
_LEVEL_WIDTH: Final = 10_000


class Resting(Protocol):
    """An order with a price of its own, as the book sees it."""

    @property
    def side(self) -> Side:
        """Whether it buys or sells."""
        ...

    @property
    def price(self) -> Decimal:
        """At which it trades."""
        ...

    @property
    def remaining(self) -> Decimal:
        """What may still fill."""
        ...


class Quote(NamedTuple):
    """The best bid and ask, in ticks."""

    bid: int
    ask: int


@dataclass(frozen=True, slots=True)
class Take:
    """A piece of a taker's order: one price, one quantity."""

    price: Decimal
    quantity: Decimal


def quote(spec: SymbolSpec, last: int) -> Quote:
    """The best bid and ask when the last trade was at that price."""
    half = max(1, last * spec.half_spread // _MILLION)
    bid = max(1, last - half)
    return Quote(bid, max(bid + 1, last + half))


def level_quantity(spec: SymbolSpec, price: Decimal) -> Decimal:
    """What one level of the book holds: at least a step."""
    steps = (LEVEL_NOTIONAL / spec.worth.turnover(price) / spec.step).to_integral_value(ROUND_DOWN)
    return max(steps, Decimal(1)) * spec.step


def crosses(spec: SymbolSpec, side: Side, price: Decimal, last: int) -> bool:
    """Whether a limit order at that price would trade at once."""
    best = quote(spec, last)
    return price >= best.ask * spec.tick if side is Side.BUY else price <= best.bid * spec.tick


def sweep(spec: SymbolSpec, side: Side, quantity: Decimal, worst: Decimal, last: int) -> list[Take]:
    """Take from the book level by level, no further than the price `worst`. What the sum lacks was not there."""
    best = quote(spec, last)
    level = (best.ask if side is Side.BUY else best.bid) * spec.tick
    width = max(1, last // _LEVEL_WIDTH) * spec.tick * side.sign
    depth = level_quantity(spec, level)
    takes: list[Take] = []
    while quantity > 0 and level > 0 and (worst - level) * side.sign >= 0:
        taken = min(quantity, depth)
        takes.append(Take(level, taken))
        quantity -= taken
        level += width
    return takes


def rests_fill(spec: SymbolSpec, order: Resting, tick: Tick) -> Decimal:
    """What a resting order gets from a trade of the market. A trade through its price proves that the whole level is
    gone, so all of it fills; a trade at its price fills no more than was traded."""
    price = tick.price * spec.tick
    through = (order.price - price) * order.side.sign
    if through < 0:
        return ZERO
    return order.remaining if through > 0 else min(order.remaining, tick.quantity * spec.step)
