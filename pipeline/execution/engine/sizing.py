"""How much: from equity, risk and ATR to a quantity and prices the exchange takes. Exact, and never rounded up.

A unit is equity x unit_percent / (ATR x leverage), on the equity that the fees of opening and closing leave; and so
much less that all the units a position may grow to fit into what it may be worth. What does not fit then is not cut:
a position holds its units, or the order is left out. Of a contract that is paid in a coin, the ATR is what it costs in
that coin.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from math import ceil
from typing import Final

from pipeline.exchange.products.instrument import ONE, Instrument
from pipeline.settings import Risk
from schemas.signals import Side
from schemas.symbols import Filters

BY_RISK: Final = "the risk"
"""What keeps a unit from being larger where no cap does."""
_EXACT: Final = Context(prec=60)
_PERCENT: Final = Decimal(100)
_STAGE_CAPS: Final[Mapping[int, Decimal]] = {1: Decimal(20), 2: Decimal(100)}


@dataclass(frozen=True, slots=True)
class Unit:
    """The quantity of one unit. `bound` names what kept it from being larger."""

    quantity: Decimal
    bound: str


@dataclass(frozen=True, slots=True)
class Sized:
    """A quantity the exchange takes."""

    quantity: Decimal
    notional: Decimal


@dataclass(frozen=True, slots=True)
class Limits:
    """What the order may add to the position's worth at most, each with its name, and what is free to pay for it. All
    of it in the asset of the margin."""

    notional: Mapping[str, Decimal]
    free: Decimal
    leverage: int
    taker_fee: Decimal


def unit_quantity(
    equity: Decimal, percent: Decimal, lost: Decimal, leverage: int, worth: Decimal, taker_fee: Decimal
) -> Decimal:
    """One unit by the risk alone, before any rounding. `lost`: by one contract where the price goes an ATR against it;
    `worth`: of one contract."""
    share = percent / _PERCENT
    return equity * share / (lost * leverage + 2 * taker_fee * worth * share)


def fitting(by_risk: Decimal, dearest: Decimal, caps: Mapping[str, Decimal], filters: Filters, units: Decimal) -> Unit:
    """The unit of which so many are within every cap and one market lot, each worth as much as it may come to be."""
    bounds = {BY_RISK: by_risk, "the exchange's market lot": _most(filters) / units}
    bounds |= {name: max(cap, Decimal(0)) / (units * dearest) for name, cap in caps.items()}
    bound = min(bounds, key=lambda name: bounds[name])
    return Unit(bounds[bound], bound)


def units_held(quantity: Decimal, unit: Decimal, settings: Risk, filters: Filters) -> Decimal:
    """How many units that is: the step of the ladder that comes to it in lots, else what it comes to."""
    adds = (settings.entry_units + n * settings.add_units for n in range(_adds(settings)))
    steps = (settings.trial_units, *adds, settings.max_units)
    lot = market_step(filters)
    return next((step for step in steps if floor_to(step * unit, lot) == quantity), quantity / unit)


def dearest_price(price: Decimal, side: Side, atr: Decimal, settings: Risk, one: Instrument) -> Decimal:
    """The price at which a unit of a position that is opened now may cost most. Adds are an ATR apart in favour, and
    may come as late as two ATR: those of a long are dearer, and where a coin is the margin those of a short."""
    way = 2 * _adds(settings) * atr
    last = price + way if side == "long" else max(price - way, _least_price(one))
    return max((price, last), key=lambda each: one.notional(ONE, each))


def margin_cost(worth: Decimal, leverage: int, taker_fee: Decimal) -> Decimal:
    """What it takes of the margin, with the fees of both ways."""
    return worth * (1 / Decimal(leverage) + 2 * taker_fee)


def sized(
    wanted: Decimal, bound: str, price: Decimal, one: Instrument, limits: Limits, limit: Decimal | None = None
) -> Sized | str:
    """`wanted` in lots, or why it is left out: what the exchange or a limit has against it. `bound` made it small.
    `limit`: the price of a limit order, by which the exchange counts what it is worth; it takes margin for the dearer
    of the two. Its lots are those of market orders as well: one has to close what it opens."""
    filters = one.rules
    quantity = floor_to(wanted, market_step(filters))
    worth = one.notional(quantity, price if limit is None else limit)
    notional = max(worth, one.notional(quantity, price))
    least = max(filters.min_quantity, filters.market_min_quantity)
    if quantity < least or not quantity:
        return f"too small: {bound} allows {wanted:.8f}, that is {quantity} in lots, and the least is {least}"
    if worth < filters.min_notional:
        return (
            f"too small: {bound} allows {quantity}, worth {one.amount(worth)}, and the least is {filters.min_notional}"
        )
    if quantity > _most(filters):
        return f"too large: {quantity} is more than the exchange's market lot of {_most(filters)}"
    for name, room in limits.notional.items():
        if notional > room:
            return f"no room: {name} leaves {one.amount(room)}, and {quantity} is worth {one.amount(notional)}"
    cost = margin_cost(notional, limits.leverage, limits.taker_fee)
    if cost > limits.free:
        free = one.amount(limits.free)
        return f"no margin: {quantity} needs {one.amount(cost)} with its fees, and {free} is free"
    return Sized(quantity, notional)


def closing_quantity(held: Decimal, filters: Filters) -> Decimal:
    """How much of a position one market order can close; the rest takes another."""
    return floor_to(min(abs(held), _most(filters)), market_step(filters))


def too_small_alone(quantity: Decimal, price: Decimal, one: Instrument) -> str | None:
    """Why an order that may open something is not taken: only what reduces may be worth as little as it comes."""
    worth, least = one.notional(quantity, price), one.rules.min_notional
    if worth >= least:
        return None
    return f"too small: {quantity} is worth {one.amount(worth)}, the least against what others hold is {least}"


def limit_price(price: Decimal, side: Side, filters: Filters) -> Decimal:
    """The price of a limit entry: never worse for us than that."""
    return to_tick(price, filters, up=side == "short")


def stop_price(price: Decimal, side: Side, distance: Decimal, filters: Filters) -> Decimal | str:
    """The trigger that far away, on the tick nearer to the price, or the reason why there can be none."""
    stop = to_tick(price - distance, filters, up=True) if side == "long" else to_tick(price + distance, filters)
    if not (stop < price if side == "long" else stop > price):
        return f"the distance of the stop is smaller than a tick ({filters.tick_size}): there is no room for it"
    if not filters.min_price <= stop <= filters.max_price:
        return f"the stop {stop} is outside the exchange's prices {filters.min_price} to {filters.max_price}"
    return stop


def take_profit_price(price: Decimal, side: Side, distance: Decimal, filters: Filters) -> Decimal | str:
    """The trigger that far in favour, on the tick nearer to the price, or the reason why there can be none."""
    target = to_tick(price + distance, filters) if side == "long" else to_tick(price - distance, filters, up=True)
    if not (target > price if side == "long" else target < price):
        return f"the take-profit is nearer than a tick ({filters.tick_size})"
    if not filters.min_price <= target <= filters.max_price:
        return f"the take-profit {target} is outside the exchange's prices {filters.min_price} to {filters.max_price}"
    return target


def in_band(price: Decimal, reference: Decimal, filters: Filters) -> bool:
    """Whether the exchange trades at `price` while its own price is `reference`."""
    return reference * filters.multiplier_down <= price <= reference * filters.multiplier_up


def stage_cap(stage: int) -> Decimal | None:
    """What a position may be worth in production, in dollars; None: the user's own limit."""
    return _STAGE_CAPS.get(stage)


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` that is not more."""
    return _multiple(value, step, ROUND_FLOOR)


def to_tick(price: Decimal, filters: Filters, *, up: bool = False) -> Decimal:
    """The price on the exchange's tick, rounded down or up."""
    return _multiple(price, filters.tick_size, ROUND_CEILING if up else ROUND_FLOOR)


def market_step(filters: Filters) -> Decimal:
    """The step of a market order. Some symbols give none of its own."""
    return max(filters.step_size, filters.market_step_size)


def _least_price(one: Instrument) -> Decimal:
    return max(one.rules.min_price, one.rules.tick_size)


def _adds(settings: Risk) -> int:
    """How many adds there may be after an entry."""
    return ceil((settings.max_units - settings.entry_units) / settings.add_units)


def _most(filters: Filters) -> Decimal:
    return min(filters.max_quantity, filters.market_max_quantity)


def _multiple(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    count = _EXACT.divide(value, step).to_integral_value(rounding=rounding)
    return _EXACT.multiply(count, step).normalize(_EXACT) + Decimal(0)
