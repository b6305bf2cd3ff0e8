"""Between the executor's records and the documents they are stored as. Pure; both ways.

What a restart may not trust, because the exchange says it anew (when a position was last heard of), is not stored.
"""

from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from math import isnan
from typing import Any

from pipeline.exchange.reports import PositionReport
from pipeline.execution.engine.client_ids import NOBODY, Identity
from pipeline.execution.engine.state import (
    BreakerView,
    By,
    Counted,
    DecisionView,
    OrderRecord,
    PlanRecord,
    PositionRecord,
    SignalView,
    TradingView,
    flat,
    side_of,
)
from pipeline.timeline import to_datetime, to_ms
from schemas.control import Breaker, Installation, Trading
from schemas.orders import Order, Plan, Transition
from schemas.positions import Book, CountedOrder, Position
from schemas.signals import Decision, Signal


def signal_view(signal: Signal) -> SignalView:
    """What the core reads of a signal. Prices come through their shortest text: 0.1 is 0.1."""
    atr = signal.indicators.get("atr")
    return SignalView(
        id=signal.id,
        symbol=signal.symbol,
        interval=signal.interval,
        strategy=signal.strategy,
        kind=signal.kind,
        side=signal.side,
        at=to_ms(signal.at),
        price=_exact(signal.price),
        atr=None if atr is None or isnan(atr) else _exact(atr),
        confirmed=signal.confirmed,
        fresh_until=None if signal.fresh_until is None else to_ms(signal.fresh_until),
        verdict=signal.verdict,
    )


def order_document(order: OrderRecord, environment: str, fence: int, why: str | None = None) -> Order:
    """A new order, as it is journaled first."""
    step = transition(order, "executor", why)
    return Order(id=order.id, environment=environment, fence=fence, history=[step], **_order_fields(order))


def order_changes(order: OrderRecord) -> dict[str, Any]:
    """Everything of an order that can change after its intent."""
    fields = _order_fields(order)
    changing = (
        "signal", "strategy", "interval", "exchange_id", "filled", "average_price", "fee", "realized", "slippage_pct",
        "error_code", "seen_at", "attempts",
    )  # fmt: skip
    return {name: fields[name] for name in changing if fields[name] is not None} | {"kept": order.kept}


def transition(order: OrderRecord, by: By, detail: str | None) -> Transition:
    """The step into the state that the order is in now."""
    return Transition(state=order.state, at=to_datetime(order.updated_at), by=by, detail=detail)


def order_record(order: Order) -> OrderRecord:
    """A journaled order, as the core goes on with it."""
    return OrderRecord(
        id=order.id,
        symbol=order.symbol,
        signal=order.signal,
        interval=order.interval,
        strategy=order.strategy,
        turns=order.turns,
        leg=order.leg,
        side=order.side,
        type=order.type,
        quantity=order.quantity,
        created_at=to_ms(order.created_at),
        updated_at=to_ms(order.updated_at),
        state=order.state,
        algo=order.algo,
        price=order.price,
        trigger_price=order.trigger_price,
        reduce_only=order.reduce_only,
        close_position=order.close_position,
        plan=None if order.plan is None else _plan_record(order.plan),
        exchange_id=order.exchange_id,
        attempts=order.attempts,
        filled=order.filled,
        average_price=order.average_price,
        fee=order.fee,
        kept=order.kept,
        realized=order.realized,
        slippage_pct=order.slippage_pct,
        error_code=order.error_code,
        seen_at=0 if order.seen_at is None else to_ms(order.seen_at),
    )


def position_document(position: PositionRecord, identity: Identity, now: int, worth: PositionReport | None) -> Position:
    """A position as it is stored, with what the exchange says about its worth."""
    return Position(
        id=f"{identity.environment}:{position.symbol}:BOTH",
        environment=identity.environment,
        symbol=position.symbol,
        quantity=position.quantity,
        entry_price=position.entry_price,
        **_worth(worth),
        ours=position.ours,
        installation=identity.name if position.ours else None,
        side=position.side,
        strategy=position.strategy,
        interval=position.interval,
        signal=position.signal,
        trial=position.trial,
        units=position.units,
        unit_quantity=position.unit_quantity,
        atr=position.atr,
        last_add_price=position.last_add_price,
        stop_order=position.stop_order,
        stop_price=position.stop_price,
        take_profit_order=position.take_profit_order,
        take_profit_price=position.take_profit_price,
        unprotected_since=_moment(position.unprotected_since),
        closing=position.closing,
        opened_at=_moment(position.opened_at),
        parts=list(position.parts),
        missing=position.missing,
        books=[_book(one) for one in position.books],
        counted=[
            CountedOrder(order=one.order, filled=one.filled, at=to_datetime(one.at), price=one.price)
            for one in position.counted
        ],
        evened_at=_moment(position.evened_at),
        updated_at=to_datetime(now),
    )


def _book(book: PositionRecord) -> Book:
    fields = {name: getattr(book, name) for name in Book.model_fields}
    times = {"opened_at": _moment(book.opened_at), "unprotected_since": _moment(book.unprotected_since)}
    return Book(**fields | times | {"parts": list(book.parts)})


