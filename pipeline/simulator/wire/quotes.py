"""The order book that is shown, as the matching engine has it: a best bid, a best offer, levels of equal worth."""

from decimal import Decimal
from typing import NamedTuple

from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue.matching import level_quantity, quote

_LEVEL_WIDTH = 10_000

Level = tuple[int, Decimal]
"""A price in ticks and the quantity there."""


class Best(NamedTuple):
    """The best bid and the best offer."""

    bid: Level
    ask: Level


def best(spec: SymbolSpec, last: int) -> Best:
    """Both sides of the book when the last trade was at that price."""
    bid, ask = quote(spec, last)
    return Best(_level(spec, bid), _level(spec, ask))


def book(spec: SymbolSpec, last: int, levels: int) -> tuple[list[Level], list[Level]]:
    """Bids downwards and offers upwards from the best ones."""
    bid, ask = quote(spec, last)
    width = max(1, last // _LEVEL_WIDTH)
    bids = [_level(spec, price) for price in range(bid, max(0, bid - levels * width), -width)]
    asks = [_level(spec, price) for price in range(ask, ask + levels * width, width)]
    return bids, asks


def _level(spec: SymbolSpec, price: int) -> Level:
    return price, level_quantity(spec, price * spec.tick)
