"""Live explained by a backtest: positions of both matched by the ids of their orders, each difference with its causes,
and all of it added up. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from pipeline.exchange.products.instrument import Instrument
from pipeline.research.explain import causes
from pipeline.research.explain.deals import ZERO, Deal, rounded
from pipeline.research.explain.heard import Stored
from pipeline.research.explain.slippage import Filled, Slippage
from pipeline.research.explain.trace import Pair, Trace
from pipeline.research.explain.walk import Cost, alone, walked

_POINTS: Final = Decimal(10_000)


@dataclass(frozen=True, slots=True)
class Row:
    """A position, of both or of one of them. Money is in the asset of its account; live - backtest = costs + rest."""

    symbol: str
    side: str
    strategy: str
    interval: str
    signal: str
    opened_at: int
    closed_at: int | None
    entered: Decimal
    """What its entries were worth: costs are so many basis points of that."""
    live: Decimal | None
    paper: Decimal | None
    costs: Sequence[Cost]
    rest: Decimal
    orders: Sequence[str] = ()

    @property
    def difference(self) -> Decimal:
        """What live brought more."""
        return (self.live or ZERO) - (self.paper or ZERO)

    def points(self, money: Decimal) -> Decimal:
        """The same in basis points of what was entered."""
        return money / self.entered * _POINTS if self.entered else ZERO

    @property
    def by_cause(self) -> Mapping[str, Decimal]:
        """The money of each, in the order in which they were met."""
        return _added(self.costs)


@dataclass(frozen=True, slots=True)
class Explained:
    """A window of one account. `asset`: what it is counted in."""

    asset: str
    start: int
    end: int
    rows: Sequence[Row]
    signals: int = 0
    alike: int = 0
    """Signals on which both came to the same verdict."""
    notes: Sequence[str] = field(default=())
    slippage: Sequence[Slippage] = ()
    fills: Sequence[Filled] = ()

    @property
    def live(self) -> Decimal:
        """What live brought."""
        return sum((one.live or ZERO for one in self.rows), ZERO)

    @property
    def paper(self) -> Decimal:
        """What the backtest brought."""
        return sum((one.paper or ZERO for one in self.rows), ZERO)

    @property
    def rest(self) -> Decimal:
        """What nothing explains: the number to drive to zero."""
        return sum((one.rest for one in self.rows), ZERO)

    @property
    def entered(self) -> Decimal:
        """What all entries were worth."""
        return sum((one.entered for one in self.rows), ZERO)

    @property
    def by_cause(self) -> Mapping[str, Decimal]:
        """The money of each, the dearest first."""
        found = _added(cost for one in self.rows for cost in one.costs)
        return dict(sorted(found.items(), key=lambda each: (-abs(each[1]), each[0])))

    def points(self, money: Decimal) -> Decimal:
        """In basis points of all that was entered."""
        return money / self.entered * _POINTS if self.entered else ZERO


def rows_of(
    live: Iterable[Deal], paper: Iterable[Deal], instruments: Mapping[str, Instrument], stored: Stored
) -> list[Row]:
    """Each position once, in the order in which they were opened."""
    pairs = list(_matched(live, paper))
    trace = Trace(pairs, stored)
    found = [_told(pair, instruments[pair.one.symbol], stored, trace) for pair in pairs]
    return sorted(found, key=lambda one: (one.opened_at, one.symbol))


def _matched(live: Iterable[Deal], paper: Iterable[Deal]) -> Iterator[Pair]:
    theirs = list(paper)
    by_key = {(each.symbol, leg.key): each for each in theirs for leg in each.entering}
    taken = set[int]()
    for deal in live:
        keys = ((deal.symbol, leg.key) for leg in deal.entering)
        other = next((by_key[key] for key in keys if key in by_key and id(by_key[key]) not in taken), None)
        if other is not None and other.side == deal.side:
            taken.add(id(other))
            yield Pair(deal, deal, other)
        else:
            yield Pair(deal, live=deal)
    yield from (Pair(one, paper=one) for one in theirs if id(one) not in taken)


def _told(pair: Pair, one: Instrument, stored: Stored, trace: Trace) -> Row:
    deal, live, paper = pair
    if live is not None and paper is not None:
        walk = walked(live, paper, one, stored, trace)
        return _row(live, one, live.result, paper.result, walk.costs, walk.rest)
    ask = causes.only_paper if live is None else causes.only_live
    result = deal.result if paper is None else -deal.result
    costs, rest = alone(result, trace.back(ask(deal.entering[0].signal, stored)))
    return _row(deal, one, live.result if live else None, paper.result if paper else None, costs, rest)


def _row(
    deal: Deal, one: Instrument, live: Decimal | None, paper: Decimal | None, costs: Sequence[Cost], rest: Decimal
) -> Row:
    return Row(
        symbol=deal.symbol,
        side=deal.side,
        strategy=deal.strategy,
        interval=deal.interval,
        signal=deal.signal,
        opened_at=deal.opened_at,
        closed_at=deal.closed_at,
        entered=rounded(deal.entered(one)),
        live=live,
        paper=paper,
        costs=costs,
        rest=rest,
        orders=tuple(each.order for each in (*deal.entering, *deal.closing) if each.order),
    )


def _added(costs: Iterable[Cost]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for one in costs:
        found[one.cause] = found.get(one.cause, ZERO) + one.money
    return found
