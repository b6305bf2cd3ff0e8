"""The executor's memory: orders, positions and what is being waited for; and the effects that are to leave. It decides
nothing; what it changes, it journals.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from operator import attrgetter
from typing import Final

from pipeline.exchange.products.instrument import ONE
from pipeline.execution.engine import client_ids, holdings, sizing
from pipeline.execution.engine.books import book_of, opened_as
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.effects import Effect, JournalIntent, JournalOrder, JournalPosition, Notify, Place
from pipeline.execution.engine.events import GoalSeen
from pipeline.execution.engine.resolve import Doubt, held_by, lost, sent
from pipeline.execution.engine.state import (
    ENTERING,
    PROTECTING,
    ZERO,
    By,
    OrderRecord,
    OrderTold,
    Owner,
    Policy,
    PositionRecord,
    SymbolState,
    flat,
)
from pipeline.timeline import MINUTE, SECOND
from schemas.orders import Leg, State
from schemas.shared import Mode

_REMEMBERED: Final = 10 * MINUTE
_OTHERS: Final = 1_000
_CRUMB: Final = Decimal("1e-8")


@dataclass(slots=True)
class Ended:
    """A position that is gone, and how has still to be said. Until then the journal has it as it was last: should the
    process die, another says it."""

    position: PositionRecord
    held_at: int
    """When the exchange last said that something of it was held."""
    since: int | None = None
    """When that was first looked at."""
    cannot_be_asked: bool = False
    """The exchange knows its symbol no more: it will not be known better."""


@dataclass(slots=True)
class Memory:
    """One process's view of the journal. Everything here can be built again from the journal and one snapshot."""

    policy: Policy
    identity: Identity
    mode: Mode = "signal-only"
    halted: bool = False
    flatten: bool = False
    leaving: bool = False
    """The process is about to end."""
    goal: GoalSeen = field(default_factory=lambda: GoalSeen(None, "stop"))
    shares: Mapping[str, Decimal] | None = None
    """How much of the equity each strategy goes by, in percent; None: each by all of it."""
    alike: Mapping[str, Collection[str]] = field(default_factory=dict)
    """Of each symbol, as far as it was measured, those that move like it."""
    compared: bool = False
    """Whether the exchange was compared: before, nobody knows what is held, by us or by others."""
    compared_at: int = 0
    """When everything that was open was read last."""
    orders: dict[str, OrderRecord] = field(default_factory=dict)
    positions: dict[str, PositionRecord] = field(default_factory=dict)
    markets: dict[str, SymbolState] = field(default_factory=dict)
    doubts: dict[str, Doubt] = field(default_factory=dict)
    held_before: dict[str, Decimal] = field(default_factory=dict)
    """What was held of its symbol when an order was sent."""
    held_at: Counter[str] = field(default_factory=Counter)
    """When the exchange last said that something is held of a symbol."""
    changed_at: Counter[str] = field(default_factory=Counter)
    """When the exchange last changed a position, as a comparison said."""
    heard_to: Counter[str] = field(default_factory=Counter)
    """Until then it is known by whom a position was changed: the stream has told each change, or its past was read."""
    deaf_since: int | None = 0
    """The stream was down, and the exchange was not compared after that; None: nothing was missed."""
    rest_until: dict[str, int] = field(default_factory=dict)
    """How long a limit entry may rest, by the clock as it is now."""
    withdrawn: dict[str, str] = field(default_factory=dict)
    """Why a limit entry is cancelled."""
    unjournaled: set[str] = field(default_factory=set)
    others: dict[int, OrderTold] = field(default_factory=dict)
    """Filled orders that the journal does not have, by the exchange's number."""
    nameless: set[int] = field(default_factory=set)
    """Numbers of orders of which the exchange cannot say whose they are."""
    ended: dict[str, Ended] = field(default_factory=dict)
    """By symbol."""
    halved: set[str] = field(default_factory=set)
    """What stood when the other one of its pair had ended: it was asked for."""
    unpaid: dict[str, int] = field(default_factory=dict)
    """Since when the trades of a symbol have to be asked for: what they cost is not known."""
    resend_at: dict[str, int] = field(default_factory=dict)
    instead: dict[str, str] = field(default_factory=dict)
    """By an order on its way, what its request was to cancel first."""
    one_by_one: set[str] = field(default_factory=set)
    """Symbols in which the exchange did not take both in one request."""
    not_before: dict[tuple[str, str], int] = field(default_factory=dict)
    pauses: dict[tuple[str, str], int] = field(default_factory=dict)
    sends: list[int] = field(default_factory=list)
    settled_since: dict[str, int] = field(default_factory=dict)
    """When each settled order was first seen to be as it is."""
    touched: set[str] = field(default_factory=set)
    recalling: set[str] = field(default_factory=set)
    """Symbols whose past is asked for: until it is known, nothing is decided there."""
    uneven: set[str] = field(default_factory=set)
    """Symbols of which more or less is held than the books of its strategies add up to."""
    corrections: int = 0
    """Where a comparison with the exchange found the journal wrong. An order in doubt is no mistake: it is resolved."""
    _told: set[str] = field(default_factory=set)
    _endings: list[Effect] = field(default_factory=list)
    _effects: list[Effect] = field(default_factory=list)
    _journaled: dict[str, PositionRecord] = field(default_factory=dict)

    # Reading

    def market(self, symbol: str) -> SymbolState:
        """What is known of the symbol."""
        found = self.markets.get(symbol)
        if found is None:
            found = self.markets[symbol] = SymbolState()
        return found

    def lot(self, symbol: str) -> Decimal:
        """The step of an order at market."""
        filters = self.market(symbol).filters
        return _CRUMB if filters is None else sizing.market_step(filters)

    def notional(self, symbol: str, quantity: Decimal, price: Decimal) -> Decimal:
        """What so much of it is worth at that price, in the asset of its margin."""
        instrument = self.market(symbol).instrument
        size = ONE if instrument is None else instrument.size
        return abs(quantity * self.policy.arithmetic.value(price, size)) if quantity else ZERO

    def position(self, symbol: str) -> PositionRecord:
        """The position in the symbol; flat if there is none."""
        return self.positions.get(symbol) or flat(symbol)

    def each(self, symbol: str) -> tuple[PositionRecord, ...]:
        """What has a stop of its own in the symbol: the position; of coins each book."""
        position = self.position(symbol)
        return holdings.each(position) if self.policy.apart else (position,)

    def moved_by(self, order: OrderRecord) -> PositionRecord:
        """What the order's fills change: the position; of coins the book that it is of."""
        position = self.position(order.symbol)
        if not self.policy.apart:
            return position
        return holdings.of_order(position, order) or holdings.bare(position)

    def holding(self, order: OrderRecord) -> PositionRecord:
        """What the order is of: its owner's book where there are books, else all that is held of its symbol."""
        position = self.moved_by(order)
        if not self.policy.netted or order.owner[0] is None:
            return position
        return book_of(position, order) or flat(order.symbol)

    def unsettled(self, symbol: str, *legs: Leg) -> list[OrderRecord]:
        """The symbol's orders that still need watching, of those legs or of all."""
        return [
            one
            for one in self.orders.values()
            if one.symbol == symbol and one.unsettled and (not legs or one.leg in legs)
        ]

    def of(self, symbol: str) -> list[OrderRecord]:
        """Every order of the symbol that is remembered."""
        return [one for one in self.orders.values() if one.symbol == symbol]

    def orders_of(self, held: PositionRecord) -> list[OrderRecord]:
        """Every order of what has a stop of its own (`each`)."""
        return [one for one in self.of(held.symbol) if self._is_of(one, held)]

    def unsettled_of(self, held: PositionRecord, *legs: Leg) -> list[OrderRecord]:
        """Those of them that still need watching."""
        return [one for one in self.unsettled(held.symbol, *legs) if self._is_of(one, held)]

    def _is_of(self, order: OrderRecord, held: PositionRecord) -> bool:
        if not self.policy.apart:
            return True
        its = holdings.of_order(self.position(order.symbol), order)
        return its.owner == held.owner if its and held.managed else not (its or held.managed)

    def locking(self, held: PositionRecord) -> list[OrderRecord]:
        """What may keep coins that are to be sold: its own orders, and what nobody knows whose it is."""
        mine = self.unsettled_of(held)
        return mine if not self.policy.apart else [*mine, *self._nobodys(held.symbol)]

    def _nobodys(self, symbol: str) -> list[OrderRecord]:
        position = self.position(symbol)
        return [one for one in self.unsettled(symbol) if holdings.of_order(position, one) is None]

    def busy(self, symbol: str, now: int, closes: Owner | None = None) -> bool:
        """Whether something is under way that a new decision would have to wait for. `closes`: whose own book it is to
        close, if it does: what others let rest is nothing to that."""
        position = self.position(symbol)
        if not position.settled or position.closing or self.market(symbol).close_due:
            return True
        if symbol in self.uneven:
            return True
        if symbol in self.recalling or now < self.not_before.get((symbol, "decide"), 0):
            return True
        under_way = [one for one in self.unsettled(symbol) if closes is None or not one.rests or one.owner == closes]
        return any(_occupies(one, position) or not position.exposed for one in under_way)

    def open_symbols(self) -> frozenset[str]:
        """Where we hold something, or soon may."""
        held = {one.symbol for one in self.positions.values() if one.ours and (one.exposed or one.books)}
        return frozenset(held | {one.symbol for one in self.orders.values() if one.unsettled and one.leg in ENTERING})

    def unseen(self, order: OrderRecord, shown: Decimal | None) -> Decimal:
        """How much of an entry what is shown of its symbol does not have yet; None: nothing is shown of it."""
        before = self.held_before.get(order.id)
        grown = ZERO if before is None or shown is None else max(ZERO, abs(shown) - abs(before))
        wanted = (order.quantity or ZERO) if order.unsettled else order.filled
        return max(ZERO, wanted - grown)

    def newest_other(self, symbol: str) -> OrderTold | None:
        """The newest fill in the symbol by an order that the journal does not have."""
        mine = (one for one in self.others.values() if one.symbol == symbol)
        return max(mine, key=lambda one: one.at, default=None)

    def numbers(self, symbol: str) -> set[int | None]:
        """The exchange's numbers of orders of which it is known whose they are."""
        ours = {one.exchange_id for one in self.orders.values() if one.symbol == symbol}
        return ours | {one.exchange_id for one in self.others.values() if one.symbol == symbol}

    def together(self, order: OrderRecord) -> tuple[OrderRecord, ...]:
        """The order, and what goes or went with it in one request and is not settled."""
        beside = self.orders.get(client_ids.beside(order.id)) if order.leg == "stop" and self.policy.owned else None
        return (order,) if beside is None or not beside.unsettled else (order, beside)

    def doubted_beside(self, order: OrderRecord, now: int) -> bool:
        """Whether another one of its kind may be gone: then this one has to stay. Of what has gone while the stream was
        down nobody tells before the exchange is compared."""
        mine = self.unsettled_of(self.moved_by(order), order.leg)
        others = (one for one in mine if one.id != order.id and one.stands)
        return any(self.deaf_since is not None or one.id in self.doubts or self._leaves(one, now) for one in others)

    def _leaves(self, order: OrderRecord, now: int) -> bool:
        """Whether it was to be cancelled just now, and that is not answered: where there are books, a price that was
        wanted before may be wanted again meanwhile."""
        asked = self.not_before.get((order.symbol, f"cancel {order.id}"))
        return self.policy.netted and asked is not None and now < asked + self.policy.answer_within

    def may_have_fired(self, order: OrderRecord) -> bool:
        """Whether it was given up, and may have been filled all the same: it had stood; or it came late, which looks as
        if it had never arrived until its order is placed, where nobody tells of what has fired."""
        is_untold = self.policy.netted and self.policy.look_at_stops_every is not None
        came_late = is_untold and order.algo and order.state == "abandoned" and order.attempts > 0
        return order.forgotten or came_late

    def is_second(self, order: OrderRecord) -> bool:
        """Whether it leaves with another one, and never by itself."""
        return self.policy.owned and order.leg == "take_profit"

    # Waiting

    def pace(self, what: str, of: PositionRecord | OrderRecord) -> str:
        """What is not tried too often: of coins in books for each of them."""
        return f"{what} {of.owner[0]} {of.owner[1]}" if self.policy.apart else what

    def may(self, symbol: str, what: str, now: int, pause: int) -> bool:
        """Whether `what` may be tried for the symbol now; if so, not again before `pause` has passed."""
        if now < self.not_before.get((symbol, what), 0):
            return False
        self.not_before[symbol, what] = now + pause
        return True

    def hold(self, symbol: str, what: str, until: int) -> None:
        """`what` is not to be tried for the symbol before that."""
        self.not_before[symbol, what] = until

    def hold_longer(self, symbol: str, what: str, now: int, most: int) -> None:
        """`what` was tried in vain again: the pause doubles, up to `most`. After a while in which nothing was held, it
        begins at a second."""
        key = symbol, what
        lately = now < self.not_before.get(key, 0) + most
        self.pauses[key] = min(self.pauses[key] * 2, most) if lately and key in self.pauses else SECOND
        self.hold(symbol, what, now + self.pauses[key])

    def hold_at_most(self, symbol: str, what: str, until: int) -> None:
        """`what` may be tried for the symbol by then, however often it was in vain."""
        key = symbol, what
        if key in self.not_before:
            self.not_before[key] = min(self.not_before[key], until)

    def hold_no_more(self, symbol: str, *pace: str) -> None:
        """What was tried in vain for a position that is gone keeps nothing waiting for the next one: all of its symbol,
        or these."""
        for what in [what for what in self.pauses if what[0] == symbol and (not pace or what[1] in pace)]:
            del self.pauses[what]
            self.not_before.pop(what, None)

    def shift(self, by: int) -> None:
        """The clock was put forward or back: what is waited for is waited for as long as before. What the exchange has
        told keeps its time: that was not told by this clock, and what a clock far off signs is refused."""
        self.settled_since = {order: at + by for order, at in self.settled_since.items()}
        self.not_before = {what: until + by for what, until in self.not_before.items()}
        self.resend_at = {order: at + by for order, at in self.resend_at.items()}
        self.sends = [at + by for at in self.sends]
        self.rest_until = {order: until + min(by, 0) for order, until in self.rest_until.items()}
        self.deaf_since = None if self.deaf_since is None else self.deaf_since + by
        for ended in self.ended.values():
            ended.since = None if ended.since is None else ended.since + by
        for wait in self.doubts.values():
            wait.ask_at, wait.gone_at = wait.ask_at + by, wait.gone_at + by
        for one in [one for symbol in self.positions for one in self.each(symbol)]:
            if one.unprotected_since is not None:
                self.put(replace(one, unprotected_since=one.unprotected_since + by))

    def none_is_newer(self, now: int) -> None:
        """The clock was put back: what was decided by it before it was right was not decided later than now. Its trades
        would be older than the order."""
        for order in [one for one in self.orders.values() if one.unsettled and one.created_at > now]:
            self.orders[order.id] = replace(order, created_at=now)

    # Writing

    def emit(self, effect: Effect) -> None:
        """This is to be done, after everything that was emitted before."""
        self._effects.append(effect)

    def warn(self, title: str, text: str) -> None:
        """A person should know."""
        self.emit(Notify("warning", title, text))

    def warn_once(self, title: str, text: str) -> None:
        """The same, once a term."""
        if title not in self._told:
            self._told.add(title)
            self.warn(title, text)

    def recall(self, symbol: str) -> None:
        """The symbol's past is to be asked for."""
        self.recalling.add(symbol)
        self.touched.add(symbol)

    def hear_from(self, asof: int) -> None:
        """The exchange was compared as it was then: if the stream was back by then, it tells every change again."""
        if self.deaf_since is not None and asof >= self.deaf_since:
            self.deaf_since = None

    def intend(self, order: OrderRecord, why: str | None = None) -> None:
        """Ask the journal to take the order; it is sent once that is done."""
        self.orders[order.id] = order
        self.unjournaled.add(order.id)
        self.touched.add(order.symbol)
        self.emit(JournalIntent(order, why))

    def send(self, order: OrderRecord, now: int, instead: OrderRecord | None = None) -> None:
        """The order leaves now, with what goes in the same request."""
        leaving, *others = (
            replace(one, state="sent", attempts=one.attempts + 1, updated_at=now) for one in self.together(order)
        )
        self.emit(Place(leaving, others[0] if others else None, instead))
        if instead is not None:
            self.instead[leaving.id] = instead.id
        position = self.position(order.symbol)
        for one in (leaving, *others):
            self.held_before[one.id] = position.quantity
            self.doubts[one.id] = sent(self.policy, held_by(position, self.compared_at), now)
            self.resend_at.pop(one.id, None)
            self.unjournaled.discard(one.id)
            self.write(one, "executor")
        self.sends.append(now)

    def stands_behind(self, order: OrderRecord) -> bool:
        """Whether something stands that the order's request was to cancel first."""
        old = self.orders.get(self.instead.get(order.id, ""))
        return old is not None and old.stands

    def doubt(self, order: OrderRecord, now: int) -> None:
        """It stood, and may not stand any more: it is asked for at once."""
        wait = lost(self.policy, held_by(self.position(order.symbol), self.compared_at), now)
        wait.ask_at = wait.gone_at = now
        if self.policy.owned:
            wait.gone_at += self.policy.surely_listed  # no other may stand beside it
        self.doubts[order.id] = wait

    def move(self, order: OrderRecord, state: State, by: By, detail: str, now: int) -> OrderRecord:
        """The order is in that state now."""
        moved = replace(order, state=state, updated_at=now)
        self.write(moved, by, detail)
        return moved

    def write(self, order: OrderRecord, by: By, detail: str | None = None) -> None:
        """Keep the order as it is now, in the journal too."""
        if by == "reconcile" and not ((old := self.orders.get(order.id)) and old.in_doubt):
            self.corrections += 1
        self.keep(order)
        self.emit(JournalOrder(order, by, detail))

    def keep(self, order: OrderRecord) -> None:
        """Keep the order as it is now. Nobody waits for the answer to a settled one."""
        self.orders[order.id] = order
        self.settled_since.pop(order.id, None)
        self.touched.add(order.symbol)
        if not (order.unsettled or order.filled):
            self._came_to_nothing(order)
        if order.state not in {"sent", "unknown"}:
            self._look_at_what_it_replaces(order)
        if not order.in_doubt:
            self.doubts.pop(order.id, None)
            self.resend_at.pop(order.id, None)

    def _look_at_what_it_replaces(self, order: OrderRecord) -> None:
        """It is known what became of the order: what was to be cancelled for it is asked for, unless that is known."""
        old = self.orders.get(self.instead.pop(order.id, ""))
        if old is not None and old.stands:
            self.doubt(old, order.updated_at)

    def keep_other(self, told: OrderTold) -> None:
        """An order that the journal does not have was filled. The oldest of very many is forgotten."""
        if told.exchange_id is not None:
            self.others[told.exchange_id] = told
        if len(self.others) > _OTHERS:
            del self.others[next(iter(self.others))]

    def forget(self, order: OrderRecord) -> None:
        """The order was never journaled: it has never been."""
        self.orders.pop(order.id, None)
        self.settled_since.pop(order.id, None)
        self.unjournaled.discard(order.id)
        self.touched.add(order.symbol)
        self._came_to_nothing(order)

    def _came_to_nothing(self, order: OrderRecord) -> None:
        """What was taken for its position, as long as it could be, somebody else has opened."""
        position = self.moved_by(order)
        if order.leg in ENTERING and position.managed and position.quantity and position.signal == order.signal:
            self.recall(order.symbol)

    def put(self, position: PositionRecord) -> None:
        """Keep the position as it is now; it is journaled with the next effects."""
        old = self.position(position.symbol)
        if self.policy.apart:
            position = holdings.put(old, position)
        self._put(old, position)

    def put_books(self, symbol: str, books: tuple[PositionRecord, ...]) -> None:
        """These are what strategies hold of its coins."""
        old = self.position(symbol)
        self._put(old, holdings.whole(old, books))

    def _put(self, old: PositionRecord, position: PositionRecord) -> None:
        symbol = position.symbol
        if old != position or symbol not in self.positions:
            if old.managed and not old.goes_on_as(position) and not self.policy.books:
                self.ended[symbol] = Ended(old, self.held_at[symbol])
            self.positions[symbol] = position
            self.touched.add(symbol)

    def end(self, book: PositionRecord, note: Notify, now: int) -> None:
        """Nothing is left of a strategy's coins."""
        old = self.position(book.symbol)
        self._put(old, replace(holdings.without(old, book), counted=holdings.over(old, book, now)))
        self._endings.append(note)

    def say_end(self, symbol: str, note: Notify) -> None:
        """How the position ended is known, or will not be known better."""
        del self.ended[symbol]
        self.touched.add(symbol)
        self._endings.append(note)

    def load(self, orders: Iterable[OrderRecord], positions: Iterable[PositionRecord]) -> None:
        """What the journal has."""
        self.orders.update((one.id, one) for one in orders)
        for one in positions:
            loaded = replace(_untold(one), books=tuple(map(_untold, one.books)))
            self._journaled[one.symbol] = loaded
            self.positions[one.symbol] = self._with_books(loaded)
        self.touched.update(self.symbols())

    def _with_books(self, position: PositionRecord) -> PositionRecord:
        """As the settings are now: what was held before there were books is one, and without them there are none."""
        if not self.policy.books:
            if len(position.books) > 1:
                held = ", ".join(f"{one.quantity} of {one.strategy} {one.interval}" for one in position.books)
                self.warn(f"{position.symbol} has no books any more", f"{held}: what is held of it is one position now")
            return replace(position, books=(), counted=position.counted if self.policy.owned else ())
        if self.policy.apart:
            books = position.books or ((position,) if position.managed else ())
            return holdings.whole(position, books)
        if position.books or position.counted:
            return position
        orders = self.of(position.symbol)
        its_own = (one for one in orders if one.leg in ENTERING and one.signal == position.signal)
        if position.signal and any(one.unsettled and one.filled < abs(position.quantity) for one in its_own):
            return position  # a fill that has made it was not told yet: it is in no book, and will be
        return opened_as(position, orders, max((one.updated_at for one in orders), default=0))

    def prune(self, now: int) -> None:
        """Forget what has been settled for long: it can have no news that a snapshot would not tell."""
        kept = {name for one in self.positions.values() for name in one.parts}
        for one in [one for one in self.orders.values() if not one.unsettled and one.id not in kept]:
            if self.settled_since.setdefault(one.id, now) < now - _REMEMBERED:
                for known in (self.orders, self.held_before, self.settled_since, self.rest_until, self.withdrawn):
                    known.pop(one.id, None)
                self.halved.discard(one.id)
        for what in [what for what, until in self.not_before.items() if until < now - _REMEMBERED]:
            del self.not_before[what]
            self.pauses.pop(what, None)

    def symbols(self) -> Iterator[str]:
        """Every symbol with a position or an order in memory, or that is to be closed, or whose past is asked for."""
        to_close = (symbol for symbol, market in self.markets.items() if market.close_due)
        return iter(
            dict.fromkeys([*self.positions, *(one.symbol for one in self.orders.values()), *to_close, *self.recalling])
        )

    def take(self) -> list[Effect]:
        """The effects, each handed out once. Ends first: what is gone from the journal was said. Then positions: an
        order that is final in the journal has told all that it means for its position."""
        changed = [
            one
            for symbol, one in ((each, self._to_journal(each)) for each in self.positions if each in self.touched)
            if _durable(one) != _durable(self._journaled.get(symbol, flat(symbol)))
        ]
        self._journaled.update((one.symbol, one) for one in changed)
        effects, self._effects = [*self._endings, *map(JournalPosition, changed), *self._effects], []
        self._endings.clear()
        self.touched.clear()
        return effects

    def _to_journal(self, symbol: str) -> PositionRecord:
        ended = self.ended.get(symbol)
        return ended.position if ended else self.positions[symbol]


def _occupies(order: OrderRecord, position: PositionRecord) -> bool:
    """Whether it is more than a stop or take-profit that simply stands, as a bridge does under what is not ours."""
    moves = position.managed and not order.close_position and order.strategy is None
    return order.leg not in PROTECTING or not order.waits or moves


_said: Final = attrgetter(
    *(
        each.name
        for each in fields(PositionRecord)
        if each.name not in {"as_of", "entered_at", "reduced_at", "unheard_at", "books"}
    )
)


def _durable(position: PositionRecord) -> tuple[object, ...]:
    """What of a position is worth a write: not when the exchange said it."""
    return _said(position), tuple(map(_said, position.books))


def _untold(position: PositionRecord) -> PositionRecord:
    """The position, of which the exchange has said nothing yet."""
    return replace(position, as_of=0, entered_at=0, reduced_at=0, unheard_at=-1)
