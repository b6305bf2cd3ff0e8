"""The way into `likeness`: which symbols of an exchange move alike, as it was measured last."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pymongo import DESCENDING, ReplaceOne
from pymongo.database import Database

from schemas.likeness import LIKENESS, Likeness

State = tuple[datetime | None, int]


class LikenessStore:
    """That of one exchange, through PyMongo's synchronous driver."""

    def __init__(self, database: Database[dict[str, Any]], exchange: str) -> None:
        self._collection = database[LIKENESS.name]
        self._exchange = exchange

    def save(self, measured: Iterable[Likeness], now: datetime) -> int:
        """Keep what is news; how many are. Those that are not measured any more go."""
        wanted = {one.id: one.to_mongo() for one in measured}
        known = {one["_id"]: one for one in self._collection.find({"exchange": self._exchange})}
        for each, one in wanted.items():
            one["written"] = known.get(each, {}).get("written")
            if known.get(each) != one:
                one["written"] = now
        news = [ReplaceOne({"_id": each}, one, upsert=True) for each, one in wanted.items() if known.get(each) != one]
        if news:
            self._collection.bulk_write(news, ordered=False)
        if gone := [each for each in known if each not in wanted]:
            self._collection.delete_many({"_id": {"$in": gone}})
        return len(news) + len(gone)

    def state(self) -> State:
        """When something of it was last written, and in how many documents: another where anything has changed."""
        newest = self._collection.find_one({"exchange": self._exchange}, {"written": 1}, sort=[("written", DESCENDING)])
        written = None if newest is None else newest.get("written")
        return written, self._collection.count_documents({"exchange": self._exchange, "written": written})

    def load(self) -> dict[str, Likeness]:
        """By symbol."""
        found = map(Likeness.from_mongo, self._collection.find({"exchange": self._exchange}))
        return {one.symbol: one for one in found}
