"""The books of a position: what each strategy holds of it, as if it held it alone. Pure.

The exchange keeps one position a symbol, so the books add up to it. A fill is its order's owner's. What closes more
than the owner has and an entry of his opens meanwhile, or is nobody's own, is taken from those whom it reduces, pro
rata. Nothing is ever ordered to put a book right: the exchange is right, and the books follow.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from pipeline.exchange.products.arithmetic import Arithmetic
from pipeline.exchange.products.instrument import ONE
from pipeline.execution.engine.provenance import Fill
from pipeline.execution.engine.rebuild import entered
from pipeline.execution.engine.state import (
    CLOSING,
    ENTERING,
    PROTECTING,
    ZERO,
    Counted,
    OrderRecord,
    Owner,
    PositionRecord,
    SignalView,
    exit_side,
    flat,
    side_of,
)
from pipeline.portfolio.sharing import shared
from pipeline.timeline import HOUR, SECOND
from schemas.orders import Leg

Books = tuple[PositionRecord, ...]
_AWAITED: Final = 5 * SECOND
"""So long at most what was closed waits for the end of an entry that rests, and others wait with it."""
NAMES: Final[dict[Leg, str]] = {"stop": "its stop", "take_profit": "its take-profit"}


def total(books: Iterable[PositionRecord]) -> Decimal:
    """What they add up to."""
    return sum((one.quantity for one in books), ZERO)


def book_of(position: PositionRecord, order: OrderRecord) -> PositionRecord | None:
    """The book that the order is of, if anything is held in it."""
    return next((one for one in position.books if one.owner == order.owner), None)


def view(position: PositionRecord, signal: SignalView) -> PositionRecord:
    """What the signal's strategy holds, as if it held it alone; what is not ours is everybody's to see."""
    if position.is_theirs:
        return position
    return next((one for one in position.books if one.belongs_to(signal)), flat(position.symbol))


def reduces(position: PositionRecord, book: PositionRecord) -> bool:
    """Whether closing the book closes as much of the position, and opens nothing."""
    return position.quantity * book.quantity > 0 and abs(position.quantity) >= abs(book.quantity)


def opened_as(position: PositionRecord, orders: Iterable[OrderRecord], now: int) -> PositionRecord:
    """The position with one book: it was held before there were any, or was found again."""
    book = replace(
        position, stop_order=None, take_profit_order=None, unprotected_since=None, as_of=0, entered_at=0, reduced_at=0,
        unheard_at=-1, books=(), counted=(),
    )  # fmt: skip
    counted = tuple(Counted(one.id, one.filled, now, one.average_price) for one in orders if one.filled)
    books = (book,) if position.ours and position.quantity else ()
    return replace(position, books=books, counted=counted, evened_at=max(position.evened_at, position.as_of))


def carried(
    position: PositionRecord, orders: Sequence[OrderRecord], arithmetic: Arithmetic, lot: Decimal, now: int
) -> PositionRecord:
    """With what the orders of its symbol have filled since that was counted last, in the order in which they did; but
    what closes more than its owner has, after what an entry of his opens that was under way: it closes that first."""
    counted = {one.order: one for one in position.counted}
    books, filled = position.books, _counted(position)
    new = (one for one in orders if one.filled > filled.get(one.id, ZERO))
    left = deque(sorted(new, key=lambda one: (one.seen_at, one.created_at, one.id)))
    while left:
        order = left.popleft()
        before = counted.get(order.id) or Counted(order.id, ZERO, now)
        is_over = order.id not in counted and _is_over(books, order, now)
        if not is_over and _is_new(position, order):
            if any(_waits_for(one, books, order, before.filled) for one in left):
                left.append(order)
                continue
            if now < order.seen_at + _AWAITED and any(
                one.stands and _waits_for(one, books, order, before.filled) for one in orders
            ):
                continue
            again = [one for one in orders if one.id in counted and _closes_again(one, order)]
            books = _traded(books, order, before, again, arithmetic, lot, now)
        counted[order.id] = Counted(order.id, order.filled, now, order.average_price)
    if list(counted.values()) == list(position.counted):
        return position
    known = {one.id for one in orders}
    lately = tuple(one for one in counted.values() if one.at > now - HOUR or one.order in known)
    return replace(position, books=books, counted=lately)


def awaits(position: PositionRecord, orders: Iterable[OrderRecord], entry: OrderRecord) -> bool:
    """Whether nobody knows before the entry's end of whose book something was closed."""
    filled, new = _counted(position), (one for one in orders if _is_new(position, one))
    return any(_waits_for(entry, position.books, one, filled.get(one.id, ZERO)) for one in new)


