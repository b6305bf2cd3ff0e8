"""The list of coins: what each costs now, what it did in a day, and whether its candles are current.

It costs what is watched, not what is stored: two slots a symbol each time, and the price of a day ago once in five
minutes.
"""

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pipeline.app.opened import Opened
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.store.signals.current import Price, newest_prices
from pipeline.store.symbols import SymbolStore
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import DAY, SECOND, interval, to_datetime, to_ms
from schemas.series import SeriesKey

_KEPT_FOR: Final = 300 * SECOND


@dataclass(frozen=True, slots=True)
class Coin:
    """A symbol that is watched or stored. `price` is None while no candle of it is stored, `at` is when it was that;
    `day_pct` is None where the price of a day ago is not known. `stored`: the intervals it has candles of."""

    symbol: str
    price: float | None
    at: int | None
    day_pct: float | None
    watched: bool
    stored: tuple[str, ...]
    tick: Decimal | None


class Coins:
    """Looks again and again."""

    def __init__(self, tm: Opened) -> None:
        self._tm = tm
        self._store = CandleStore(tm.db)
        self._series: dict[str, tuple[str, ...]] = {}
        self._watched: set[str] = set()
        self._ticks: dict[str, Decimal] = {}
        self._a_day_ago: dict[str, float] = {}
        self._last: dict[str, Price] = {}
        self._known_until = 0

    def look(self) -> list[Coin]:
        """How they are now, by name; those that are watched first."""
        now = int(time.time() * SECOND)
        if now >= self._known_until:
            self._learn(now)
        finest = [SeriesKey(self._tm.environment, symbol, codes[0]) for symbol, codes in self._series.items() if codes]
        for key, candles in self._store.newest_two(finest, now).items():
            if candles:
                newest = candles[-1]
                at = to_ms(newest["te"]) + 1 if newest["closed"] else to_ms(newest["u"])
                self._last[key.symbol] = Price(float(newest["close"]), to_datetime(at))
        return sorted(
            (self._coin(symbol, stored) for symbol, stored in self._series.items()),
            key=lambda one: (not one.watched, one.symbol),
        )

    def _learn(self, now: int) -> None:
        """What changes slowly: which there are, and what they cost a day ago."""
        tm = self._tm
        codes: dict[str, list[str]] = {}
        for one in SeriesStore(tm.db).list(tm.environment):
            if one.last_closed is not None:
                codes.setdefault(one.symbol, []).append(one.interval)
        wanted = Watchlist(tm.db, tm.environment).wanted()
        for key in wanted:
            codes.setdefault(key.symbol, [])
        self._series = {
            symbol: tuple(sorted(found, key=lambda code: interval(code).milliseconds or 31 * DAY))
            for symbol, found in codes.items()
        }
        self._watched = {key.symbol for key in wanted}
        self._ticks = dict(SymbolStore(tm.db).ticks(tm.environment))
        finest = [SeriesKey(tm.environment, symbol, found[0]) for symbol, found in self._series.items() if found]
        before = self._store.newest_two(finest, now - DAY)
        self._a_day_ago = {key.symbol: float(found[0]["close"]) for key, found in before.items() if found}
        self._last = newest_prices(tm.db, tm.environment, self._series) | self._last
        self._known_until = now + _KEPT_FOR

    def _coin(self, symbol: str, stored: tuple[str, ...]) -> Coin:
        last, before = self._last.get(symbol), self._a_day_ago.get(symbol)
        return Coin(
            symbol=symbol,
            price=last and last.price,
            at=last and to_ms(last.at),
            day_pct=100 * (last.price / before - 1) if last and before else None,
            watched=symbol in self._watched,
            stored=stored,
            tick=self._ticks.get(symbol),
        )
