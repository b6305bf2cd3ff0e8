"""What an account was worth day by day, and how deep it fell, from what was filled and paid: the curve of a run without
the curve (`curve.py`), to the last bit. Compiled, as the rules are (`compiled.py`).

While what is held stays the same, it goes by the blocks of the grid: one whose prices neither lift the account above
its peak nor let it fall deeper than it has, is passed over.
"""

from typing import Any, Final, NamedTuple

import numpy as np

from pipeline.research.backtest.compiled.compiling import part, whole
from pipeline.research.backtest.compiled.tables import LARGE, SMALL, MinuteGrid, Table
from pipeline.research.backtest.curve import DUST, Worth
from pipeline.research.backtest.minutes import Floats, Integers
from pipeline.timeline import DAY, MINUTE

_A_DAY: Final = DAY // MINUTE
FOUND = np.dtype(
    [("begun", "f8"), ("paid", "f8"), ("inside", "i8"), ("peak", "f8"), ("peak_at", "i8"), ("lowest", "f8"),
     ("deepest", "f8"), ("fall", "f8"), ("fell_from", "i8"), ("deepest_at", "i8")]
)  # fmt: skip
"""Points are counted from the start, which is 0; minute number n ends at n + 1."""


class _Held(NamedTuple):
    """By symbol: all that was ever bought less what was sold, the same without dust, what a minute adds to it, in
    which order the symbols came, and how their contracts are counted."""

    summed: Floats
    now: Floats
    added: Floats
    order: Integers
    sizes: Floats


