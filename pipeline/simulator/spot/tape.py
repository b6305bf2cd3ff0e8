"""Runs the market past the books of spot: every trade, in order of time, of the pairs in which somebody has orders.
Holds the clock of its accounts."""

from collections.abc import Iterator
from heapq import merge
from typing import NamedTuple

from pipeline.simulator.spot.account import Account
from pipeline.simulator.spot.engine import Engine
from pipeline.simulator.types import Tick
from pipeline.timeline import MINUTE


class Happening(NamedTuple):
    """A trade of the market."""

    time: int
    symbol: str
    tick: Tick


class Tape:
    """Brings the books up to a moment."""

    def __init__(self, engine: Engine, now: int) -> None:
        self._engine = engine
        self.now = now

    def advance(self, now: int) -> None:
        """Run up to now, a minute at a time. Where nobody has orders, the time just passes."""
        while self.now < now:
            watched = sorted({symbol for account in self._engine.accounts.values() for symbol in account.watched()})
            until = min(now, self.now + MINUTE) if watched else now
            trades = [list(self._trades(symbol, self.now, until)) for symbol in watched]
            for happening in merge(*trades, key=lambda each: (each.time, each.symbol)):
                for account in self._engine.accounts.values():
                    self._trade(account, happening.symbol, happening.tick)
            self.now = until

    def _trades(self, symbol: str, after: int, until: int) -> Iterator[Happening]:
        for tick in self._engine.market.ticks(symbol, after, until):
            yield Happening(tick.time, symbol, tick)

    def _trade(self, account: Account, symbol: str, tick: Tick) -> None:
        for order in account.orders_of(symbol):
            if order.is_working:
                self._engine.meet(account, order, tick)
            elif order.is_waiting:
                self._engine.see(account, order, tick.price, tick.time)
