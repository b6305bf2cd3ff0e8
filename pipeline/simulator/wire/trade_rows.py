"""Single trades as the exchange writes them, each with its number.

A market has no history to count from, so the trades of a minute are numbered from the minute's own number on: numbers
grow for ever, and the `f` and `L` of a 1m candle are those of its first and last trade.
"""

from collections.abc import Iterator

from pipeline.simulator.types import Market, SymbolSpec, Tick
from pipeline.simulator.wire.format import price_text, quantity_text
from pipeline.timeline import DAY, HOUR, MINUTE

TRADES_OF_A_MINUTE = 100_000


def first_number(opened: int) -> int:
    """The number of the first trade of a candle."""
    return opened // MINUTE * TRADES_OF_A_MINUTE


def first_within(market: Market, symbol: str, opened: int) -> int:
    """The number of the first trade of a candle that opens within a minute."""
    minute = opened // MINUTE * MINUTE
    return first_number(opened) + (len(market.ticks(symbol, minute - 1, opened - 1)) if opened > minute else 0)


def numbered(market: Market, symbol: str, after: int, until: int) -> Iterator[tuple[int, Tick]]:
    """The trades with after < time <= until, with their numbers."""
    begun = (after + 1) // MINUTE * MINUTE
    number = -1
    for trade in market.ticks(symbol, begun - 1, until):
        number = max(number + 1, first_number(trade.time))
        if trade.time > after:
            yield number, trade


def from_number(market: Market, symbol: str, number: int, now: int, most: int) -> list[tuple[int, Tick]]:
    """The trades from that number on, of a day at most."""
    begun = min(number // TRADES_OF_A_MINUTE * MINUTE, now)
    found: list[tuple[int, Tick]] = []
    for hour in range(begun, min(now, begun + DAY) + 1, HOUR):
        trades = numbered(market, symbol, hour - 1, min(now, hour + HOUR - 1))
        found += [trade for trade in trades if trade[0] >= number]
        if len(found) >= most:
            break
    return found[:most]


def latest(market: Market, symbol: str, until: int, most: int) -> list[tuple[int, Tick]]:
    """The newest trades until then, of a day at most."""
    found: list[tuple[int, Tick]] = []
    for end in range(until, until - DAY, -HOUR):
        found = [*numbered(market, symbol, end - HOUR, end), *found]
        if len(found) >= most:
            break
    return found[-most:]


def trade_row(spec: SymbolSpec, number: int, trade: Tick) -> dict[str, object]:
    """A trade as `trades` shows it."""
    price, quantity = trade.price * spec.tick, trade.quantity * spec.step
    return {
        "id": number,
        "price": price_text(spec, trade.price),
        "qty": quantity_text(spec, trade.quantity),
        "quoteQty": f"{quantity * spec.worth.turnover(price):.2f}",
        "time": trade.time,
        "isBuyerMaker": trade.buyer_is_maker,
    }


def aggregate_row(spec: SymbolSpec, number: int, trade: Tick) -> dict[str, object]:
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
