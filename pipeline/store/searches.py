"""Searches and their trials. A trial is written once: who comes second with the same one changes nothing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError

from schemas.searches import SEARCHES, TRIALS, Search, Trial

_DUPLICATE = 11_000


class SearchStore:
    """Those of one environment."""

    def __init__(self, database: Database[dict[str, Any]], environment: str) -> None:
        self._searches = database[SEARCHES.name]
        self._trials = database[TRIALS.name]
        self._environment = environment

    def add(self, search: Search) -> bool:
        """Keep it, before its first trial; False if there is one of that name."""
        try:
            self._searches.insert_one(search.to_mongo())
        except DuplicateKeyError:
            return False
        return True

    def get(self, name: str) -> Search | None:
        """One of them."""
        found = self._searches.find_one({"_id": name, "environment": self._environment})
        return None if found is None else Search.from_mongo(found)

    def place_of(self, name: str) -> str | None:
        """At which exchange the search of that name was made, wherever it is."""
        found = self._searches.find_one({"_id": name}, {"environment": 1})
        return None if found is None else str(found["environment"])

    def newer_like(self, search: Search) -> Search | None:
        """The newest that was begun after it, of the same strategy on the same candles, and has ended with a
        walk-forward; what is older is not looked at."""
        same = {
            "environment": self._environment,
            "at": {"$gt": search.at},
            "strategy": search.strategy,
            "symbols": search.symbols,
            "intervals": search.intervals,
            "ended_at": {"$ne": None},
            "result.forward": {"$ne": None},
        }
        found = self._searches.find_one(same, sort=[("at", DESCENDING)])
        return None if found is None else Search.from_mongo(found)

    def newest(self, most: int) -> list[Search]:
        """The newest first."""
        found = self._searches.find({"environment": self._environment}).sort("at", DESCENDING).limit(most)
        return [Search.from_mongo(one) for one in found]

    def end(self, name: str, now: datetime, wanted: int, result: dict[str, Any]) -> None:
        """What came of it, and of how many trials."""
        changes = {"ended_at": now, "trials": wanted, "result": result}
        self._searches.update_one({"_id": name}, {"$set": changes})

    def open_seal(self, name: str, trial: str, now: datetime) -> bool:
        """Open the sealed stretch for a trial; False if it was opened before: it opens once."""
        closed = {"_id": name, "sealed.opened_at": None, "sealed": {"$ne": None}}
        changes = {"sealed.opened_at": now, "sealed.trial": trial}
        return self._searches.update_one(closed, {"$set": changes}).modified_count == 1

    def write_sealed(self, name: str, trial: str, figures: dict[str, Any]) -> None:
        """What the sealed stretch said of the trial that it was opened for."""
        self._searches.update_one({"_id": name, "sealed.trial": trial}, {"$set": {"sealed.figures": figures}})

    def add_trials(self, trials: Sequence[Trial]) -> None:
        """Write those that are not there."""
        if not trials:
            return
        try:
            self._trials.insert_many([one.to_mongo() for one in trials], ordered=False)
        except BulkWriteError as error:
            if any(one["code"] != _DUPLICATE for one in error.details["writeErrors"]):
                raise

    def trials(self, search: str) -> list[Trial]:
        """In the order in which they were asked for."""
        return [Trial.from_mongo(one) for one in self._trials.find({"search": search}).sort("number", ASCENDING)]

    def trial(self, name: str) -> Trial | None:
        """One of them."""
        found = self._trials.find_one({"_id": name, "environment": self._environment})
        return None if found is None else Trial.from_mongo(found)

    def count(self, search: str) -> int:
        """How many there are."""
        return self._trials.count_documents({"search": search})

    def tried_on(self, symbols: Sequence[str], start: datetime, end: datetime) -> int:
        """How many trials were ever run on any of these symbols, in a stretch that has a part in common with this."""
        others = self._searches.find(
            {"environment": self._environment, "symbols": {"$in": list(symbols)},
             "start": {"$lt": end}, "end": {"$gt": start}},
            {"_id": 1},
        )  # fmt: skip
        return self._trials.count_documents({"search": {"$in": [one["_id"] for one in others]}})
