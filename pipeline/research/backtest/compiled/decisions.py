"""What a signal comes to: an order, an end, or why it is left out. Compare `execution/engine/decide.py`."""
# ruff: noqa: C901, PLR0912, PLR0915 - one table of reasons, compiled as a whole

import numpy as np

from pipeline.research.backtest.compiled.compiling import part
from pipeline.research.backtest.compiled.sums import (
    equity_of,
    floor_to,
    liquidated_at,
    most_notional,
    to_tick,
    too_near,
    worth_of,
)
from pipeline.research.backtest.compiled.tables import (
    ADD,
    CLOSE,
    DAY_IS_OVER,
    ENOUGH_HELD,
    ENTRY,
    EXIT,
    HELD_AGAIN,
    HELD_BY_ANOTHER,
    LIQUIDATED_BEFORE,
    NEAR,
    NO_ATR,
    NO_MARGIN,
    NO_ROOM,
    NO_SHARE,
    NO_SHORT,
    NO_STEP,
    NO_STOP,
    NOTHING_HELD,
    OPEN,
    OUTSIDE_BAND,
    PRICE_MOVED,
    SLIPPED,
    TOO_MANY,
    TOO_SMALL,
    TOO_SOON,
    TRIAL,
    TURN,
)


@part
def _held_units(quantity, unit, risk, step):  # type: ignore[no-untyped-def]
    """How many units that is: the step of the ladder that comes to it in lots, else what it comes to."""
    adds = int(np.ceil((risk["max_units"] - risk["entry_units"]) / risk["add_units"] - 1e-9))
    if abs(floor_to(risk["trial_units"] * unit, step) - quantity) < NEAR:
        return risk["trial_units"]
    for n in range(adds):
        units = risk["entry_units"] + n * risk["add_units"]
        if abs(floor_to(units * unit, step) - quantity) < NEAR:
            return units
    if abs(floor_to(risk["max_units"] * unit, step) - quantity) < NEAR:
        return risk["max_units"]
    return quantity / unit


@part
def _unit(equity, price, side, atr, risk, rules, brackets):  # type: ignore[no-untyped-def]
    """The quantity of one unit: by the risk, or as many as the position may grow to fit into each cap."""
    share = risk["unit_percent"] / 100
    leverage, most_units = risk["leverage"], risk["max_units"]
    size, lost = rules["size"], atr
    adds = np.ceil((most_units - risk["entry_units"]) / risk["add_units"] - 1e-9)
    dearest = price + 2 * adds * atr if side > 0 else price
    if size != 0:
        least = max(rules["low"], rules["grid"])
        lost = abs(size / max(price - side * atr, least) - size / price)
        dearest = price if side > 0 else max(price - 2 * adds * atr, least)
    found = equity * share / (lost * leverage + 2 * rules["fee"] * worth_of(1.0, price, size) * share)
    found = min(found, rules["most"] / most_units)
    if np.isnan(risk["max_position_percent"]):
        margin = equity * (100 - risk["cushion_percent"]) / 100 / risk["max_open"]
        cap = margin / (1 / leverage + 2 * rules["fee"])
    else:
        cap = equity * risk["max_position_percent"] / 100
    cap = min(cap, most_notional(leverage, brackets))
    if not np.isnan(risk["max_position"]):
        cap = min(cap, risk["max_position"] if size == 0 else risk["max_position"] / dearest)
    return min(found, max(cap, 0.0) / (most_units * worth_of(1.0, dearest, size)))


