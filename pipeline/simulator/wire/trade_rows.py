"""Single trades as the exchange writes them, each with its number.

A market has no history to count from, so the trades of a minute are numbered from the minute's own number on: numbers
grow for ever, and the `f` and `L` of a 1m candle are those of its first and last trade.
"""

from collections.abc import Iterator

from pipeline.simulator.types import Market, SymbolSpec, Tick
from pipeline.simulator.wire.format import price_text, quantity_text
from pipeline.timeline import MINUTE

TRADES_OF_A_MINUTE = 100_000


def first_number(opened: int) -> int:
    """The number of the first trade of a candle."""
    return opened // MINUTE * TRADES_OF_A_MINUTE


def numbered(market: Market, symbol: str, after: int, until: int) -> Iterator[tuple[int, Tick]]:
    """The trades with after < time <= until, with their numbers."""
    begun = (after + 1) // MINUTE * MINUTE
    number = -1
    for trade in market.ticks(symbol, begun - 1, until):
        number = max(number + 1, first_number(trade.time))
        if trade.time > after:
            yield number, trade


def trade_row(spec: SymbolSpec, number: int, trade: Tick) -> dict[str, object]:
    """A trade as an aggregate of one."""
    quantity = quantity_text(spec, trade.quantity)
    return {
        "a": number,
        "p": price_text(spec, trade.price),
        "q": quantity,
        "nq": quantity,
        "f": number,
        "l": number,
        "T": trade.time,
        "m": trade.buyer_is_maker,
    }
