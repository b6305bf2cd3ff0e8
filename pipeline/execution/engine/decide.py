"""What to do about a signal: open, close, skip, let it expire. One decision, the same in both modes; sends nothing."""

from dataclasses import dataclass
from decimal import Decimal

from pipeline.execution.engine import books, risk, sizing, together
from pipeline.execution.engine.risk import Ask
from pipeline.execution.engine.sizing import Sized
from pipeline.execution.engine.state import (
    DecisionView,
    OrderRecord,
    PlanRecord,
    PositionRecord,
    SignalView,
    entry_side,
    exit_side,
)
from pipeline.timeline import SECOND
from schemas.symbols import Filters


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing is done, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Expire:
    """It came too late, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Open:
    """This order, and what it rests on."""

    order: OrderRecord
    decision: DecisionView


@dataclass(frozen=True, slots=True)
class Close:
    """This order closes the position. Where it turns, the signal is decided once more when nothing is held."""

    order: OrderRecord
    decision: DecisionView


Choice = Skip | Expire | Open | Close


def decide(ask: Ask) -> Choice:
    """The one decision on a confirmed signal. The rules are in docs/execution.md."""
    signal, position = ask.signal, ask.position
    held = position.ours and position.quantity != 0
    closes = held and position.is_left_by(signal)
    is_to_close = closes and position.closing is None  # what is being closed needs no other order for it
    if signal.is_late(ask.now) and not (is_to_close and signal.last_word and position.belongs_to(signal)):
        return Expire(_lateness(signal, ask.now))
    if ask.closed and held:
        return Skip(f"a {position.side} position is held again")
    if not held:
        if signal.kind in {"add", "exit"}:
            return Skip(f"no position to {'add to' if signal.kind == 'add' else 'close'}")
        return _open(ask)
    if position.strategy is None:
        return Skip("the position was found at the exchange, and nobody knows its signal: nothing is added or closed")
    if not position.belongs_to(signal):
        return Skip(f"held by {position.strategy} {position.interval or ''}".rstrip())
    if closes:
        return _close(ask)
    reason = _no_step_of(signal, position)
    return Skip(reason) if reason else _open(ask)


def _no_step_of(signal: SignalView, position: PositionRecord) -> str | None:
    """Why the signal is no step up from what is held; the sizes are not looked at."""
    if signal.side != position.side:
        closing = "a trial or an entry" if position.trial else "an entry"
        return f"a {position.side} position is held, and only {closing} the other way closes it"
    if signal.kind == "trial":
        return "its trial is held already" if position.trial else "the position is past its trial"
    if signal.kind == "add" and position.trial:
        return "what is held is a trial: an add follows an entry"
    return None


def _turns(ask: Ask) -> bool:
    """Whether the signal is to open its own side after it has closed the other one: a trial does, an entry where the
    settings say so, and nothing that came late."""
    turning = ("trial", "entry") if ask.risk.turn == "entries" else ("trial",)
    return ask.signal.kind in turning and not ask.signal.is_late(ask.now)


def _lateness(signal: SignalView, now: int) -> str:
    if signal.fresh_until is None:
        return "from history: never fresh"
    return f"seen {now - signal.fresh_until} ms after it stopped being fresh"


def units_to_hold(signal: SignalView, position: PositionRecord, ask: Ask) -> Decimal | str:
    """How many units the position is to come to, or why no more than are held. So an order makes up for what those
    before it left out, because they were rounded down to lots."""
    settings, held = ask.risk, _held_units(ask)
    if signal.kind == "trial":
        return settings.trial_units
    if signal.kind == "entry":
        reason = f"{held:.2f} units are held, an entry goes to {settings.entry_units}"
        return reason if held >= settings.entry_units else settings.entry_units
    if held >= settings.max_units:
        return f"{held:.2f} units are held, {settings.max_units} is the most"
    return _too_soon(signal, position) or min(held + settings.add_units, settings.max_units)


def _held_units(ask: Ask) -> Decimal:
    position, filters = ask.position, ask.market.filters
    if not position.unit_quantity or filters is None:
        return position.units
    return sizing.units_held(abs(position.quantity), position.unit_quantity, ask.risk, filters)


def _too_soon(signal: SignalView, position: PositionRecord) -> str | None:
    """One more unit at each ATR in favour, as it was at the entry."""
    if position.last_add_price is None or position.atr is None:
        return "nothing is known of the position's entry"
    gain = signal.price - position.last_add_price
    gain = gain if signal.side == "long" else -gain
    if gain >= position.atr:
        return None
    return f"the price is {gain} in favour since {position.last_add_price}, an add needs an ATR: {position.atr}"


def _open(ask: Ask) -> Choice:
    reason, one, atr = risk.refusal(ask), ask.market.instrument, ask.signal.atr
    if reason or one is None or atr is None:
        return Skip(reason or "the exchange's rules or the ATR are not known")
    units = units_to_hold(ask.signal, ask.position, ask)
    if isinstance(units, str):
        return Skip(units)
    atr = ask.position.atr if ask.signal.kind == "add" and ask.position.atr else atr
    unit = risk.unit(ask, one, atr)
    plan = _plan(ask, one.rules, atr, unit.quantity)
    if isinstance(plan, str):
        return Skip(plan)
    wanted = units * unit.quantity - abs(ask.position.quantity)
    found = sizing.sized(wanted, unit.bound, ask.price, one, risk.limits(ask, one), ask.limit)
    if isinstance(found, str):
        return Skip(found)
    for check in (risk.liquidated_before, risk.unsellable, together.beyond_caps):
        if reason := check(ask, one, found.quantity, plan.stop_price):
            return Skip(reason)
    return Open(_entry(ask, found, plan), _decision(ask, found, plan, unit.bound))


def _entry(ask: Ask, found: Sized, plan: PlanRecord) -> OrderRecord:
    signal = ask.signal
    return OrderRecord(
        id=ask.identity.order_id(signal.id, signal.kind),
        symbol=signal.symbol,
        signal=signal.id,
        interval=_interval(ask),
        leg=signal.kind,
        side=entry_side(signal.side),
        type="MARKET" if ask.limit is None else "LIMIT",
        quantity=found.quantity,
        price=ask.limit,
        plan=plan,
        created_at=ask.now,
        updated_at=ask.now,
    )


def _interval(ask: Ask) -> str | None:
    """The signal's; of a book that is older than that was kept, none."""
    return ask.position.interval if ask.net.books and ask.position.quantity else ask.signal.interval