@part
def decide(  # type: ignore[no-untyped-def]
    signal, closed, book, held, opening, reserved, ticks, rules, brackets, risks, plan
):
    """`OPEN`, with `plan` filled (unit, ATR, stop, target, quantity); `CLOSE`; `TURN`: close, and be decided once more;
    or why it is left out."""
    s = signal["symbol"]
    position, risk, rule = held[s], risks[s], rules[s]
    kind, side = signal["kind"], signal["side"]
    is_held = position["quantity"] != 0
    if is_held:
        if closed:
            return HELD_AGAIN
        own = 1 if position["quantity"] > 0 else -1
        if position["speaker"] != signal["speaker"]:
            return HELD_BY_ANOTHER
        leaves = 0 if kind == ADD else side if kind == EXIT else -side
        if own == leaves and (position["trial"] or kind != TRIAL):
            turns = kind == TRIAL or (kind == ENTRY and risk["turns_entries"])
            return TURN if turns and not rule["owned"] else CLOSE
        if side != own or kind in (TRIAL, EXIT) or (kind == ADD and position["trial"]):
            return NO_STEP
    elif kind in (ADD, EXIT):
        return NOTHING_HELD
    if book["lost_day"] or book["won_day"]:
        return DAY_IS_OVER
    if position["slipped"]:
        return SLIPPED
    if signal["share"] == 0:
        return NO_SHARE
    if rule["owned"] and side < 0:
        return NO_SHORT
    if not signal["atr"] > 0:
        return NO_ATR
    price = ticks[s] * rule["tick"]
    if (price - signal["price"]) * side / signal["price"] * 100 > risk["max_slippage"]:
        return PRICE_MOVED
    if not price * rule["down"] <= signal["price"] <= price * rule["up"]:
        return OUTSIDE_BAND
    others = 0
    for one in range(len(held)):
        others += one != s and (held[one]["quantity"] != 0 or opening[one])
    if others >= risk["max_open"]:
        return TOO_MANY
    size = abs(position["quantity"])
    units = risk["trial_units"]
    if kind != TRIAL:
        now_held = 0.0 if not is_held else _held_units(size, position["unit"], risk, rule["step"])
        if kind == ENTRY:
            if now_held >= risk["entry_units"]:
                return ENOUGH_HELD
            units = risk["entry_units"]
        else:
            if now_held >= risk["max_units"]:
                return ENOUGH_HELD
            if (signal["price"] - position["added_at"]) * side < position["atr"] - NEAR:
                return TOO_SOON
            units = min(now_held + risk["add_units"], risk["max_units"])
    atr = position["atr"] if kind == ADD else signal["atr"]
    equity = equity_of(book, held, ticks, rules)
    unit = (
        position["unit"]
        if is_held
        else _unit(equity * signal["share"] / 100, price, side, atr, risk, rule, brackets[s])
    )
    distance = risk["stop_atr"] * atr if np.isnan(risk["stop_percent"]) else price * risk["stop_percent"] / 100
    stop = to_tick(price - side * distance, rule["grid"], side > 0)
    if (price - stop) * side <= NEAR or not rule["low"] <= stop <= rule["high"]:
        return NO_STOP
    goal = np.nan
    if not np.isnan(risk["target_percent"]):
        goal = price * risk["target_percent"] / 100
    elif not np.isnan(risk["target_atr"]):
        goal = risk["target_atr"] * atr
    if not np.isnan(goal):
        goal = to_tick(price + side * goal, rule["grid"], side < 0)
        if (goal - price) * side <= NEAR or not rule["low"] <= goal <= rule["high"]:
            return NO_STOP
    quantity = floor_to(units * unit - size, rule["step"])
    notional = worth_of(quantity, price, rule["size"])
    if quantity < rule["least"] - NEAR or quantity <= 0 or notional < rule["min_notional"] or quantity > rule["most"]:
        return TOO_SMALL
    room = most_notional(risk["leverage"], brackets[s]) - abs(position["cost"])
    if not np.isnan(risk["max_position"]):
        has = abs(position["cost"]) if rule["size"] == 0 else size * rule["size"]
        if rule["owned"] and is_held:
            has *= size / position["bought"]
        room = min(room, (risk["max_position"] - has) * (1.0 if rule["size"] == 0 else 1 / price))
    if notional > room:
        return NO_ROOM
    isolated = 0.0
    for one in range(len(held)):
        isolated += held[one]["isolated"]
    free = book["wallet"] - isolated - reserved - equity * risk["cushion_percent"] / 100
    if notional * (1 / risk["leverage"] + 2 * rule["fee"]) > free:
        return NO_MARGIN
    if rule["owned"]:
        left = floor_to(size + quantity * (1 - rule["fee"]), rule["step"])
        if left * stop < rule["min_notional"]:
            return TOO_SMALL
        plan[0], plan[1], plan[2], plan[3], plan[4] = unit, atr, stop, goal, quantity
        return OPEN
    total = position["quantity"] + side * quantity
    paid = position["cost"] + (side if rule["size"] == 0 else -side) * notional
    forced = liquidated_at(total, paid, abs(paid) / risk["leverage"], brackets[s], rule["size"])
    if too_near(stop, price, forced):
        return LIQUIDATED_BEFORE
    plan[0], plan[1], plan[2], plan[3], plan[4] = unit, atr, stop, goal, quantity
    return OPEN