def _counted(position: PositionRecord) -> dict[str, Decimal]:
    return {one.order: one.filled for one in position.counted}


def _is_new(position: PositionRecord, order: OrderRecord) -> bool:
    """Whether it was filled since the books were made to add up to what is held."""
    return not position.evened_at or order.seen_at > position.evened_at


def _waits_for(entry: OrderRecord, books: Books, close: OrderRecord, counted: Decimal) -> bool:
    """Whether the entry may have opened what its owner's order has closed beyond his book: else that would be taken
    from what the others hold."""
    is_its = close.strategy is not None and close.owner == entry.owner and close.side != entry.side
    was_under_way = entry.leg in ENTERING and entry.created_at <= close.seen_at + SECOND
    if not (is_its and was_under_way) or close.leg in ENTERING:
        return False
    held = [one for one in books if (one.quantity > 0) == (entry.side == "BUY")]
    others = [one for one in held if one.owner != close.owner]
    return bool(others) and close.filled - counted > abs(total(held) - total(others))


def without_past(
    position: PositionRecord, orders: Iterable[OrderRecord], made: Iterable[Fill], now: int
) -> PositionRecord:
    """The position, with what was filled before its first book began counted, unless it is among the fills that it was
    `made` of: it was found again, and what it has opened or closed is long over."""
    began = min((one.opened_at for one in position.books if one.opened_at is not None), default=None)
    numbers = {one.number for one in made}
    counted = {one.order for one in position.counted}
    if began is None or not numbers:
        return position
    past = [one for one in orders if one.filled and one.id not in counted and one.exchange_id not in {None, *numbers}]
    over = [one for one in past if max(one.created_at, one.seen_at) < began]
    more = tuple(Counted(one.id, one.filled, now, one.average_price) for one in over)
    return replace(position, counted=(*position.counted, *more)) if more else position


def _is_over(books: Books, order: OrderRecord, now: int) -> bool:
    """Whether it is found again, and was filled before its owner's book began: what it had opened is long closed. A
    book that began later than now, because our clock has been set back, may have begun at any time."""
    book = next((one for one in books if one.owner == order.owner), None)
    began = None if book is None or order.leg not in ENTERING else book.opened_at
    told_at = max(order.created_at, order.seen_at)
    return book is not None and began is not None and told_at < began <= now and order.signal != book.signal


def _traded(
    books: Books,
    order: OrderRecord,
    before: Counted,
    again: Iterable[OrderRecord],
    arithmetic: Arithmetic,
    lot: Decimal,
    now: int,
) -> Books:
    more = order.filled - before.filled
    change = more if order.side == "BUY" else -more
    if order.leg in ENTERING:
        return _grown(books, order, change, _price_of(order, before, more, arithmetic), arithmetic, now)
    left = _closed(books, order, change, again, lot)
    is_over = order.leg == "flatten" and order.strategy is None and not total(left)
    return () if is_over else _ending(left, order)  # what they hold against each other ends as well


def _ending(books: Books, order: OrderRecord) -> Books:
    """Of what a stop or a target has closed, the rest is to be closed as well, wherever the price is by then: it closed
    no more than all of them came to."""
    if len(books) < 2 or order.leg not in PROTECTING:
        return books
    reason = reached(order.leg, order.trigger_price)
    return tuple(replace(one, closing=one.closing or reason) if _is_its(order, one) else one for one in books)


def _is_its(order: OrderRecord, book: PositionRecord) -> bool:
    """Whether it stood for the book, alone or with others."""
    level = book.stop_price if order.leg == "stop" else book.take_profit_price
    is_alike = level is not None and level == order.trigger_price and order.side == exit_side(book.side or "long")
    return is_alike and (order.strategy is None or order.owner == book.owner)


def reached(leg: Leg, level: Decimal | None) -> str:
    """Why a book is closed, once the price has come to what it has of its own."""
    return f"{NAMES[leg]} at {level} was reached"


