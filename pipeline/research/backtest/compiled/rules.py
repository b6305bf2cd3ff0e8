"""A run: from one thing that happens to the next.

Minutes of all symbols lie on one grid. What is due is due where a minute begins.
"""
# ruff: noqa: C901, PLR0912, PLR0915, SIM110 - one state machine, compiled as a whole

import numpy as np

from pipeline.research.backtest.compiled.compiling import part, whole
from pipeline.research.backtest.compiled.decisions import decide
from pipeline.research.backtest.compiled.fills import enter, judge, leave, write
from pipeline.research.backtest.compiled.minute import open_minute, rest_of_minute
from pipeline.research.backtest.compiled.sums import booked, equity_of, floor_to, worth_of
from pipeline.research.backtest.compiled.tables import (
    BY_SETTLEMENT,
    BY_SIGNAL,
    ENDED,
    HOLE,
    MINUTE,
    NEVER,
    OPEN,
    TAKEN,
    TURN,
    TURNING,
    UNDECIDED,
)
from pipeline.research.backtest.compiled.together import beyond_caps
from pipeline.research.backtest.compiled.watching import first_event


@part
def _settle(book, held, due, ticks, time, trades, flows, rules):  # type: ignore[no-untyped-def]
    s = due["symbol"]
    if held[s]["quantity"] == 0:
        return
    mark = ticks[s] * rules[s]["tick"] if np.isnan(due["mark"]) else due["mark"]
    paid = -held[s]["quantity"] * mark * due["rate"]
    if rules[s]["size"] != 0:
        paid = booked(-held[s]["quantity"] * rules[s]["size"] / mark * due["rate"])
    held[s]["isolated"] += paid
    book["wallet"] += paid
    trades[held[s]["trade"]]["funding"] += paid
    write(flows, book, time, s, 0.0, paid)


@part
def _begin_day(book, held, equity):  # type: ignore[no-untyped-def]
    book["day_start"] = equity
    book["lost_day"] = book["won_day"] = False
    for s in range(len(held)):
        held[s]["slipped"] = False


@part
def _change(rules, changes, first, at, length, book, held):  # type: ignore[no-untyped-def]
    """Take the rules that hold by that minute; which are next, and when."""
    while first < len(changes) and changes[first]["minute"] <= at:
        s = changes[first]["symbol"]
        rules[s] = changes[first]["rules"]
        if rules[s]["owned"] and held[s]["quantity"] != 0:
            lots = floor_to(held[s]["quantity"], rules[s]["step"])
            book["odd"] += lots * held[s]["stop"] < rules[s]["min_notional"]  # no stop stands under these
        first += 1
    return first, length if first == len(changes) else min(length, changes[first]["minute"])


@part
def _end(market, at, book, held, ticks, trades, flows, rules):  # type: ignore[no-untyped-def]
    """Settle what is held of symbols whose trading ends as that minute would begin; when the next one's does."""
    upcoming = NEVER
    for s in range(len(held)):
        if market.ends[s] > at:
            upcoming = min(upcoming, market.ends[s])
        elif market.ends[s] == at and held[s]["quantity"] != 0 and not rules[s]["owned"]:
            time = market.start + at * MINUTE
            leave(book, held[s], s, ticks[s], time, BY_SETTLEMENT, False, trades, flows, rules[s])
    return upcoming


@part
def _days_before(market, at):  # type: ignore[no-untyped-def]
    """How often it was midnight (UTC) since the run began."""
    begun = market.start // MINUTE
    return (begun + at) // 1_440 - begun // 1_440


@part
def _holds_nothing(held):  # type: ignore[no-untyped-def]
    for s in range(len(held)):
        if held[s]["quantity"] != 0:
            return False
    return True


@part
def _is_before(fundings, place, due):  # type: ignore[no-untyped-def]
    return place < len(fundings) and fundings[place]["minute"] < due


@part
def _pass_over(book, held, at, due, midnight, fundings, next_funding):  # type: ignore[no-untyped-def]
    """Days and settlements while nothing is held; the first settlement that is still to come."""
    last = due - 1 - (due - 1 - midnight) % 1_440
    if last >= max(at, 1):
        _begin_day(book, held, book["wallet"])
    step = 1
    while _is_before(fundings, next_funding + step - 1, due):
        next_funding, step = next_funding + step, step * 2
    while step > 1:
        step //= 2
        if _is_before(fundings, next_funding + step - 1, due):
            next_funding += step
    return next_funding


