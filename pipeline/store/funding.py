"""The way into `funding`: settlements are added as the exchange says them, and are never others afterwards."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final, NamedTuple

from pymongo import UpdateOne
from pymongo.database import Database

from pipeline.timeline import HOUR, interval, iso, to_datetime, to_ms
from schemas.funding import FUNDING, Settlement

Document = dict[str, Any]
USUAL: Final = 8 * HOUR
_MONTH: Final = interval("1M")


class Newest(NamedTuple):
    """When a symbol was settled last, and how long that was after the time before."""

    at: int
    period: int


class FundingStore:
    """The settlements of one exchange, through PyMongo's synchronous driver."""

    def __init__(self, database: Database[Document], exchange: str) -> None:
        self._collection = database[FUNDING.name]
        self._exchange = exchange

    def add(self, symbol: str, settlements: Iterable[Settlement]) -> None:
        """Store them. Adding twice changes nothing, whoever does it meanwhile."""
        by_month = groupby(sorted(settlements, key=_time), key=lambda one: _MONTH.floor(_time(one)))
        additions = [self._addition(symbol, month, [one.to_mongo() for one in of_it]) for month, of_it in by_month]
        if additions:
            self._collection.bulk_write(additions)

    def newest(self, symbols: Iterable[str]) -> dict[str, Newest]:
        """Of each that has any; what has only one is taken for every eight hours."""
        newest_month: list[Document] = [
            {"$match": {"exchange": self._exchange, "symbol": {"$in": list(symbols)}}},
            {"$sort": {"_id": 1}},
            {"$group": {"_id": "$symbol", "times": {"$last": "$settlements.t"}}},
        ]
        found: dict[str, Newest] = {}
        for one in self._collection.aggregate(newest_month):
            times = sorted(map(to_ms, one["times"]))[-2:]
            found[one["_id"]] = Newest(times[-1], times[-1] - times[0] or USUAL)
        return found

    def load(self, symbol: str, start: int, end: int) -> list[Settlement]:
        """Those with start < time <= end, in order."""
        span = {"$gte": self._id(symbol, _MONTH.floor(start)), "$lte": self._id(symbol, _MONTH.floor(end))}
        stored = (
            Settlement.from_mongo(each) for one in self._collection.find({"_id": span}) for each in one["settlements"]
        )
        return sorted((one for one in stored if start < _time(one) <= end), key=_time)

    def _addition(self, symbol: str, month: int, settlements: list[Document]) -> UpdateOne:
        born = {"exchange": self._exchange, "symbol": symbol, "month": to_datetime(month)}
        added = {"settlements": {"$each": settlements}}
        return UpdateOne({"_id": self._id(symbol, month)}, {"$setOnInsert": born, "$addToSet": added}, upsert=True)

    def _id(self, symbol: str, month: int) -> str:
        return f"{self._exchange}:{symbol}:{iso(month)}"


def _time(settlement: Settlement) -> int:
    return to_ms(settlement.t)
