"""Sums of one thing that is traded, of a margin, and of an account; quantities and prices on their grids."""

import numpy as np

from pipeline.research.backtest.compiled.compiling import part


@part
def value_of(price, size):  # type: ignore[no-untyped-def]
    """Of one at that price; it rises with the price. Of contracts of a coin it is what is owed for it, with a minus."""
    return price if size == 0 else -size / price


@part
def price_of(value, size):  # type: ignore[no-untyped-def]
    if size == 0:
        return value
    return np.inf if value >= 0 else -size / value


@part
def worth_of(quantity, price, size):  # type: ignore[no-untyped-def]
    return quantity * price if size == 0 else quantity * size / price


@part
def booked(coins):  # type: ignore[no-untyped-def]
    """In whole parts of a coin, as the exchange books them."""
    return np.rint(coins * 1e8) / 1e8


@part
def kept_of(sum_):  # type: ignore[no-untyped-def]
    """A fee of coins that change hands: never more than it is."""
    return np.floor(sum_ * 1e8 + 1e-4) / 1e8


@part
def floor_to(value, step):  # type: ignore[no-untyped-def]
    return np.floor(value / step + 1e-9) * step


@part
def to_tick(price, grid, up):  # type: ignore[no-untyped-def]
    count = price / grid
    return (np.ceil(count - 1e-7) if up else np.floor(count + 1e-7)) * grid


@part
def liquidated_at(quantity, cost, isolated, brackets, size):  # type: ignore[no-untyped-def]
    """The price at which what is left of the margin is what must be kept; the first that is reached, if any is."""
    found = np.inf if quantity < 0 else -np.inf
    for row in range(len(brackets)):
        kept = abs(quantity) * brackets[row, 1]
        price = (cost - isolated - brackets[row, 2]) / (quantity - (kept if size == 0 else -kept))
        if size != 0:
            if price >= 0:
                continue
            price = price_of(price, size)
        found = max(found, price) if quantity > 0 else min(found, price)
    return found


@part
def maintenance(notional, brackets):  # type: ignore[no-untyped-def]
    for row in range(len(brackets)):
        if notional <= brackets[row, 0]:
            return notional * brackets[row, 1] - brackets[row, 2]
    return notional * brackets[-1, 1] - brackets[-1, 2]


@part
def most_notional(leverage, brackets):  # type: ignore[no-untyped-def]
    found = 0.0
    for row in range(len(brackets)):
        if brackets[row, 3] >= leverage:
            found = max(found, brackets[row, 0])
    return found


@part
def too_near(stop, entry, liquidation):  # type: ignore[no-untyped-def]
    return abs(stop - entry) > 0.8 * abs(liquidation - entry)


@part
def equity_of(book, held, ticks, rules):  # type: ignore[no-untyped-def]
    found = book["wallet"]
    for s in range(len(held)):
        if held[s]["quantity"] != 0:
            if rules[s]["size"] == 0:
                found += held[s]["quantity"] * ticks[s] * rules[s]["tick"] - held[s]["cost"]
            else:
                price = ticks[s] * rules[s]["tick"]
                found += held[s]["quantity"] * value_of(price, rules[s]["size"]) - held[s]["cost"]
    return found
