"""Runs the market past the books: every trade, every second's mark price, every funding and delivery, in order of time
and only for the symbols somebody is watching. Holds the clock of the exchange."""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from heapq import merge
from typing import NamedTuple

from pipeline.simulator.types import QUARTER, Tick
from pipeline.simulator.venue import conditional, liquidation, trigger
from pipeline.simulator.venue.account import Account
from pipeline.simulator.venue.engine import Engine
from pipeline.simulator.venue.orders import AlgoStatus, Status, WorkingType
from pipeline.simulator.venue.settlement import deliver, exchange_funding
from pipeline.timeline import MINUTE, SECOND

_MARK, _TRADE, _FUNDING, _DELIVERY = range(4)


class Happening(NamedTuple):
    """Something on the tape. At one moment marks come first, for what has no margin is not the account's to close any
    more; then trades, then funding, then deliveries."""

    time: int
    rank: int
    symbol: str
    tick: Tick | None


Moments = Callable[[int, int], Iterable[int]]
"""The moments with after < time <= until at which positions are looked at, by their mark prices."""


def each_second(after: int, until: int) -> Iterable[int]:
    """As the exchange does it."""
    return range((after // SECOND + 1) * SECOND, until + 1, SECOND)


class Tape:
    """Brings the books up to a moment."""

    def __init__(self, engine: Engine, now: int, looks: Moments = each_second) -> None:
        self._engine = engine
        self._looks = looks
        self.now = now

    def advance(self, now: int) -> None:
        """Run up to now, a minute at a time. Where nobody watches anything, the time just passes."""
        while self.now < now:
            watched = self._watched()
            until = min(now, self.now + MINUTE) if watched else now
            if watched:
                for happening in self._happenings(watched, self.now, until):
                    self._apply(happening)
            self.now = until

    def _watched(self) -> list[str]:
        symbols: set[str] = set()
        for account in self._engine.accounts.values():
            symbols |= account.watched()
        return sorted(symbols)

    def _happenings(self, symbols: list[str], after: int, until: int) -> Iterator[Happening]:
        trades = [self._trades(symbol, after, until) for symbol in symbols]
        marks = (Happening(time, _MARK, "", None) for time in self._looks(after, until))
        fundings = (Happening(time, _FUNDING, "", None) for time in self._engine.fundings.times(after, until))
        return merge(*trades, marks, fundings, self._deliveries(symbols, after, until))

    def _deliveries(self, symbols: list[str], after: int, until: int) -> Iterator[Happening]:
        ends = [(self._engine.spec(symbol), symbol) for symbol in symbols]
        dated = sorted((spec.delivery, symbol) for spec, symbol in ends if spec.kind == QUARTER)
        return (Happening(time, _DELIVERY, symbol, None) for time, symbol in dated if after < time <= until)

    def _trades(self, symbol: str, after: int, until: int) -> Iterable[Happening]:
        ticks = self._engine.market.ticks(symbol, after, until)
        return [Happening(tick.time, _TRADE, symbol, tick) for tick in ticks]

    def _apply(self, happening: Happening) -> None:
        for account in self._engine.accounts.values():
            if happening.tick is not None:
                self._trade(account, happening.symbol, happening.tick)
            elif happening.rank == _MARK:
                self._mark(account, happening.time)
            elif happening.rank == _DELIVERY:
                deliver(self._engine, account, happening.symbol, happening.time)
            else:
                exchange_funding(self._engine, account, happening.time)

    def _trade(self, account: Account, symbol: str, tick: Tick) -> None:
        for order in account.orders_of(symbol):
            if order.is_open:
                self._engine.meet(account, order, tick)
        price = tick.price * self._engine.spec(symbol).tick
        self._show(account, symbol, price, kind=WorkingType.CONTRACT_PRICE, last=tick.price, time=tick.time)

    def _mark(self, account: Account, time: int) -> None:
        self._expire_good_till(account, time)
        self._count_down(account, time)
        for symbol in {a.symbol for a in account.open_algos.values() if a.working_type is WorkingType.MARK_PRICE}:
            mark, last = self._engine.mark(symbol, time), self._engine.market.price(symbol, time)
            self._show(account, symbol, mark, kind=WorkingType.MARK_PRICE, last=last, time=time)
        liquidation.watch(self._engine, account, time)

    def _show(self, account: Account, symbol: str, price: Decimal, *, kind: WorkingType, last: int, time: int) -> None:
        for algo in account.algos_of(symbol):
            if algo.is_open and algo.working_type is kind and conditional.sees(algo, price):
                trigger.fire(self._engine, account, algo, last, time)

    def _count_down(self, account: Account, time: int) -> None:
        for symbol in [symbol for symbol, until in account.countdowns.items() if until <= time]:
            del account.countdowns[symbol]
            for order in account.orders_of(symbol):
                self._engine.end(account, order, Status.CANCELED, time)

    def _expire_good_till(self, account: Account, time: int) -> None:
        for order in list(account.open_orders.values()):
            if order.good_till and order.good_till <= time and order.is_open:
                self._engine.end(account, order, Status.EXPIRED, time)
        for algo in list(account.open_algos.values()):
            if algo.good_till and algo.good_till <= time and algo.is_open:
                self._engine.move(account, algo, AlgoStatus.EXPIRED, time)
