"""A market made of numbers: any candle of any symbol at any time, from a seed, without a history kept.

The path of a day comes from `path`, the trades of a minute from `trades`; `candle_market` makes every interval of them.
"""

from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import Final

import numpy as np

from pipeline.simulator.market.aggregate import aggregate
from pipeline.simulator.market.candles import CandleMarket, Life
from pipeline.simulator.market.memory import Memory
from pipeline.simulator.market.path import Contract, Day, make_day
from pipeline.simulator.market.randomness import key_of, mix
from pipeline.simulator.market.trades import make_ticks
from pipeline.simulator.market.turnover import turnover_of
from pipeline.simulator.market.universe import character_of
from pipeline.simulator.types import KLINE, Klines, SymbolSpec, Tick
from pipeline.timeline import DAY, HOUR, INTERVALS, MINUTE

_HOUR: Final = INTERVALS["1h"]
_DAYS_REMEMBERED: Final = 1_024  # of minutes: 170 kB each
_DAYS_OF_HOURS_REMEMBERED: Final = 32_768  # 2 kB each


class SyntheticMarket(CandleMarket):
    """Prices for those symbols; the same for the same seed and symbol, in every process, for ever."""

    cuts = True

    def __init__(self, seed: int, specs: Mapping[str, SymbolSpec]) -> None:
        super().__init__(specs, INTERVALS["1m"], {symbol: _life(spec) for symbol, spec in specs.items()})
        self._contracts = {symbol: _contract(seed, spec) for symbol, spec in specs.items()}
        self._days: Memory[tuple[str, int], Day] = Memory(_DAYS_REMEMBERED, self._make_day)
        self._hours_of_days: Memory[tuple[str, int], Klines] = Memory(_DAYS_OF_HOURS_REMEMBERED, self._make_hours)

    def _forget(self) -> None:
        super()._forget()
        self._hours_of_days.forget()

    def _base_candles(self, symbol: str, start: int, until: int) -> Klines:
        life = self._lives[symbol]
        start, until = max(start, life.start), min(until, life.end)
        if until <= start:
            return np.empty(0, KLINE)
        days = [self._days[symbol, day].candles for day in range(start // DAY, -(-until // DAY))]
        days[-1] = days[-1][: ((until - 1) % DAY) // MINUTE + 1]
        days[0] = days[0][start % DAY // MINUTE :]
        return np.concatenate(days)

    def _hours(self, symbol: str, start: int, until: int) -> Klines:
        life = self._lives[symbol]
        start, until = max(start, life.start - life.start % HOUR), min(until, life.end)
        if until <= start:
            return np.empty(0, KLINE)
        hours = np.concatenate([self._hours_of_days[symbol, day] for day in range(start // DAY, -(-until // DAY))])
        first, last = np.searchsorted(hours["t"], (start, until))
        return hours[first:last]

    def _trades(self, symbol: str, opened: int) -> list[Tick]:
        day, at = self._days[symbol, opened // DAY], opened % DAY // MINUTE
        dice = Random(mix(self._contracts[symbol].key, opened // MINUTE))
        return make_ticks(day.candles[at], day.anatomy[at], dice)

    def _price_before(self, symbol: str, opened: int) -> int:
        day, at = self._days[symbol, opened // DAY], opened % DAY // MINUTE
        if opened == self._lives[symbol].start:
            return int(day.candles["open"][at])
        return int(day.candles["close"][at - 1]) if at else day.before

    def _make_day(self, question: tuple[str, int]) -> Day:
        symbol, day = question
        start = self._lives[symbol].start
        return make_day(self._contracts[symbol], day, listed=start % DAY // MINUTE if start // DAY == day else None)

    def _make_hours(self, question: tuple[str, int]) -> Klines:
        """The hours of that day. Its minutes are not kept: a long history would push the present out of memory."""
        minutes = (self._days.peek(question) or self._make_day(question)).candles
        life = self._lives[question[0]]
        alive = (minutes["t"] >= life.start) & (minutes["t"] < life.end)
        return aggregate(minutes[alive], _HOUR)


def _life(spec: SymbolSpec) -> Life:
    start = spec.onboard - spec.onboard % MINUTE
    return Life(start, spec.delivery - spec.delivery % MINUTE if spec.tick else start)


def _contract(seed: int, spec: SymbolSpec) -> Contract:
    """What is traded under several names walks one path: the underlying's."""
    character, key = character_of(spec), key_of(seed, spec.underlying or spec.symbol)
    dollars = float(spec.worth.turnover(Decimal(character.price)))
    return Contract(key, character, float(spec.tick), float(spec.step), dollars, turnover_of(spec))
