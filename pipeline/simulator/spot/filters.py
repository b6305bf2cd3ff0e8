"""The filters of a pair. All are refused with one code: the name of the filter is in the text. Pure."""

from decimal import Decimal
from typing import Final

from pipeline.simulator.spot.refusals import CLOSED, filtered, refuse, reject
from pipeline.simulator.types import Prices, SymbolSpec
from pipeline.timeline import MINUTE

AVERAGED_MINUTES: Final = 5
MOST_LISTS: Final = 20
LARGEST_NOTIONAL: Final = Decimal(9_000_000)
_DIGITS: Final = 8
_HIGHEST: Final = 10**8  # in ticks


def average_price(market: Prices, spec: SymbolSpec, now: int) -> Decimal:
    """The average price of the last minutes, by which orders are judged; the last price where nothing traded."""
    ticks = market.ticks(spec.symbol, now - AVERAGED_MINUTES * MINUTE, now)
    volume = sum(tick.quantity for tick in ticks)
    worth = sum(tick.price * tick.quantity for tick in ticks)
    return (worth // volume if volume else market.price(spec.symbol, now)) * spec.tick


def check_status(spec: SymbolSpec, now: int) -> None:
    """Only a trading pair takes orders."""
    if not spec.trades_at(now):
        raise reject(CLOSED)


def check_precision(name: str, value: Decimal) -> None:
    """No number has more digits than are printed."""
    exponent = value.normalize().as_tuple().exponent
    if isinstance(exponent, int) and exponent < -_DIGITS:
        raise refuse(-1111, name)


def check_price(spec: SymbolSpec, name: str, price: Decimal) -> None:
    """Positive, on the tick, not beyond the highest."""
    check_precision(name, price)
    if not 0 < price <= spec.tick * _HIGHEST or price % spec.tick:
        raise filtered("PRICE_FILTER")


def check_quantity(spec: SymbolSpec, quantity: Decimal, *, market: bool) -> None:
    """On the step, between the bounds; of an order at the market the highest is another."""
    check_precision("quantity", quantity)
    if not spec.step <= quantity <= spec.max_quantity or quantity % spec.step:
        raise filtered("LOT_SIZE")
    if market and quantity > spec.market_max_quantity:
        raise filtered("MARKET_LOT_SIZE")


def check_notional(spec: SymbolSpec, notional: Decimal, *, market: bool) -> None:
    """What an order is worth is neither too little, nor, with a price of its own, too much."""
    if notional < spec.min_notional or (not market and notional > LARGEST_NOTIONAL):
        raise filtered("NOTIONAL")


def check_band(spec: SymbolSpec, price: Decimal, average: Decimal) -> None:
    """A price may be so far from the average price: of the pairs that are listed, as far for both sides."""
    if not average * spec.multiplier_down <= price <= average * spec.multiplier_up:
        raise filtered("PERCENT_PRICE_BY_SIDE")
