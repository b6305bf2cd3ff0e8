"""What an account was worth, day by day, and how deep it fell, from what was filled and paid: compiled, for a search.

It is the curve of a backtest (`backtest/curve.py`) without the curve: the same sums in the same order, so that the
figures are the same to the last bit. Where nothing is held, minutes cost nothing.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipeline.timeline import DAY, MINUTE

Floats = npt.NDArray[np.float64]
Ticks = npt.NDArray[np.int32]

_DUST: Final = 1e-12


class Marked(NamedTuple):
    """`daily`: the worth at the start, at each midnight (UTC), and at the end."""

    daily: Floats
    deepest_pct: float
    minutes_in: int
    """At whose end anything was held."""


def marked(
    flows: npt.NDArray[np.void], begun: float, start: int, prices: tuple[Ticks, Ticks, Ticks], ticks: Floats
) -> Marked:
    """From the flows of a run. `prices`: close, low and high of each minute in ticks, a row a symbol."""
    length = prices[0].shape[1]
    places = np.clip((flows["time"] - 1 - start) // MINUTE, 0, length - 1)
    order = np.argsort(places, kind="stable")
    first_midnight = int(-(start // MINUTE) % (DAY // MINUTE)) or DAY // MINUTE
    symbols, changes, cash = (np.ascontiguousarray(flows[name][order]) for name in ("symbol", "change", "cash"))
    daily = np.empty(length // (DAY // MINUTE) + 3)
    count, deepest, inside = _mark(
        places[order], symbols, changes, cash, float(begun), *prices, ticks, first_midnight, daily
    )
    return Marked(daily[:count].copy(), float(deepest), int(inside))


@njit(cache=True)
def _mark(places, symbols, changes, cash, begun, close, low, high, ticks, midnight, daily):  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912
    count, length = close.shape
    held, summed = np.zeros(count), np.zeros(count)
    turns, turned = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    met = 0
    paid, peak, deepest = 0.0, begun, 0.0
    daily[0] = begun
    days, inside, flow, at = 1, 0, 0, 0
    while at < length:
        spent = 0.0
        if flow < len(places) and places[flow] == at:
            added = np.zeros(count)
            while flow < len(places) and places[flow] == at:
                s = symbols[flow]
                spent += cash[flow]
                if changes[flow] != 0:
                    added[s] += changes[flow]
                    if not turned[s]:
                        turns[met], turned[s] = s, True
                        met += 1
                flow += 1
            for s in range(count):
                summed[s] += added[s]
                held[s] = 0.0 if abs(summed[s]) < _DUST else summed[s]
        paid += spent
        until = places[flow] if flow < len(places) else length
        is_in = False
        for s in range(count):
            is_in = is_in or held[s] != 0
        while at < until:
            worth = worst = begun + paid
            for place in range(met):
                s = turns[place]
                if held[s] != 0:
                    one, other = held[s] * (low[s, at] * ticks[s]), held[s] * (high[s, at] * ticks[s])
                    worth += held[s] * (close[s, at] * ticks[s])
                    worst += min(one, other)
            peak = max(peak, worth)
            deepest = max(deepest, (peak - min(worst, worth)) / peak * 100)
            inside += is_in
            last = at
            if not is_in:
                last = min(until, midnight) - 1 if midnight > at else at
            at = last + 1
            if at in {midnight, length}:
                daily[days] = worth
                days += 1
                if at == midnight:
                    midnight += 1_440
    return days, deepest, inside
