"""What the exchange trades, as last asked: one document a contract. Contracts that are gone stay, as they were, and so
do the finest price that was ever seen of one, and what the account pays in it."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from bson import Decimal128
from pymongo import UpdateOne
from pymongo.database import Database

from schemas.symbols import SYMBOLS, Symbol

_OF_OTHERS: Final = ("finest", "taker_fee", "recorded")
"""What somebody else has seen of it, or was told: it stays."""


_WITHOUT_PAST: Final = {"recorded.filters": False, "recorded.taker_fee": False}


class SymbolStore:
    """The `symbols` collection, through PyMongo's synchronous driver."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._collection = database[SYMBOLS.name]

    def save(self, symbols: Iterable[Symbol]) -> None:
        """Store what the exchange says now, where that is news."""
        told = list(symbols)
        ids = {"_id": {"$in": [one.id for one in told]}}
        known = {found["_id"]: found for found in self._collection.find(ids, _WITHOUT_PAST)}
        changes = [_said(one, known.get(one.id)) for one in told if _is_news(one, known.get(one.id))]
        if changes:
            self._collection.bulk_write(changes, ordered=False)

    def note_finest(self, exchange: str, symbol: str, decimals: int) -> None:
        """A price with so many decimals was seen."""
        self._collection.update_one({"_id": f"{exchange}:{symbol}"}, {"$max": {"finest": decimals}})

    def note_fee(self, exchange: str, symbol: str, taker_fee: Decimal) -> bool:
        """What the account pays in it; whether that is news. Of what is not listed here nothing is kept."""
        fee = Decimal128(taker_fee)
        news = {"_id": f"{exchange}:{symbol}", "taker_fee": {"$ne": fee}}
        recorded = {"since": "$$NOW", "filters": "$filters", "taker_fee": fee}
        known = {"$ifNull": ["$recorded", []]}
        has_filters = {"$ne": [{"$ifNull": ["$filters", None]}, None]}
        change = {
            "taker_fee": fee,
            "recorded": {"$cond": [has_filters, {"$concatArrays": [known, [recorded]]}, known]},
        }
        return bool(self._collection.update_one(news, [{"$set": change}]).modified_count)

    def taker_fees(self, exchange: str) -> dict[str, Decimal]:
        """What the account pays, as a share of what an order is worth, in each contract of which it was ever told."""
        told = {"exchange": exchange, "taker_fee": {"$type": "decimal"}}
        found = self._collection.find(told, {"symbol": 1, "taker_fee": 1})
        return {one["symbol"]: one["taker_fee"].to_decimal() for one in found}

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
    kept = (*_OF_OTHERS, "updated_at")
    if known is None or known.get("finest", -1) < symbol.price_precision or _is_other_rule(symbol, known):
        return True
    return any(known.get(name) != value for name, value in symbol.to_mongo().items() if name not in kept)


def _is_other_rule(symbol: Symbol, known: Mapping[str, Any]) -> bool:
    """Whether its filters are not those that were recorded last, which are those that are known."""
    is_recorded = bool(known.get("recorded")) and known.get("filters") == (symbol.filters and symbol.filters.to_mongo())
    return symbol.filters is not None and not is_recorded


def _said(symbol: Symbol, known: Mapping[str, Any] | None) -> UpdateOne:
    told = symbol.to_mongo()
    change: dict[str, Any] = {}
    if symbol.filters is not None and _is_other_rule(symbol, known or {}):
        fee = None if known is None else known.get("taker_fee")
        recorded = {"since": told["updated_at"], "filters": told["filters"], "taker_fee": fee}
        change = {"$push": {"recorded": recorded}}
    finest = max(told["finest"], symbol.price_precision)
    told = {name: value for name, value in told.items() if name not in _OF_OTHERS}
    return UpdateOne({"_id": told.pop("_id")}, {"$set": told, "$max": {"finest": finest}, **change}, upsert=True)
