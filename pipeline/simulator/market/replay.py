"""A market that plays recorded candles again as if they happened now. Invents no price outside a recorded candle.

The recording is shifted by whole days (short ones by whole hours or candles), so that at `epoch` most of it is history
and the rest is still to come; when it is over, trading is over. Candles smaller than the recorded ones are refused.

A recording has no trades, so they are made: one step each at the open, the high, the low and the close; for each side
(buyer or seller taking) the remaining volume at that side's average price, spread out in mirrored pairs around it. So
volume, turnover and the takers' part of every candle are those of the file, to the last step. What cannot be traded is
mended, as little as possible: a candle that moved needs four steps, and an average lies within low and high.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.errors import UsageError
from pipeline.simulator.market.aggregate import aggregate
from pipeline.simulator.market.candles import CandleMarket, Life
from pipeline.simulator.market.randomness import key_of, mix
from pipeline.simulator.market.replay_file import Integers, Recording
from pipeline.simulator.market.trades import Deal, in_three_legs, shares, timed
from pipeline.simulator.types import Klines, SymbolSpec, Tick
from pipeline.timeline import DAY, HOUR, INTERVALS

Flags = npt.NDArray[np.bool_]

_LARGEST_REST: Final = 30 * DAY
_ANCHORS: Final = 4  # open, high, low, close
_PAIRS: Final = (3, 12)  # a side has at least, and up to so many more, where its volume allows


class _Reel(NamedTuple):
    """A shifted recording: its candles, complete with trades, and their hours."""

    candles: Klines
    hours: Klines


class ReplayMarket(CandleMarket):
    """Those recordings, by symbol, as a market whose present is about `epoch`. All of one interval."""

    def __init__(self, recordings: Mapping[str, Recording], epoch: int, seed: int = 0) -> None:
        bases = {recording.interval for recording in recordings.values()}
        if len(bases) != 1:
            found = ", ".join(f"{symbol} {each.interval}" for symbol, each in recordings.items()) or "none"
            raise UsageError(f"recordings that replay together have one interval; these are {found}")
        (base,) = bases
        self._reels = {symbol: _reel(recording, epoch) for symbol, recording in recordings.items()}
        lives = {
            symbol: Life(int(reel.candles["t"][0]), base.after(int(reel.candles["t"][-1])))
            for symbol, reel in self._reels.items()
        }
        specs = {symbol: _spec(symbol, each, lives[symbol]) for symbol, each in recordings.items()}
        self._keys = {symbol: key_of(seed, symbol) for symbol in recordings}
        super().__init__(specs, base, lives)

    def _base_candles(self, symbol: str, start: int, until: int) -> Klines:
        return _between(self._reels[symbol].candles, start, until)

    def _hours(self, symbol: str, start: int, until: int) -> Klines:
        return _between(self._reels[symbol].hours, start, until)

    def _trades(self, symbol: str, opened: int) -> list[Tick]:
        candle = self._reels[symbol].candles[self._at(symbol, opened)]
        dice = Random(mix(self._keys[symbol], opened))
        return timed(opened, self._length, _deals(candle, dice), dice)

    def _price_before(self, symbol: str, opened: int) -> int:
        at, candles = self._at(symbol, opened), self._reels[symbol].candles
        return int(candles["close"][at - 1]) if at else int(candles["open"][0])

    def _at(self, symbol: str, opened: int) -> int:
        return (opened - self._lives[symbol].start) // self._length


@dataclass(frozen=True, slots=True)
class _Side:
    """What one side takes besides the anchors: `pairs` around `price`, `odd` at it, `above` one tick above it."""

    price: Integers
    above: Integers
    mirrored: Integers
    odd: Integers
    pairs: Integers


def _side(volume: Integers, turnover: Integers, times: Integers) -> _Side:
    """Any turnover is the volume at its average, rounded down, and the remainder one tick above."""
    price, above = np.divmod(turnover, np.maximum(volume, 1))
    at_price = volume - above
    least, more = _PAIRS
    pairs = np.minimum(at_price // 2, least + (times // HOUR * 7 + times // 60_000) % more)
    return _Side(price, above, at_price // 2, at_price % 2, pairs)


def _sides(candles: Klines) -> tuple[_Side, _Side]:
    """The takers' side and the makers'; the anchors belong to the larger."""
    anchors = candles["open"] + candles["high"] + candles["low"] + candles["close"]
    traded, taken_more = candles["volume"] > 0, _is_mostly_taken(candles)
    of_takers = np.where(traded & taken_more, 1, 0)
    of_makers = np.where(traded & ~taken_more, 1, 0)
    taken = candles["taker_base"] - _ANCHORS * of_takers
    made = candles["volume"] - candles["taker_base"] - _ANCHORS * of_makers
    paid = candles["taker_quote"] - anchors * of_takers
    received = candles["quote"] - candles["taker_quote"] - anchors * of_makers
    return _side(taken, paid, candles["t"]), _side(made, received, candles["t"])


def _is_mostly_taken(candles: Klines) -> Flags:
    mostly: Flags = 2 * candles["taker_base"] >= candles["volume"]
    return mostly


def _reel(recording: Recording, epoch: int) -> _Reel:
    candles = recording.candles.copy()
    candles["t"] += _shift(recording, epoch)
    _mend(candles)
    trades = np.where(candles["volume"] > 0, _ANCHORS, 0)
    for side in _sides(candles):
        trades += (side.above > 0) + side.odd + 2 * side.pairs
    candles["trades"] = trades
    return _Reel(candles, aggregate(candles, INTERVALS["1h"]))


def _shift(recording: Recording, epoch: int) -> int:
    """How far to move it so that its last quarter, 30 days of it at most, is still to come at `epoch`."""
    opened, length = recording.candles["t"], int(recording.candles["t"][1] - recording.candles["t"][0])
    end = int(opened[-1]) + length
    rest = min((end - int(opened[0])) // 4, _LARGEST_REST)
    unit = next((unit for unit in (DAY, HOUR) if 2 * unit <= rest), length)
    return (epoch - (end - rest)) // unit * unit


def _mend(candles: Klines) -> None:
    """Make every candle one that trades can build."""
    is_flat = candles["high"] == candles["low"]
    silent = (candles["volume"] == 0) & is_flat
    candles["volume"] = np.where(silent, 0, np.maximum(candles["volume"], _ANCHORS))
    _repeat_last_close(candles, silent)
    volume, taken = candles["volume"], candles["taker_base"]
    mostly_taken = _is_mostly_taken(candles)
    too_even = np.maximum(taken, volume - taken) < _ANCHORS
    taken = np.where(too_even, np.where(mostly_taken, volume, 0), taken)
    anchors = candles["open"] + candles["high"] + candles["low"] + candles["close"]
    paid = _within(candles, candles["taker_quote"], taken, mostly_taken, anchors)
    made = candles["quote"] - candles["taker_quote"]
    received = _within(candles, made, volume - taken, ~mostly_taken, anchors)
    candles["taker_base"], candles["taker_quote"], candles["quote"] = taken, paid, paid + received


def _repeat_last_close(candles: Klines, silent: Flags) -> None:
    last = np.maximum.accumulate(np.where(silent, 0, np.arange(len(candles))))
    for name in ("open", "high", "low", "close"):
        candles[name] = np.where(silent, candles["close"][last], candles[name])


def _within(
    candles: Klines, turnover: Integers, volume: Integers, anchored: Flags,
    anchors: Integers,
) -> Integers:  # fmt: skip
    """The nearest turnover that this volume can have between low and high."""
    fixed = np.where(anchored & (volume > 0), anchors, 0)
    free = np.where(anchored & (volume > 0), volume - _ANCHORS, volume)
    nearest: Integers = np.clip(turnover, fixed + free * candles["low"], fixed + free * candles["high"])
    return nearest


def _deals(candle: np.void, dice: Random) -> list[Deal]:
    """The trades of a candle in the order of a walk through its prices."""
    if not candle["volume"]:
        return []
    row = np.array([candle])
    maker_anchors = not bool(_is_mostly_taken(row)[0])
    opened, high, low, close = (Deal(int(candle[name]), 1, maker_anchors) for name in ("open", "high", "low", "close"))
    between = [high, low]
    for side, buyer_is_maker in zip(_sides(row), (False, True), strict=True):
        between += _spread(side, buyer_is_maker, low.price, high.price, dice)
    return [opened, *in_three_legs(candle, between, dice), close]


def _spread(side: _Side, buyer_is_maker: bool, low: int, high: int, dice: Random) -> list[Deal]:
    price, above, odd = int(side.price[0]), int(side.above[0]), int(side.odd[0])
    deals = [Deal(price + 1, above, buyer_is_maker)] if above else []
    if odd:
        deals.append(Deal(price, odd, buyer_is_maker))
    for quantity in shares(int(side.mirrored[0]), int(side.pairs[0]), dice):
        away = int(dice.random() * (min(price - low, high - price) + 1))
        deals += [Deal(price + away, quantity, buyer_is_maker), Deal(price - away, quantity, buyer_is_maker)]
    return deals


def _spec(symbol: str, recording: Recording, life: Life) -> SymbolSpec:
    """The contract on the recording's grid, with filters that suit its price."""
    price = recording.candles["close"][-1] * float(recording.tick)
    largest = 10 ** max(round(np.log10(6e7 / price)), 0)
    return SymbolSpec(
        symbol=symbol,
        base=symbol.removesuffix("USDT"),
        quote="USDT",
        tick=recording.tick,
        step=recording.step,
        onboard=life.start,
        delivery=life.end,
        max_quantity=Decimal(largest),
        market_max_quantity=Decimal(max(largest // 10, 1)),
        price_precision=_digits(recording.tick),
        quantity_precision=_digits(recording.step),
    )


def _digits(unit: Decimal) -> int:
    return len(f"{unit:f}".partition(".")[2])


def _between(candles: Klines, start: int, until: int) -> Klines:
    first, last = np.searchsorted(candles["t"], (start, until))
    return candles[first:last]
