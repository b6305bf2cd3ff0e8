"""A market made of numbers: any candle of any symbol at any time, from a seed, without a history kept.

The path of a day comes from `path`, the trades of a minute from `trades`; here they become candles of every interval.
What is remembered is bounded and never changes an answer. Not for use from several threads at once.
"""

from collections.abc import Mapping
from decimal import Decimal
from random import Random
from typing import NamedTuple

import numpy as np

from pipeline.simulator.aggregate import aggregate, whole
from pipeline.simulator.errors import ApiError
from pipeline.simulator.memory import Memory
from pipeline.simulator.path import Contract, Day, make_day
from pipeline.simulator.randomness import key_of, mix
from pipeline.simulator.trades import Tape, make_tape, make_ticks
from pipeline.simulator.types import KLINE, Klines, SymbolSpec, Tick
from pipeline.simulator.universe import character_of
from pipeline.timeline import DAY, HOUR, INTERVALS, MINUTE, Interval

_HOUR = INTERVALS["1h"]
_MARK_DIGITS = Decimal("0.00000001")

DAYS_REMEMBERED = 1_024  # of minutes: 170 kB each
DAYS_OF_HOURS_REMEMBERED = 32_768  # 2 kB each
TAPES_REMEMBERED = 2_048  # about 10 kB each
BEGINNINGS_REMEMBERED = 8_192


class _Life(NamedTuple):
    """When a symbol trades: from `start`, until before `end`, in whole minutes."""

    start: int
    end: int