def _worth(report: PositionReport | None) -> dict[str, Decimal | None]:
    if report is None:
        return {}
    return {
        "mark_price": report.mark_price,
        "unrealized": report.un_realized_profit,
        "liquidation_price": report.liquidation_price or None,
    }


def position_record(position: Position) -> PositionRecord:
    """A stored position, as the core goes on with it until the exchange tells it anew."""
    return PositionRecord(
        symbol=position.symbol,
        quantity=position.quantity,
        entry_price=position.entry_price,
        ours=position.ours,
        side=position.side,
        strategy=position.strategy,
        interval=position.interval,
        signal=position.signal,
        trial=position.trial,
        unit_quantity=position.unit_quantity,
        atr=position.atr,
        last_add_price=position.last_add_price,
        stop_order=position.stop_order,
        stop_price=position.stop_price,
        take_profit_order=position.take_profit_order,
        take_profit_price=position.take_profit_price,
        unprotected_since=_time(position.unprotected_since),
        closing=position.closing,
        opened_at=_time(position.opened_at),
        parts=tuple(position.parts),
        missing=position.missing,
        books=tuple(_book_record(position.symbol, one) for one in position.books),
        counted=tuple(Counted(one.order, one.filled, to_ms(one.at), one.price) for one in position.counted),
        evened_at=_time(position.evened_at) or 0,
    )


def _book_record(symbol: str, book: Book) -> PositionRecord:
    fields = {name: getattr(book, name) for name in Book.model_fields}
    times = {"opened_at": _time(book.opened_at), "unprotected_since": _time(book.unprotected_since)}
    return PositionRecord(symbol, **fields | times | {"parts": tuple(book.parts)})


def disowned(position: Position) -> PositionRecord:
    """A stored position of another installation."""
    if not position.quantity:
        return flat(position.symbol)
    side = side_of(position.quantity)
    return PositionRecord(position.symbol, position.quantity, position.entry_price, ours=False, side=side)


def identity_of(installation: Installation | None, environment: str) -> Identity:
    """Who we are; nobody where the database does not say it."""
    if installation is None:
        return Identity(environment, NOBODY)
    taken_over = frozenset(installation.taken_over)
    return Identity(environment, installation.name, taken_over, copied=installation.copy_of is not None)


def decision_document(decision: DecisionView) -> Decision:
    """What was decided, as it is written on the signal."""
    return Decision(**asdict(decision) | {"at": to_datetime(decision.at)})


def breaker_document(breaker: BreakerView, environment: str) -> Breaker:
    """A tripped breaker as `control` keeps it."""
    return Breaker(
        id=f"breaker:{environment}:{breaker.name}",
        kind="breaker",
        environment=environment,
        name=breaker.name,
        symbol=breaker.symbol,
        asset=breaker.asset,
        tripped=True,
        reason=breaker.reason,
        at=to_datetime(breaker.at),
        until=_moment(breaker.until),
    )


def breaker_view(breaker: Breaker) -> BreakerView:
    """A breaker as the core knows it."""
    return BreakerView(
        breaker.name, breaker.reason, to_ms(breaker.at), breaker.symbol, _time(breaker.until), breaker.asset
    )


def trading_view(trading: Trading | None) -> TradingView:
    """A symbol's own settings."""
    if trading is None:
        return TradingView()
    return TradingView(
        enabled=trading.enabled,
        strategies=None if trading.strategies is None else tuple(trading.strategies),
        intervals=None if trading.intervals is None else tuple(trading.intervals),
        leverage=trading.leverage,
        stop_atr=trading.stop_atr,
        stop_percent=trading.stop_percent,
        take_profit_atr=trading.take_profit_atr,
        take_profit_percent=trading.take_profit_percent,
        max_position=trading.max_position,
        daily_profit_percent=trading.daily_profit_percent,
        when_reached=trading.when_reached,
        close_asked=_time(trading.close_asked),
    )


def _order_fields(order: OrderRecord) -> dict[str, Any]:
    fields = {name: getattr(order, name) for name in OrderRecord.__dataclass_fields__ if name != "id"}
    return fields | {
        "plan": None if order.plan is None else _plan(order.plan),
        "created_at": to_datetime(order.created_at),
        "updated_at": to_datetime(order.updated_at),
        "seen_at": _moment(order.seen_at),
    }


def _plan(plan: PlanRecord) -> Plan:
    times = {"fresh_until": to_datetime(plan.fresh_until), "cancel_at": _moment(plan.cancel_at)}
    return Plan(**asdict(plan) | times)


def _plan_record(plan: Plan) -> PlanRecord:
    times = {"fresh_until": to_ms(plan.fresh_until), "cancel_at": _time(plan.cancel_at)}
    return PlanRecord(**plan.model_dump() | times)


def _exact(number: float) -> Decimal:
    return Decimal(repr(float(number)))


def _moment(time: int | None) -> datetime | None:
    return to_datetime(time) if time else None


def _time(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(moment)
