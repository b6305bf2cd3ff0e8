"""What the rules read and write: columns of numbers, and what the numbers stand for."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

SMALL, LARGE = 15, 480
MINUTE: Final = 60_000
LEAVES, FIRST, SECOND, CLOSES = 10_000, 25_000, 40_000, 55_000
TRIAL, ENTRY, ADD, EXIT = 0, 1, 2, 3
BY_SIGNAL, BY_STOP, BY_TARGET, BY_LIQUIDATION, STILL_OPEN, BY_SETTLEMENT = 0, 1, 2, 3, 4, 5
PESSIMISTIC, RESOLVED, OPTIMISTIC = 0, 1, 2
UNDECIDED, TAKEN, TURNING = 0, 1, 2
OPEN, CLOSE, TURN = 1, 2, 3
(
    HELD_AGAIN, NOTHING_HELD, HELD_BY_ANOTHER, NO_STEP, DAY_IS_OVER, SLIPPED, NO_ATR, PRICE_MOVED, OUTSIDE_BAND,
    TOO_MANY, ENOUGH_HELD, TOO_SOON, NO_STOP, TOO_SMALL, NO_ROOM, NO_MARGIN, LIQUIDATED_BEFORE, HOLE, NO_SHORT,
    NO_SHARE, BEYOND_GROSS, BEYOND_NET, BEYOND_LONGS, BEYOND_SHORTS, BEYOND_MARGIN, BEYOND_OPEN_RISK, BEYOND_GROUP,
    LIKENESS_UNKNOWN, ENDED,
) = range(-1, -30, -1)  # fmt: skip
"""Why a signal is left out."""
LEVEL_NOTIONAL: Final = 50_000.0
NEVER: Final = 2**62
ONLY_MARK: Final = -1
"""Instead of the price of a trade: there was none."""
NEAR: Final = 1e-9
NEARLY: Final = 1e-6
"""So large a part of a sum does not count where it is only looked for what may happen."""

CANDLE = np.dtype([("open", "i4"), ("high", "i4"), ("low", "i4"), ("close", "i4")])
"""Prices in ticks."""
EXTREMES = np.dtype([("high", "i4"), ("low", "i4")])
SIGNAL = np.dtype(
    [("symbol", "i4"), ("minute", "i8"), ("kind", "i1"), ("side", "i1"), ("speaker", "i4"), ("price", "f8"),
     ("atr", "f8"), ("share", "f8")]
)  # fmt: skip
"""A signal: `minute` is the one that opens as it is said; `speaker` is its strategy on its interval; `share`: how much
of the equity that goes by, in percent."""
FUNDING = np.dtype([("minute", "i8"), ("symbol", "i4"), ("rate", "f8"), ("mark", "f8")])
"""A settlement, as `minute` opens. `mark`: NaN where it is the last price."""
TRADE = np.dtype(
    [("symbol", "i4"), ("side", "i1"), ("signal", "i8"), ("opened_at", "i8"), ("closed_at", "i8"), ("quantity", "f8"),
     ("bought", "f8"), ("paid", "f8"), ("sold", "f8"), ("received", "f8"), ("entries", "i4"), ("gross", "f8"),
     ("fees", "f8"), ("funding", "f8"), ("reason", "i1"), ("assumed", "i1")]
)  # fmt: skip
POSITION = np.dtype(
    [("quantity", "f8"), ("cost", "f8"), ("isolated", "f8"), ("stop", "f8"), ("target", "f8"), ("unit", "f8"),
     ("atr", "f8"), ("added_at", "f8"), ("bought", "f8"), ("trial", "?"), ("slipped", "?"), ("speaker", "i4"),
     ("trade", "i8")]
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
     ("up", "f8"), ("down", "f8"), ("low", "f8"), ("high", "f8"), ("fee", "f8"), ("forced", "f8"), ("away", "i8"),
     ("size", "f8"), ("owned", "?")]
)  # fmt: skip
"""Of a symbol. `tick`: of the stored prices; `grid`: of its orders; `fee`: of what is filled at once, and `forced` of
what is liquidated; `away`: how far the best bid and offer are from the last price, in millionths of it; `size`: how
many dollars of a coin a contract is, or 0 where one is worth its price; `owned`: coins change hands. They are paid at
once, and the fee is taken from what is received."""
CHANGE = np.dtype([("minute", "i8"), ("symbol", "i4"), ("rules", RULES)])
"""Other rules of a symbol, as `minute` opens."""
RISK = np.dtype(
    [("unit_percent", "f8"), ("leverage", "f8"), ("trial_units", "f8"), ("entry_units", "f8"), ("add_units", "f8"),
     ("max_units", "f8"), ("stop_atr", "f8"), ("stop_percent", "f8"), ("target_atr", "f8"), ("target_percent", "f8"),
     ("turns_entries", "i1"), ("max_position_percent", "f8"), ("max_position", "f8"), ("cushion_percent", "f8"),
     ("max_open", "i4"), ("max_slippage", "f8"), ("daily_loss", "f8"), ("daily_profit", "f8")]
)  # fmt: skip
"""Of a symbol: those of the settings, with what it has of its own. What is not set is NaN."""
CAPS = np.dtype(
    [("is_set", "?"), ("gross", "f8"), ("net", "f8"), ("side", "f8"), ("margin", "f8"), ("open_risk", "f8"),
     ("group", "f8")]
)  # fmt: skip
"""Of all positions together, in percent of the equity. `is_set`: whether any is; one that is not is NaN."""


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
    sums: Floats


def room_for(symbols: int, signals: int) -> Room:
    """As much of it as so many signals may need at once."""
    ticks, plans = np.zeros(symbols, np.int64), np.zeros((symbols, 7))
    times, prices, marks = np.zeros((3, symbols, 5), np.int64)
    met_at, met, whose = np.zeros((3, symbols * 12), np.int64)
    choices = np.zeros(signals + 1, np.int64)
    taken, opening = np.zeros((2, symbols), np.bool_)
    return Room(ticks, plans, times, prices, marks, met_at, met, whose, choices, taken, opening, np.zeros(6))


class MinuteGrid(NamedTuple):
    """Minutes on one grid, a row a symbol, and the extremes of blocks of them. `ends`: of each symbol the minute before
    which its trading ended for good; `NEVER` where it did not. The first block may be shorter: it lacks
    `shift` minutes at its beginning. `marks`: by mark price; where it is not known, `candles` again. Blocks are as far
    as either goes."""

    start: int
    shift: int
    ends: Integers
    candles: Table
    marks: Table
    there: Flags
    small: Table
    large: Table


def extremes(candles: Table, marks: Table, size: int, shift: int) -> Table:
    """Of each block of so many minutes, by either price; the first and the last may be shorter. A symbol at a time: of
    many of them only the blocks take room."""
    length = -(-(candles.shape[1] + shift) // size) * size
    found = np.empty((len(candles), length // size), EXTREMES)
    for name, outside in (("high", np.iinfo(np.int32).min), ("low", np.iinfo(np.int32).max)):
        furthest = np.maximum if name == "high" else np.minimum
        padded = np.full(length, outside, np.int32)
        for row in range(len(candles)):
            padded[shift : shift + candles.shape[1]] = furthest(candles[name][row], marks[name][row])
            found[name][row] = furthest.reduce(padded.reshape(-1, size), axis=1)
    return found
