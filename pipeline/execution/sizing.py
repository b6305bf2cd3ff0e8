"""How much: from equity, risk and ATR to a quantity and prices the exchange takes. Exact, and never rounded up.

A unit is equity x unit_percent / (ATR x leverage), on the equity that the fees of opening and closing leave.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Final

from schemas.signals import Side
from schemas.symbols import Filters

_EXACT: Final = Context(prec=60)
_PERCENT: Final = Decimal(100)
_NEAR_LIQUIDATION: Final = Decimal("0.8")
"""Share of the margin that a stop may let a position lose: beyond, the exchange would liquidate it first."""
_STAGE_CAPS: Final[Mapping[int, Decimal]] = {1: Decimal(20), 2: Decimal(100)}


@dataclass(frozen=True, slots=True)
class Sized:
    """A quantity the exchange takes. `bound` names what kept it from being larger."""

    quantity: Decimal
    notional: Decimal
    bound: str


@dataclass(frozen=True, slots=True)
class Limits:
    """What a position may be worth at most, each with its name, and what there is to pay for it."""

    notional: Mapping[str, Decimal]
    available: Decimal
    leverage: int
    taker_fee: Decimal


def unit_quantity(
    equity: Decimal, percent: Decimal, atr: Decimal, leverage: int, price: Decimal, taker_fee: Decimal
) -> Decimal:
    """One unit, before any rounding."""
    share = percent / _PERCENT
    return equity * share / (atr * leverage + 2 * taker_fee * price * share)


def sized(wanted: Decimal, price: Decimal, filters: Filters, limits: Limits) -> Sized | str:
    """The most of `wanted` that every limit and filter allows, or the reason why that is nothing."""
    bounds = {"the risk": wanted, "the exchange's market lot": _most(filters)}
    bounds |= {name: max(room, Decimal(0)) / price for name, room in limits.notional.items()}
    cost = price * (1 / Decimal(limits.leverage) + 2 * limits.taker_fee)
    bounds["the margin available"] = max(limits.available, Decimal(0)) / cost
    bound = min(bounds, key=lambda name: bounds[name])
    quantity = floor_to(bounds[bound], market_step(filters))
    least = max(filters.min_quantity, filters.market_min_quantity)
    if quantity < least or not quantity:
        return f"too small: {bound} allows {bounds[bound]:.8f}, that is {quantity} in lots, and the least is {least}"
    if quantity * price < filters.min_notional:
        return (
            f"too small: {bound} allows {quantity}, worth {quantity * price:.2f}, and the least is "
            f"{filters.min_notional}"
        )
    return Sized(quantity, quantity * price, bound)


def closing_quantity(held: Decimal, filters: Filters) -> Decimal:
    """How much of a position one market order can close; the rest takes another."""
    return floor_to(min(abs(held), _most(filters)), market_step(filters))


def stop_price(price: Decimal, side: Side, distance: Decimal, leverage: int, filters: Filters) -> Decimal | str:
    """The trigger that far away, on the tick nearer to the price, or the reason why there can be none."""
    if distance >= price / leverage * _NEAR_LIQUIDATION:
        return f"the stop is {distance:.8f} away, where at leverage {leverage} the exchange liquidates before"
    stop = to_tick(price - distance, filters, up=True) if side == "long" else to_tick(price + distance, filters)
    if not (stop < price if side == "long" else stop > price):
        return f"the ATR is smaller than a tick ({filters.tick_size}): there is no room for a stop"
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
    """What a position may be worth in production, in USDT; None: the user's own limit."""
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


def _most(filters: Filters) -> Decimal:
    return min(filters.max_quantity, filters.market_max_quantity)


def _multiple(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    count = _EXACT.divide(value, step).to_integral_value(rounding=rounding)
    return _EXACT.multiply(count, step).normalize(_EXACT) + Decimal(0)
