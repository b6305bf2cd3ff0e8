"""What is held and what it is worth: `positions` is kept as the exchange has it, `accounts` grows by a snapshot at a
time."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, ReplaceOne
from pymongo.collection import Collection
from pymongo.database import Database

from schemas.accounts import ACCOUNTS, Snapshot
from schemas.positions import POSITIONS, Position


class PositionStore:
    """The `positions` of one environment."""

    def __init__(self, database: Database[dict[str, Any]], environment: str) -> None:
        self._positions = database[POSITIONS.name]
        self._environment = environment

    def save(self, positions: Iterable[Position]) -> None:
        """Store them as they are now."""
        changes = [ReplaceOne({"_id": one.id}, one.to_mongo(), upsert=True) for one in positions]
        if changes:
            self._positions.bulk_write(changes, ordered=False)

    def end_books(self, positions: Iterable[Position]) -> "list[str]":
        """Strategies hold nothing in them any more. The symbols of those that are not as they were read."""
        left = []
        for one in positions:
            as_read = {"_id": one.id, "quantity": 0, "updated_at": one.updated_at}
            if not self._positions.update_one(as_read, {"$set": {"books": []}}).matched_count:
                left.append(one.symbol)
        return left

    def list(self) -> list[Position]:
        """All of them, flat ones too, by symbol."""
        found = self._positions.find({"environment": self._environment}).sort("symbol", ASCENDING)
        return [Position.from_mongo(one) for one in found]


class AccountStore:
    """The snapshots of one environment's account, of each asset that it is counted in by itself: amounts of two assets
    have no sum."""

    def __init__(self, database: Database[dict[str, Any]], environment: str) -> None:
        self._accounts = database[ACCOUNTS.name]
        self._environment = environment

    def add(self, snapshot: Snapshot) -> None:
        """Store it; the same moment twice is stored once."""
        self._accounts.replace_one({"_id": snapshot.id}, snapshot.to_mongo(), upsert=True)

    def assets(self) -> list[str]:
        """What was ever counted in, by name."""
        return sorted(self._accounts.distinct("asset", {"environment": self._environment}))

    def of(self, asset: str) -> "AssetSnapshots":
        """Those in that asset."""
        return AssetSnapshots(self._accounts, self._environment, asset)

    def each(self) -> "list[AssetSnapshots]":
        """Those in each asset that was ever counted in, by its name."""
        return [self.of(one) for one in self.assets()]


class AssetSnapshots:
    """What an account was worth in one asset."""

    def __init__(self, accounts: Collection[dict[str, Any]], environment: str, asset: str) -> None:
        self._accounts = accounts
        self._ours = {"environment": environment, "asset": asset}

    def latest(self) -> Snapshot | None:
        """The newest snapshot."""
        return self._newest({})

    def latest_before(self, moment: datetime) -> Snapshot | None:
        """The last snapshot before then."""
        return self._newest({"at": {"$lt": moment}})

    def count(self, start: datetime, end: datetime) -> int:
        """How many snapshots were taken in [start, end)."""
        taken = self._ours | {"at": {"$gte": start, "$lt": end}}
        return self._accounts.count_documents(taken)

    def daily(self, since: datetime | None = None) -> list[Snapshot]:
        """The last snapshot of each day (UTC), since then or of all days, oldest first. It costs a look-up a day,
        however many snapshots a day has."""
        ends: list[Snapshot] = []
        one = self.latest()
        while one is not None and (since is None or one.at >= since):
            ends.append(one)
            one = self.latest_before(one.at.replace(hour=0, minute=0, second=0, microsecond=0))
        return ends[::-1]

    def _newest(self, filter_: dict[str, Any]) -> Snapshot | None:
        found = self._accounts.find_one(self._ours | filter_, sort=[("at", DESCENDING)])
        return None if found is None else Snapshot.from_mongo(found)
