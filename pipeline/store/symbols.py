"""What the exchange trades, as last asked: one document a contract. Contracts that are gone stay, as they were, and so
does the finest price that was ever seen of one."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from pymongo import UpdateOne
from pymongo.database import Database

from schemas.symbols import SYMBOLS, Symbol

_OF_THE_MOMENT: Final = ("finest", "updated_at")


class SymbolStore:
    """The `symbols` collection, through PyMongo's synchronous driver."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._collection = database[SYMBOLS.name]

    def save(self, symbols: Iterable[Symbol]) -> None:
        """Store what the exchange says now, where that is news."""
        told = list(symbols)
        ids = {"_id": {"$in": [one.id for one in told]}}
        known = {found["_id"]: found for found in self._collection.find(ids)}
        changes = [_said(one) for one in told if _is_news(one, known.get(one.id))]
        if changes:
            self._collection.bulk_write(changes, ordered=False)

    def note_finest(self, exchange: str, symbol: str, decimals: int) -> None:
        """A price with so many decimals was seen."""
        self._collection.update_one({"_id": f"{exchange}:{symbol}"}, {"$max": {"finest": decimals}})

    def get(self, exchange: str, symbol: str) -> Symbol | None:
        """One contract, or None if it was never seen."""
        found = self._collection.find_one({"_id": f"{exchange}:{symbol}"})
        return None if found is None else Symbol.from_mongo(found)

    def ticks(self, exchange: str) -> dict[str, Decimal]:
        """The least step of the prices of each contract, as far as it is known."""
        matches = {"exchange": exchange, "filters.tick_size": {"$exists": True}}
        found = self._collection.find(matches, {"symbol": 1, "filters.tick_size": 1})
        return {one["symbol"]: one["filters"]["tick_size"].to_decimal() for one in found}

    def list(self, exchange: str) -> list[Symbol]:
        """All contracts of an exchange, by name."""
        return [Symbol.from_mongo(found) for found in self._collection.find({"exchange": exchange}).sort("_id", 1)]


def _is_news(symbol: Symbol, known: Mapping[str, Any] | None) -> bool:
    """Whether anything but the moment of asking is another, or the prices are finer than was known."""
    if known is None or known.get("finest", -1) < symbol.price_precision:
        return True
    return any(known.get(name) != value for name, value in symbol.to_mongo().items() if name not in _OF_THE_MOMENT)


def _said(symbol: Symbol) -> UpdateOne:
    told = symbol.to_mongo()
    finest = max(told.pop("finest"), symbol.price_precision)
    return UpdateOne({"_id": told.pop("_id")}, {"$set": told, "$max": {"finest": finest}}, upsert=True)
