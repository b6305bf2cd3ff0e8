"""What an order, a fill and what stands say about an order or a position, when the journal does not. Pure.

The trades say which order opened what is held; an order's id says what it was for. What cannot be found out is left
open: a position without a known signal has its stop, and nothing is added to it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Final

from pipeline.execution.engine.client_ids import leg_of
from pipeline.execution.engine.protect import stops_loss_of, tightened
from pipeline.execution.engine.provenance import Fill, entered_by, fill_of, since_flat
from pipeline.execution.engine.state import (
    CLOSING,
    DECIDED,
    ENTERING,
    ZERO,
    OrderRecord,
    OrderTold,
    PositionRecord,
    SignalView,
    TradeTold,
    entry_side,
    flat,
    side_of,
)
from pipeline.settings import Risk
from schemas.orders import Leg, OrderType

_TYPES: Final[Mapping[Leg, OrderType]] = {"stop": "STOP_MARKET", "take_profit": "TAKE_PROFIT_MARKET"}


def found(told: OrderTold, now: int) -> OrderRecord:
    """An order of ours as its id and the exchange tell it. What it was planned with is lost."""
    leg = leg_of(told.id) or "flatten"
    return OrderRecord(
        id=told.id,
        symbol=told.symbol,
        signal=None,
        leg=leg,
        side=told.side,
        type=_TYPES.get(leg, "MARKET" if told.price is None else "LIMIT"),
        quantity=told.quantity,
        created_at=told.at,
        updated_at=now,
        state=told.state or "accepted",
        algo=told.algo,
        price=told.price,
        trigger_price=told.trigger_price,
        close_position=told.close_position,
        reduce_only=leg not in ENTERING and not told.close_position,
        exchange_id=told.exchange_id,
        filled=told.filled,
        kept=told.kept,
        average_price=told.average_price,
        seen_at=told.at,
    )


def entered(position: PositionRecord, order: OrderRecord, now: int) -> PositionRecord:
    """The position with what this order's fill means for it."""
    plan = order.plan
    if plan is None:
        return position
    long = order.side == "BUY"
    opened = not position.managed
    return replace(
        position,
        ours=True,
        side="long" if long else "short",
        strategy=plan.strategy,
        interval=order.interval,
        signal=order.signal if opened else position.signal,
        trial=order.leg == "trial" and (opened or position.trial),
        unit_quantity=plan.unit_quantity,
        atr=plan.atr,
        last_add_price=plan.price,
        stop_price=tightened(None if opened else position.stop_price, plan.stop_price, long=long),
        take_profit_price=plan.take_profit_price,
        opened_at=now if opened else position.opened_at,
        missing=ZERO if opened else position.missing,
    )


def unexplained(orders: Iterable[OrderTold], known: Iterable[OrderRecord]) -> bool:
    """Whether one of the orders was made of a signal that has to be found first: the journal, which has those that are
    `known`, does not have what was decided."""
    explained = {one.id for one in known if one.plan is not None or (one.leg == "exit" and one.signal is not None)}
    return any(leg_of(one.id) in DECIDED and one.id not in explained for one in orders)


def rebuilt(
    position: PositionRecord,
    orders: Sequence[OrderRecord],
    trades: Sequence[TradeTold],
    signals: Mapping[str, SignalView],
    risk: Risk,
    left: Sequence[PositionRecord] = (),
) -> PositionRecord | None:
    """What is held, with what belongs to it; None where it is not ours. It is ours if an order of ours opened it, or,
    if that was too long ago to be listed, if a stop of ours stands under it. What the journal takes for ours is, unless
    the trades show that others made it, and nothing is `left` of its books by all that is found."""
    made = since_flat(position.quantity, [fill_of(one) for one in trades])
    first = made[0] if made else None
    entries = [one for one in orders if one.leg in ENTERING and one.filled]
    opener = None if first is None else _opener(first, position, orders, entries)
    stops = [one for one in orders if one.stands and stops_loss_of(one, position)]
    later = [] if opener is None else _since(trades[len(trades) - len(made)].at, entries[entries.index(opener) + 1 :])
    made_of = [] if opener is None else [opener, *(one for one in later if one.side == opener.side)]
    its_own = position.managed and (position.books or (opener and opener.signal in {None, position.signal}))
    if opener is not None and not its_own:
        mended = _opened_by(position, made_of, signals.get(opener.id), risk)
    elif position.managed:
        if not (opener and left) and _made_by_others(position, orders, trades, made):
            return None
        mended = position
    elif first is None and stops:
        mended = replace(position, ours=True, opened_at=stops[0].created_at)
    else:
        return None
    for one in () if position.books else made_of[1:]:
        mended = _added(mended, one, signals.get(one.id))
    return guarded(mended, orders)


def _since(at: int, entries: Sequence[OrderRecord]) -> Sequence[OrderRecord]:
    """Those that the exchange has filled since then: their order is by our own clock, which may have been set back."""
    return [one for one in entries if (one.seen_at or one.created_at) >= at]


def _opener(
    first: Fill, position: PositionRecord, orders: Iterable[OrderRecord], entries: Sequence[OrderRecord]
) -> OrderRecord | None:
    """The entry that made the first of the fills of what is held. Where that was the close of one strategy's book,
    another's lay the other way: the newest entry of its side opened that."""
    opened = next((one for one in entries if one.exchange_id == first.number), None)
    closed = (one for one in orders if one.exchange_id == first.number and one.leg in CLOSING)
    if opened is not None or next(closed, None) is None:
        return opened
    side = entry_side(side_of(position.quantity))
    return next((one for one in reversed(entries) if one.side == side), None)