def marked(flows: Table, begun: float, market: MinuteGrid, ticks: Floats, sizes: Floats) -> Worth:
    """From the flows of a run over that market. `ticks`, `sizes`: of each symbol (`counting.py`)."""
    count, length = market.candles.shape
    first_seen = np.full(count, -1)
    symbols, seen = np.unique(flows["symbol"][flows["change"] != 0], return_index=True)
    first_seen[: len(symbols)] = symbols[np.argsort(seen)]
    places = np.clip((flows["time"] - 1 - market.start) // MINUTE, 0, length - 1)
    if (places[1:] < places[:-1]).any():
        order = np.argsort(places, kind="stable")
        places, flows = places[order], flows[order]
    midnight = -(market.start // MINUTE) % _A_DAY or _A_DAY
    daily, found = np.empty(length // _A_DAY + 3), np.zeros(1, FOUND)
    held = _Held(np.zeros(count), np.zeros(count), np.zeros(count), first_seen, sizes)
    _mark(places, flows, begun, market, ticks, midnight, held, daily, found)
    one = found[0]
    ends = market.start + MINUTE * np.append(np.arange(midnight, length, _A_DAY), length)
    return Worth(
        minutes=length,
        times=np.append(market.start, ends),
        daily=daily[: len(ends) + 1],
        inside=int(one["inside"]),
        peak=float(one["peak"]),
        lowest=float(one["lowest"]),
        deepest_pct=float(one["deepest"]),
        fall=float(one["fall"]),
        fell_from=market.start + int(one["fell_from"]) * MINUTE,
        deepest_at=market.start + int(one["deepest_at"]) * MINUTE,
    )


@part
def _value(price, size):  # type: ignore[no-untyped-def]
    return price if size == 0 else -size / price


@part
def _worth(prices, place, sign, base, held, ticks):  # type: ignore[no-untyped-def]
    """At the worst of these prices, or (`sign` > 0) at the best."""
    found = base
    for s in held.order:
        if s < 0:
            break
        low = held.now[s] * _value(prices[s, place]["low"] * ticks[s], held.sizes[s])
        high = held.now[s] * _value(prices[s, place]["high"] * ticks[s], held.sizes[s])
        found += max(low, high) if sign > 0 else min(low, high)
    return found


@part
def _at_close(candles, place, base, held, ticks):  # type: ignore[no-untyped-def]
    found = base
    for s in held.order:
        if s < 0:
            break
        found += held.now[s] * _value(candles[s, place]["close"] * ticks[s], held.sizes[s])
    return found


@part
def _is_dull(prices, place, base, held, ticks, found):  # type: ignore[no-untyped-def]
    """Whether nothing that is looked for can be in that block."""
    worst = _worth(prices, place, -1, base, held, ticks)
    if worst < found["lowest"] or (found["peak"] - worst) / found["peak"] * 100 > found["deepest"]:
        return False
    return _worth(prices, place, 1, base, held, ticks) <= found["peak"]


@part
def _look(candles, place, base, held, ticks, found):  # type: ignore[no-untyped-def]
    """At one minute."""
    close = _at_close(candles, place, base, held, ticks)
    worst = _worth(candles, place, -1, base, held, ticks)
    if close > found["peak"]:
        found["peak"], found["peak_at"] = close, place + 1
    found["lowest"] = min(found["lowest"], worst)
    low = min(worst, close)
    under = (found["peak"] - low) / found["peak"] * 100
    if under > found["deepest"]:
        found["deepest"], found["fall"] = under, found["peak"] - low
        found["fell_from"], found["deepest_at"] = found["peak_at"], place + 1


@part
def _take(flows, places, flow, held, found, dust):  # type: ignore[no-untyped-def]
    """What was filled and paid in the minute of that flow; the first flow after it."""
    spent, at = 0.0, places[flow]
    held.added[:] = 0.0
    while flow < len(places) and places[flow] == at:
        spent += flows[flow]["cash"]
        held.added[flows[flow]["symbol"]] += flows[flow]["change"]
        flow += 1
    for s in range(len(held.now)):
        held.summed[s] += held.added[s]
        held.now[s] = 0.0 if abs(held.summed[s]) < dust else held.summed[s]
    found["paid"] += spent
    return flow


@part
def _dull_from(market, at, until, sizes, base, held, ticks, found):  # type: ignore[no-untyped-def]
    """How many minutes from there on hold nothing that is looked for, by the blocks that begin there."""
    place = at + market.shift
    small, large = sizes
    if place % large == 0 and at + large <= until and _is_dull(market.large, place // large, base, held, ticks, found):
        return large
    if place % small == 0 and at + small <= until and _is_dull(market.small, place // small, base, held, ticks, found):
        return small
    return 0


@part
def _pass(market, first, until, sizes, held, ticks, found):  # type: ignore[no-untyped-def]
    """While what is held stays the same; what it is worth at the end."""
    base, at, is_in = found["begun"] + found["paid"], first, False
    for s in range(len(held.now)):
        is_in = is_in or held.now[s] != 0
    if is_in:
        found["inside"] += until - first
        while at < until:
            dull = _dull_from(market, at, until, sizes, base, held, ticks, found)
            if dull == 0:
                _look(market.candles, at, base, held, ticks, found)
            at += max(dull, 1)
    elif until > first:
        _look(market.candles, first, base, held, ticks, found)
    return _at_close(market.candles, max(until - 1, 0), base, held, ticks)


def _compiled(sizes: tuple[int, int], dust: float, a_day: int) -> Any:
    """What is compiled is kept by this file, and by what is given here."""

    def mark(places, flows, begun, market, ticks, midnight, held, daily, table):  # type: ignore[no-untyped-def]
        """Fill `daily` and the one row of `table`."""
        found, length = table[0], market.candles.shape[1]
        found["begun"] = found["peak"] = found["lowest"] = daily[0] = begun
        days, at, flow = 1, 0, 0
        while at < length:
            if flow < len(places) and places[flow] == at:
                flow = _take(flows, places, flow, held, found, dust)
            until = min(midnight, length)
            if flow < len(places):
                until = min(until, places[flow])
            worth = _pass(market, at, until, sizes, held, ticks, found)
            at = until
            if at in (midnight, length):
                daily[days] = worth
                days += 1
                midnight += a_day if at == midnight else 0

    return whole(mark)


_mark = _compiled((SMALL, LARGE), DUST, _A_DAY)