def _plan(ask: Ask, filters: Filters, atr: Decimal, unit: Decimal) -> PlanRecord | str:
    """Stop and take-profit go by the price now: by the signal's, a price that has moved would hit one at once."""
    signal = ask.signal
    stop = sizing.stop_price(ask.price, signal.side, risk.stop_distance(ask, atr), filters)
    if isinstance(stop, str):
        return stop
    target: Decimal | str | None = None
    distance = risk.take_profit_distance(ask, atr)
    if distance is not None:
        target = sizing.take_profit_price(ask.price, signal.side, distance, filters)
    if isinstance(target, str):
        return target
    fresh_until = signal.fresh_until or ask.now
    cancel_at = None if ask.limit is None else min(fresh_until, ask.now + ask.risk.limit_seconds * SECOND)
    return PlanRecord(signal.strategy, signal.price, atr, unit, stop, target, fresh_until, cancel_at)


def _decision(ask: Ask, found: Sized, plan: PlanRecord, bound: str) -> DecisionView:
    return DecisionView(
        mode=ask.mode,
        at=ask.now,
        units=found.quantity / plan.unit_quantity,
        quantity=found.quantity,
        notional=found.notional,
        equity=ask.account.equity,
        leverage=ask.risk.leverage,
        stop_price=plan.stop_price,
        take_profit_price=plan.take_profit_price,
        bound=bound,
    )


def _close(ask: Ask) -> Choice:
    signal, position, filters = ask.signal, ask.position, ask.market.filters
    held = abs(position.quantity)
    quantity = sizing.closing_quantity(held, filters) if filters else held
    if not quantity or position.side is None:
        return Skip(f"dust: {held} {signal.symbol} is less than a lot")
    one, reduces = ask.market.instrument, books.reduces(ask.net, position)
    if not reduces and one is not None and (reason := sizing.too_small_alone(quantity, ask.price, one)):
        return Skip(reason)
    order = OrderRecord(
        id=ask.identity.order_id(signal.id, "exit"),
        symbol=signal.symbol,
        signal=signal.id,
        interval=_interval(ask),
        strategy=position.strategy,
        turns=_turns(ask),
        leg="exit",
        side=exit_side(position.side),
        type="MARKET",
        quantity=quantity,
        reduce_only=reduces,
        created_at=ask.now,
        updated_at=ask.now,
    )
    decision = DecisionView(
        mode=ask.mode,
        at=ask.now,
        units=position.units,
        quantity=quantity,
        notional=ask.market.instrument.notional(quantity, ask.price) if ask.market.instrument else Decimal(0),
        equity=ask.account.equity,
        leverage=ask.risk.leverage,
    )
    return Close(order, decision)
