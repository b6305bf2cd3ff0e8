"""Why an order that is about to leave must not, and why an entry that rests at the exchange must not any longer. It
decides only: it sends and cancels nothing.
"""

from collections.abc import Iterable

from pipeline.execution.engine import books, risk
from pipeline.execution.engine.memory import Memory
from pipeline.execution.engine.state import CLOSING, ENTERING, PROTECTING, BreakerView, OrderRecord, SignalView
from pipeline.timeline import SECOND

LESS = "there is less of it by now"
_SIGNAL_ONLY = "the mode was changed to signal-only"


def obstacle(memory: Memory, order: OrderRecord, now: int) -> str | None:
    """Why an order that is about to leave must not: its intent, or the wait before it is sent again, took its time."""
    if order.leg not in ENTERING and not memory.holding(order).guarded:
        return "there is nothing left to protect or close"
    if order.leg in CLOSING and order.may_open and (order.quantity or 0) > abs(memory.holding(order).quantity):
        return LESS
    if order.side == "SELL" and memory.policy.owned and (order.quantity or 0) > memory.moved_by(order).quantity:
        return LESS
    if memory.policy.owned and order.leg in PROTECTING and memory.moved_by(order).closing:
        return "the position is being closed"
    if order.leg in PROTECTING or order.leg == "flatten":
        return None
    if order.plan is not None and now > order.plan.send_by:
        return "the signal is not fresh any more" if now > order.plan.fresh_until else "it should be filled by now"
    if order.leg in ENTERING and (stopped := _opens_nothing(memory, order)):
        return stopped
    return None if memory.mode == "auto-execute" else _SIGNAL_ONLY


def ended_by(memory: Memory, breakers: Iterable[BreakerView], order: OrderRecord, now: int) -> str | None:
    """Why an entry that rests is to be cancelled: whatever keeps others from being opened, what it belongs to is gone,
    or its time is over. One whose plan is lost would open what nobody has sized."""
    position, plan = memory.position(order.symbol), order.plan
    mine = memory.holding(order)
    if plan is None or plan.cancel_at is None:
        return "nobody knows what it was planned with"
    stopped = _opens_nothing(memory, order) or risk.stopped_by(
        breakers, order.symbol, memory.market(order.symbol).asset
    )
    if stopped or memory.mode != "auto-execute":
        return stopped or _SIGNAL_ONLY
    if memory.policy.netted and books.awaits(position, memory.of(order.symbol), order):
        return "more was closed than its strategy held"
    is_gone = position.managed if mine is position else bool(order.filled) or order.leg == "add"
    if is_gone and position.settled and not mine.exposed:
        return "the position is closed"
    if now < memory.rest_until.setdefault(order.id, plan.cancel_at):
        return None
    return f"no more within {(plan.cancel_at - order.created_at) / SECOND:.0f} s"


def ends(signal: SignalView, order: OrderRecord) -> bool:
    """Whether the signal would close what the entry opens, once it is filled."""
    its_own = order.plan is not None and (order.plan.strategy, order.interval) == (signal.strategy, signal.interval)
    against = signal.leaves == ("long" if order.side == "BUY" else "short")
    return its_own and against and (order.leg == "trial" or signal.kind != "trial")


def _opens_nothing(memory: Memory, order: OrderRecord) -> str | None:
    """Which switch a person has thrown since the signal was decided, or that what it would add to is being closed."""
    symbol = order.symbol
    market = memory.market(symbol)
    if memory.leaving:
        return "the executor ends"
    if memory.halted:
        return "halted"
    if not market.trading.traded(production=memory.policy.production):
        return f"trading of {symbol} is off"
    if market.close_due:
        return f"{symbol} is being closed"
    closing = memory.position(symbol).closing or memory.holding(order).closing
    return "the position is being closed" if closing else None
