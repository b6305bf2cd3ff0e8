"""What older versions stored otherwise, brought into today's form: once for each database, before anybody works on it.

A step is noted in `meta` when it is done and never before, so one that was interrupted is begun again; two processes
may do the same step at once.
"""

import logging
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final

from bson.int64 import Int64
from pymongo.database import Database

from schemas.candles import CANDLE_FIELDS, CANDLES

log = logging.getLogger(__name__)

Document = dict[str, Any]

_BUCKETS_AT_ONCE: Final = 100
"""About a second of the server's time."""


def upgrade(database: Database[Document], meta: str, note: str) -> None:
    """Do the steps that the document `note` of the collection `meta` does not name yet."""
    noted = database[meta].find_one({"_id": note}) or {}
    for name, step in STEPS.items():
        if name not in noted.get("upgraded", ()):
            step(database)
            database[meta].update_one({"_id": note}, {"$addToSet": {"upgraded": name}})


def order_candle_fields(database: Database[Document]) -> None:
    """Until schema 3 `closed` and `u` stood behind the market values; the guard of open candles needs them before."""
    candles = database[CANDLES.name]
    ordered = {name: f"$$this.{name}" for name in CANDLE_FIELDS}
    in_order = {"$cond": [{"$eq": ["$$this", None]}, None, ordered]}
    update = {
        "candles": {"$map": {"input": "$candles", "in": in_order}},
        "rev": {"$add": [{"$ifNull": ["$rev", 0]}, Int64(1)]},
    }
    found = (one["_id"] for one in candles.find({}, {"_id": 1}).sort("_id", 1))
    while ids := list(islice(found, _BUCKETS_AT_ONCE)):
        candles.update_many({"_id": {"$in": ids}}, [{"$set": update}])
        log.info("candles are stored in a new order of fields: done up to %s", ids[-1])


STEPS: Final[Mapping[str, Callable[[Database[Document]], None]]] = {"candle fields": order_candle_fields}
