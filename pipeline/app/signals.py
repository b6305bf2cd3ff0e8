"""Signals, with what they are worth at this moment, and how well they did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pipeline.app.filters import interval_filter, strategy_filter, symbol_filter
from pipeline.app.opened import Opened
from pipeline.errors import UsageError
from pipeline.store.account import PositionStore
from pipeline.store.orders import OrderJournal
from pipeline.store.signals import queries
from pipeline.store.signals.queries import Asked, Fees, Performance, Sort
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import to_ms
from schemas.orders import Order
from schemas.positions import Position
from schemas.signals import SIGNALS, Decision, Signal

__all__ = [
    "Asked",
    "Fees",
    "Found",
    "Life",
    "Performance",
    "Signal",
    "Sort",
    "asked_for",
    "best",
    "fees",
    "life",
    "performance",
    "rows",
    "signals",
]


@dataclass(frozen=True, slots=True)
class Found:
    """The signals, and the least step of the prices of each symbol."""

    signals: Sequence[Signal]
    ticks: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class Life:
    """What became of one signal: what was decided (None: nothing yet, or that nothing be done), the orders it led to,
    oldest first, and the position it opened (None: none, or none any more)."""

    signal: Signal
    decision: Decision | None
    orders: Sequence[Order]
    position: Position | None


def asked_for(
    tm: Opened,
    *,
    symbol: str | None = None,
    strategy: str | None = None,
    interval: str | None = None,
    since: int | None = None,
    only_fresh: bool = False,
    include_open: bool = False,
) -> Asked:
    """What is asked for, checked."""
    now = to_ms(datetime.now(UTC))
    named = None if symbol is None else symbol_filter(tm, symbol)
    return Asked(
        exchange=tm.environment,
        symbol=named,
        strategy=None if strategy is None else strategy_filter(tm, strategy),
        interval=None if interval is None else interval_filter(tm, interval, named),
        since=since,
        fresh_at=now if only_fresh else None,
        include_open=include_open,
    )


def signals(tm: Opened, asked: Asked, sort: Sort, limit: int) -> Found:
    """The newest first, or the best first, with their returns as they are at this moment."""
    found = queries.find_signals(tm.db, asked, sort, limit)
    return Found(found, SymbolStore(tm.db).ticks(tm.environment))


def life(tm: Opened, signal_id: str) -> Life:
    """The documents of one signal. One that is not stored is refused."""
    found = tm.db[SIGNALS.name].find_one({"_id": signal_id})
    if found is None:
        raise UsageError(f"no signal {signal_id!r} is stored")
    signal = Signal.from_mongo(found)
    held = PositionStore(tm.db, signal.exchange).list()
    opened = next((one for one in held if one.signal == signal_id and one.quantity), None)
    return Life(signal, signal.decision, OrderJournal(tm.db, signal.exchange).of_signals([signal_id]), opened)


def best(tm: Opened, since: int, most: int) -> list[Signal]:
    """Those that brought most of all since then."""
    return queries.find_signals(tm.db, asked_for(tm, since=since), "return", most)


def rows(tm: Opened, asked: Asked, sort: Sort, limit: int, fields: Sequence[str]) -> list[dict[str, Any]]:
    """The same as documents with these fields, for whoever makes a table of very many."""
    return queries.find_documents(tm.db, asked, sort, limit, fields)


def performance(tm: Opened, asked: Asked, by: Sequence[str]) -> list[Performance]:
    """How well they did, by strategy, symbol, interval or month, after a taker fee each way."""
    return queries.performance(tm.db, asked, by, fees(tm, asked))


def fees(tm: Opened, asked: Asked) -> Fees:
    """What the account pays for an order, as it was last asked; that of the settings where it was not."""
    told = SymbolStore(tm.db).taker_fees(asked.exchange)
    own = {symbol: 100 * share for symbol, share in told.items() if asked.symbol in {None, symbol}}
    return Fees(own, tm.settings.taker_fee_percent)
