"""What closed a position, as the exchange tells it: how much, at which price, and by whose order. Changes nothing."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from pipeline.exchange.errors import ExchangeError
from pipeline.exchange.reports import TradeReport
from pipeline.exchange.trading import Trading
from pipeline.execution.engine.client_ids import leg_of
from pipeline.timeline import MINUTE
from schemas.signals import Side

By = Literal["this command", "the executor", "its stop", "its take-profit", "another order"]
_BY_LEG: Final[dict[str, By]] = {"stop": "its stop", "take_profit": "its take-profit"}


@dataclass(frozen=True, slots=True)
class Closure:
    """A position, or what of it is gone. `price` is the average of the fills; None: the exchange did not tell it."""

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal | None
    by: tuple[By, ...]


def closures(trading: Trading, before: Mapping[str, Decimal], sent: Collection[str]) -> tuple[Closure, ...] | None:
    """What became of positions that were so large, by symbol and signed; None where the exchange does not say. `sent`:
    the ids of this command's own orders."""
    try:
        now = {one.symbol: one.position_amt for one in trading.positions()}
    except ExchangeError:
        return None
    found = (_closure(trading, one, held, now.get(one, Decimal(0)), sent) for one, held in before.items() if held)
    return tuple(one for one in found if one is not None)


def _closure(trading: Trading, symbol: str, held: Decimal, left: Decimal, sent: Collection[str]) -> Closure | None:
    side: Side = "long" if held > 0 else "short"
    gone = abs(held) - (abs(left) if (left > 0) == (held > 0) else 0)
    if gone <= 0:
        return None
    try:
        trades = trading.trades(symbol, trading.client.clock.now() - MINUTE)
        fills = _newest(trades, "SELL" if side == "long" else "BUY", gone)
        by = tuple(dict.fromkeys(_by(trading, symbol, one.order_id, sent) for one in reversed(fills)))
    except ExchangeError:
        return Closure(symbol, side, gone, None, ())
    filled = sum((one.qty for one in fills), Decimal(0))
    average = trading.client.environment.product.arithmetic.average
    price = average((one.qty, one.price) for one in fills) if filled >= gone else None
    return Closure(symbol, side, gone, price, by)


def _newest(trades: Iterable[TradeReport], side: str, quantity: Decimal) -> list[TradeReport]:
    """The newest fills on that side that make up the quantity."""
    found: list[TradeReport] = []
    for trade in sorted(trades, key=lambda one: one.id, reverse=True):
        if trade.side == side and sum((one.qty for one in found), Decimal(0)) < quantity:
            found.append(trade)
    return found


def _by(trading: Trading, symbol: str, number: int, sent: Collection[str]) -> By:
    order = trading.query_order_number(symbol, number)
    name = "" if order is None else order.client_order_id
    if name in sent:
        return "this command"
    leg = leg_of(name)
    return _BY_LEG.get(leg or "", "the executor" if leg else "another order")
