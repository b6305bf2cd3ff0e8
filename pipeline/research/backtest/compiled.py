"""The executor's own rules once more, compiled: a run costs its trades, not its minutes.

It holds nothing but numbers. Every rule here stands in the executor first, and a differential test compares both trade
by trade. What only the exact engine can do is counted where it is met (`odd`), and such a run is the other's.

All of it is in one file, because what is compiled is kept by file: a change of another one would not be seen.

Minutes of all symbols lie on one grid. From one thing that happens to the next it goes by quarters of an hour and by
blocks of eight hours, whose highest and lowest prices are known: what is due is due where they begin.
"""
# ruff: noqa: C901, PLR0912, PLR0915, SIM110 - one state machine, compiled as a whole

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.research.backtest.compiling import named_by_source

Table = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SMALL, LARGE = 15, 480
MINUTE: Final = 60_000
LEAVES, FIRST, SECOND, CLOSES = 10_000, 25_000, 40_000, 55_000
TRIAL, ENTRY, ADD, EXIT = 0, 1, 2, 3
BY_SIGNAL, BY_STOP, BY_TARGET, BY_LIQUIDATION, STILL_OPEN = 0, 1, 2, 3, 4
PESSIMISTIC, RESOLVED, OPTIMISTIC = 0, 1, 2
UNDECIDED, TAKEN, TURNING = 0, 1, 2
OPEN, CLOSE, TURN = 1, 2, 3
(
    HELD_AGAIN, NOTHING_HELD, HELD_BY_ANOTHER, NO_STEP, DAY_IS_OVER, SLIPPED, NO_ATR, PRICE_MOVED, OUTSIDE_BAND,
    TOO_MANY, ENOUGH_HELD, TOO_SOON, NO_STOP, TOO_SMALL, NO_ROOM, NO_MARGIN, LIQUIDATED_BEFORE, HOLE,
) = range(-1, -19, -1)  # fmt: skip
"""Why a signal is left out."""
TAKER_FEE: Final = 0.0005
LEVEL_NOTIONAL: Final = 50_000.0
ONLY_MARK: Final = -1
"""Instead of the price of a trade: there was none."""
_NEAR: Final = 1e-9
NEARLY: Final = 1e-6
"""So large a part of a sum does not count where it is only looked for what may happen."""


_OPTIONS: Final[dict[str, Any]] = {"error_model": "numpy", "_nrt": False}


def _whole(rules: Callable[..., Any]) -> Any:
    """Compiled, and kept. It makes no arrays, so that none is counted: that took three quarters of its time."""
    return njit(named_by_source(rules), cache=True, **_OPTIONS)


def _part(rules: Callable[..., Any]) -> Any:
    """A part of the whole; no call of it has to be paid for."""
    return njit(rules, forceinline=True, **_OPTIONS)


CANDLE = np.dtype([("open", "i4"), ("high", "i4"), ("low", "i4"), ("close", "i4")])
"""Prices in ticks."""
EXTREMES = np.dtype([("high", "i4"), ("low", "i4")])
SIGNAL = np.dtype(
    [("symbol", "i4"), ("minute", "i8"), ("kind", "i1"), ("side", "i1"), ("speaker", "i4"), ("price", "f8"),
     ("atr", "f8")]
)  # fmt: skip
"""A signal: `minute` is the one that opens as it is said; `speaker` is its strategy on its interval."""
FUNDING = np.dtype([("minute", "i8"), ("symbol", "i4"), ("rate", "f8"), ("mark", "f8")])
"""A settlement, as `minute` opens. `mark`: NaN where it is the last price."""
TRADE = np.dtype(
    [("symbol", "i4"), ("side", "i1"), ("signal", "i8"), ("opened_at", "i8"), ("closed_at", "i8"), ("quantity", "f8"),
     ("bought", "f8"), ("paid", "f8"), ("sold", "f8"), ("received", "f8"), ("entries", "i4"), ("gross", "f8"),
     ("fees", "f8"), ("funding", "f8"), ("reason", "i1"), ("assumed", "i1")]
)  # fmt: skip
POSITION = np.dtype(
    [("quantity", "f8"), ("cost", "f8"), ("isolated", "f8"), ("stop", "f8"), ("target", "f8"), ("unit", "f8"),
     ("atr", "f8"), ("added_at", "f8"), ("trial", "?"), ("slipped", "?"), ("speaker", "i4"), ("trade", "i8")]
)  # fmt: skip
BOOK = np.dtype(
    [("wallet", "f8"), ("day_start", "f8"), ("lost_day", "?"), ("won_day", "?"), ("done", "i8"), ("flows", "i8"),
     ("untold", "i8"), ("odd", "i8")]
)  # fmt: skip
"""The account, and how far the other tables are filled. `odd`: what only the exact engine can do was met."""
FLOW = np.dtype([("time", "i8"), ("symbol", "i4"), ("change", "f8"), ("cash", "f8")])
"""Something filled or paid: how the holding changed, and the wallet with it, what is held counted at its cost."""
RULES = np.dtype(
    [("tick", "f8"), ("grid", "f8"), ("step", "f8"), ("least", "f8"), ("most", "f8"), ("min_notional", "f8"),
     ("up", "f8"), ("down", "f8"), ("low", "f8"), ("high", "f8"), ("fee", "f8"), ("forced", "f8"), ("size", "f8")]
)  # fmt: skip
"""Of a symbol. `tick`: of the stored prices; `grid`: of its orders; `fee`: of what is filled at once, and `forced` of
what is liquidated; `size`: how many dollars of a coin a contract is, or 0 where one is worth its price."""
CHANGE = np.dtype([("minute", "i8"), ("symbol", "i4"), ("rules", RULES)])
"""Other rules of a symbol, as `minute` opens."""
RISK = np.dtype(
    [("unit_percent", "f8"), ("leverage", "f8"), ("trial_units", "f8"), ("entry_units", "f8"), ("add_units", "f8"),
     ("max_units", "f8"), ("stop_atr", "f8"), ("stop_percent", "f8"), ("target_atr", "f8"), ("target_percent", "f8"),
     ("turns_entries", "i1"), ("max_position_percent", "f8"), ("max_position", "f8"), ("cushion_percent", "f8"),
     ("max_open", "i4"), ("max_slippage", "f8"), ("daily_loss", "f8"), ("daily_profit", "f8")]
)  # fmt: skip
"""Of a symbol: those of the settings, with what it has of its own. What is not set is NaN."""


