"""From what a backtest says of a position to what was traded, a step at a time: one thing after the other is put as it
was live, and what that changes of the result is what it cost. Pure.

The steps end where live is, so that costs and rest add up to the whole difference, to the last digit, whatever
happened. A step for which nothing in the store answers goes to the rest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import NamedTuple, Self

from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine.state import ENTERING
from pipeline.research.explain import causes
from pipeline.research.explain.causes import Found
from pipeline.research.explain.deals import ZERO, Deal, Key, Leg, gained, rounded
from pipeline.research.explain.heard import Stored
from pipeline.research.explain.trace import Trace


class Cost(NamedTuple):
    """What a cause took (negative) or gave, and what says that it is one. `order`: None where it is of the position."""

    cause: str
    money: Decimal
    words: str
    order: str | None = None


@dataclass(frozen=True, slots=True)
class _Line:
    """An order as the steps move it: its price is so far away from what it was decided by."""

    quantity: Decimal
    base: Decimal
    away: Decimal
    rate: Decimal
    """Its fee, as a share of its worth."""
    kept: Decimal = ZERO
    """The part of it that was taken from the coins that came in, as a share of them."""

    @property
    def price(self) -> Decimal:
        return self.base + self.away

    @classmethod
    def of(cls, leg: Leg, base: Decimal, one: Instrument) -> Self:
        """One whose fee is not known has none."""
        worth = one.notional(leg.quantity, leg.price)
        if not worth:
            return cls(leg.quantity, base, leg.price - base, ZERO)
        return cls(leg.quantity, base, leg.price - base, (leg.fee or ZERO) / worth, leg.kept / leg.quantity)


@dataclass(frozen=True, slots=True)
class _State:
    one: Instrument
    sign: int
    entering: Mapping[Key, _Line]
    closing: Mapping[Key, _Line]
    funding: Decimal

    @property
    def result(self) -> Decimal:
        """What leaves is as much as what entered, in the proportions of what left."""
        entered = sum((each.quantity * (1 - each.kept) for each in self.entering.values()), ZERO)
        left = sum((each.quantity for each in self.closing.values()), ZERO)
        share = entered / left if left else ZERO
        leaving = [replace(each, quantity=each.quantity * share) for each in self.closing.values()]
        ways = [[(each.quantity, each.price) for each in lines] for lines in (self.entering.values(), leaving)]
        fees = (
            self.one.notional(each.quantity, each.price) * (each.rate - each.kept)
            for each in (*self.entering.values(), *leaving)
        )
        return rounded(gained(self.one, self.sign, *ways) - sum(fees, ZERO) + self.funding)


@dataclass(slots=True)
class Walk:
    """One position's way from the backtest to live."""

    state: _State
    result: Decimal
    trace: Trace
    costs: list[Cost] = field(default_factory=list)
    rest: Decimal = ZERO

    def go(self, state: _State, found: Found | None, order: str | None = None) -> None:
        """Put it so."""
        self.state = state
        self._count(state.result, found, order)

    def arrive(self, result: Decimal, found: Found | None) -> None:
        """What the books say in the end."""
        self._count(result, found, None)

    def _count(self, result: Decimal, found: Found | None, order: str | None) -> None:
        change, self.result = result - self.result, result
        if not change:
            return
        found = self.trace.back(found)
        if found is None:
            self.rest += change
        else:
            self.costs.append(Cost(found.cause, change, found.words, order))


def walked(live: Deal, paper: Deal, one: Instrument, stored: Stored, trace: Trace) -> Walk:
    """From the one to the other."""
    ours, theirs = _by_key(live.entering, one), _by_key(paper.entering, one)
    outs, their_outs = _by_key(live.closing, one), _by_key(paper.closing, one)
    bases = _bases({**ours, **outs}, {**theirs, **their_outs})
    start = _State(one, live.sign, _lines(theirs, bases, one), _lines(their_outs, bases, one), paper.funding)
    walk = Walk(start, paper.result, trace)
    walk.arrive(start.result, causes.booked(start.result - paper.result, (*paper.entering, *paper.closing)))
    _entries(walk, ours, theirs, one, stored)
    closing = _lines(outs, bases, one, 0)
    if outs.keys() != their_outs.keys():
        walk.go(replace(walk.state, closing=closing), causes.ended(live, paper, stored))
    else:
        shares = {key: replace(line, quantity=closing[key].quantity) for key, line in walk.state.closing.items()}
        walk.go(replace(walk.state, closing=shares), causes.left_over(live, paper))
    both = [(key, leg, theirs.get(key) or their_outs.get(key)) for key, leg in {**ours, **outs}.items()]
    for key, leg, other in both:
        if other is not None:
            _prices(walk, key, (leg, other), bases[key], stored)
    walk.go(replace(walk.state, funding=live.funding), causes.settled(live, paper))
    walk.arrive(live.result, causes.booked(live.result - walk.result, (*live.entering, *live.closing)))
    return walk


