"""Forgets what is old, as far as it was told to: candles, signals, snapshots, signs of life. Never orders: the journal
stays whole, and a signal that was acted on stays with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo.database import Database

from pipeline.errors import UsageError
from pipeline.store.candles.layout import bucket_id
from pipeline.store.runs import RunStore
from pipeline.store.series import SeriesStore
from pipeline.store.signals.write import NOT_ACTED_ON
from pipeline.timeline import interval, to_datetime, to_ms
from schemas.accounts import ACCOUNTS
from schemas.candles import CANDLES
from schemas.control import CONTROL
from schemas.series import SeriesKey, mark_exchange
from schemas.signals import SIGNALS

DEAD_AFTER: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Keep:
    """How many days of each are kept; None: all. Of older snapshots, the last of each day stays."""

    candles: int | None = None
    signals: int | None = None
    snapshots: int | None = 30
    runs: int | None = 1_000
    """So many backtests, the newest, and those that are marked."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How much of something went."""

    what: str
    count: int


class Retention:
    """Forgets, in one database, what belongs to one exchange."""

    def __init__(self, database: Database[dict[str, Any]], exchange: str, *, history_days: int) -> None:
        """`history_days`: how far back a backfill reaches. What it would fetch again is not forgotten."""
        self._database = database
        self._exchange = exchange
        self._history_days = history_days

    def forget(self, keep: Keep, now: datetime) -> list[Forgotten]:
        """Everything older. Can be repeated, and interrupted anywhere."""
        if keep.candles is not None and keep.candles < self._history_days:
            raise UsageError(
                f"candles of {keep.candles} days cannot be kept alone: history_days is {self._history_days}, and the "
                "next backfill would fetch the rest again. Lower TIDEMARK_HISTORY_DAYS too"
            )
        now = self._at_most_now(now)
        runs = RunStore(self._database, self._exchange)
        return [
            *self._candles(keep.candles, now),
            Forgotten("signals nobody acted on", self._signals(keep.signals, now)),
            Forgotten("account snapshots, but the last of a day", self._snapshots(keep.snapshots, now)),
            Forgotten("backtests", 0 if keep.runs is None else runs.keep(keep.runs)),
            Forgotten("trades of backtests that were never finished", runs.forget_orphans(now)),
            Forgotten("signs of life of dead processes", self._heartbeats(now)),
        ]

    def _at_most_now(self, now: datetime) -> datetime:
        """The clock of this machine may be set wrong: it is no later than the newest stored candle ends."""
        closed = [
            interval(one.interval).after(to_ms(one.last_closed))
            for one in SeriesStore(self._database).list(self._exchange)
            if one.last_closed is not None
        ]
        return min(now, to_datetime(max(closed))) if closed else now

    def _candles(self, days: int | None, now: datetime) -> list[Forgotten]:
        if days is None:
            return []
        store = SeriesStore(self._database)
        stored = [*store.list(self._exchange), *store.list(mark_exchange(self._exchange))]
        keys = [SeriesKey(one.exchange, one.symbol, one.interval) for one in stored]
        return [Forgotten(f"candle documents of {key}", self._of_series(store, key, days, now)) for key in keys]

    def _of_series(self, store: SeriesStore, key: SeriesKey, days: int, now: datetime) -> int:
        """Whole documents only: one that holds a younger candle stays."""
        step = interval(key.interval)
        oldest_kept = step.bucket(to_ms(now - timedelta(days=days))).start
        names = {"_id": {"$gte": bucket_id(key, 0), "$lt": bucket_id(key, oldest_kept)}}
        gone = int(self._database[CANDLES.name].delete_many(names).deleted_count)
        if gone:
            store.recount(key, None, to_ms(now))
        return gone

    def _signals(self, days: int | None, now: datetime) -> int:
        if days is None:
            return 0
        old = {"exchange": self._exchange, "at": {"$lt": now - timedelta(days=days)}}
        return int(self._database[SIGNALS.name].delete_many({**old, **NOT_ACTED_ON}).deleted_count)

    def _snapshots(self, days: int | None, now: datetime) -> int:
        if days is None:
            return 0
        accounts = self._database[ACCOUNTS.name]
        old = {"environment": self._exchange, "at": {"$lt": now - timedelta(days=days)}}
        day = {"$dateTrunc": {"date": "$at", "unit": "day"}}
        last: Sequence[dict[str, Any]] = list(
            accounts.aggregate(
                [{"$match": old}, {"$sort": {"at": 1}}, {"$group": {"_id": [day, "$asset"], "id": {"$last": "$_id"}}}]
            )
        )
        kept = [one["id"] for one in last]
        return int(accounts.delete_many(old | {"_id": {"$nin": kept}}).deleted_count)

    def _heartbeats(self, now: datetime) -> int:
        dead = {"kind": "heartbeat", "at": {"$lt": now - DEAD_AFTER}}
        return int(self._database[CONTROL.name].delete_many(dead).deleted_count)
