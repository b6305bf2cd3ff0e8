"""Signals, with what they are worth at this moment, and how well they did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from pipeline.app.filters import interval_filter, strategy_filter, symbol_filter
from pipeline.app.moments import since as since_of
from pipeline.app.opened import Opened
from pipeline.nearest import folded
from pipeline.store.signals import queries
from pipeline.store.signals.queries import Asked, Performance, Sort
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import to_ms
from schemas.signals import Signal

__all__ = ["Asked", "Found", "Performance", "Sort", "asked_for", "performance", "signals"]


@dataclass(frozen=True, slots=True)
class Found:
    """The signals, and the least step of the prices of each symbol."""

    signals: Sequence[Signal]
    ticks: Mapping[str, Decimal]


def asked_for(
    tm: Opened,
    *,
    symbol: str | None = None,
    strategy: str | None = None,
    interval: str | None = None,
    since: str | None = None,
    only_fresh: bool = False,
    include_open: bool = False,
) -> Asked:
    """What was typed, understood."""
    now, since_then = to_ms(datetime.now(UTC)), None if since is None else folded(since)
    named = None if symbol is None else symbol_filter(tm, symbol)
    return Asked(
        exchange=tm.environment,
        symbol=named,
        strategy=None if strategy is None else strategy_filter(tm, strategy),
        interval=None if interval is None else interval_filter(tm, interval, named),
        since=since_of("--since", since_then, now),
        fresh_at=now if only_fresh else None,
        include_open=include_open,
    )


def signals(tm: Opened, asked: Asked, sort: Sort, limit: int) -> Found:
    """The newest first, or the best first, with their returns as they are at this moment."""
    found = queries.find_signals(tm.db, asked, sort, limit)
    return Found(found, SymbolStore(tm.db).ticks(tm.environment))


def performance(tm: Opened, asked: Asked, by: Sequence[str]) -> list[Performance]:
    """How well they did, by strategy, symbol, interval or month, after the taker fee of the settings each way."""
    return queries.performance(tm.db, asked, by, tm.settings.taker_fee_percent)
