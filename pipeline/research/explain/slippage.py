"""How far fills were from where they were decided, or from their triggers: live, and as a backtest assumes. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from statistics import median, quantiles
from typing import Final

from pipeline.exchange.products.instrument import Instrument
from pipeline.research.explain.deals import Deal

_POINTS: Final = Decimal(10_000)
_SIZES: Final = ((Decimal(1_000), "under 1,000"), (Decimal(10_000), "under 10,000"), (Decimal(50_000), "under 50,000"))
_LARGEST: Final = "50,000 and more"
_ONE: Final = 2
"""Of fewer orders there are no quarters."""


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


def slippages(live: Iterable[Deal], paper: Iterable[Deal], instruments: Mapping[str, Instrument]) -> list[Slippage]:
    """By symbol and size, the smallest first."""
    ours, theirs = (_by_size(deals, instruments) for deals in (live, paper))
    order = [name for _, name in _SIZES] + [_LARGEST]
    return [
        _told(symbol, size, points, theirs.get((symbol, size)))
        for (symbol, size), points in sorted(ours.items(), key=lambda one: (one[0][0], order.index(one[0][1])))
    ]


def _told(symbol: str, size: str, points: list[float], assumed: list[float] | None) -> Slippage:
    low, _, high = quantiles(points, n=4, method="inclusive") if len(points) >= _ONE else points * 3
    return Slippage(symbol, size, len(points), median(points), low, high, median(assumed) if assumed else None)


def _by_size(deals: Iterable[Deal], instruments: Mapping[str, Instrument]) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for deal in deals:
        for worth, points in _of(deal, instruments[deal.symbol]):
            size = next((name for most, name in _SIZES if worth < most), _LARGEST)
            found.setdefault((deal.symbol, size), []).append(float(points))
    return found


def _of(deal: Deal, one: Instrument) -> Iterator[tuple[Decimal, Decimal]]:
    """What each order was worth, and by how much its fill was worse than where it was decided."""
    for legs, sign in ((deal.entering, deal.sign), (deal.closing, -deal.sign)):
        for leg in legs:
            base = leg.decided if leg.trigger is None else leg.trigger
            if base and leg.is_priced:
                yield one.quoted(leg.quantity, leg.price), sign * (leg.price - base) / base * _POINTS