class Room(NamedTuple):
    """Where it works: made once, and never read before it is written."""

    ticks: Integers
    plans: Floats
    times: Integers
    prices: Integers
    marks: Integers
    met_at: Integers
    met: Integers
    whose: Integers
    choices: Integers
    taken: Flags
    opening: Flags


def room_for(symbols: int, signals: int) -> Room:
    """As much of it as so many signals may need at once."""
    ticks, plans = np.zeros(symbols, np.int64), np.zeros((symbols, 5))
    times, prices, marks = np.zeros((3, symbols, 5), np.int64)
    met_at, met, whose = np.zeros((3, symbols * 12), np.int64)
    choices = np.zeros(signals + 1, np.int64)
    taken, opening = np.zeros((2, symbols), np.bool_)
    return Room(ticks, plans, times, prices, marks, met_at, met, whose, choices, taken, opening)


class MinuteGrid(NamedTuple):
    """Minutes on one grid, a row a symbol, and the extremes of blocks of them. The first block may be shorter: it lacks
    `shift` minutes at its beginning. `marks`: by mark price; where it is not known, `candles` again. Blocks are as far
    as either goes."""

    start: int
    shift: int
    candles: Table
    marks: Table
    there: Flags
    small: Table
    large: Table


@_part
def _value(price, size):  # type: ignore[no-untyped-def]
    """Of one at that price; it rises with the price. Of contracts of a coin it is what is owed for it, with a minus."""
    return price if size == 0 else -size / price


@_part
def _price_of(value, size):  # type: ignore[no-untyped-def]
    if size == 0:
        return value
    return np.inf if value >= 0 else -size / value


@_part
def _notional(quantity, price, size):  # type: ignore[no-untyped-def]
    return quantity * price if size == 0 else quantity * size / price


@_part
def _booked(coins):  # type: ignore[no-untyped-def]
    """In whole parts of a coin, as the exchange books them."""
    return np.rint(coins * 1e8) / 1e8


@_part
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


@_part
def _goes_up_first(market, s, at, inside, held):  # type: ignore[no-untyped-def]
    if inside != RESOLVED:
        helps_first = inside == OPTIMISTIC
        return (held > 0) == helps_first
    candle = market.candles[s, at]
    up, down = candle["high"] - candle["open"], candle["open"] - candle["low"]
    if up != down:
        return up < down
    return held < 0


@_part
def _way(candle, up_first, times, prices):  # type: ignore[no-untyped-def]
    high, low = candle["high"], candle["low"]
    times[0], times[1], times[2], times[3], times[4] = 1, LEAVES, FIRST, SECOND, CLOSES
    prices[0] = prices[1] = candle["open"]
    prices[2], prices[3] = (high, low) if up_first else (low, high)
    prices[4] = candle["close"]


