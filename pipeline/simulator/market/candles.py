"""How a market answers, whatever its candles come from: from base candles and their trades to every question asked.

A market made this way names its base interval and hands over base candles, hours, and the trades of one base candle.
What is remembered is bounded and never changes an answer. Not for use from several threads at once.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np

from pipeline.simulator.errors import ApiError
from pipeline.simulator.market.aggregate import aggregate, whole
from pipeline.simulator.market.memory import Memory
from pipeline.simulator.market.seconds import cut
from pipeline.simulator.market.trades import Tape, make_tape
from pipeline.simulator.market.turnover import turnover_of
from pipeline.simulator.types import KLINE, Klines, SymbolSpec, Tick
from pipeline.timeline import HOUR, MINUTE, Interval

_MARK_DIGITS: Final = Decimal("0.00000001")
_TAPES_REMEMBERED: Final = 2_048  # about 10 kB each
_BEGINNINGS_REMEMBERED: Final = 8_192


class Life(NamedTuple):
    """When a symbol trades: from `start` until before `end`, in whole base candles. Empty for one without prices."""

    start: int
    end: int


class CandleMarket(ABC):
    """The `Market` that follows from base candles and their trades."""

    cuts = False
    """Whether it also has candles smaller than the base: where the trades are what truly happened."""

    def __init__(self, specs: Mapping[str, SymbolSpec], base: Interval, lives: Mapping[str, Life]) -> None:
        if base.milliseconds is None or base.milliseconds > HOUR:
            raise ValueError(f"base candles last an hour at most, not {base}")
        self.specs = dict(specs)
        self._listed = dict(specs), dict(lives)
        self.base = base
        self._length = base.milliseconds
        self._lives = dict(lives)
        self._turnovers = {symbol: turnover_of(spec) for symbol, spec in specs.items()}
        self._tapes: Memory[tuple[str, int], Tape] = Memory(_TAPES_REMEMBERED, self._make_tape)
        self._beginnings: Memory[tuple[str, Interval, int], Klines] = Memory(_BEGINNINGS_REMEMBERED, self._begin)

    @abstractmethod
    def _base_candles(self, symbol: str, start: int, until: int) -> Klines:
        """The base candles that open in [start, until), within the symbol's life."""

    @abstractmethod
    def _hours(self, symbol: str, start: int, until: int) -> Klines:
        """The hours that open in [start, until) and hold a base candle of the symbol's life."""

    @abstractmethod
    def _trades(self, symbol: str, opened: int) -> list[Tick]:
        """The trades of the base candle that opens at `opened`, within the symbol's life."""

    @abstractmethod
    def _price_before(self, symbol: str, opened: int) -> int:
        """The last price before that base candle; the first price of all for the first. `opened` is at most the end."""

    def delist(self, symbol: str, status: str, now: int) -> None:
        """Let its trading end with the base candle that `now` is in, and list it with that status."""
        life = self._life(symbol)
        end = min(life.end, now - now % self._length + self._length)
        self.specs[symbol] = replace(self.specs[symbol], status=status, delivery=end)
        self._lives[symbol] = life._replace(end=end)
        self._forget()

    def relist(self) -> None:
        """Let everything that was delisted trade as if nothing had been."""
        specs, lives = self._listed
        if self.specs != specs:
            self.specs, self._lives = dict(specs), dict(lives)
            self._forget()

    def _forget(self) -> None:
        """Forget what was remembered: the life of a symbol has changed."""
        self._tapes.forget()
        self._beginnings.forget()

    def klines(self, symbol: str, interval: Interval, start: int, end: int) -> Klines:
        """The full candles that open in [start, end], from listing on."""
        life = self._life(symbol)
        first = interval.ceil(start)
        last = min(end, life.end - 1)
        if last < first:
            return np.empty(0, KLINE)
        until = interval.after(last)
        if self._is_smaller(interval):
            return self._cut(symbol, interval, max(first, life.start), until)
        if interval == self.base:
            return self._base_candles(symbol, first, until)
        hourly = interval.milliseconds is None or interval.milliseconds % HOUR == 0
        smaller = self._hours if hourly else self._base_candles
        return aggregate(smaller(symbol, first, until), interval)

    def forming(self, symbol: str, interval: Interval, now: int) -> tuple[Klines, int]:
        """The candle that contains `now` from the ticks up to `now`, and the time of the last of them."""
        self._must_be_listed(symbol, now)
        current, opened = now - now % self._length, interval.floor(now)
        tape = self._tapes[symbol, current]
        seen = tape.seen(now)
        if self._is_smaller(interval):
            so_far = Tape(tape.times[:seen], tape.ticks[:seen], tape.so_far[:seen])
            candle = self._cut_one(symbol, interval, so_far, opened, opened + 1)
            return candle, tape.times[seen - 1] if candle["trades"][0] else opened
        beginning = [] if current == opened else [self._beginnings[symbol, interval, current]]
        parts = [part for part in (*beginning, tape.so_far[max(seen - 1, 0) : seen]) if len(part)]
        traded = tape.times[seen - 1] if seen else self._last_trade(symbol, opened, current)
        if not parts:
            return _untraded(opened, self._last_price(symbol, now)), traded
        if len(parts) == 1 and parts[0]["t"][0] == opened:
            return parts[0].copy(), traded
        return whole(np.concatenate(parts), opened), traded

    def ticks(self, symbol: str, after: int, until: int) -> list[Tick]:
        """The trades with after < time <= until, in order."""
        life = self._life(symbol)
        first, last = max(after + 1, life.start), min(until, life.end - 1)
        found: list[Tick] = []
        for opened in range(first - first % self._length, last + 1, self._length):
            tape = self._tapes[symbol, opened]
            found += tape.ticks[tape.seen(first - 1) : tape.seen(last)]
        return found

    def price(self, symbol: str, now: int) -> int:
        """The last traded price in ticks."""
        self._must_be_listed(symbol, now)
        return self._last_price(symbol, now)

    def mark_price(self, symbol: str, now: int) -> Decimal:
        """The mark price: within each minute it glides from the price a minute before its opening to that at it."""
        self._must_be_listed(symbol, now)
        minute = now - now % MINUTE
        older, newer = (self._price_until(symbol, moment) for moment in (minute - MINUTE, minute))
        glided = Decimal(older * MINUTE + (newer - older) * (now - minute)) / MINUTE
        return (glided * self.specs[symbol].tick).quantize(_MARK_DIGITS)

    def _life(self, symbol: str) -> Life:
        life = self._lives.get(symbol)
        if life is None:
            raise ApiError(-1121, "Invalid symbol.")
        return life

    def _must_be_listed(self, symbol: str, now: int) -> None:
        life = self._life(symbol)
        if now < life.start or life.start >= life.end:
            raise ApiError(-1122, "Invalid symbol status.")

    def _is_smaller(self, interval: Interval) -> bool:
        """Whether candles of that length are parts of the base candles: -1120 where nobody knows the trades."""
        if interval.milliseconds is None or interval.milliseconds >= self._length:
            return False
        if not self.cuts:
            raise ApiError(-1120, f"Invalid interval: this market holds no candles smaller than {self.base}.")
        return True

    def _cut(self, symbol: str, interval: Interval, first: int, until: int) -> Klines:
        """The candles of that length, smaller than the base, that open in [first, until)."""
        parts = []
        for opened in range(first - first % self._length, until, self._length):
            begin, end = max(first, opened), min(until, opened + self._length)
            parts.append(self._cut_one(symbol, interval, self._tapes[symbol, opened], begin, end))
        return np.concatenate(parts)

    def _cut_one(self, symbol: str, interval: Interval, tape: Tape, first: int, until: int) -> Klines:
        before = self._price_before(symbol, first - first % self._length)
        return cut(tape, first, until, interval.milliseconds or 1, before)

    def _last_price(self, symbol: str, time: int) -> int:
        """The last price at that time, held at the first and at the last price of the symbol's life."""
        life = self._life(symbol)
        time = min(max(time, life.start), life.end - 1)
        opened = time - time % self._length
        tape = self._tapes[symbol, opened]
        seen = tape.seen(time)
        return tape.ticks[seen - 1].price if seen else self._price_before(symbol, opened)

    def _price_until(self, symbol: str, time: int) -> int:
        """The last price before `time`; between base candles it needs no trades."""
        life = self._life(symbol)
        time = min(max(time, life.start), life.end)
        return self._last_price(symbol, time - 1) if time % self._length else self._price_before(symbol, time)

    def _last_trade(self, symbol: str, opened: int, current: int) -> int:
        """When the last trade before the base candle `current` was, if it was after `opened`; else `opened`."""
        life = self._life(symbol)
        for earlier in range(min(current, life.end) - self._length, max(opened, life.start) - 1, -self._length):
            times = self._tapes[symbol, earlier].times
            if times:
                return times[-1]
        return opened

    def _make_tape(self, question: tuple[str, int]) -> Tape:
        symbol, opened = question
        life = self._life(symbol)
        trades = self._trades(symbol, opened) if life.start <= opened < life.end else []
        return make_tape(opened, trades, self._turnovers[symbol])

    def _begin(self, question: tuple[str, Interval, int]) -> Klines:
        """The candle of that interval from its opening until before the base candle `current`: one, or none."""
        symbol, interval, current = question
        opened, hour = interval.floor(current), current - current % HOUR
        parts = [self._base_candles(symbol, max(hour, opened), current)]
        if opened < hour:
            parts.insert(0, self._hours(symbol, opened, hour))
        candles = np.concatenate(parts)
        return whole(candles, opened) if len(candles) else candles


def _untraded(opened: int, price: int) -> Klines:
    candle = np.zeros(1, KLINE)
    candle["t"] = opened
    for name in ("open", "high", "low", "close"):
        candle[name] = price
    return candle
