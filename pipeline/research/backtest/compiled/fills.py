"""What is filled: by how much holding, wallet and trade change with an order, and when one that waits is."""

import numpy as np

from pipeline.research.backtest.compiled.compiling import part
from pipeline.research.backtest.compiled.sums import booked, floor_to, kept_of, maintenance, value_of, worth_of
from pipeline.research.backtest.compiled.tables import (
    BY_LIQUIDATION,
    BY_SETTLEMENT,
    BY_SIGNAL,
    BY_STOP,
    BY_TARGET,
    LEVEL_NOTIONAL,
    NEAR,
    STILL_OPEN,
    TRIAL,
)


@part
def sweep(rules, side, quantity, last, mark, entered, leverage):  # type: ignore[no-untyped-def]
    """(filled, paid) of a market order: level by level, no further than the band. And of contracts of a coin, which are
    booked level by level: fee, profit over the value at which it was `entered`, and margin. Of coins that change hands:
    the fee, in what is received, and in money."""
    half = max(1, last * rules["away"] // 1_000_000)
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
        paid += worth_of(taken, level, size)
        if size != 0:
            worth = taken * size / level
            fee += booked(worth * rules["fee"])
            gain += booked(side * taken * (entered + size / level))
            margin += booked(worth / leverage)
        elif rules["owned"]:
            kept = kept_of(taken * rules["fee"]) if side > 0 else kept_of(taken * level * rules["fee"])
            fee += kept
            gain += kept * level if side > 0 else kept
        quantity -= taken
        level += width
    return filled, paid, fee, gain, margin


@part
def write(flows, book, time, symbol, change, cash):  # type: ignore[no-untyped-def]
    row = flows[book["flows"]]
    row["time"], row["symbol"], row["change"], row["cash"] = time, symbol, change, cash
    book["flows"] += 1


@part
def judge(book, equity, risk):  # type: ignore[no-untyped-def]
    """Whether the day's loss or profit is reached: nothing is opened until the next."""
    change = (equity - book["day_start"]) / book["day_start"] * 100
    if change <= -risk["daily_loss"]:
        book["lost_day"] = True
    elif change >= risk["daily_profit"]:
        book["won_day"] = True


@part
def _sell(book, position, s, last, time, reason, assumed, trades, flows, rules):  # type: ignore[no-untyped-def]
    """All lots of coins. What is left over counts for nothing."""
    held, price = position["quantity"], last * rules["tick"]
    lots = floor_to(held, rules["step"])
    filled, paid, fee, _, _ = sweep(rules, -1, lots, last, price, 0.0, 1.0)
    is_refused = lots < rules["least"] - NEAR or (reason == BY_SIGNAL and lots * price < rules["min_notional"])
    if lots - filled > NEAR or lots > rules["most"] + NEAR or is_refused:
        book["odd"] += 1  # one order does not sell all of it
    gained = paid - position["cost"]
    book["wallet"] += gained - fee
    trade = trades[position["trade"]]
    trade["sold"] += filled
    trade["received"] += paid
    trade["gross"] += gained + trade["fees"]
    trade["fees"] += fee
    write(flows, book, time, s, -held, paid - fee)
    position["quantity"] = position["cost"] = position["isolated"] = position["bought"] = 0.0
    trade["closed_at"], trade["reason"], trade["assumed"] = time, reason, assumed


@part
def leave(book, position, s, last, time, reason, assumed, trades, flows, rules):  # type: ignore[no-untyped-def]
    """Close all of it at market, or, by force, at the mark price, or at the last one because its trading has ended."""
    if rules["owned"]:
        _sell(book, position, s, last, time, reason, assumed, trades, flows, rules)
        return
    size, tick = abs(position["quantity"]), rules["tick"]
    side = -1 if position["quantity"] > 0 else 1
    in_coins, entered, rate = rules["size"] != 0, position["cost"] / position["quantity"], rules["fee"]
    if reason in (BY_LIQUIDATION, BY_SETTLEMENT):
        price, rate = last * tick, rules["forced"] if reason == BY_LIQUIDATION else 0.0
        filled, paid = size, size * last * tick
        fee = gain = 0.0
        if in_coins:
            paid = worth_of(size, price, rules["size"])
            fee, gain = booked(paid * rate), booked(side * size * (entered + rules["size"] / price))
    else:
        filled, paid, fee, gain, _ = sweep(rules, side, size, last, last * tick, entered, 1.0)
    if size - filled > NEAR or size > rules["most"] + NEAR or size - floor_to(size, rules["step"]) > NEAR:
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
    write(flows, book, time, s, side * filled, cash - fee)
    position["quantity"] *= 1 - share
    position["cost"] *= 1 - share
    position["isolated"] *= 1 - share
    if reason == BY_LIQUIDATION and book["wallet"] < floor:
        borne = floor - book["wallet"]
        trade["gross"] += borne
        write(flows, book, time, s, 0.0, borne)
        book["wallet"] = floor
    if abs(position["quantity"]) < NEAR:
        position["quantity"] = position["cost"] = position["isolated"] = position["bought"] = 0.0
        trade["closed_at"], trade["reason"], trade["assumed"] = time, reason, assumed


@part
def enter(book, position, s, side, size, last, time, number, signal, plan, trades, flows, rules, risk):  # type: ignore[no-untyped-def]
    """Fill an entry; `plan`: unit, ATR, stop and target that come with it."""
    filled, paid, fee, charged, margin = sweep(rules, side, size, last, last * rules["tick"], 0.0, risk["leverage"])
    if size - filled > NEAR:
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
    average, cost, got = paid / filled, side * paid, filled
    if rules["owned"]:
        got, fee, margin = filled - fee, 0.0, paid
    elif rules["size"] == 0:
        fee, margin, charged = paid * rules["fee"], paid / risk["leverage"], paid * rules["fee"]
    else:
        average, cost, charged = filled * rules["size"] / paid, -side * paid, fee
    book["wallet"] -= fee
    position["quantity"] += side * got
    position["cost"] += cost
    position["bought"] += filled
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
    trade["fees"] += charged
    trade["quantity"] = max(trade["quantity"], abs(position["quantity"]))
    write(flows, book, time, s, side * got, -cost - fee)
    worse = (average - signal["price"]) * side
    if worse / signal["price"] * 100 > risk["max_slippage"]:
        position["slipped"] = True


@part
def liquidates(position, price, brackets, size):  # type: ignore[no-untyped-def]
    worth = position["quantity"] * value_of(price, size)
    margin = position["isolated"] + worth - position["cost"]
    return margin <= maintenance(abs(worth), brackets)


@part
def meet(book, position, s, last, mark, time, at, market, trades, flows, rules, brackets, gap):  # type: ignore[no-untyped-def]
    """The market at these prices: the mark price is looked at, then stop and target see the trade."""
    price = last * rules["tick"]
    if liquidates(position, mark * rules["tick"], brackets, rules["size"]):
        leave(book, position, s, mark, time, BY_LIQUIDATION, False, trades, flows, rules)
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
        leave(book, position, s, last, time, reason, assumed, trades, flows, rules)
