"""The filters of a symbol, each refusing with its own code. Pure: it looks at a value, the
contract and the prices, and changes nothing."""

import re
from decimal import Decimal
from typing import Final

from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue.matching import quote
from pipeline.simulator.venue.orders import Side
from pipeline.simulator.venue.refusals import refuse

_CLIENT_ID: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")


def check_client_id(client_id: str) -> None:
    """The characters and the length of an id the client chose."""
    if not _CLIENT_ID.fullmatch(client_id):
        raise refuse(-4015)


def check_status(spec: SymbolSpec, now: int) -> None:
    """Only a trading symbol takes orders."""
    standing = spec.standing(now)
    if standing in {"CLOSE", "SETTLING", "DELIVERING", "DELIVERED"}:
        raise refuse(-4141)
    if standing != "TRADING" or not spec.tick:
        raise refuse(-4140)


def check_quantity(spec: SymbolSpec, quantity: Decimal, *, market: bool) -> None:
    """Positive, within the precision, on the step, between the bounds for its kind of order."""
    if quantity <= 0:
        raise refuse(-4003)
    if _decimals(quantity) > spec.quantity_precision:
        raise refuse(-1111)
    if quantity < spec.step:
        raise refuse(-4004)
    if quantity > (spec.market_max_quantity if market else spec.max_quantity):
        raise refuse(-4005)
    if quantity % spec.step:
        raise refuse(-4023)


def check_price(spec: SymbolSpec, price: Decimal) -> None:
    """Positive, within the precision, on the tick."""
    if price <= 0:
        raise refuse(-4001)
    if _decimals(price) > spec.price_precision:
        raise refuse(-1111)
    if price % spec.tick:
        raise refuse(-4014)


def check_band(spec: SymbolSpec, side: Side, price: Decimal, mark: Decimal) -> None:
    """A limit price may be worse than the mark price only so far."""
    highest, lowest = band(spec, mark)
    if side is Side.BUY and price > highest:
        raise refuse(-4016, highest)
    if side is Side.SELL and price < lowest:
        raise refuse(-4024, lowest)


def check_counterparty(spec: SymbolSpec, side: Side, last: int, mark: Decimal) -> None:
    """A market order needs somebody inside the band to trade with."""
    highest, lowest = band(spec, mark)
    best = quote(spec, last)
    outside = best.ask * spec.tick > highest if side is Side.BUY else best.bid * spec.tick < lowest
    if outside:
        raise refuse(-4131)


def check_notional(spec: SymbolSpec, quantity: Decimal, price: Decimal) -> None:
    """An order that opens something is worth a minimum."""
    if quantity * spec.worth.notional(price) < spec.min_notional:
        raise refuse(-4164, spec.min_notional)


def band(spec: SymbolSpec, mark: Decimal) -> tuple[Decimal, Decimal]:
    """The highest price one may buy at and the lowest one may sell at, on the tick."""
    highest = mark * spec.multiplier_up // spec.tick * spec.tick
    lowest = -(-mark * spec.multiplier_down // spec.tick) * spec.tick
    return highest, lowest


def _decimals(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
