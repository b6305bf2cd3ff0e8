"""What the account was worth in every minute: at its close, and at the worst and best prices in it. Pure.

The sums of the ledger are exact; the curve is for figures and plots, and is of doubles.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from pipeline.research import figures
from pipeline.research.backtest.counting import value
from pipeline.research.backtest.minutes import Flags, Floats, Integers, Minutes
from pipeline.simulator.venue.ledger import Deposit, Fill, Funding, Insured, LedgerEntry
from pipeline.simulator.venue.orders import Side
from pipeline.timeline import DAY, MINUTE

DUST: Final = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What the figures want to know of a curve."""

    minutes: int
    times: Integers
    """The start, each midnight (UTC), and the end."""
    daily: Floats
    """What it was worth then."""
    inside: int
    """Minutes at whose end anything was held."""
    peak: float
    lowest: float
    """At the worst price of a minute."""
    deepest_pct: float
    fall: float
    """The deepest, in money."""
    fell_from: int
    deepest_at: int


@dataclass(frozen=True, slots=True)
class Curve:
    """One value a minute, from `start` on. `worst` and `best` are bounds: two symbols need not be at theirs at once."""

    start: int
    begun: float
    """What was there before the first."""
    close: Floats
    worst: Floats
    best: Floats
    invested: Flags
    """Whether anything was held at its end."""

    @property
    def closes_at(self) -> Integers:
        """When each minute ends."""
        return self.start + MINUTE * np.arange(1, len(self.close) + 1)

    def worth(self) -> Worth:
        """Of all of it."""
        times, daily = self.daily()
        close, worst = np.append(self.begun, self.close), np.append(self.begun, self.worst)
        top, bottom = figures.deepest_fall(close, worst)
        return Worth(
            minutes=len(self.close),
            times=times,
            daily=daily,
            inside=int(self.invested.sum()),
            peak=float(close.max()),
            lowest=float(worst.min()),
            deepest_pct=float(figures.drawdowns(close, worst)[bottom]),
            fall=float(close[top] - min(worst[bottom], close[bottom])),
            fell_from=self.start + top * MINUTE,
            deepest_at=self.start + bottom * MINUTE,
        )

    def daily(self) -> tuple[Integers, Floats]:
        """The worth at the start, at each midnight (UTC), and at the end."""
        ends = self.closes_at
        told = ends % DAY == 0
        told[-1] = True
        return np.append(self.start, ends[told]), np.append(self.begun, self.close[told])


@dataclass(slots=True)
class _Steps:
    """Sums that change at moments."""

    at: list[int] = field(default_factory=list)
    change: list[float] = field(default_factory=list)

    def add(self, time: int, change: float) -> None:
        self.at.append(time)
        self.change.append(change)

    def by_minute(self, start: int, length: int) -> Floats:
        """The sum at the end of each minute."""
        changes = np.zeros(length)
        places = np.clip((np.array(self.at, np.int64) - 1 - start) // MINUTE, 0, length - 1)
        np.add.at(changes, places, self.change)
        sums: Floats = np.cumsum(changes)
        return sums


class Flow(NamedTuple):
    """Something filled or paid: by how much the holding of a symbol changed, and the cash: what was paid for it, fees,
    funding, or money from outside."""

    symbol: str
    time: int
    change: float
    cash: float


@dataclass(slots=True)
class _Bought:
    """What is held of contracts that are paid in a coin, and its value when it was bought: a profit is booked in whole
    parts of a coin, and what is held has to be worth the rest."""

    size: float
    quantity: float = 0.0
    cost: float = 0.0

    def cash(self, signed: float, price: float, realised: float) -> float:
        """What a fill takes, or brings. None turns a position round."""
        closes = self.quantity * signed < 0
        changed = self.cost * signed / self.quantity if closes else signed * value(price, self.size)
        self.quantity += signed
        self.cost += changed
        return realised - changed


def curve_of(
    ledger: Iterable[LedgerEntry], minutes: Mapping[str, Minutes], sizes: Mapping[str, float], start: int, end: int
) -> Curve:
    """From everything that moved money, and the prices of what was held. `sizes`: see `counting`."""
    begun, flows = 0.0, []
    bought = {symbol: _Bought(size) for symbol, size in sizes.items() if size}
    for entry in ledger:
        match entry:
            case Deposit() if entry.time <= start:
                begun += float(entry.amount)
            case Deposit() | Insured():
                flows.append(Flow("", entry.time, 0.0, float(entry.amount)))
            case Funding():
                flows.append(Flow(entry.symbol, entry.time, 0.0, float(entry.amount)))
            case Fill():
                signed = float(entry.quantity) * (1 if entry.side == Side.BUY else -1)
                price = float(entry.price)
                cash = -signed * price
                if entry.symbol in bought:
                    cash = bought[entry.symbol].cash(signed, price, float(entry.realised))
                flows.append(Flow(entry.symbol, entry.time, signed, cash - float(entry.fee)))
    return curve_of_flows(begun, flows, minutes, sizes, start, end)


def curve_of_flows(
    begun: float,
    flows: Iterable[Flow],
    minutes: Mapping[str, Minutes],
    sizes: Mapping[str, float],
    start: int,
    end: int,
) -> Curve:
    """From what the account began with, and all that was filled and paid."""
    length = (end - start) // MINUTE
    cash, held = _Steps(), defaultdict[str, _Steps](_Steps)
    for flow in flows:
        cash.add(flow.time, flow.cash)
        if flow.change:
            held[flow.symbol].add(flow.time, flow.change)
    close = begun + cash.by_minute(start, length)
    worst, best = close.copy(), close.copy()
    invested = np.zeros(length, np.bool_)
    for symbol, steps in held.items():
        quantity = steps.by_minute(start, length)
        quantity[np.abs(quantity) < DUST] = 0.0
        prices = _prices(minutes[symbol], start, length)
        by_close, low, high = (quantity * value(one, sizes[symbol]) for one in prices)
        close += by_close
        worst += np.minimum(low, high)
        best += np.maximum(low, high)
        invested |= quantity != 0
    return Curve(start, begun, close, worst, best, invested)


def _prices(minutes: Minutes, start: int, length: int) -> Iterator[Floats]:
    """Close, low and high of each minute; before the first and after the last, the nearest close."""
    wanted = minutes.at(start) + np.arange(length)
    places = np.clip(wanted, 0, len(minutes.close) - 1)
    close = minutes.close[places]
    for column in (minutes.close, minutes.low, minutes.high):
        yield (np.where(places == wanted, column[places], close) * float(minutes.tick)).astype(np.float64)
