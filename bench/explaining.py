"""`tidemark explain`: a week of fifty symbols from MongoDB, traded once more and explained, every position of it.

What stands in the database as live is a run of the executor itself whose signals came later than a backtest hears of
them: so there are differences, and each is known.
"""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

import numpy as np
import polars as pl
from pydantic import SecretStr
from pymongo.database import Database

from bench.research import BEGIN, question
from bench.store import mongod_at
from bench.table import Row
from pipeline.app.explain import Explained, explain
from pipeline.app.opened import Opened
from pipeline.execution.engine.state import SignalView
from pipeline.execution.runtime.documents import decision_document
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.exact import ExactRun
from pipeline.research.backtest.minutes import Minutes
from pipeline.research.backtest.record import Record
from pipeline.settings import Settings
from pipeline.store.account import PositionStore
from pipeline.store.candles.frame import FRAME_SCHEMA
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.strategies import registry
from pipeline.timeline import MINUTE, to_datetime
from schemas.orders import ORDERS
from schemas.positions import Position
from schemas.series import SeriesKey
from schemas.signals import SIGNALS, Signal
from tests.research.explained import journal_of

GROUP = "explain"
LATE = 20_000
WITHIN = 30.0


def run(quick: bool) -> list[Row]:
    """Put a week there, and explain it."""
    symbols, days = (3, 1) if quick else (50, 7)
    asked = week(symbols, days)
    record = ExactRun(replace(asked, assumptions=replace(asked.assumptions, signal_delay=LATE))).run()
    with mongod_at() as (database, uri), TemporaryDirectory() as folder:
        store(database, asked, record)
        settings = Settings(mongo_uri=SecretStr(uri), database=database.name, home=Path(folder), environment="sim")
        with Opened(settings) as tm:
            began, own = perf_counter(), process_time()
            (found,) = explain(tm, since=BEGIN)
            took, core = perf_counter() - began, process_time() - own
    return [
        Row(
            group=GROUP,
            name=f"{days} days of {symbols} symbols, {len(registry.SHIPPED)} strategies",
            ours=took,
            unit="s",
            at_most=WITHIN,
            lower_is_better=True,
            note=f"{said(found)}; {core:.1f} s of a core in the client",
        )
    ]


def said(found: Explained) -> str:
    """What was explained, and that all of it was."""
    return f"{found.signals:,} signals, {len(found.rows):,} positions, rest {found.rest.normalize():f} {found.asset}"


def week(symbols: int, days: int) -> Asked:
    """All shipped strategies on all of them, in one account."""
    parts = [question(f"B{number}USDT", days, list(registry.SHIPPED), number) for number in range(symbols)]
    return replace(
        parts[0],
        symbols=[one for part in parts for one in part.symbols],
        minutes={name: one for part in parts for name, one in part.minutes.items()},
        funding={},
        signals=[one for part in parts for one in part.signals],
    )


def store(database: Database[dict[str, Any]], asked: Asked, record: Record) -> None:
    """As the ingester and the executor leave it behind."""
    SymbolStore(database).save(asked.symbols)
    for one in asked.minutes.values():
        key = SeriesKey("sim", one.symbol, "1m")
        CandleStore(database).replace_closed(key, candles(one))
        SeriesStore(database).recount(key, "stream", one.end)
    database[SIGNALS.name].insert_many([signal(one, record).to_mongo() for one in asked.signals])
    database[ORDERS.name].insert_many([one.to_mongo() for one in journal_of(record)])
    PositionStore(database, "sim").save([flat(symbol) for symbol in asked.minutes])


def candles(minutes: Minutes) -> pl.DataFrame:
    """Stored minutes."""
    opened = minutes.start + MINUTE * np.arange(len(minutes.close))
    columns: dict[str, Any] = dict.fromkeys(FRAME_SCHEMA, 1.0)
    columns |= {name: getattr(minutes, name) / float(1 / minutes.tick) for name in ("open", "high", "low", "close")}
    columns |= {"t": opened, "te": opened + MINUTE - 1, "u": opened + MINUTE, "closed": minutes.there, "trades": 1}
    return pl.DataFrame(columns).select(pl.col(name).cast(kind) for name, kind in FRAME_SCHEMA.items())


def signal(view: SignalView, record: Record) -> Signal:
    """With its verdict."""
    judged, at = record.verdicts.get(view.id), to_datetime(view.at)
    decision = None if judged is None or judged.decision is None else decision_document(judged.decision)
    return Signal(
        id=view.id,
        exchange="sim",
        symbol=view.symbol,
        interval=view.interval,
        strategy=view.strategy,
        kind=view.kind,
        side=view.side,
        candle=to_datetime(view.at - 15 * MINUTE),
        at=at,
        price=float(view.price),
        strength=1.0,
        indicators={} if view.atr is None else {"atr": float(view.atr)},
        settings="v1",
        source="live",
        confirmed=True,
        created_at=at,
        verdict="fresh" if judged is None else judged.verdict,
        reason=None if judged is None else judged.reason,
        fresh_until=None if view.fresh_until is None else to_datetime(view.fresh_until),
        decided_at=None if decision is None else decision.at,
        decision=decision,
    )


def flat(symbol: str) -> Position:
    """One that was held."""
    nothing = Decimal(0)
    return Position(
        id=f"sim:{symbol}:BOTH",
        environment="sim",
        symbol=symbol,
        quantity=nothing,
        entry_price=nothing,
        ours=True,
        updated_at=to_datetime(BEGIN),
    )