@_part
def _price_at(times, prices, offset):  # type: ignore[no-untyped-def]
    for leg in range(4):
        if offset <= times[leg + 1]:
            passed = max(0, offset - times[leg])
            return prices[leg] + round((prices[leg + 1] - prices[leg]) * passed / (times[leg + 1] - times[leg]))
    return prices[4]


@_part
def _sweep(rules, side, quantity, last, mark, entered, leverage):  # type: ignore[no-untyped-def]
    """(filled, paid) of a market order: level by level, no further than the band. And of contracts of a coin, which are
    booked level by level: fee, profit over the value at which it was `entered`, and margin."""
    half = max(1, last // 100_000)
    bid = max(1, last - half)
    best = max(bid + 1, last + half) if side > 0 else bid
    tick = rules["tick"]
    worst = (
        np.floor(mark * rules["up"] / tick + 1e-6) * tick
        if side > 0
        else np.ceil(mark * rules["down"] / tick - 1e-6) * tick
    )
    level = best * tick
    width = max(1, last // 10_000) * tick * side
    size = rules["size"]
    each = level if size == 0 else size
    depth = max(np.floor(LEVEL_NOTIONAL / each / rules["step"] + 1e-9), 1.0) * rules["step"]
    filled = paid = fee = gain = margin = 0.0
    while quantity > 1e-12 and level > 0 and (worst - level) * side >= -1e-9:
        taken = min(quantity, depth)
        filled += taken
        paid += _notional(taken, level, size)
        if size != 0:
            worth = taken * size / level
            fee += _booked(worth * rules["fee"])
            gain += _booked(side * taken * (entered + size / level))
            margin += _booked(worth / leverage)
        quantity -= taken
        level += width
    return filled, paid, fee, gain, margin


@_part
def _liquidation(quantity, cost, isolated, brackets, size):  # type: ignore[no-untyped-def]
    """The price at which what is left of the margin is what must be kept; the first that is reached, if any is."""
    found = np.inf if quantity < 0 else -np.inf
    for row in range(len(brackets)):
        kept = abs(quantity) * brackets[row, 1]
        price = (cost - isolated - brackets[row, 2]) / (quantity - (kept if size == 0 else -kept))
        if size != 0:
            if price >= 0:
                continue
            price = _price_of(price, size)
        found = max(found, price) if quantity > 0 else min(found, price)
    return found


@_part
def _maintenance(notional, brackets):  # type: ignore[no-untyped-def]
    for row in range(len(brackets)):
        if notional <= brackets[row, 0]:
            return notional * brackets[row, 1] - brackets[row, 2]
    return notional * brackets[-1, 1] - brackets[-1, 2]


@_part
def _most_notional(leverage, brackets):  # type: ignore[no-untyped-def]
    found = 0.0
    for row in range(len(brackets)):
        if brackets[row, 3] >= leverage:
            found = max(found, brackets[row, 0])
    return found


@_part
def _floor_to(value, step):  # type: ignore[no-untyped-def]
    return np.floor(value / step + 1e-9) * step


@_part
def _to_tick(price, grid, up):  # type: ignore[no-untyped-def]
    count = price / grid
    return (np.ceil(count - 1e-7) if up else np.floor(count + 1e-7)) * grid


@_part
def _held_units(quantity, unit, risk, step):  # type: ignore[no-untyped-def]
    """How many units that is: the step of the ladder that comes to it in lots, else what it comes to."""
    adds = int(np.ceil((risk["max_units"] - risk["entry_units"]) / risk["add_units"] - 1e-9))
    if abs(_floor_to(risk["trial_units"] * unit, step) - quantity) < _NEAR:
        return risk["trial_units"]
    for n in range(adds):
        units = risk["entry_units"] + n * risk["add_units"]
        if abs(_floor_to(units * unit, step) - quantity) < _NEAR:
            return units
    if abs(_floor_to(risk["max_units"] * unit, step) - quantity) < _NEAR:
        return risk["max_units"]
    return quantity / unit


@_part
def _too_near(stop, entry, liquidation):  # type: ignore[no-untyped-def]
    return abs(stop - entry) > 0.8 * abs(liquidation - entry)


@_part
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
    found = equity * share / (lost * leverage + 2 * rules["fee"] * _notional(1.0, price, size) * share)
    found = min(found, rules["most"] / most_units)
    if np.isnan(risk["max_position_percent"]):
        margin = equity * (100 - risk["cushion_percent"]) / 100 / risk["max_open"]
        cap = margin / (1 / leverage + 2 * rules["fee"])
    else:
        cap = equity * risk["max_position_percent"] / 100
    cap = min(cap, _most_notional(leverage, brackets))
    if not np.isnan(risk["max_position"]):
        cap = min(cap, risk["max_position"] if size == 0 else risk["max_position"] / dearest)
    return min(found, max(cap, 0.0) / (most_units * _notional(1.0, dearest, size)))


@_part
def _write(flows, book, time, symbol, change, cash):  # type: ignore[no-untyped-def]
    row = flows[book["flows"]]
    row["time"], row["symbol"], row["change"], row["cash"] = time, symbol, change, cash
    book["flows"] += 1


@_part
def _equity(book, held, ticks, rules):  # type: ignore[no-untyped-def]
    found = book["wallet"]
    for s in range(len(held)):
        if held[s]["quantity"] != 0:
            if rules[s]["size"] == 0:
                found += held[s]["quantity"] * ticks[s] * rules[s]["tick"] - held[s]["cost"]
            else:
                price = ticks[s] * rules[s]["tick"]
                found += held[s]["quantity"] * _value(price, rules[s]["size"]) - held[s]["cost"]
    return found


@_part
def _judge(book, equity, risk):  # type: ignore[no-untyped-def]
    """Whether the day's loss or profit is reached: nothing is opened until the next."""
    change = (equity - book["day_start"]) / book["day_start"] * 100
    if change <= -risk["daily_loss"]:
        book["lost_day"] = True
    elif change >= risk["daily_profit"]:
        book["won_day"] = True


@_part
def _leave(book, position, s, last, time, reason, assumed, trades, flows, rules):  # type: ignore[no-untyped-def]
    """Close all of it at market, or, by force, at the mark price."""
    size, tick = abs(position["quantity"]), rules["tick"]
    side = -1 if position["quantity"] > 0 else 1
    in_coins, entered, rate = rules["size"] != 0, position["cost"] / position["quantity"], rules["fee"]
    if reason == BY_LIQUIDATION:
        price, rate = last * tick, rules["forced"]
        filled, paid = size, size * last * tick
        fee = gain = 0.0
        if in_coins:
            paid = _notional(size, price, rules["size"])
            fee, gain = _booked(paid * rate), _booked(side * size * (entered + rules["size"] / price))
    else:
        filled, paid, fee, gain, _ = _sweep(rules, side, size, last, last * tick, entered, 1.0)
    if size - filled > _NEAR or size > rules["most"] + _NEAR or size - _floor_to(size, rules["step"]) > _NEAR:
        book["odd"] += 1  # more than one order closes it, or none closes all of it
    share = filled / size
    cash = -side * paid
    realised = (paid if side < 0 else -paid) - position["cost"] * share
    if in_coins:
        realised = gain
        cash = realised + position["cost"] * share
    else:
        fee = paid * rate
    floor = book["wallet"] - max(0.0, position["isolated"])
    book["wallet"] += realised - fee
    trade = trades[position["trade"]]
    trade["sold"] += filled
    trade["received"] += paid
    trade["gross"] += realised
    trade["fees"] += fee
    _write(flows, book, time, s, side * filled, cash - fee)
    position["quantity"] *= 1 - share
    position["cost"] *= 1 - share
    position["isolated"] *= 1 - share
    if reason == BY_LIQUIDATION and book["wallet"] < floor:
        borne = floor - book["wallet"]
        trade["gross"] += borne
        _write(flows, book, time, s, 0.0, borne)
        book["wallet"] = floor
    if abs(position["quantity"]) < _NEAR:
        position["quantity"] = position["cost"] = position["isolated"] = 0.0
        trade["closed_at"], trade["reason"], trade["assumed"] = time, reason, assumed


@_part
def _enter(book, position, s, side, size, last, time, number, signal, plan, trades, flows, rules, risk):  # type: ignore[no-untyped-def]
    """Fill an entry; `plan`: unit, ATR, stop and target that come with it."""
    filled, paid, fee, _, margin = _sweep(rules, side, size, last, last * rules["tick"], 0.0, risk["leverage"])
    if size - filled > _NEAR:
        book["odd"] += 1
    if filled == 0:
        return
    opens = position["quantity"] == 0
    if opens:
        position["trade"] = book["done"]
        book["done"] += 1
        trade = trades[position["trade"]]
        trade["symbol"], trade["side"], trade["signal"], trade["opened_at"] = s, side, number, time
        trade["closed_at"], trade["reason"] = -1, STILL_OPEN
        position["speaker"] = signal["speaker"]
    average, cost = paid / filled, side * paid
    if rules["size"] == 0:
        fee, margin = paid * rules["fee"], paid / risk["leverage"]
    else:
        average, cost = filled * rules["size"] / paid, -side * paid
    book["wallet"] -= fee
    position["quantity"] += side * filled
    position["cost"] += cost
    position["isolated"] += margin
    position["trial"] = signal["kind"] == TRIAL and (opens or position["trial"])
    position["unit"], position["atr"], position["added_at"] = plan[0], plan[1], signal["price"]
    if opens:
        position["stop"] = plan[2]
    else:
        position["stop"] = max(position["stop"], plan[2]) if side > 0 else min(position["stop"], plan[2])
    position["target"] = plan[3]
    trade = trades[position["trade"]]
    trade["entries"] += 1
    trade["bought"] += filled
    trade["paid"] += paid
    trade["fees"] += fee
    trade["quantity"] = max(trade["quantity"], abs(position["quantity"]))
    _write(flows, book, time, s, side * filled, -cost - fee)
    worse = (average - signal["price"]) * side
    if worse / signal["price"] * 100 > risk["max_slippage"]:
        position["slipped"] = True


@_part
def _liquidates(position, price, brackets, size):  # type: ignore[no-untyped-def]
    worth = position["quantity"] * _value(price, size)
    margin = position["isolated"] + worth - position["cost"]
    return margin <= _maintenance(abs(worth), brackets)


@_part
def _meet(book, position, s, last, mark, time, at, market, trades, flows, rules, brackets, gap):  # type: ignore[no-untyped-def]
    """The market at these prices: the mark price is looked at, then stop and target see the trade."""
    price = last * rules["tick"]
    if _liquidates(position, mark * rules["tick"], brackets, rules["size"]):
        _leave(book, position, s, mark, time, BY_LIQUIDATION, False, trades, flows, rules)
        return
    sign = 1 if position["quantity"] > 0 else -1
    stops = (price - position["stop"]) * sign <= 1e-9
    targets = not np.isnan(position["target"]) and (price - position["target"]) * sign >= -1e-9
    if stops or targets:
        other = position["target"] if stops else position["stop"]
        tick = rules["tick"]
        candle = market.candles[s, at]
        assumed = not gap and candle["low"] * tick <= other + 1e-9 and other <= candle["high"] * tick + 1e-9
        reason = BY_STOP if stops else BY_TARGET
        _leave(book, position, s, last, time, reason, assumed, trades, flows, rules)


@_part
def _open_minute(book, held, at, market, trades, flows, rules, brackets):  # type: ignore[no-untyped-def]
    """Its first trade: what it opens beyond is filled there."""
    time = market.start + at * MINUTE + 1
    for s in range(len(held)):
        if held[s]["quantity"] != 0 and market.there[s, at]:
            opened, mark = market.candles[s, at]["open"], market.marks[s, at]["open"]
            _meet(book, held[s], s, opened, mark, time, at, market, trades, flows, rules[s], brackets[s], True)


@_part
def _barriers(book, held, s, alone, rules, brackets, risk):  # type: ignore[no-untyped-def]
    """Nothing happens in the symbol while its price stays between these, in ticks."""
    position = held[s]
    is_long = position["quantity"] > 0
    early = 1.002 if is_long else 1 / 1.002
    size = rules["size"]
    forced = _liquidation(position["quantity"], position["cost"], position["isolated"], brackets, size) * early
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
            price = _price_of((level - book["wallet"] + position["cost"]) / position["quantity"], size)
            if (part == 0) == is_long:
                below = max(below, price)
            else:
                above = min(above, price)
    return below / rules["tick"] + 0.5, above / rules["tick"] - 0.5


@_part
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


@_part
def _is_safe(book, held, extremes, place, rules, least, most):  # type: ignore[no-untyped-def]
    """Whether the equity stays between these at whatever price between the extremes."""
    worst = best = book["wallet"]
    for s in range(len(held)):
        if held[s]["quantity"] != 0:
            low, high = extremes[s, place]["low"], extremes[s, place]["high"]
            tick, size = rules[s]["tick"], rules[s]["size"]
            one = held[s]["quantity"] * _value(low * tick, size) - held[s]["cost"]
            other = held[s]["quantity"] * _value(high * tick, size) - held[s]["cost"]
            worst += min(one, other)
            best += max(one, other)
    return worst > least and best < most


@_part
def _first_event(book, held, first, last, market, rules, brackets, risks):  # type: ignore[no-untyped-def]
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


@_part
def _rest_of_minute(book, held, at, inside, market, trades, flows, rules, brackets, risks, ticks, room):  # type: ignore[no-untyped-def]
    """From where the price leaves the open to the close, trade by trade, all symbols in order of time."""
    times, prices, marks = room.times, room.prices, room.marks
    number = 0
    for s in range(len(held)):
        position = held[s]
        up_first = _goes_up_first(market, s, at, inside, position["quantity"])
        _way(market.candles[s, at], up_first, times[s], prices[s])
        _way(market.marks[s, at], up_first, times[s], marks[s])
        if not market.there[s, at]:
            prices[s, :] = marks[s, :] = market.candles[s, at]["close"]
        elif position["quantity"] != 0:
            number = _meetings(book, position, s, at, market, rules[s]["tick"], room, number)
    _sort(room.met_at, room.met, room.whose, number)
    for place in range(number):
        offset, s, met = room.met_at[place], room.whose[place], room.met[place]
        time = market.start + at * MINUTE + offset
        if held[s]["quantity"] != 0 and met != ONLY_MARK:
            mark = _price_at(times[s], marks[s], offset)
            _meet(book, held[s], s, met, mark, time, at, market, trades, flows, rules[s], brackets[s], False)
        for other in range(len(held)):
            ticks[other] = _price_at(times[other], prices[other], offset)
            if (other != s or met == ONLY_MARK) and held[other]["quantity"] != 0:
                mark = _price_at(times[other], marks[other], offset)
                if _liquidates(held[other], mark * rules[other]["tick"], brackets[other], rules[other]["size"]):
                    _leave(book, held[other], other, mark, time, BY_LIQUIDATION, False, trades, flows, rules[other])
        _judge(book, _equity(book, held, ticks, rules), risks[0])


@_part
def _meetings(book, position, s, at, market, tick, room, number):  # type: ignore[no-untyped-def]
    """Note the trades on the way of a symbol: at its extremes, at its close, and wherever something waits for one; and
    where only the mark price turns."""
    stop, target = position["stop"] / tick, position["target"] / tick
    low, high = market.candles[s, at]["low"], market.candles[s, at]["high"]
    book["untold"] += low - 0.5 <= stop <= high + 0.5 and low - 0.5 <= target <= high + 0.5
    lower, upper = (stop, target) if not target < stop else (target, stop)
    for leg in range(1, 4):
        begin, end = room.prices[s, leg], room.prices[s, leg + 1]
        left, arrived = room.times[s, leg], room.times[s, leg + 1]
        for turn in range(2):
            level = lower if (turn == 0) == (begin < end) else upper
            if not np.isnan(level) and min(begin, end) < round(level) < max(begin, end):
                room.met_at[number] = left + round((arrived - left) * (round(level) - begin) / (end - begin))
                room.met[number], room.whose[number] = round(level), s
                number += 1
        if begin != end:
            room.met_at[number], room.met[number], room.whose[number] = arrived, end, s
            number += 1
        elif room.marks[s, leg] != room.marks[s, leg + 1]:
            room.met_at[number], room.met[number], room.whose[number] = arrived, ONLY_MARK, s
            number += 1
    return number


@_part
def _sort(times, prices, whose, count):  # type: ignore[no-untyped-def]
    """By time; what is at one time stays in its order."""
    for place in range(1, count):
        time, price, one = times[place], prices[place], whose[place]
        before = place - 1
        while before >= 0 and times[before] > time:
            times[before + 1], prices[before + 1], whose[before + 1] = times[before], prices[before], whose[before]
            before -= 1
        times[before + 1], prices[before + 1], whose[before + 1] = time, price, one


@_part
def _decide(  # type: ignore[no-untyped-def]
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
            return TURN if kind == TRIAL or (kind == ENTRY and risk["turns_entries"]) else CLOSE
        if side != own or kind in (TRIAL, EXIT) or (kind == ADD and position["trial"]):
            return NO_STEP
    elif kind in (ADD, EXIT):
        return NOTHING_HELD
    if book["lost_day"] or book["won_day"]:
        return DAY_IS_OVER
    if position["slipped"]:
        return SLIPPED
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
            if (signal["price"] - position["added_at"]) * side < position["atr"] - _NEAR:
                return TOO_SOON
            units = min(now_held + risk["add_units"], risk["max_units"])
    atr = position["atr"] if kind == ADD else signal["atr"]
    equity = _equity(book, held, ticks, rules)
    unit = position["unit"] if is_held else _unit(equity, price, side, atr, risk, rule, brackets[s])
    distance = risk["stop_atr"] * atr if np.isnan(risk["stop_percent"]) else price * risk["stop_percent"] / 100
    stop = _to_tick(price - side * distance, rule["grid"], side > 0)
    if (price - stop) * side <= _NEAR or not rule["low"] <= stop <= rule["high"]:
        return NO_STOP
    goal = np.nan
    if not np.isnan(risk["target_percent"]):
        goal = price * risk["target_percent"] / 100
    elif not np.isnan(risk["target_atr"]):
        goal = risk["target_atr"] * atr
    if not np.isnan(goal):
        goal = _to_tick(price + side * goal, rule["grid"], side < 0)
        if (goal - price) * side <= _NEAR or not rule["low"] <= goal <= rule["high"]:
            return NO_STOP
    quantity = _floor_to(units * unit - size, rule["step"])
    notional = _notional(quantity, price, rule["size"])
    if quantity < rule["least"] - _NEAR or quantity <= 0 or notional < rule["min_notional"] or quantity > rule["most"]:
        return TOO_SMALL
    room = _most_notional(risk["leverage"], brackets[s]) - abs(position["cost"])
    if not np.isnan(risk["max_position"]):
        has = abs(position["cost"]) if rule["size"] == 0 else size * rule["size"]
        room = min(room, (risk["max_position"] - has) * (1.0 if rule["size"] == 0 else 1 / price))
    if notional > room:
        return NO_ROOM
    isolated = 0.0
    for one in range(len(held)):
        isolated += held[one]["isolated"]
    free = book["wallet"] - isolated - reserved - equity * risk["cushion_percent"] / 100
    if notional * (1 / risk["leverage"] + 2 * rule["fee"]) > free:
        return NO_MARGIN
    total = position["quantity"] + side * quantity
    paid = position["cost"] + (side if rule["size"] == 0 else -side) * notional
    forced = _liquidation(total, paid, abs(paid) / risk["leverage"], brackets[s], rule["size"])
    if _too_near(stop, price, forced):
        return LIQUIDATED_BEFORE
    plan[0], plan[1], plan[2], plan[3], plan[4] = unit, atr, stop, goal, quantity
    return OPEN


@_part
def _settle(book, held, due, ticks, time, trades, flows, rules):  # type: ignore[no-untyped-def]
    s = due["symbol"]
    if held[s]["quantity"] == 0:
        return
    mark = ticks[s] * rules[s]["tick"] if np.isnan(due["mark"]) else due["mark"]
    paid = -held[s]["quantity"] * mark * due["rate"]
    if rules[s]["size"] != 0:
        paid = _booked(-held[s]["quantity"] * rules[s]["size"] / mark * due["rate"])
    held[s]["isolated"] += paid
    book["wallet"] += paid
    trades[held[s]["trade"]]["funding"] += paid
    _write(flows, book, time, s, 0.0, paid)


@_part
def _begin_day(book, held, equity):  # type: ignore[no-untyped-def]
    book["day_start"] = equity
    book["lost_day"] = book["won_day"] = False
    for s in range(len(held)):
        held[s]["slipped"] = False


@_part
def _change(rules, changes, first, at, length):  # type: ignore[no-untyped-def]
    """Take the rules that hold by that minute; which are next, and when."""
    while first < len(changes) and changes[first]["minute"] <= at:
        rules[changes[first]["symbol"]] = changes[first]["rules"]
        first += 1
    return first, length if first == len(changes) else min(length, changes[first]["minute"])


@_part
def _holds_nothing(held):  # type: ignore[no-untyped-def]
    for s in range(len(held)):
        if held[s]["quantity"] != 0:
            return False
    return True


@_part
def _pass_over(book, held, at, due, midnight, fundings, next_funding):  # type: ignore[no-untyped-def]
    """Days and settlements while nothing is held; the first settlement that is still to come."""
    last = due - 1 - (due - 1 - midnight) % 1_440
    if last >= max(at, 1):
        _begin_day(book, held, book["wallet"])
    while next_funding < len(fundings) and fundings[next_funding]["minute"] < due:
        next_funding += 1
    return next_funding


@_whole
def run(  # type: ignore[no-untyped-def]
    market,
    signals,
    fundings,
    risks,
    rules,
    changes,
    brackets,
    inside,
    deposit,
    delays,
    room,
    books,
    held,
    trades,
    verdicts,
    flows,
):
    """Fill `trades`, `verdicts` (one a signal), `flows` (what was filled and paid, in order of time) and `book`.

    `delays`: from the close of a candle until its order arrives, and until another of that symbol does."""
    count, length = market.candles.shape
    book = books[0]
    book["wallet"] = book["day_start"] = deposit
    ticks, plans = room.ticks, room.plans
    midnight = -(market.start // MINUTE) % 1_440
    next_signal, next_funding, at, is_open = 0, 0, 0, False
    next_change, changes_at = _change(rules, changes, 0, 0, length)
    while at < length:
        due = changes_at
        if next_signal < len(signals):
            due = min(due, signals[next_signal]["minute"])
        if _holds_nothing(held):
            next_funding = _pass_over(book, held, at + is_open, due, midnight, fundings, next_funding)
        else:
            if next_funding < len(fundings):
                due = min(due, fundings[next_funding]["minute"])
            due = min(due, at + is_open + (midnight - at - is_open) % 1_440)
        hit = _first_event(book, held, at, due, market, rules, brackets, risks)
        if hit < due:
            if hit > at or not is_open:
                _open_minute(book, held, hit, market, trades, flows, rules, brackets)
                for s in range(count):
                    ticks[s] = market.candles[s, hit]["open"]
                _judge(book, _equity(book, held, ticks, rules), risks[0])
            _rest_of_minute(book, held, hit, inside, market, trades, flows, rules, brackets, risks, ticks, room)
            at, is_open = hit + 1, False
            continue
        if due >= length:
            break
        at, is_open = due, True
        for s in range(count):
            ticks[s] = market.candles[s, max(at - 1, 0)]["close"]
        if changes_at <= at:
            next_change, changes_at = _change(rules, changes, next_change, at, length)
        while next_funding < len(fundings) and fundings[next_funding]["minute"] <= at:
            _settle(book, held, fundings[next_funding], ticks, market.start + at * MINUTE, trades, flows, rules)
            next_funding += 1
        if at > 0 and (at - midnight) % 1_440 == 0:
            _begin_day(book, held, _equity(book, held, ticks, rules))
        _open_minute(book, held, at, market, trades, flows, rules, brackets)
        for s in range(count):
            ticks[s] = market.candles[s, at]["open"]
        _judge(book, _equity(book, held, ticks, rules), risks[0])
        last = next_signal
        while last < len(signals) and signals[last]["minute"] <= at:
            last += 1
        offset = delays[0]
        waiting = last > next_signal
        while waiting:
            waiting = False
            choices, taken, opening = room.choices[: last - next_signal], room.taken, room.opening
            choices[:] = 0
            opening[:] = taken[:] = False
            reserved = 0.0
            for k in range(next_signal, last):
                s = signals[k]["symbol"]
                if verdicts[k] not in (UNDECIDED, TURNING) or taken[s]:
                    waiting = waiting or verdicts[k] in (UNDECIDED, TURNING)
                    continue
                if not market.there[s, at]:
                    book["odd"] += 1
                    verdicts[k] = HOLE
                    continue
                choice = _decide(
                    signals[k], verdicts[k] == TURNING, book, held, opening, reserved, ticks, rules, brackets, risks,
                    plans[s],
                )  # fmt: skip
                if choice < 0:
                    verdicts[k] = TAKEN if verdicts[k] == TURNING else choice
                    continue
                choices[k - next_signal] = choice
                taken[s] = True
                verdicts[k] = TURNING if choice == TURN else TAKEN
                waiting = waiting or choice == TURN
                if choice == OPEN:
                    opening[s] = True
                    cost = 1 / risks[s]["leverage"] + 2 * rules[s]["fee"]
                    reserved += _notional(plans[s, 4], signals[k]["price"], rules[s]["size"]) * cost
            for k in range(next_signal, last):
                choice, s = choices[k - next_signal], signals[k]["symbol"]
                if choice == 0:
                    continue
                time = market.start + at * MINUTE + offset
                if choice == OPEN:
                    _enter(
                        book, held[s], s, signals[k]["side"], plans[s, 4], ticks[s], time, k, signals[k], plans[s],
                        trades, flows, rules[s], risks[s],
                    )  # fmt: skip
                else:
                    _leave(book, held[s], s, ticks[s], time, BY_SIGNAL, False, trades, flows, rules[s])
            _judge(book, _equity(book, held, ticks, rules), risks[0])
            offset += delays[1]
        next_signal = last
    for s in range(count):
        ticks[s] = market.candles[s, length - 1]["close"]
    while next_funding < len(fundings) and fundings[next_funding]["minute"] <= length:
        _settle(book, held, fundings[next_funding], ticks, market.start + length * MINUTE, trades, flows, rules)
        next_funding += 1


def extremes(candles: Table, marks: Table, size: int, shift: int) -> Table:
    """Of each block of so many minutes, by either price; the first and the last may be shorter."""
    length = -(-(candles.shape[1] + shift) // size) * size
    found = np.empty((len(candles), length // size), EXTREMES)
    for name, outside in (("high", np.iinfo(np.int32).min), ("low", np.iinfo(np.int32).max)):
        furthest = np.maximum if name == "high" else np.minimum
        padded = np.full((len(candles), length), outside, np.int32)
        either = candles[name] if marks is candles else furthest(candles[name], marks[name])
        padded[:, shift : shift + candles.shape[1]] = either
        found[name] = furthest.reduce(padded.reshape(len(candles), -1, size), axis=2)
    return found