def overtaken(leg: Leg) -> str:
    """Why, where the price was beyond it before it stood."""
    return f"the price is beyond {NAMES[leg]} already"


def reached_by(why: str) -> Leg | None:
    """Which of its own what was closed for this reason had come to."""
    said = (leg for leg, name in NAMES.items() if why == overtaken(leg) or (name in why and why.endswith("reached")))
    return next(said, None)


def _price_of(order: OrderRecord, before: Counted, more: Decimal, arithmetic: Arithmetic) -> Decimal:
    """At which so much more of it was filled."""
    if order.average_price is None:
        return order.plan.price if order.plan else ZERO
    if not before.filled or before.price is None:
        return order.average_price
    paid = order.filled * arithmetic.value(order.average_price, ONE) - before.filled * arithmetic.value(
        before.price, ONE
    )
    return arithmetic.price_at(paid / more, ONE)


def even(position: PositionRecord, lot: Decimal) -> PositionRecord:
    """The position, with books that add up to it."""
    if total(position.books) == position.quantity:
        return position
    return replace(position, books=evened(position, lot))


def evened(position: PositionRecord, lot: Decimal) -> Books:
    """Books that add up to what the exchange has: somebody else has closed some of it, or added to it. Where nothing is
    left, nobody has anything left: what they hold against each other ends as well."""
    missing = position.quantity - total(position.books)
    if not position.quantity:
        return ()
    books, left = _taken(position.books, missing, lot)
    if not left:
        return books
    side = [one for one in books if one.quantity * left > 0]
    if not side:
        return books
    parts = _pro_rata(abs(left), [abs(one.quantity) for one in side], lot)
    return _moved(books, {one.owner: part if left > 0 else -part for one, part in zip(side, parts, strict=True)})


def without_closing(position: PositionRecord, before: Books) -> PositionRecord:
    """The position, not to be closed any more for the sake of a book that has ended since: what is held beside it is
    another's, also where that was not told yet."""
    held = {one.owner for one in position.books}
    ended = {one.closing for one in before if one.owner not in held}
    return replace(position, closing=None) if position.quantity and position.closing in ended else position


def dressed(position: PositionRecord) -> PositionRecord:
    """The position as its books make it: of one, all that it is; of several, the stop that lies farthest."""
    books = position.books
    held = position.quantity or total(books)
    if not books or not position.ours or not held or not position.exposed:
        return position
    side = side_of(held)
    mine = [one for one in books if one.side == side]
    if not mine:
        return replace(position, side=side)
    own = {one.closing for one in books} - {None}
    if len(books) > 1 and position.closing in own:
        position = replace(position, closing=None)  # it was of that one alone
    if len(books) == 1:
        (book,) = books
        return replace(
            position, side=side, strategy=book.strategy, interval=book.interval, trial=book.trial,
            signal=position.signal or book.signal, unit_quantity=book.unit_quantity, atr=book.atr,
            last_add_price=book.last_add_price, stop_price=book.stop_price or position.stop_price,
            take_profit_price=book.take_profit_price, opened_at=position.opened_at or book.opened_at,
            closing=book.closing or position.closing,
        )  # fmt: skip
    most = max(mine, key=lambda one: abs(one.quantity))
    return replace(
        position, side=side, strategy=most.strategy, interval=most.interval, trial=False,
        signal=position.signal or most.signal, stop_price=farthest(mine), take_profit_price=None,
        opened_at=position.opened_at or most.opened_at,
    )  # fmt: skip


def farthest(books: Sequence[PositionRecord]) -> Decimal | None:
    """The stop of theirs that is reached last; all are of one side."""
    stops = [one.stop_price for one in books if one.stop_price is not None]
    return (min if books[0].side == "long" else max)(stops, default=None)


def changed(position: PositionRecord, book: PositionRecord) -> PositionRecord:
    """The position with the book as it is now."""
    return replace(position, books=tuple(book if one.owner == book.owner else one for one in position.books))


