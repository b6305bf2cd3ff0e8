"""How many coins are ours, counted again by the past of their symbol: of the position, or of each strategy's book. What
the journal lacks of it is written into it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from pipeline.execution.engine import coins, holdings
from pipeline.execution.engine.events import Recalled
from pipeline.execution.engine.memory import Memory
from pipeline.execution.engine.rebuild import bought, guarded
from pipeline.execution.engine.state import PROTECTING, OrderRecord, Owner, PositionRecord, SignalView


@dataclass(frozen=True, slots=True)
class Recount:
    """`orders`: ours, oldest first; `signals`: what they were made of, by the order's id."""

    memory: Memory
    past: Recalled
    orders: Sequence[OrderRecord]
    signals: Mapping[str, SignalView]

    def of(self, held: PositionRecord) -> PositionRecord:
        """What these orders have left of what they bought."""
        memory, trades = self.memory, self.past.trades
        listed = {one.exchange_id for one in trades}
        mine = (memory.orders[name] for name in held.parts if name in memory.orders)
        before = [one for one in mine if one.filled and one.exchange_id not in listed]
        filters = memory.market(held.symbol).filters
        parts = coins.since_dust(before, self.orders, trades, filters)
        known = {one.id: coins.with_kept(one, trades) for one in (*before, *self.orders)}
        for name in parts:
            memory.orders.setdefault(name, known[name])
            if memory.orders[name].kept is None and known[name].kept is not None:
                memory.write(known[name], "reconcile")
        return bought(held, [known[name] for name in parts], self.orders, self.signals, memory.policy.risk)

    def books(self, position: PositionRecord) -> holdings.Books:
        """The same, of each strategy. Where nobody knows whose coins were sold, what is left is one book, of whose
        entry is the oldest of it."""
        whole = self.of(position)
        owners = holdings.owners([*self.memory.of(position.symbol), *self.orders])
        made = [self.memory.orders[name] for name in whole.parts]
        is_known = all(owners[one.id][0] for one in made if one.side == "SELL")
        several = {*(one.owner for one in position.books), *(owners[one.id] for one in made)}
        if not is_known or len(several) < 2:
            return self._claimed([one for one in (self._as_one(position, whole),) if one.managed])
        return self._claimed([one for one in self._since(made)._each(position, owners, whole.parts) if one.managed])

    def _claimed(self, books: Sequence[PositionRecord]) -> holdings.Books:
        """With what stands of which nobody knows whose it is: it is theirs who hold just so much, if only one does;
        or the only one's, and stays that when there are others."""
        claimed: dict[Owner, list[OrderRecord]] = {}
        quantities = {one.owner: self._sellable(one) for one in books}
        for order in self.memory.unsettled(self.past.symbol, *PROTECTING):
            fits = books if len(books) == 1 else [one for one in books if quantities[one.owner] == order.quantity]
            if order.owner[0] is None and order.signal is None and order.stands and len(fits) == 1:
                (book,) = fits
                its = replace(order, strategy=book.strategy, interval=book.interval, signal=book.signal)
                self.memory.write(its, "reconcile", "it is for all that its strategy holds")
                claimed.setdefault(book.owner, []).append(its)
        return tuple(guarded(one, claimed[one.owner]) if one.owner in claimed else one for one in books)

    def _sellable(self, book: PositionRecord) -> Decimal | None:
        filters = self.memory.market(book.symbol).filters
        held = coins.holding(book, self.memory.orders).quantity - book.missing
        return None if filters is None else coins.sellable(held, filters)

    def _since(self, made: Sequence[OrderRecord]) -> "Recount":
        """Only by what these orders have traded: before, all that was ours was sold."""
        numbers = {one.exchange_id for one in made}
        trades = tuple(one for one in self.past.trades if one.exchange_id in numbers)
        return replace(self, past=replace(self.past, trades=trades))

    def _each(self, position: PositionRecord, owners: Mapping[str, Owner], made: Sequence[str]) -> holdings.Books:
        held = {one.owner: one for one in position.books}
        found = dict.fromkeys([*held, *(owners[name] for name in made)])
        return tuple(self._of_owner(held.get(owner) or holdings.bare(position), owner, owners, made) for owner in found)

    def _of_owner(
        self,
        held: PositionRecord,
        owner: Owner,
        owners: Mapping[str, Owner],
        made: Sequence[str],
    ) -> PositionRecord:
        mine = replace(self, orders=[one for one in self.orders if owners[one.id] == owner])
        return mine.of(replace(held, parts=tuple(one for one in held.parts if one in made)))

    def _as_one(self, position: PositionRecord, whole: PositionRecord) -> PositionRecord:
        """What somebody has taken of any stays taken."""
        if len(position.books) < 2:
            return replace(whole, books=())
        mended = self.of(replace(holdings.bare(position), parts=position.parts))
        return replace(mended, missing=position.missing)
