"""Signals, with what they are worth at this moment, and how well they did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from pipeline.app.candles import code_of
from pipeline.app.moments import since as since_of
from pipeline.app.opened import Opened
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
    now = to_ms(datetime.now(UTC))
    return Asked(
        exchange=tm.environment,
        symbol=None if symbol is None else symbol.upper(),
        strategy=strategy,
        interval=None if interval is None else code_of(interval),
        since=since_of("--since", since, now),
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
