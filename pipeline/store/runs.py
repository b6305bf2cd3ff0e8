"""The backtests that were kept. A run is written after its trades, so that none is without them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

from schemas.runs import RUN_TRADES, RUNS, Run, RunTrades

PORTION: Final = 500
"""Trades in a document."""
_UNDER_WAY: Final = timedelta(days=1)


class RunStore:
    """The runs of one environment."""

    def __init__(self, database: Database[dict[str, Any]], environment: str) -> None:
        self._runs = database[RUNS.name]
        self._trades = database[RUN_TRADES.name]
        self._environment = environment

    def add(self, run: Run, trades: Sequence[dict[str, Any]]) -> None:
        """Keep it."""
        portions = [trades[first : first + PORTION] for first in range(0, len(trades), PORTION)]
        documents = [
            RunTrades(id=f"{run.id}:{number}", run=run.id, number=number, trades=list(portion)).to_mongo()
            for number, portion in enumerate(portions)
        ]
        if documents:
            self._trades.insert_many(documents)
        self._runs.insert_one(run.to_mongo())

    def newest(self, most: int) -> list[Run]:
        """The newest first."""
        found = self._runs.find({"environment": self._environment}).sort("at", DESCENDING).limit(most)
        return [Run.from_mongo(one) for one in found]

    def get(self, name: str) -> Run | None:
        """One of them."""
        found = self._runs.find_one({"_id": name, "environment": self._environment})
        return None if found is None else Run.from_mongo(found)

    def newer_like(self, run: Run) -> Run | None:
        """The newest that asked the same after it; what is older is not looked at."""
        asked = run.inputs
        same = {
            "environment": self._environment,
            "at": {"$gt": run.at},
            "inputs.strategies": asked.strategies,
            "inputs.symbols": asked.symbols,
            "inputs.intervals": asked.intervals,
            "inputs.parameters": asked.parameters,
        }
        found = self._runs.find_one(same, sort=[("at", DESCENDING)])
        return None if found is None else Run.from_mongo(found)

    def trades(self, name: str) -> list[dict[str, Any]]:
        """Its trades, in their order."""
        portions = self._trades.find({"run": name}).sort("number", ASCENDING)
        return [trade for one in portions for trade in RunTrades.from_mongo(one).trades]

    def mark(self, name: str, *, kept: bool) -> bool:
        """Whether it is never forgotten; False where there is no such run."""
        found = self._runs.update_one({"_id": name, "environment": self._environment}, {"$set": {"kept": kept}})
        return found.matched_count == 1

    def keep(self, most: int) -> int:
        """Forget all but so many, the newest, and those that are marked, and their trades: how many runs went. One that
        was interrupted is done again by the next."""
        unmarked = {"environment": self._environment, "kept": {"$ne": True}}
        old = self._runs.find(unmarked, {"_id": 1}).sort("at", DESCENDING).skip(most)
        names = [one["_id"] for one in old]
        self._trades.delete_many({"run": {"$in": names}})
        return int(self._runs.delete_many({"_id": {"$in": names}}).deleted_count)

    def forget_orphans(self, now: datetime) -> int:
        """Forget trades that no run has, for whoever wrote them was killed before it wrote the run: of how many runs.
        What is younger than a day may still be under way."""
        names = self._trades.distinct("run", {"run": {"$lt": f"{now - _UNDER_WAY:%Y%m%d-%H%M%S}"}})
        known = {one["_id"] for one in self._runs.find({"_id": {"$in": names}}, {"_id": 1})}
        orphans = [name for name in names if name not in known]
        self._trades.delete_many({"run": {"$in": orphans}})
        return len(orphans)
