"""The synthetic price path: one day of one symbol as 1,440 minute candles, from nothing but the day's number.

The level of a day's midnight is a sum over ever shorter spans of time (a Brownian motion by midpoint displacement
around anchors that stay near the symbol's usual price), so any midnight is known without the days before it. Within
the day a heavy-tailed walk of clustered volatility is tied to both midnights, and slow swells make trends.

Each candle comes with its anatomy: how its trades share its volume, in closed form, so that the candle is known without
making its trades and its trades add up to it exactly. Of n trades the first is at the open and the last at the close
(the last two where n is odd and at least 3); the rest are pairs at prices mirrored in the middle of the candle, the
first pair being (high, low). A pair of quantity q therefore turns over exactly q x (high + low), or of an inverse
contract q x the coins at both.

The last minute of a UTC day always trades, so that the price at midnight needs no search backwards.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.simulator.market.randomness import gauss, generator, spread
from pipeline.simulator.market.turnover import Turnover
from pipeline.simulator.types import KLINE, Klines
from pipeline.timeline import DAY, MINUTE

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MINUTES: Final = DAY // MINUTE
MOST_TRADES: Final = 98

ANATOMY: Final = np.dtype(
    [
        ("first", "i8"),  # steps of the first trade
        ("last", "i8"),  # steps at the close
        ("taken_pairs", "i8"),  # pairs whose buyer is the taker
        ("taken", "i8"),  # steps of one side of those pairs
        ("first_taken", "?"),
        ("last_taken", "?"),
    ]
)


@dataclass(frozen=True, slots=True)
class Character:
    """How a symbol behaves: its usual price, the standard deviation of its daily returns, and how busy it is."""

    price: float
    volatility: float = 0.04
    trades: float = 24.0  # a minute
    turnover: float = 50_000.0  # in quote units a minute


class Contract(NamedTuple):
    """What the path needs to know of a symbol."""

    key: int
    character: Character
    tick: float
    step: float
    dollars: float
    """What one is usually worth, in quote units."""
    turnover: Turnover


class Day(NamedTuple):
    """A day's candles, their anatomy, and the price before the first of them."""

    candles: Klines
    anatomy: npt.NDArray[np.void]
    before: int


_TOP: Final = 8  # anchors lie 2**8 days apart
_ANCHOR_SPREAD: Final = 0.22
_LEVELS, _UNREST, _SWELL = 1, 2, 3  # names of the streams of randomness
_SPANS: Final = (720, 240, 60)  # minutes between the nodes of the noises within a day
_SLOW_SPANS: Final = (1, 4, 16, 64)  # days between the nodes of the slow noises
_UNREST_WEIGHTS: Final = (0.22, 0.25, 0.3)
_SLOW_UNREST: Final = (0.2, 0.2, 0.2, 0.15)
_USUAL_UNREST: Final = 0.26  # keeps the mean variance at that of the character
_SWELL_WEIGHTS: Final = (0.22, 0.14, 0.05)
_SLOW_SWELL: Final = (0.45, 0.8, 0.0, 0.0)


def _smooth(fraction: float) -> float:
    return fraction * fraction * (3 - 2 * fraction)


