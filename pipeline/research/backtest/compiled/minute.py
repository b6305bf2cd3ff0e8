"""One minute, trade by trade, of all symbols in order of time."""

import numpy as np

from pipeline.research.backtest.compiled.compiling import part
from pipeline.research.backtest.compiled.fills import judge, leave, liquidates, meet
from pipeline.research.backtest.compiled.sums import equity_of
from pipeline.research.backtest.compiled.tables import (
    BY_LIQUIDATION,
    CLOSES,
    FIRST,
    LEAVES,
    MINUTE,
    ONLY_MARK,
    OPTIMISTIC,
    RESOLVED,
    SECOND,
)


@part
def open_minute(  # type: ignore[no-untyped-def]
    book, held, at, is_new_day, market, trades, flows, rules, brackets, risks, ticks
):
    """Its first trade: what it opens beyond is filled there. The price is heard before what it filled; of a new day it
    is not known by then what it began with."""
    time = market.start + at * MINUTE + 1
    for s in range(len(held)):
        ticks[s] = market.candles[s, at]["open"]
    if not is_new_day:
        judge(book, equity_of(book, held, ticks, rules), risks[0])
    for s in range(len(held)):
        if held[s]["quantity"] != 0 and market.there[s, at]:
            opened, mark = market.candles[s, at]["open"], market.marks[s, at]["open"]
            meet(book, held[s], s, opened, mark, time, at, market, trades, flows, rules[s], brackets[s], True)
    judge(book, equity_of(book, held, ticks, rules), risks[0])


@part
def _goes_up_first(market, s, at, inside, held):  # type: ignore[no-untyped-def]
    if inside != RESOLVED:
        helps_first = inside == OPTIMISTIC
        return (held > 0) == helps_first
    candle = market.candles[s, at]
    up, down = candle["high"] - candle["open"], candle["open"] - candle["low"]
    if up != down:
        return up < down
    return held < 0


@part
def _way(candle, up_first, times, prices):  # type: ignore[no-untyped-def]
    high, low = candle["high"], candle["low"]
    times[0], times[1], times[2], times[3], times[4] = 1, LEAVES, FIRST, SECOND, CLOSES
    prices[0] = prices[1] = candle["open"]
    prices[2], prices[3] = (high, low) if up_first else (low, high)
    prices[4] = candle["close"]


@part
def _price_at(times, prices, offset):  # type: ignore[no-untyped-def]
    for leg in range(4):
        if offset <= times[leg + 1]:
            passed = max(0, offset - times[leg])
            return prices[leg] + round((prices[leg + 1] - prices[leg]) * passed / (times[leg + 1] - times[leg]))
    return prices[4]


@part
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


@part
def _sort(times, prices, whose, count):  # type: ignore[no-untyped-def]
    """By time; what is at one time stays in its order."""
    for place in range(1, count):
        time, price, one = times[place], prices[place], whose[place]
        before = place - 1
        while before >= 0 and times[before] > time:
            times[before + 1], prices[before + 1], whose[before + 1] = times[before], prices[before], whose[before]
            before -= 1
        times[before + 1], prices[before + 1], whose[before + 1] = time, price, one


@part
def rest_of_minute(book, held, at, inside, market, trades, flows, rules, brackets, risks, ticks, room):  # type: ignore[no-untyped-def]
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
        for other in range(len(held)):
            ticks[other] = _price_at(times[other], prices[other], offset)
        judge(book, equity_of(book, held, ticks, rules), risks[0])
        if held[s]["quantity"] != 0 and met != ONLY_MARK:
            mark = _price_at(times[s], marks[s], offset)
            meet(book, held[s], s, met, mark, time, at, market, trades, flows, rules[s], brackets[s], False)
        for other in range(len(held)):
            if (other != s or met == ONLY_MARK) and held[other]["quantity"] != 0:
                mark = _price_at(times[other], marks[other], offset)
                if liquidates(held[other], mark * rules[other]["tick"], brackets[other], rules[other]["size"]):
                    leave(book, held[other], other, mark, time, BY_LIQUIDATION, False, trades, flows, rules[other])
        judge(book, equity_of(book, held, ticks, rules), risks[0])
