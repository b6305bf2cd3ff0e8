"""How far fills were from where they were decided, or from their triggers: live, and as a backtest assumes; and the
slippage that a backtest has to assume to fill as live did. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from statistics import median, quantiles
from typing import Final, NamedTuple

from pipeline.exchange.products.instrument import Instrument
from pipeline.research.backtest.assumptions import USUAL_SLIPPAGE
from pipeline.research.explain.deals import Deal
from pipeline.simulator.venue.matching import LEVEL_NOTIONAL

_POINTS: Final = Decimal(10_000)
_SIZES: Final = ((Decimal(1_000), "under 1,000"), (Decimal(10_000), "under 10,000"), (Decimal(50_000), "under 50,000"))
_LARGEST: Final = "50,000 and more"
ENOUGH: Final = 30
"""Of fewer orders nothing is fitted."""
_FINEST: Final = Decimal("0.01")
_ONE: Final = 2
"""Of fewer orders there are no quarters."""


class Filled(NamedTuple):
    """An order: what it was worth in what prices are in, and by how many basis points its fill was worse than where it
    was decided."""

    symbol: str
    worth: Decimal
    points: Decimal


@dataclass(frozen=True, slots=True)
class Slippage:
    """Of the orders of a symbol of about one size, in what prices are in. In basis points of the price; positive is
    worse. Half of the fills lie between `low` and `high`; `assumed` is the median of the backtest's."""

    symbol: str
    size: str
    orders: int
    median: float
    low: float
    high: float
    assumed: float | None


def fills_of(deals: Iterable[Deal], instruments: Mapping[str, Instrument]) -> list[Filled]:
    """The orders whose fill and whose decision are known."""
    return [each for deal in deals for each in _of(deal, instruments[deal.symbol])]


def slippages(live: Iterable[Filled], paper: Iterable[Filled]) -> list[Slippage]:
    """By symbol and size, the smallest first."""
    ours, theirs = _by_size(live), _by_size(paper)
    order = [name for _, name in _SIZES] + [_LARGEST]
    return [
        _told(symbol, size, points, theirs.get((symbol, size)))
        for (symbol, size), points in sorted(ours.items(), key=lambda one: (one[0][0], order.index(one[0][1])))
    ]


def fit(fills: Sequence[Filled]) -> tuple[Decimal, dict[str, Decimal]] | None:
    """What a backtest has to assume of all symbols, and of each that has enough orders by itself, so that half of its
    fills are worse than the median of these; never less than what is usual. None of too few."""
    by_symbol: dict[str, list[Decimal]] = defaultdict(list)
    for one in fills:
        by_symbol[one.symbol].append(one.points - _deeper(one.worth))
    if len(fills) < ENOUGH:
        return None
    of_all = _assumable(points for each in by_symbol.values() for points in each)
    return of_all, {symbol: _assumable(each) for symbol, each in sorted(by_symbol.items()) if len(each) >= ENOUGH}


def _assumable(points: Iterable[Decimal]) -> Decimal:
    return max(median(points).quantize(_FINEST), USUAL_SLIPPAGE)


def _deeper(worth: Decimal) -> Decimal:
    """By how much a backtest's book fills an order worse than at its best price, in basis points: so much is offered at
    each price, and they are a basis point apart."""
    whole, rest = divmod(worth, LEVEL_NOTIONAL)
    return (LEVEL_NOTIONAL * whole * (whole - 1) / 2 + rest * whole) / worth


def _told(symbol: str, size: str, points: list[float], assumed: list[float] | None) -> Slippage:
    low, _, high = quantiles(points, n=4, method="inclusive") if len(points) >= _ONE else points * 3
    return Slippage(symbol, size, len(points), median(points), low, high, median(assumed) if assumed else None)


def _by_size(fills: Iterable[Filled]) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for one in fills:
        size = next((name for most, name in _SIZES if one.worth < most), _LARGEST)
        found.setdefault((one.symbol, size), []).append(float(one.points))
    return found


def _of(deal: Deal, one: Instrument) -> Iterator[Filled]:
    for legs, sign in ((deal.entering, deal.sign), (deal.closing, -deal.sign)):
        for leg in legs:
            base = leg.decided if leg.trigger is None or leg.reached else leg.trigger
            if base and leg.is_priced:
                points = sign * (leg.price - base) / base * _POINTS
                yield Filled(deal.symbol, one.quoted(leg.quantity, leg.price), points)