@lru_cache(maxsize=1)
def _nodes() -> tuple[Floats, Floats, Integers, Integers]:
    """Weights of every node of the noises at each minute (for unrest, for swell), and each node's place in the day."""
    position = np.arange(MINUTES + 1)
    columns, spans, offsets, unrest, swell = [], [], [], [], []
    for span, unrest_weight, swell_weight in zip(_SPANS, _UNREST_WEIGHTS, _SWELL_WEIGHTS, strict=True):
        distance = np.minimum(position % span / span, 1.0)
        rising = distance * distance * (3 - 2 * distance)
        for node in range(MINUTES // span + 1):
            columns.append(
                np.where(position // span == node, 1 - rising, np.where(position // span == node - 1, rising, 0))
            )
            spans.append(span)
            offsets.append(node)
            unrest.append(unrest_weight)
            swell.append(swell_weight)
    shape = np.stack(columns, axis=1)
    return shape * np.array(unrest), shape * np.array(swell), np.array(spans), np.array(offsets)


@lru_cache(maxsize=1)
def _season() -> Floats:
    """How busy each minute of the day is: most when London and New York are both at work."""
    angle = 2 * np.pi * (np.arange(MINUTES) - 890) / MINUTES
    season: Floats = 1 + 0.38 * np.cos(angle) + 0.16 * np.cos(2 * angle)
    return season


def _tilt(key: int, stream: int, weights: tuple[float, ...], day: int) -> Floats:
    """The slow noise through the day: straight from one midnight to the next."""
    start, end = (_slow(key, stream, weights, midnight) for midnight in (day, day + 1))
    tilt: Floats = np.linspace(start, end, MINUTES + 1)
    return tilt


@lru_cache(maxsize=16_384)
def _slow(key: int, stream: int, weights: tuple[float, ...], day: int) -> float:
    """The slow noise at the midnight that begins `day`."""
    total = 0.0
    for span, weight in zip(_SLOW_SPANS, weights, strict=True):
        node, place = divmod(day, span)
        here = gauss(key, stream, span, node)
        if place:
            share = _smooth(place / span)
            here += (gauss(key, stream, span, node + 1) - here) * share
        total += weight * here
    return total


@lru_cache(maxsize=16_384)
def _level(key: int, volatility: float, day: int) -> float:
    """The logarithm of the price at the midnight that begins `day`, against the symbol's usual price."""
    span = 1 << _TOP
    node, place = divmod(day, span)
    level = _ANCHOR_SPREAD * gauss(key, _LEVELS, _TOP, node)
    level += (_ANCHOR_SPREAD * gauss(key, _LEVELS, _TOP, node + 1) - level) * (place / span)
    for height in range(_TOP, 0, -1):
        width = 1 << height
        node, place = divmod(day, width)
        if place:
            tent = 1 - abs(2 * place / width - 1)
            level += tent * gauss(key, _LEVELS, height - 1, node) * volatility * (width**0.5) / 2
    return level


def make_day(contract: Contract, day: int, listed: int | None) -> Day:
    """All the minutes of that UTC day; the last one trades for certain, and so does minute number `listed`."""
    dice = generator(contract.key, day)
    prices, scale, unrest = _boundaries(contract, day, dice)
    is_weekend = (day + 3) % 7 >= 5
    pace = _season() * (0.7 if is_weekend else 1.0) * np.exp(0.5 * unrest)
    trades = _trades(contract.character, pace, dice)
    certain = [-1] if listed is None else [listed, -1]
    trades[certain] = np.maximum(trades[certain], 1)
    before, candles = _shape(prices, scale, trades, dice)
    candles["t"] = day * DAY + np.arange(MINUTES) * MINUTE
    _fill(contract, candles, scale, pace, dice)
    return Day(candles, _dissect(contract, candles, dice), before)


def _boundaries(contract: Contract, day: int, dice: np.random.Generator) -> tuple[Integers, Floats, Floats]:
    """Prices in ticks at the 1,441 ends of minutes; each minute's standard deviation in ticks; each minute's unrest."""
    key, character = contract.key, contract.character
    for_unrest, for_swell, spans, offsets = _nodes()
    places = day * (MINUTES // spans) + offsets + spans * (1 << 40)
    unrest = for_unrest @ spread(key ^ _UNREST, places)
    swell = for_swell @ spread(key ^ _SWELL, places)
    unrest += _tilt(key, _UNREST, _SLOW_UNREST, day)
    swell += _tilt(key, _SWELL, _SLOW_SWELL, day)
    unrest = unrest[:-1] - _USUAL_UNREST
    deviation = np.exp(unrest) * np.sqrt(_season()) * (character.volatility / MINUTES**0.5)
    steps = np.clip(dice.standard_t(4, MINUTES), -12, 12) * deviation * 0.5**0.5
    variance = deviation * deviation
    share = np.concatenate(([0.0], np.cumsum(variance)))
    walk = np.concatenate(([0.0], np.cumsum(steps)))
    start, end = (_level(key, character.volatility, midnight) for midnight in (day, day + 1))
    path = start + walk + share * ((end - start - walk[-1]) / share[-1]) + swell * character.volatility
    ticks = np.exp(path) * (character.price / contract.tick)
    return np.maximum(np.rint(ticks).astype(np.int64), 2), deviation * ticks[:-1], unrest


def _trades(character: Character, pace: Floats, dice: np.random.Generator) -> Integers:
    """How many trades each minute has."""
    rate = character.trades * pace * np.exp(0.4 * dice.standard_normal(MINUTES))
    return np.minimum(np.rint(rate), MOST_TRADES).astype(np.int64)


def _shape(prices: Integers, scale: Floats, trades: Integers, dice: np.random.Generator) -> tuple[int, Klines]:
    """Open, high, low and close. A minute without trades repeats the last close."""
    candles = np.zeros(MINUTES, KLINE)
    traded = trades > 0
    last = np.maximum.accumulate(np.where(traded, np.arange(1, MINUTES + 1), 0))
    close = prices[last]
    before = np.concatenate((prices[:1], close[:-1]))
    jump = np.searchsorted((0.15, 0.85), dice.random(MINUTES)) - 1
    opened = np.where(trades > 1, np.maximum(before + jump, 1), close)
    reach = -2 * scale * scale * np.log(dice.random((2, MINUTES)) + 1e-12)
    distance = np.sqrt((close - opened) ** 2 + reach)
    middle = opened + close
    wide = trades >= 4
    top, bottom = np.maximum(opened, close), np.minimum(opened, close)
    high = np.floor((middle + distance[0]) / 2).astype(np.int64)
    low = np.ceil((middle - distance[1]) / 2).astype(np.int64)
    candles["open"], candles["close"], candles["trades"] = opened, close, trades
    candles["high"] = np.where(wide, np.maximum(high, top), top)
    candles["low"] = np.where(wide, np.maximum(np.minimum(low, bottom), 1), bottom)
    return int(prices[0]), candles


def _fill(contract: Contract, candles: Klines, scale: Floats, pace: Floats, dice: np.random.Generator) -> None:
    """Volume: more when the hour is busy, the times are wild or the candle is long; a step for each trade at least."""
    character, trades = contract.character, candles["trades"]
    lots = character.turnover / contract.dollars / contract.step
    length = 0.15 + 0.5 * (candles["high"] - candles["low"]) / np.maximum(scale, 0.5)
    amount = lots * pace * length * np.exp(0.4 * dice.standard_normal(MINUTES))
    thin = np.minimum(trades / character.trades, 1.0)
    candles["volume"] = np.where(trades > 0, trades + np.floor(amount * thin).astype(np.int64), 0)


def _dissect(contract: Contract, candles: Klines, dice: np.random.Generator) -> npt.NDArray[np.void]:
    """Share the volume among the trades; set the turnover and the takers' part of the candles accordingly."""
    volume, trades = candles["volume"], candles["trades"]
    anatomy = np.zeros(MINUTES, ANATOMY)
    pairs = np.maximum(trades - 2, 0) // 2
    spare = volume - trades
    portion = dice.random((2, MINUTES)) / np.maximum(trades, 1)
    first = 1 + np.floor(spare * portion[0]).astype(np.int64)
    mirrored = np.where(
        pairs > 0, pairs + (spare - (first - 1) - np.floor(spare * portion[1]).astype(np.int64)) // 2, 0
    )
    first = np.where(trades == 1, volume, np.where(trades > 0, first, 0))
    last = volume - first - 2 * mirrored
    lean = (candles["close"] - candles["open"]) / np.maximum(candles["high"] - candles["low"], 1)
    buying = np.clip(0.5 + 0.25 * lean + 0.12 * dice.standard_normal(MINUTES), 0.02, 0.98)
    taken_pairs = np.rint(pairs * buying).astype(np.int64)
    free = mirrored - pairs
    taken = np.where(
        taken_pairs == pairs, mirrored, np.where(taken_pairs > 0, taken_pairs + (free * buying).astype(np.int64), 0)
    )
    sides = dice.random((2, MINUTES)) < buying
    anatomy["first"], anatomy["last"], anatomy["taken_pairs"], anatomy["taken"] = first, last, taken_pairs, taken
    anatomy["first_taken"], anatomy["last_taken"] = sides
    low, high = candles["low"], candles["high"]
    opening, closing, lowest, highest = (
        contract.turnover(candles[x], low, high) for x in ("open", "close", "low", "high")
    )
    at_open, at_close, of_pair = opening * first, closing * last, lowest + highest
    candles["quote"] = at_open + at_close + of_pair * mirrored
    candles["taker_base"] = first * sides[0] + last * sides[1] + 2 * taken
    candles["taker_quote"] = at_open * sides[0] + at_close * sides[1] + of_pair * taken
    return anatomy
