"""The journal of orders: an intent is written before anything is sent, and every later state is appended.

Every change is made only by the holder of the lease: the document carries its fence, and an update under an older fence
matches nothing. What is written here is on the majority of servers when the call returns, unless another concern is
asked for.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from bson import Decimal128
from pymongo import DESCENDING
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError
from pymongo.write_concern import WriteConcern

from pipeline.errors import TidemarkError
from schemas.base import Document
from schemas.orders import ORDERS, SETTLED, UNSETTLED, Order, Transition

_DURABLE: Final = WriteConcern(w="majority", j=True, wtimeout=10_000)


_CHANGING: Final = ("state", "updated_at", "history")


class FencedError(TidemarkError):
    """The order belongs to a later holder of the lease: this process no longer acts."""


class OrderJournal:
    """The `orders` of one environment."""

    def __init__(
        self, database: Database[dict[str, Any]], environment: str, write_concern: WriteConcern = _DURABLE
    ) -> None:
        self._orders = database.get_collection(ORDERS.name, write_concern=write_concern)
        self._environment = environment

    def primary(self) -> object:
        """Which server takes the writes: another value after each election."""
        return self._orders.database.client.admin.command("hello").get("electionId")

    def intend(self, order: Order) -> bool:
        """Write a new order down. False where it is written already: the same decision has the same id. What this very
        term wrote, and was not told that it had, does not count: nothing was sent on it, so it is written anew."""
        try:
            self._orders.insert_one(order.to_mongo())
        except DuplicateKeyError:
            unanswered = {"_id": order.id, "fence": order.fence, "state": "intended", "history.1": {"$exists": False}}
            return self._orders.replace_one(unanswered, order.to_mongo()).matched_count == 1
        return True

    def append(self, order: Order, step: Transition, changes: Mapping[str, Any]) -> None:
        """Add a state to the order's history, with what became known; the same step twice is one. An order that was
        sent while the journal could not be written is written with it."""
        born = {name: value for name, value in order.to_mongo().items() if name not in {"_id", "fence", *_CHANGING}}
        changing = {**to_bson(changes), "state": step.state, "updated_at": step.at, "fence": order.fence}
        update = {
            "$set": changing,
            "$addToSet": {"history": step.to_mongo()},
            "$setOnInsert": {name: value for name, value in born.items() if name not in changing},
        }
        try:
            self._orders.update_one({"_id": order.id, "fence": {"$lte": order.fence}}, update, upsert=True)
        except DuplicateKeyError:
            raise FencedError(f"order {order.id} is not ours to change under fence {order.fence}") from None

    def add(self, order_id: str, changes: Mapping[str, Any]) -> None:
        """Write down what was learnt about a settled order afterwards: what it cost and what it brought."""
        self._orders.update_one({"_id": order_id}, {"$set": to_bson(changes)})

    def claim(self, fence: int) -> None:
        """Take over what earlier holders left unsettled: from now on no older fence may change it."""
        mine = {"environment": self._environment, "state": {"$in": list(UNSETTLED)}, "fence": {"$lt": fence}}
        self._orders.update_many(mine, {"$set": {"fence": fence}})

    def get(self, order_id: str) -> Order | None:
        """One order."""
        found = self._orders.find_one({"_id": order_id})
        return None if found is None else Order.from_mongo(found)

    def unsettled(self) -> list[Order]:
        """Orders whose end is not known yet, oldest first."""
        return self._list({"state": {"$in": list(UNSETTLED)}})

    def since(self, moment: datetime) -> list[Order]:
        """Orders made since then, oldest first."""
        return self._list({"created_at": {"$gte": moment}})

    def of_symbol(self, symbol: str, since: datetime, until: datetime) -> list[Order]:
        """Orders of a symbol made in [since, until), oldest first."""
        return self._list({"symbol": symbol, "created_at": {"$gte": since, "$lt": until}})

    def before(self, symbol: str, moment: datetime, limit: int) -> list[Order]:
        """The last orders of a symbol that were made before then, newest first."""
        wanted = {"environment": self._environment, "symbol": symbol, "created_at": {"$lt": moment}}
        found = self._orders.find(wanted).sort("created_at", DESCENDING).limit(limit)
        return [Order.from_mongo(one) for one in found]

    def settled_since(self, moment: datetime) -> list[Order]:
        """Orders whose end was learnt since then, oldest first."""
        return self._list({"state": {"$in": list(SETTLED)}, "updated_at": {"$gte": moment}})

    def symbols_since(self, moment: datetime) -> set[str]:
        """Where the end of an order was learnt since then."""
        settled = {"environment": self._environment, "state": {"$in": list(SETTLED)}, "updated_at": {"$gte": moment}}
        return set(self._orders.distinct("symbol", settled))

    def named(self, ids: Iterable[str]) -> list[Order]:
        """Those of these orders that are here, oldest first."""
        return self._list({"_id": {"$in": list(ids)}})

    def of_signals(self, signals: Iterable[str]) -> list[Order]:
        """The orders that these signals led to, oldest first."""
        return self._list({"signal": {"$in": list(signals)}})

    def newest(self, limit: int, symbol: str | None = None) -> list[Order]:
        """The latest orders, newest first."""
        of_symbol = {} if symbol is None else {"symbol": {"$eq": symbol}}
        found = self._orders.find({"environment": self._environment} | of_symbol)
        return [Order.from_mongo(one) for one in found.sort("created_at", DESCENDING).limit(limit)]

    def filled(self, symbol: str, limit: int) -> list[Order]:
        """The latest orders of a symbol of which something was filled, newest first."""
        of_it = {"environment": self._environment, "symbol": {"$eq": symbol}, "filled": {"$gt": Decimal128("0")}}
        return [Order.from_mongo(one) for one in self._orders.find(of_it).sort("created_at", DESCENDING).limit(limit)]

    def last_filled(self) -> datetime | None:
        """When an order was last learnt to be filled whole."""
        ours = {"environment": self._environment, "state": "filled"}
        found = self._orders.find_one(ours, {"updated_at": 1}, sort=[("updated_at", DESCENDING)])
        return None if found is None else found["updated_at"]

    def _list(self, filter_: dict[str, Any]) -> list[Order]:
        found = self._orders.find({"environment": self._environment} | filter_).sort("created_at", 1)
        return [Order.from_mongo(one) for one in found]


def to_bson(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values as the server stores them: exact amounts as Decimal128, parts of documents as documents."""
    return {name: _value(value) for name, value in changes.items()}


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return Decimal128(value)
    return value.to_mongo() if isinstance(value, Document) else value