def _grown(
    books: Books, order: OrderRecord, change: Decimal, price: Decimal, arithmetic: Arithmetic, now: int
) -> Books:
    """What a signal has opened, or added."""
    strategy, interval = order.owner
    old = next((one for one in books if one.owner == order.owner), None)
    held = old or replace(flat(order.symbol), strategy=strategy, interval=interval)
    quantity = held.quantity + change
    new = replace(entered(held, order, now), quantity=quantity, side=side_of(quantity))
    if held.quantity * change >= 0:
        fills = [(abs(held.quantity), held.entry_price), (abs(change), price)]
        known = [one for one in fills if one[0] and one[1]]
        average = arithmetic.average(known) if known else price
        new = replace(new, entry_price=average, signal=new.signal or order.signal)
    if not quantity:
        return tuple(one for one in books if one is not old)
    return (*books, new) if old is None else tuple(new if one is old else one for one in books)


def _closed(books: Books, order: OrderRecord, change: Decimal, again: Iterable[OrderRecord], lot: Decimal) -> Books:
    """What has closed something: its owner's first, else theirs whose price it was. What one's own has closed beyond
    the books is his to close again, also where an order of all that had closed it before is told after it. What else an
    order of all has closed beyond the books is in none of them: something that was opened has not been told yet, or the
    exchange says what is held."""
    for is_meant in _order_of_taking(order):
        meant = [one for one in books if is_meant(one)]
        taken, change = _taken(meant, change, lot)
        books = _with(books, meant, taken)
    if order.strategy is not None:
        return _beyond(books, order, change)
    for one in sorted(again, key=lambda one: one.seen_at):
        part = max(min(change, one.filled), -one.filled)
        books, change = _beyond(books, one, part), change - part
    return books


def _closes_again(order: OrderRecord, closed: OrderRecord) -> bool:
    """Whether it was filled for one book after that other had closed what there was."""
    is_later = order.seen_at > closed.seen_at and order.side == closed.side
    return is_later and order.strategy is not None and order.leg in CLOSING


def _beyond(books: Books, order: OrderRecord, change: Decimal) -> Books:
    """With what the order's owner has closed beyond his own, to be closed again."""
    if not change:
        return books
    strategy, interval = order.owner
    old = next((one for one in books if one.owner == order.owner), None)
    if old is not None:
        return tuple(replace(one, quantity=one.quantity + change) if one is old else one for one in books)
    beyond = PositionRecord(
        order.symbol, change, order.average_price or ZERO, side=side_of(change), strategy=strategy, interval=interval,
        signal=order.signal, closing="more of it was closed than was held",
    )  # fmt: skip
    return (*books, beyond)


def _order_of_taking(order: OrderRecord) -> Sequence[Callable[[PositionRecord], bool]]:
    if order.strategy is not None:
        return (lambda one: one.owner == order.owner, lambda _: True)
    if order.leg == "stop":
        return (lambda one: one.stop_price == order.trigger_price, lambda _: True)
    if order.leg == "take_profit":
        return (lambda one: one.take_profit_price == order.trigger_price, lambda _: True)
    return (lambda _: True,)


def _taken(books: Sequence[PositionRecord], change: Decimal, lot: Decimal) -> tuple[Books, Decimal]:
    """Those that the change reduces, less what it took of them; and what it did not find."""
    side = [one for one in books if one.quantity * change < 0]
    held = [abs(one.quantity) for one in side]
    parts = shared(abs(change), held, lot)
    sign = 1 if change > 0 else -1
    left = change - sign * sum(parts, ZERO)
    return _moved(tuple(books), {one.owner: sign * part for one, part in zip(side, parts, strict=True)}), left


def _pro_rata(quantity: Decimal, held: Sequence[Decimal], lot: Decimal) -> tuple[Decimal, ...]:
    """What is added to what they hold, which may be more than that."""
    times, rest = divmod(quantity, sum(held, ZERO))
    more = shared(rest, held, lot) if rest else [ZERO] * len(held)
    return tuple(times * each + part for each, part in zip(held, more, strict=True))


def _moved(books: Books, changes: dict[Owner, Decimal]) -> Books:
    moved = (replace(one, quantity=one.quantity + changes.get(one.owner, ZERO)) for one in books)
    return tuple(one for one in moved if one.quantity)


def _with(books: Books, old: Sequence[PositionRecord], new: Sequence[PositionRecord]) -> Books:
    """In their places, the new for the old; those that have ended are gone."""
    by_owner = {one.owner: one for one in new}
    replaced = {one.owner for one in old}
    found = (by_owner.get(one.owner) if one.owner in replaced else one for one in books)
    return tuple(one for one in found if one is not None)
