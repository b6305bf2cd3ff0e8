"""How trading stands at an exchange, what is held and what is on its way: what a page shows of it. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.app.opened import Opened
from pipeline.app.standing import Halting, newest_of, stands
from pipeline.store.account import PositionStore
from pipeline.store.control import ControlStore
from pipeline.store.orders import OrderJournal
from pipeline.store.processes import heard_of, living
from schemas.accounts import Snapshot
from schemas.control import Breaker
from schemas.orders import Order
from schemas.positions import Position

__all__ = ["TradingNow", "trading_now"]


@dataclass(frozen=True, slots=True)
class TradingNow:
    """The switches, who lives, what the account was worth when it was looked at last (of several coins the one in which
    most is open), what is open, and when an order was last filled whole. `executor_at`, `ingester_at`: when one that
    was not ended in order was heard of."""

    exchange: str
    mode: str
    halted: Halting | None
    executor: bool
    ingester: bool
    executor_at: datetime | None
    ingester_at: datetime | None
    worth: Snapshot | None
    breakers: Sequence[Breaker]
    positions: Sequence[Position]
    orders: Sequence[Order]
    filled_at: datetime | None


def trading_now(tm: Opened) -> TradingNow:
    """It, now."""
    db, exchange, now = tm.db, tm.environment, datetime.now(UTC)
    journal = OrderJournal(db, exchange)
    beats = list(living(db, exchange, now))
    controls = ControlStore(db, exchange).read()
    newest = newest_of(db, exchange)
    held = [one for one in PositionStore(db, exchange).list() if one.quantity or one.books]
    standing = stands(exchange, controls, beats, newest, held, tm.settings.mode, now)
    roles, heard = {beat["role"] for beat in beats}, heard_of(db, exchange)
    return TradingNow(
        exchange=exchange,
        mode=standing.mode,
        halted=standing.halted,
        executor="executor" in roles,
        ingester="ingester" in roles,
        executor_at=heard.get("executor"),
        ingester_at=heard.get("ingester"),
        worth=max(newest, key=lambda one: one.open_positions, default=None),
        breakers=[one for one in controls.breakers.values() if one.tripped],
        positions=held,
        orders=journal.unsettled(),
        filled_at=journal.last_filled(),
    )