def bought(
    position: PositionRecord,
    parts: Sequence[OrderRecord],
    orders: Iterable[OrderRecord],
    signals: Mapping[str, SignalView],
    risk: Risk,
) -> PositionRecord:
    """Coins of ours, with what belongs to them: what these orders have left of what they bought. `orders`: all that
    are known."""
    entries = [one for one in parts if one.leg in ENTERING]
    known = max(position.as_of, position.entered_at, position.reduced_at, position.unheard_at + 1)
    position = replace(position, as_of=known, parts=tuple(one.id for one in parts))
    if not entries:
        return replace(position, quantity=ZERO, parts=())
    opener, *later = entries
    held = replace(position, quantity=sum((one.filled for one in entries), ZERO), entry_price=ZERO)
    if not (position.managed and opener.signal in {None, position.signal}):
        bare = _opened_by(held, entries, signals.get(opener.id), risk)
        held = replace(bare, ours=True, parts=position.parts, counted=position.counted)
    for one in later:
        held = _added(held, one, signals.get(one.id))
    return guarded(held, orders)


def theirs(position: PositionRecord) -> PositionRecord:
    """What is held, as somebody else's. What our orders have filled is counted as before: else it would be again."""
    return PositionRecord(
        position.symbol, position.quantity, position.entry_price, ours=False, side=side_of(position.quantity),
        as_of=position.as_of, entered_at=position.entered_at, reduced_at=position.reduced_at, counted=position.counted,
    )  # fmt: skip


def _made_by_others(
    position: PositionRecord, orders: Iterable[OrderRecord], trades: Sequence[TradeTold], made: Sequence[Fill]
) -> bool:
    """Whether no order of ours has made what the journal takes for ours: none has added to the fills since nothing was
    held, and its own entry, or that of one of its books, cannot be among them, or not listed yet."""
    numbers = {one.exchange_id for one in orders if one.exchange_id is not None}
    if entered_by(numbers, position.quantity, made) is not False:
        return False
    signals = {position.signal, *(one.signal for one in position.books)}
    entries = (one for one in orders if one.leg in ENTERING and one.signal in signals)
    return not any(_may_have_made(one, trades, made) for one in entries)


def _may_have_made(entry: OrderRecord, trades: Sequence[TradeTold], made: Sequence[Fill]) -> bool:
    """Whether some of the fills that made it are of the entry, though as much was taken out since, or may be: these,
    or newer ones, and nobody knows which."""
    if entry.exchange_id in {one.exchange_id for one in trades}:
        return entry.exchange_id in {one.number for one in made}
    return entry.unsettled or (bool(entry.filled) and (entry.exchange_id is None or entry.seen_at > trades[-1].at))


def _opened_by(
    position: PositionRecord, entries: Sequence[OrderRecord], signal: SignalView | None, risk: Risk
) -> PositionRecord:
    opener = entries[0]
    bare = replace(
        flat(position.symbol, position.as_of),
        quantity=position.quantity,
        entry_price=position.entry_price,
        entered_at=position.entered_at,
        reduced_at=position.reduced_at,
        unheard_at=position.unheard_at,
    )
    if opener.plan is not None:
        return entered(bare, opener, opener.created_at)
    return replace(
        bare,
        side=side_of(position.quantity),
        signal=opener.signal,
        strategy=signal.strategy if signal else None,
        interval=signal.interval if signal else None,
        trial=opener.leg == "trial",
        atr=signal.atr if signal else None,
        unit_quantity=unit_of(entries, risk),
        last_add_price=signal.price if signal else opener.average_price,
        opened_at=opener.created_at,
    )


def unit_of(entries: Iterable[OrderRecord], risk: Risk) -> Decimal:
    """The unit that they were sized by. Each was rounded down to lots: the largest that they show, one after the other,
    is nearest to it. What was wanted of one says it, however much of it is filled."""
    held = units = unit = ZERO
    for one in entries:
        added = risk.trial_units if one.leg == "trial" else risk.add_units
        units = max(units, risk.entry_units) if one.leg == "entry" else units + added
        unit = max(unit, (held + (one.quantity or one.filled)) / units)
        held += one.filled
    return unit


def _added(position: PositionRecord, order: OrderRecord, signal: SignalView | None) -> PositionRecord:
    if order.plan is not None:
        return entered(position, order, order.created_at)
    price = signal.price if signal else order.average_price
    return replace(position, last_add_price=price, trial=position.trial and order.leg == "trial")


def guarded(position: PositionRecord, orders: Iterable[OrderRecord]) -> PositionRecord:
    """A stop never loosens: not below what stands already."""
    price, orders = position.stop_price, list(orders)
    for stop in orders:
        if stop.stands and stops_loss_of(stop, position) and stop.trigger_price is not None:
            price = tightened(price, stop.trigger_price, long=position.quantity > 0)
    targets = [one.trigger_price for one in orders if one.leg == "take_profit" and one.stands]
    target = position.take_profit_price or next(iter(targets), None)
    return replace(position, side=side_of(position.quantity), stop_price=price, take_profit_price=target)