def alone(result: Decimal, found: Found | None) -> tuple[list[Cost], Decimal]:
    """Of a position that only one of the two had: all of it, by the one cause."""
    if found is None or not result:
        return [], result
    return [Cost(found.cause, result, found.words)], ZERO


def _entries(walk: Walk, ours: Mapping[Key, Leg], theirs: Mapping[Key, Leg], one: Instrument, stored: Stored) -> None:
    """The same orders, and as much of them."""
    for key in [name for name in theirs if name not in ours]:
        kept = {name: line for name, line in walk.state.entering.items() if name != key}
        walk.go(replace(walk.state, entering=kept), causes.only_paper(key[0], stored), theirs[key].order)
    for key, leg in ours.items():
        if key not in theirs:
            walk.go(_with(walk.state, key, _Line.of(leg, leg.price, one)), causes.only_live(key[0], stored), leg.order)
            continue
        line, wanted = walk.state.entering[key], leg.quantity if leg.wanted is None else leg.wanted
        walk.go(_with(walk.state, key, replace(line, quantity=wanted)), causes.resized(leg, theirs[key]), leg.order)
        walk.go(_with(walk.state, key, replace(line, quantity=leg.quantity)), causes.unfilled(leg), leg.order)


def _prices(walk: Walk, key: Key, both: tuple[Leg, Leg], bases: tuple[Decimal, Decimal], stored: Stored) -> None:
    """Where it was decided, how far from there it was filled, and what was paid for it."""
    (live, paper), (base, assumed), state = both, bases, walk.state
    line = replace(state.entering.get(key) or state.closing[key], base=base)
    walk.go(_with(walk.state, key, line), causes.moved(live, paper, stored), live.order)
    line = replace(line, away=live.price - base)
    walk.go(_with(walk.state, key, line), causes.slipped(live, paper, base, assumed), live.order)
    expected = state.one.notional(live.quantity, live.price) * line.rate
    if live.fee is not None:
        paid = _Line.of(live, base, state.one)
        line = replace(line, rate=paid.rate, kept=paid.kept)
    walk.go(_with(walk.state, key, line), causes.charged(live, paper, expected), live.order)


def _bases(ours: Mapping[Key, Leg], theirs: Mapping[Key, Leg]) -> dict[Key, tuple[Decimal, Decimal]]:
    """What the prices of each are seen from, live and in the backtest; of one that is only in one of them, its own."""
    alone = {key: (leg.price, leg.price) for key, leg in {**ours, **theirs}.items()}
    return alone | {key: _base(leg, theirs[key]) for key, leg in ours.items() if key in theirs}


def _base(live: Leg, paper: Leg) -> tuple[Decimal, Decimal]:
    """Where it fired or was decided, where that is known of both, else the price of its signal."""
    for mine, other in ((live.trigger, paper.trigger), (live.decided, paper.decided), (live.said, paper.said)):
        if mine is not None and other is not None:
            return mine, other
    return live.price, paper.price


def _lines(
    legs: Mapping[Key, Leg], bases: Mapping[Key, tuple[Decimal, Decimal]], one: Instrument, side: int = 1
) -> dict[Key, _Line]:
    return {key: _Line.of(leg, bases[key][side], one) for key, leg in legs.items()}


def _by_key(legs: Sequence[Leg], one: Instrument) -> dict[Key, Leg]:
    """What closed at the same trigger is one; of two stops, one after the other, the second is told from the first by
    its name."""
    found: dict[Key, Leg] = {}
    for leg in legs:
        same = found.get(leg.key)
        if same is None:
            found[leg.key] = leg
        elif leg.trigger is not None and leg.trigger == same.trigger:
            found[leg.key] = _together(same, leg, one)
        else:
            found[leg.order, leg.leg] = leg
    return found


def _together(leg: Leg, more: Leg, one: Instrument) -> Leg:
    return replace(
        leg,
        quantity=leg.quantity + more.quantity,
        price=one.average_entry((each.quantity, each.price) for each in (leg, more)),
        fee=None if leg.fee is None or more.fee is None else leg.fee + more.fee,
        is_priced=leg.is_priced and more.is_priced,
    )


def _with(state: _State, key: Key, line: _Line) -> _State:
    if key[1] in ENTERING:
        return replace(state, entering={**state.entering, key: line})
    return replace(state, closing={**state.closing, key: line})
