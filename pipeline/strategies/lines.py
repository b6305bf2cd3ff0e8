"""How traders speak of lines: above and below, crossing, rising. Each answer looks back a bounded number of candles."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.errors import UsageError
from pipeline.periods import Floats
from pipeline.strategies.base import Codes, Kind

Positions = npt.NDArray[np.intp]
Flags = npt.NDArray[np.bool_]

REACH: Final = 20
"""A line that lies exactly on another keeps its side for so many candles; after that it has none."""

NOISE: Final = 1e-12
"""Of the price: a MACD below it is the rounding of doubles, not a movement."""


def side(line: Floats) -> Codes:
    """1 above zero, -1 below; on zero the side it had, if that was within `REACH` candles; NaN is on zero."""
    sides = (line > 0).view(np.int8) - (line < 0).view(np.int8)
    return sides if np.count_nonzero(sides) == len(sides) else _carried(sides)


def crossing(line: Floats) -> Codes:
    """1 where the line goes from below zero to above, -1 the other way. Touching zero and turning back is neither."""
    return changes(side(line))


def changes(sides: Codes) -> Codes:
    """The new side wherever it is another than that of the candle before; from or to no side is no change."""
    changed = np.zeros(len(sides), np.int8)
    changed[1:] = sides[1:] * (sides[1:] * sides[:-1] < 0)
    return changed


def may_cross(previous: float, last: float, noise: float = 0.0) -> bool:
    """False when both values are surely on one side, so that nothing crosses at the last."""
    return not ((previous > noise and last > noise) or (previous < -noise and last < -noise))


def rising(line: Floats) -> Codes:
    """1 where the line is above its last value, -1 where below."""
    turn = np.zeros(len(line), dtype=np.int8)
    turn[1:] = (line[1:] > line[:-1]).view(np.int8) - (line[1:] < line[:-1]).view(np.int8)
    return turn


def all_rising(*lines: Floats) -> Codes:
    """1 where all lines rise together, -1 where all fall together."""
    turns = rising(lines[0])
    for line in lines[1:]:
        turns = turns * (turns == rising(line))
    return turns


def way_of(lines: Sequence[Sequence[float]], at: int) -> int:
    """1 if all lines rise at that place, -1 if all fall: `all_rising` of one candle."""
    if all(line[at] > line[at - 1] for line in lines):
        return 1
    return -int(all(line[at] < line[at - 1] for line in lines))


def without_noise(line: Floats, price: Floats) -> Floats:
    """The line, with what is too small to be a movement of this price (or is not known) set to zero."""
    return np.where(np.abs(line) > price * NOISE, line, 0.0)


def coded(signs: Codes, kind: Kind) -> Codes:
    """The code of that kind wherever the sign is 1 (long) or -1 (short)."""
    codes: Codes = signs * np.int8(kind)
    return codes


def last_true(flags: Flags) -> Positions:
    """At each candle, the position of the latest true one up to it; -1 if there is none."""
    return np.maximum.accumulate(np.where(flags, np.arange(len(flags)), -1))


def before(positions: Positions) -> Positions:
    """The same, as it stood one candle earlier."""
    shifted = np.empty_like(positions)
    shifted[:1] = -1
    shifted[1:] = positions[:-1]
    return shifted


def together(one: Codes, other: Codes, reach: int) -> Codes:
    """Crosses of two lines: the later of two the same way, if it is at most so many candles after the earlier."""
    first, second = last_true(one != 0), last_true(other != 0)
    both = (first >= 0) & (second >= 0) & (np.abs(first - second) <= reach) & (one[first] == other[second])
    return np.where(both & ((one != 0) | (other != 0)), one[first], 0).astype(np.int8)


def after_quiet(signs: Codes, reach: int) -> Codes:
    """Those signs that were not there in the `reach` candles before."""
    kept = np.zeros(len(signs), np.int8)
    for sign in (1, -1):
        at = np.flatnonzero(signs == sign)
        kept[at[:1]] = sign
        kept[at[1:][at[1:] - at[:-1] > reach]] = sign
    return kept


def one_of(strategy: str, name: str, value: object, allowed: Sequence[str]) -> None:
    """Refuse a word that is not one of those."""
    if value not in allowed:
        words = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
        raise UsageError(f"{strategy}: {name} must be {words}, not {value!r}")


def at_least(strategy: str, **limits: tuple[float, float]) -> None:
    """Refuse a parameter that is below its limit: `name=(value, limit)`."""
    for name, (value, limit) in limits.items():
        if not value >= limit:
            raise UsageError(f"{strategy}: {name} must be at least {limit:g}, not {value}")


def in_order(strategy: str, short: int, mid: int, long: int) -> None:
    """Refuse averages that are not short < mid < long."""
    if not 1 < short < mid < long:
        raise UsageError(f"{strategy}: short, mid and long must rise, not {short}, {mid}, {long}")


def _carried(sides: Codes) -> Codes:
    known = last_true(sides != 0)
    near = (known >= 0) & (np.arange(len(sides)) - known <= REACH)
    return np.where(near, sides[np.maximum(known, 0)], 0).astype(np.int8)