@whole
def run(  # type: ignore[no-untyped-def]
    market,
    signals,
    fundings,
    risks,
    rules,
    changes,
    brackets,
    caps,
    alike,
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

    `caps`: of all positions together; `alike`: by the day, of each symbol what moves like it (see `together`).
    `delays`: from the close of a candle until its order arrives, until another of that symbol does, and how much later
    what is held is sold, because its stop has to go first."""
    count, length = market.candles.shape
    book = books[0]
    book["wallet"] = book["day_start"] = deposit
    ticks, plans = room.ticks, room.plans
    midnight = -(market.start // MINUTE) % 1_440
    next_signal, next_funding, at, is_open = 0, 0, 0, False
    next_change, changes_at = _change(rules, changes, 0, 0, length, book, held)
    ends_at = _end(market, 0, book, held, ticks, trades, flows, rules)
    while at < length:
        due = min(changes_at, ends_at)
        if next_signal < len(signals):
            due = min(due, signals[next_signal]["minute"])
        if _holds_nothing(held):
            next_funding = _pass_over(book, held, at + is_open, due, midnight, fundings, next_funding)
        else:
            if next_funding < len(fundings):
                due = min(due, fundings[next_funding]["minute"])
            due = min(due, at + is_open + (midnight - at - is_open) % 1_440)
        hit = first_event(book, held, at, due, market, rules, brackets, risks)
        if hit < due:
            if hit > at or not is_open:
                open_minute(book, held, hit, False, market, trades, flows, rules, brackets, risks, ticks)
            rest_of_minute(book, held, hit, inside, market, trades, flows, rules, brackets, risks, ticks, room)
            at, is_open = hit + 1, False
            continue
        if due >= length:
            break
        at, is_open = due, True
        for s in range(count):
            ticks[s] = market.candles[s, max(at - 1, 0)]["close"]
        if changes_at <= at:
            next_change, changes_at = _change(rules, changes, next_change, at, length, book, held)
        while next_funding < len(fundings) and fundings[next_funding]["minute"] <= at:
            _settle(book, held, fundings[next_funding], ticks, market.start + at * MINUTE, trades, flows, rules)
            next_funding += 1
        is_new_day = at > 0 and (at - midnight) % 1_440 == 0
        if is_new_day:
            _begin_day(book, held, equity_of(book, held, ticks, rules))
        if ends_at <= at:
            ends_at = _end(market, at, book, held, ticks, trades, flows, rules)
        open_minute(book, held, at, is_new_day, market, trades, flows, rules, brackets, risks, ticks)
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
                    book["odd"] += at < market.ends[s]
                    verdicts[k] = HOLE if at < market.ends[s] else ENDED
                    continue
                choice = decide(
                    signals[k], verdicts[k] == TURNING, book, held, opening, reserved, ticks, rules, brackets, risks,
                    plans[s],
                )  # fmt: skip
                if choice == OPEN and caps[0]["is_set"]:
                    choice = beyond_caps(
                        signals[k], market, at, book, held, taken, opening, ticks, rules, risks, plans, caps[0],
                        alike[_days_before(market, at)], room,
                    )  # fmt: skip
                if choice < 0:
                    verdicts[k] = TAKEN if verdicts[k] == TURNING else choice
                    continue
                choices[k - next_signal] = choice
                taken[s] = True
                book["odd"] += rules[s]["owned"] and offset > delays[0]  # two orders of a minute, and a stop between
                verdicts[k] = TURNING if choice == TURN else TAKEN
                waiting = waiting or choice == TURN
                if choice == OPEN:
                    opening[s] = True
                    plans[s, 5], plans[s, 6] = signals[k]["price"], signals[k]["side"]
                    cost = 1 / risks[s]["leverage"] + 2 * rules[s]["fee"]
                    reserved += worth_of(plans[s, 4], signals[k]["price"], rules[s]["size"]) * cost
            for k in range(next_signal, last):
                choice, s = choices[k - next_signal], signals[k]["symbol"]
                if choice == 0:
                    continue
                time = market.start + at * MINUTE + offset
                if choice == OPEN:
                    enter(
                        book, held[s], s, signals[k]["side"], plans[s, 4], ticks[s], time, k, signals[k], plans[s],
                        trades, flows, rules[s], risks[s],
                    )  # fmt: skip
                else:
                    leave(book, held[s], s, ticks[s], time + delays[2], BY_SIGNAL, False, trades, flows, rules[s])
            judge(book, equity_of(book, held, ticks, rules), risks[0])
            offset += delays[1]
        next_signal = last
    for s in range(count):
        ticks[s] = market.candles[s, length - 1]["close"]
    while next_funding < len(fundings) and fundings[next_funding]["minute"] <= length:
        _settle(book, held, fundings[next_funding], ticks, market.start + length * MINUTE, trades, flows, rules)
        next_funding += 1
    _end(market, length, book, held, ticks, trades, flows, rules)
