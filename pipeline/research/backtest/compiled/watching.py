"""The next minute in which anything can happen: by blocks of minutes whose highest and lowest prices are known."""

import numpy as np

from pipeline.research.backtest.compiled.compiling import part
from pipeline.research.backtest.compiled.sums import liquidated_at, price_of, value_of
from pipeline.research.backtest.compiled.tables import LARGE, NEARLY, SMALL


@part
def _first_cross(market, s, first, last, below, above):  # type: ignore[no-untyped-def]
    """The first minute in [first, last) that reaches one of the two, or `last`."""
    lowest, highest = np.floor(max(below, -1e9)), np.ceil(min(above, 1e9))
    low, high = np.int32(lowest), np.int32(highest)
    at, shift = first, market.shift
    while at < last:
        if (at + shift) % SMALL == 0 and at + SMALL <= last:
            if (at + shift) % LARGE == 0 and at + LARGE <= last:
                block = market.large[s, (at + shift) // LARGE]
                if block["low"] > low and block["high"] < high:
                    at += LARGE
                    continue
            block = market.small[s, (at + shift) // SMALL]
            if block["low"] > low and block["high"] < high:
                at += SMALL
                continue
        candle, mark = market.candles[s, at], market.marks[s, at]
        if min(candle["low"], mark["low"]) <= low or max(candle["high"], mark["high"]) >= high:
            return at
        at += 1
    return last


@part
def _barriers(book, held, s, alone, rules, brackets, risk):  # type: ignore[no-untyped-def]
    """Nothing happens in the symbol while its price stays between these, in ticks."""
    position = held[s]
    is_long = position["quantity"] > 0
    early = 1.002 if is_long else 1 / 1.002
    size = rules["size"]
    forced = liquidated_at(position["quantity"], position["cost"], position["isolated"], brackets, size) * early
    below = max(position["stop"], forced) if is_long else -np.inf
    above = np.inf if is_long else min(position["stop"], forced)
    if not np.isnan(position["target"]):
        below, above = (below, position["target"]) if is_long else (position["target"], above)
    if alone:
        for part in (0, 1):
            if (part == 0 and book["lost_day"]) or (part == 1 and (book["won_day"] or np.isnan(risk["daily_profit"]))):
                continue
            share = -risk["daily_loss"] if part == 0 else risk["daily_profit"]
            level = book["day_start"] * (1 + share / 100)
            price = price_of((level - book["wallet"] + position["cost"]) / position["quantity"], size)
            if (part == 0) == is_long:
                below = max(below, price)
            else:
                above = min(above, price)
    return below / rules["tick"] + 0.5, above / rules["tick"] - 0.5


@part
def _is_safe(book, held, extremes, place, rules, least, most):  # type: ignore[no-untyped-def]
    """Whether the equity stays between these at whatever price between the extremes."""
    worst = best = book["wallet"]
    for s in range(len(held)):
        if held[s]["quantity"] != 0:
            low, high = extremes[s, place]["low"], extremes[s, place]["high"]
            tick, size = rules[s]["tick"], rules[s]["size"]
            one = held[s]["quantity"] * value_of(low * tick, size) - held[s]["cost"]
            other = held[s]["quantity"] * value_of(high * tick, size) - held[s]["cost"]
            worst += min(one, other)
            best += max(one, other)
    return worst > least and best < most


@part
def _first_loss(book, held, first, last, market, rules, risk):  # type: ignore[no-untyped-def]
    """The first minute in which several positions together may have lost, or won, what a day may; or `last`."""
    least = -np.inf if book["lost_day"] else book["day_start"] * (1 - risk["daily_loss"] / 100) * (1 + NEARLY)
    most = np.inf
    if not (book["won_day"] or np.isnan(risk["daily_profit"])):
        most = book["day_start"] * (1 + risk["daily_profit"] / 100) * (1 - NEARLY)
    at, shift = first, market.shift
    while at < last:
        is_block = (at + shift) % SMALL == 0 and at + SMALL <= last
        if is_block and _is_safe(book, held, market.small, (at + shift) // SMALL, rules, least, most):
            at += SMALL
            continue
        for _ in range(SMALL if is_block else 1):
            if not _is_safe(book, held, market.candles, at, rules, least, most):
                return at
            at += 1
    return last


@part
def first_event(book, held, first, last, market, rules, brackets, risks):  # type: ignore[no-untyped-def]
    found, count = last, 0
    for s in range(len(held)):
        count += held[s]["quantity"] != 0
    if count == 0:
        return last
    for s in range(len(held)):
        if held[s]["quantity"] != 0:
            below, above = _barriers(book, held, s, count == 1, rules[s], brackets[s], risks[s])
            found = _first_cross(market, s, first, found, below, above)
    if count > 1:
        found = _first_loss(book, held, first, found, market, rules, risks[0])
    return found
