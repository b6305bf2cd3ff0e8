"""Looks ahead for the next minute in which something can happen to an account, so that the rest is passed over.

A minute too many costs a little time; one too few would be a wrong result. So what is not exact is taken too early.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final, NamedTuple, Protocol

import numpy as np

from pipeline.research.backtest.counting import value
from pipeline.research.backtest.minutes import Flags, Floats, Minutes
from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue.account import Account
from pipeline.simulator.venue.brackets import brackets_of
from pipeline.simulator.venue.orders import Algo, Order, OrderType, Side
from pipeline.simulator.venue.positions import Position
from pipeline.timeline import MINUTE

_FIRST_LOOK: Final = 64
_LONGEST_LOOK: Final = 32_768
_EARLY: Final = 1.002
_NEARLY: Final = 1e-6
"""So large a part of a sum does not count."""
_STOPS: Final = frozenset({OrderType.STOP, OrderType.STOP_MARKET})


@dataclass(frozen=True, slots=True)
class Barriers:
    """Nothing happens in a symbol while its price stays between these, in ticks."""

    below: float
    above: float

    def crossed(self, minutes: Minutes, first: int, last: int) -> Flags:
        """In which of these minutes it does not."""
        part = slice(first, last)
        crossed: Flags = (minutes.low[part] <= self.below) | (minutes.high[part] >= self.above)
        return crossed


class Stake(NamedTuple):
    """What is held of a symbol, signed, and what it had as its value when it was bought."""

    symbol: str
    quantity: float
    cost: float


@dataclass(frozen=True, slots=True)
class Range:
    """Between which two sums the account's equity does not matter: None where it never does."""

    least: Decimal | None
    most: Decimal | None


class Books(Protocol):
    """An account, as far as it is looked at here."""

    def watched(self) -> set[str]:
        """The symbols whose prices can change something."""

    def barriers(self, symbol: str) -> Barriers:
        """Between which prices nothing happens."""

    def stakes(self) -> tuple[float, list[Stake]]:
        """Its money, and what is held."""


def first_event(
    books: Books,
    minutes: Mapping[str, Minutes],
    sizes: Mapping[str, float],
    equity: Range,
    now: int,
    until: int,
) -> int | None:
    """When the first minute opens, of those that reach beyond now and begin before `until`, in which an order fires or
    fills, a position is liquidated, or the equity leaves the range."""
    found = until
    for symbol in books.watched():
        barriers = books.barriers(symbol)
        found = _first(minutes[symbol], now, found, partial(barriers.crossed, minutes[symbol]))
    wallet, held = books.stakes()
    if held and (equity.least is not None or equity.most is not None):
        worths = [_Worth(minutes[one.symbol], one, sizes[one.symbol]) for one in held]
        clock = minutes[held[0].symbol]
        found = _first(clock, now, found, partial(_leaves, equity, wallet, worths, clock))
    return found if found < until else None


def barriers_of(account: Account, spec: SymbolSpec, of_books: Iterable[tuple[Decimal, bool]]) -> Barriers:
    """What waits in that symbol. `of_books`: what the executor waits for, each with whether it lies above."""
    levels = [
        *((float(price), is_above) for price, is_above in of_books),
        *(_of_algo(one) for one in account.algos_of(spec.symbol)),
        *(_of_order(one) for one in account.orders_of(spec.symbol)),
        *(_of_position(one, account, spec) for one in account.held() if one.symbol == spec.symbol),
    ]
    return barriers_between(levels, spec)


def barriers_between(levels: Iterable[tuple[float, bool]], spec: SymbolSpec) -> Barriers:
    """The nearest of these prices; each with whether it lies above."""
    size, levels = float(spec.tick), list(levels)
    below = max((price for price, is_above in levels if not is_above), default=float("-inf"))
    above = min((price for price, is_above in levels if is_above), default=float("inf"))
    return Barriers(below / size + 0.5, above / size - 0.5)


def levels_of(account: Account, spec: SymbolSpec) -> Iterator[int]:
    """The prices at which an order waits, in ticks."""
    for algo in account.algos_of(spec.symbol):
        yield int(algo.trigger / spec.tick)
    for order in account.orders_of(spec.symbol):
        yield int(order.price / spec.tick)


def _of_algo(algo: Algo) -> tuple[float, bool]:
    return float(algo.trigger), (algo.type in _STOPS) is (algo.side is Side.BUY)


def _of_order(order: Order) -> tuple[float, bool]:
    return float(order.price), order.side is Side.SELL


def _of_position(position: Position, account: Account, spec: SymbolSpec) -> tuple[float, bool]:
    """Where it would be liquidated, a little before. In crossed margin that hangs on everything else: any price."""
    is_short, worth = position.quantity < 0, position.worth
    if position.symbol not in account.isolated:
        return (float("-inf") if is_short else float("inf")), is_short
    values = [
        (position.cost - position.isolated_wallet - one.cum)
        / (position.quantity - abs(position.quantity) * one.rate * worth.sign)
        for one in brackets_of(spec)
    ]
    if worth.sign < 0:
        values = [one for one in values if one < 0]
    prices = [float(worth.price_at(one)) for one in values]
    if is_short:
        return min(prices, default=float("inf")) / _EARLY, True
    return max(prices, default=float("-inf")) * _EARLY, False


@dataclass(frozen=True, slots=True)
class _Worth:
    """What a position brings or costs, from the worst to the best price of each minute."""

    minutes: Minutes
    stake: Stake
    size: float

    def bounds(self, start: int, length: int) -> tuple[Floats, Floats]:
        """Before the minutes begin and after they end, by the nearest."""
        first, (_, quantity, cost) = self.minutes.at(start), self.stake
        places = np.clip(np.arange(first, first + length), 0, len(self.minutes.close) - 1)
        prices = [one[places] * float(self.minutes.tick) for one in (self.minutes.low, self.minutes.high)]
        worths = [quantity * value(one, self.size) - cost for one in prices]
        return np.minimum(*worths), np.maximum(*worths)


def _leaves(equity: Range, wallet: float, worths: Iterable[_Worth], clock: Minutes, first: int, last: int) -> Flags:
    """In which of these minutes the equity may."""
    bounds = [one.bounds(clock.opened(first), last - first) for one in worths]
    leaves = np.zeros(last - first, np.bool_)
    if equity.least is not None:
        leaves |= wallet + sum(one for one, _ in bounds) <= float(equity.least) * (1 + _NEARLY)
    if equity.most is not None:
        leaves |= wallet + sum(one for _, one in bounds) >= float(equity.most) * (1 - _NEARLY)
    return leaves


def _first(minutes: Minutes, now: int, until: int, test: Callable[[int, int], Flags]) -> int:
    """When the first minute opens that passes, or `until`. Looks ever further ahead."""
    first = max(minutes.at(now), 0)
    end = min(-(-(until - minutes.start) // MINUTE), len(minutes.close))
    length = _FIRST_LOOK
    while first < end:
        hits = test(first, min(first + length, end))
        if hits.any():
            return min(until, minutes.opened(first + int(np.argmax(hits))))
        first, length = first + length, min(2 * length, _LONGEST_LOOK)
    return until
