"""What each strategy holds of coins, where each has a book: a position of its own, with a pair of its own. Pure.

The exchange knows balances only, so nothing has to be shared out: a book is what its own orders have bought and sold.
Together they are what is ours of the symbol.
"""

from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal
from typing import Final

from pipeline.execution.engine.books import farthest, total
from pipeline.execution.engine.state import ZERO, Counted, OrderRecord, Owner, PositionRecord
from pipeline.portfolio.sharing import shared
from pipeline.timeline import DAY

Books = tuple[PositionRecord, ...]
_LISTED: Final = 7 * DAY
"""So far back the exchange lists what was traded."""


def each(position: PositionRecord) -> Books:
    """The books, and what is not in any of them: orders that belong to none."""
    return (*position.books, bare(position)) if position.books else (position,)


def of_order(position: PositionRecord, order: OrderRecord) -> PositionRecord | None:
    """The book that the order is of, if anything is held in it. What nobody knows whose it is, is of the only one."""
    books = position.books
    if len(books) == 1 and order.owner[0] is None and order.signal is None:
        return books[0]
    return next((one for one in books if _is_of(order, one)), None)


def bare(position: PositionRecord) -> PositionRecord:
    """Nothing is held, as far as is known of the symbol."""
    entered, reduced, counted = position.entered_at, position.reduced_at, position.counted
    return PositionRecord(
        position.symbol, as_of=position.as_of, entered_at=entered, reduced_at=reduced, counted=counted
    )


def put(position: PositionRecord, changed: PositionRecord) -> PositionRecord:
    """The position, with that book as it is now; or as its books are now, where it is the position itself."""
    if changed.books:
        return whole(position, changed.books)
    if not changed.managed:
        return position if position.books else changed
    known = [one.owner for one in position.books]
    books = position.books if changed.owner in known else (*position.books, changed)
    return whole(position, tuple(changed if one.owner == changed.owner else one for one in books))


def without(position: PositionRecord, ended: PositionRecord) -> PositionRecord:
    """The position, when that book has come to its end."""
    return whole(position, tuple(one for one in position.books if one.owner != ended.owner))


def whole(position: PositionRecord, books: Books) -> PositionRecord:
    """What the books are together: of one, all that it is."""
    if not books:
        return bare(position)
    books = tuple(replace(one, counted=()) if one.counted else one for one in books)
    if len(books) == 1:
        return replace(books[0], books=books, counted=position.counted)
    most = max(books, key=lambda one: one.quantity)
    naked = [one.unprotected_since for one in books if one.unprotected_since is not None]
    last = farthest(books)
    return replace(
        _times(books),
        quantity=total(books),
        entry_price=_average(books),
        side="long",
        strategy=most.strategy,
        interval=most.interval,
        signal=most.signal,
        stop_price=last,
        stop_order=None if naked else next((one.stop_order for one in books if one.stop_price == last), None),
        unprotected_since=min(naked, default=None),
        closing=most.closing if all(one.closing for one in books) else None,
        opened_at=min((one.opened_at for one in books if one.opened_at is not None), default=None),
        parts=tuple(dict.fromkeys(name for one in books for name in one.parts)),
        missing=sum((one.missing for one in books), ZERO),
        books=books,
        counted=position.counted,
    )


def over(position: PositionRecord, ended: PositionRecord, now: int) -> tuple[Counted, ...]:
    """The orders that are not to be counted again, also not by the past of their symbol: somebody has taken of what
    they had bought, and the rest has come to its end. A balance that is there later is not theirs."""
    gone = ended.parts if ended.missing else ()
    return (
        *(one for one in position.counted if one.at > now - _LISTED),
        *(Counted(name, ZERO, now) for name in gone),
    )


def taken(books: Books, gone: Decimal, lot: Decimal) -> Books:
    """The books, when somebody else has taken so much of what is ours: of each by what it holds."""
    parts = shared(gone, [one.quantity for one in books], lot)
    return tuple(replace(one, missing=one.missing + part) for one, part in zip(books, parts, strict=True))


def owners(orders: Collection[OrderRecord]) -> dict[str, Owner]:
    """Whose each is, by its id: of one that does not say it, theirs whose signal it is of."""
    known = {one.signal: one.owner for one in orders if one.signal is not None and one.owner[0] is not None}
    return {one.id: one.owner if one.owner[0] else known.get(one.signal or "", one.owner) for one in orders}


def _is_of(order: OrderRecord, book: PositionRecord) -> bool:
    """Whether it is the book's; from before there were any, whether it is of the signal that began it."""
    if order.owner[0] is None and order.signal is not None:
        return order.signal == book.signal
    return order.owner == book.owner


def _times(books: Books) -> PositionRecord:
    """It is known how much is held as soon as that is known of each."""
    entered, reduced = max(one.entered_at for one in books), max(one.reduced_at for one in books)
    unheard = max(one.unheard_at for one in books)
    unsettled = [one.as_of for one in books if not one.settled]
    known = max(entered, reduced, unheard + 1, *(one.as_of for one in books))
    as_of = min(unsettled) if unsettled else known
    return PositionRecord(books[0].symbol, as_of=as_of, entered_at=entered, reduced_at=reduced, unheard_at=unheard)


def _average(books: Books) -> Decimal:
    held = total(books)
    return sum((one.quantity * one.entry_price for one in books), ZERO) / held if held else ZERO