class SyntheticMarket:
    """Prices for those symbols; the same for the same seed and symbol, in every process, for ever."""

    def __init__(self, seed: int, specs: Mapping[str, SymbolSpec]) -> None:
        self.specs = dict(specs)
        self._seed = seed
        self._contracts: dict[str, Contract] = {}
        self._days: Memory[tuple[str, int], Day] = Memory(DAYS_REMEMBERED, self._make_day)
        self._hours: Memory[tuple[str, int], Klines] = Memory(DAYS_OF_HOURS_REMEMBERED, self._make_hours)
        self._tapes: Memory[tuple[str, int], Tape] = Memory(TAPES_REMEMBERED, self._make_tape)
        self._beginnings: Memory[tuple[str, Interval, int], Klines] = Memory(
            BEGINNINGS_REMEMBERED, self._make_beginning
        )

    def klines(self, symbol: str, interval: Interval, start: int, end: int) -> Klines:
        """The full candles that open in [start, end], from listing on."""
        life = self._life(symbol)
        if life is None:
            return np.empty(0, KLINE)
        first = interval.ceil(max(start, interval.floor(life.start)))
        last = interval.floor(min(end, life.end - 1))
        if last < first:
            return np.empty(0, KLINE)
        until = interval.after(last)
        if interval.milliseconds is not None and interval.milliseconds < HOUR:
            minutes = self._minutes(symbol, first, until)
            return minutes if interval.milliseconds == MINUTE else aggregate(minutes, interval)
        return aggregate(self._full_hours(symbol, first, until), interval)

    def forming(self, symbol: str, interval: Interval, now: int) -> tuple[Klines, int]:
        """The candle that contains `now` from the ticks up to `now`, and the time of the last of them."""
        self._listed(symbol, now)
        minute = now - now % MINUTE
        opened = interval.floor(now)
        tape = self._tapes[symbol, minute]
        seen = tape.seen(now)
        beginning = [] if minute == opened else [self._beginnings[symbol, interval, minute]]
        parts = [part for part in (*beginning, tape.so_far[max(seen - 1, 0) : seen]) if len(part)]
        traded = tape.times[seen - 1] if seen else self._last_trade(symbol, opened, minute)
        if not parts:
            return self._empty(opened, self._close_before(symbol, minute)), traded
        if len(parts) == 1 and parts[0]["t"][0] == opened:
            return parts[0].copy(), traded
        return whole(np.concatenate(parts), opened), traded

    def ticks(self, symbol: str, after: int, until: int) -> list[Tick]:
        """The trades with after < time <= until, in order."""
        life = self._life(symbol)
        if life is None:
            return []
        first, last = max(after + 1, life.start), min(until, life.end - 1)
        found: list[Tick] = []
        for minute in range(first - first % MINUTE, last + 1, MINUTE):
            tape = self._tapes[symbol, minute]
            found += tape.ticks[tape.seen(first - 1) : tape.seen(last)]
        return found

    def price(self, symbol: str, now: int) -> int:
        """The last traded price in ticks."""
        life = self._listed(symbol, now)
        now = min(now, life.end - 1)
        tape = self._tapes[symbol, now - now % MINUTE]
        seen = tape.seen(now)
        return tape.ticks[seen - 1].price if seen else self._close_before(symbol, now - now % MINUTE)

    def mark_price(self, symbol: str, now: int) -> Decimal:
        """The mark price: glides within each minute from the close before last to the last close."""
        life = self._listed(symbol, now)
        minute, into = (life.end, 0) if now >= life.end else (now - now % MINUTE, now % MINUTE)
        newer = self._close_before(symbol, minute)
        older = self._close_before(symbol, max(minute - MINUTE, life.start))
        glided = Decimal(older * MINUTE + (newer - older) * into) / MINUTE
        return (glided * self.specs[symbol].tick).quantize(_MARK_DIGITS)

    def _life(self, symbol: str) -> _Life | None:
        """When the symbol trades; None for one that has no prices yet."""
        spec = self.specs.get(symbol)
        if spec is None:
            raise ApiError(-1121, "Invalid symbol.")
        if not spec.tick:
            return None
        return _Life(spec.onboard - spec.onboard % MINUTE, spec.delivery - spec.delivery % MINUTE)

    def _listed(self, symbol: str, now: int) -> _Life:
        life = self._life(symbol)
        if life is None or now < life.start:
            raise ApiError(-1122, "Invalid symbol status.")
        return life

    def _contract(self, symbol: str) -> Contract:
        known = self._contracts.get(symbol)
        if known is None:
            spec = self.specs[symbol]
            known = Contract(key_of(self._seed, symbol), character_of(spec), float(spec.tick), float(spec.step))
            self._contracts[symbol] = known
        return known

    def _make_day(self, question: tuple[str, int]) -> Day:
        symbol, day = question
        onboard = self.specs[symbol].onboard
        listed = onboard % DAY // MINUTE if onboard // DAY == day else -1
        return make_day(self._contract(symbol), day, listed)

    def _make_hours(self, question: tuple[str, int]) -> Klines:
        """The hours of that day. Its minutes are not kept: a long history would push the present out of memory."""
        symbol, day = question
        minutes = (self._days.peek(question) or self._make_day(question)).candles
        life = self._life(symbol)
        assert life is not None
        alive = (minutes["t"] >= life.start) & (minutes["t"] < life.end)
        return aggregate(minutes[alive], _HOUR)

    def _make_tape(self, question: tuple[str, int]) -> Tape:
        symbol, minute = question
        life = self._life(symbol)
        if life is None or not life.start <= minute < life.end:
            return make_tape(minute, [])
        day = self._days[symbol, minute // DAY]
        at = minute % DAY // MINUTE
        dice = Random(mix(self._contract(symbol).key, minute // MINUTE))
        return make_tape(minute, make_ticks(day.candles[at], day.anatomy[at], dice))

    def _make_beginning(self, question: tuple[str, Interval, int]) -> Klines:
        """The candle of that interval from its opening until before that minute."""
        symbol, interval, minute = question
        opened = interval.floor(minute)
        hour = minute - minute % HOUR
        parts = [self._minutes(symbol, max(hour, opened), minute)]
        if opened < hour:
            parts.insert(0, self._full_hours(symbol, opened, hour))
        candles = np.concatenate(parts)
        return whole(candles, opened) if len(candles) else candles

    def _minutes(self, symbol: str, start: int, until: int) -> Klines:
        """The minutes that open in [start, until), both on a minute, while the symbol trades."""
        life = self._life(symbol)
        assert life is not None
        start, until = max(start, life.start), min(until, life.end)
        days = range(start // DAY, -(-until // DAY))
        found = [
            self._days[symbol, day].candles[max(0, start - day * DAY) // MINUTE : min(DAY, until - day * DAY) // MINUTE]
            for day in days
            if until > start
        ]
        return np.concatenate(found) if found else np.empty(0, KLINE)

    def _full_hours(self, symbol: str, start: int, until: int) -> Klines:
        """The hours that open in [start, until)."""
        life = self._life(symbol)
        assert life is not None
        start, until = max(start, life.start - life.start % HOUR), min(until, life.end)
        days = [self._hours[symbol, day] for day in range(start // DAY, -(-until // DAY))]
        if not days:
            return np.empty(0, KLINE)
        hours = np.concatenate(days)
        first, last = np.searchsorted(hours["t"], (start, until))
        return hours[first:last]

    def _close_before(self, symbol: str, minute: int) -> int:
        """The last price before that minute; for the first minute of all its own opening price."""
        life = self._life(symbol)
        assert life is not None
        minute = min(minute, life.end)
        at = minute % DAY // MINUTE
        if minute <= life.start:
            return int(self._days[symbol, life.start // DAY].candles["open"][life.start % DAY // MINUTE])
        if not at:
            return self._days[symbol, minute // DAY].before
        return int(self._days[symbol, minute // DAY].candles["close"][at - 1])

    def _last_trade(self, symbol: str, opened: int, minute: int) -> int:
        """When the last trade before that minute was, if the candle has one; else when the candle opened."""
        life = self._life(symbol)
        assert life is not None
        for earlier in range(min(minute, life.end) - MINUTE, max(opened, life.start) - 1, -MINUTE):
            times = self._tapes[symbol, earlier].times
            if times:
                return times[-1]
        return opened

    @staticmethod
    def _empty(opened: int, price: int) -> Klines:
        candle = np.zeros(1, KLINE)
        candle["t"] = opened
        for name in ("open", "high", "low", "close"):
            candle[name] = price
        return candle
