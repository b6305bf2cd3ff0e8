"""An order whose outcome is not known, and what has been asked about it so far. When to ask next; asks nothing itself.

An order is proven absent only by three answers that were all read after no copy of its request could still be carried
out: the exchange does not know its id, no trade is its, and the position is no other than it would be without it. One
that could rest has to be missing from the list of open orders as well, before the trades and the position are read.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from pipeline.execution.engine.order_life import filled_by
from pipeline.execution.engine.provenance import fill_of
from pipeline.execution.engine.state import ZERO, OrderRecord, OrderTold, Policy, PositionRecord, TradeTold
from pipeline.timeline import DAY, SECOND

Held = tuple[Decimal, int | None]


@dataclass(frozen=True, slots=True)
class Absent:
    """Proven: the exchange never had it, and never will."""


@dataclass(slots=True)
class Doubt:
    """What we wait for. `gone_at`: from then on no copy of the request can be carried out any more."""

    gone_at: int
    ask_at: int
    wait: int
    held_before: Decimal
    """The position when the order was sent, to see afterwards whether it moved."""
    held_at: int | None = None
    """When the exchange had said so; None: by an earlier term, and nobody knows when."""
    absent: bool = False
    """The exchange said, after `gone_at`, that it knows no such order."""
    unlisted: bool = False
    """Nor is it among its open orders; of one that cannot rest that need not be asked."""
    likely: tuple[TradeTold, ...] = ()
    """Trades that may be its own, or of another order of ours whose end is not known."""
    trades: tuple[TradeTold, ...] | None = None
    trades_at: int = 0
    """When the trades were read: a position that was read later may have moved by one that is not among them."""
    others: tuple[TradeTold, ...] = ()
    """Trades of the symbol that are surely not this order's."""
    listed: tuple[TradeTold, ...] = ()
    """Every trade that was read, whoever's."""
    held_now: Decimal | None = None
    seen: set[Decimal] = field(default_factory=set)
    """What was held meanwhile, as the exchange told it: what came and went again was traded as well."""

    @property
    def unseen(self) -> bool:
        """Whether only its trades and the position can still tell of it."""
        return self.absent and self.unlisted

    @property
    def held(self) -> tuple[Decimal, int | None]:
        """What was held before it, and since when that is known."""
        return self.held_before, self.held_at

    def moved(self) -> Decimal:
        """How the position moved by more than others' trades say. Where nobody knows since when, any explain it."""
        if self.held_now is None or (self.held_at is None and self.others):
            return ZERO
        since, moved = self.held_at or 0, self.held_now - self.held_before
        theirs = (one for one in self.others if one.at > since)
        more = moved - sum((one.quantity if one.side == "BUY" else -one.quantity for one in theirs), ZERO)
        return min(moved, more, key=abs) if moved * more > 0 else ZERO

    def explained(self) -> bool:
        """Whether the trades that are listed make what was held before into what is held now, by way of what was held
        meanwhile: all since then, or those since some moment where nobody knows since when."""
        left = (self.held_now or ZERO) - self.held_before
        passed = {self.held_before, self.held_before + left}
        for one in reversed(self.listed):
            if one.at <= self.held_at if self.held_at is not None else not left:
                break
            left -= fill_of(one).change
            passed.add(self.held_before + left)
        return not left and self.seen <= passed

    def asked(self, policy: Policy, now: int) -> None:
        """A question went out: the next one waits longer."""
        self.ask_at = now + self.wait
        self.wait = min(self.wait * 2, policy.ask_most)


def sent(policy: Policy, held: Held, now: int) -> Doubt:
    """The order is on its way: an answer is expected soon."""
    lost_at = now + policy.answer_within
    return Doubt(lost_at + policy.surely_gone, lost_at, policy.ask_first, *held)


def lost(policy: Policy, held: Held, now: int, seen: Iterable[Decimal] = ()) -> Doubt:
    """No answer will come any more: ask, soon and then less often. `seen`: what was held since it was sent."""
    return Doubt(now + policy.surely_gone, now + policy.ask_first, policy.ask_first, *held, seen=set(seen))


def held_by(position: PositionRecord, compared_at: int) -> Held:
    """What is held now, and when the exchange said so; of what it never told of, nothing was held when all that is open
    was read."""
    return position.quantity, position.as_of or compared_at


def trades_since(order: OrderRecord, doubt: Doubt) -> int:
    """From when on the trades are wanted that tell what became of it. An earlier term's clock may have been wrong."""
    return order.created_at - DAY if doubt.held_at is None else min(order.created_at - SECOND, doubt.held_at)


def verdict(order: OrderRecord, doubt: Doubt, policy: Policy, now: int) -> OrderTold | Absent | None:
    """What the answers prove: how the order stands, that it never was, or None as long as they prove nothing: where the
    trades do not make up the position, some may not be listed yet."""
    if not doubt.unseen or doubt.trades is None or (doubt.held_now is None and not policy.owned):
        return None
    if not policy.owned and not doubt.explained() and now < doubt.gone_at + policy.surely_listed:
        return None
    if doubt.trades:
        return made_by(order, doubt.trades, policy)
    if policy.owned:  # a balance moves for many reasons, and proves nothing
        return Absent() if order.side == "SELL" or now >= doubt.gone_at + policy.surely_listed else None
    moved = doubt.moved() if order.side == "BUY" else -doubt.moved()
    if moved > 0 and order.quantity is not None:
        return filled_by(order, min(moved, order.quantity), None, now)
    if order.type == "LIMIT" and order.exchange_id is not None:
        return filled_by(order, order.filled, order.average_price, now)  # it was there, and rests no more
    return Absent()


def made_by(order: OrderRecord, trades: Sequence[TradeTold], policy: Policy) -> OrderTold:
    """How the order stands where these trades are its own."""
    quantity = sum((one.quantity for one in trades), ZERO)
    price = policy.arithmetic.average((one.quantity, one.price) for one in trades)
    return filled_by(order, quantity, price, max(one.at for one in trades))


def unclaimed(order: OrderRecord, trades: Iterable[TradeTold], known: Collection[int | None]) -> tuple[TradeTold, ...]:
    """The trades that can only be this order's: its side, its time, no worse than its limit, of one exchange order that
    nobody else claims; or of its own, where the exchange has shown it before."""
    if order.type == "LIMIT" and order.exchange_id is not None:
        return tuple(one for one in trades if one.exchange_id == order.exchange_id)
    by_order: dict[int, list[TradeTold]] = {}
    for one in trades:
        if one.exchange_id not in known and _may_be_of(order, one):
            by_order.setdefault(one.exchange_id, []).append(one)
    for group in by_order.values():
        if order.quantity is not None and sum((one.quantity for one in group), ZERO) <= order.quantity:
            return tuple(group)
    return ()


def _may_be_of(order: OrderRecord, trade: TradeTold) -> bool:
    if trade.side != order.side or trade.at < order.created_at - SECOND:
        return False
    limit = order.price if order.type == "LIMIT" else None
    return limit is None or (trade.price <= limit if order.side == "BUY" else trade.price >= limit)
