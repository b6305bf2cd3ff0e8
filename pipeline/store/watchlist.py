"""Which series the ingester keeps current: kept in `control`, changed while it runs, seeded from the settings once."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.database import Database

from schemas.control import CONTROL
from schemas.series import SeriesKey

Document = dict[str, Any]


class Watchlist:
    """The `watch` documents of one exchange."""

    def __init__(self, database: Database[Document], exchange: str) -> None:
        self._control = database[CONTROL.name]
        self._exchange = exchange

    def wanted(self) -> set[SeriesKey]:
        """The series to be kept current."""
        return set(self.asked())

    def asked(self) -> dict[SeriesKey, datetime]:
        """The series to be kept current, and when each was last asked for."""
        found = self._control.find({"kind": "watch", "exchange": self._exchange, "wanted": True})
        return {SeriesKey(one["exchange"], one["symbol"], one["interval"]): one["asked_at"] for one in found}

    def seed(self, keys: Iterable[SeriesKey], now: datetime) -> None:
        """Watch these unless somebody already said whether to."""
        self._write(UpdateOne({"_id": _id(key)}, {"$setOnInsert": _said(key, True, now)}, upsert=True) for key in keys)

    def watch(self, keys: Iterable[SeriesKey], now: datetime) -> None:
        """Keep these current from now on. Asking twice changes nothing."""
        self._write(UpdateOne({"_id": _id(key)}, {"$set": _said(key, True, now)}, upsert=True) for key in keys)

    def unwatch(self, keys: Iterable[SeriesKey], now: datetime) -> None:
        """Let these go; what is stored of them stays."""
        self._write(UpdateOne({"_id": _id(key)}, {"$set": _said(key, False, now)}, upsert=True) for key in keys)

    def went_live(self, keys: Iterable[SeriesKey], now: datetime) -> None:
        """These series are backfilled and current."""
        self._control.update_many({"_id": {"$in": [_id(key) for key in keys]}}, {"$set": {"since": now}})

    def _write(self, operations: Iterable[UpdateOne]) -> None:
        listed = list(operations)
        if listed:
            self._control.bulk_write(listed, ordered=False)


def _id(key: SeriesKey) -> str:
    return f"watch:{key}"


def _said(key: SeriesKey, wanted: bool, now: datetime) -> Document:
    return {
        "kind": "watch",
        "exchange": key.exchange,
        "symbol": key.symbol,
        "interval": key.interval,
        "wanted": wanted,
        "asked_at": now,
        "since": None,
    }
