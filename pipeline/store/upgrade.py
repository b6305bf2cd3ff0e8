"""What older versions stored otherwise, brought into today's form: once for each database, before candles are written.

One process does it, under a lease; whoever else wants to write candles is told who, and how far that is. After every
portion the last id is noted in `meta`, and each step when it is done, so that one that was interrupted or killed goes
on where it was. Doing a portion twice does no harm, and whoever only reads need not wait: both forms can be read.
"""

import logging
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from bson.int64 import Int64
from pymongo.database import Database

from pipeline.errors import TidemarkError
from pipeline.store.candles.coverage import COUNTED
from pipeline.store.lease import HeldBy, LeaseStore
from pipeline.store.signals.outcomes import FIRST
from schemas.candles import CANDLE_FIELDS, CANDLES
from schemas.signals import SIGNAL_SETTINGS, SIGNALS, settings_id

log = logging.getLogger(__name__)

Document = dict[str, Any]
Told = Callable[[int, int], None]
"""Who is told how many documents are done, of how many."""
Renew = Callable[[], None]

META: Final = "meta"
SCHEMA: Final = "schema"
LEASE: Final = "upgrade"
LIFE: Final = 30.0
"""Seconds after which somebody else goes on with what was killed: far longer than a portion takes."""
_BUCKETS_AT_ONCE: Final = 100
_SIGNALS_AT_ONCE: Final = 5_000
"""About a second of the server's time."""
_TOO_LATE: Final = (
    "this process stood still for so long that its turn to bring documents into today's form was over; run it again: "
    "it goes on from where that is now"
)


class UpgradingError(TidemarkError):
    """Another process brings the documents into today's form. Wait for it, and run the command again."""


def upgrade(database: Database[Document], told: Told = lambda _done, _total: None, *, life: float = LIFE) -> None:
    """Do the steps that are not noted as done, or refuse with `UpgradingError` while another process does them."""
    if not _due(database):
        return
    if all(database[name].find_one({}, {"_id": 1}) is None for name in (CANDLES.name, SIGNALS.name)):
        _note(database, {"$addToSet": {"upgraded": {"$each": list(STEPS)}}})
        return
    with _alone(database, life) as renew:
        for name in _due(database):
            STEPS[name](database, name, renew, told)
            _note(database, {"$addToSet": {"upgraded": name}, "$unset": {f"upgrading.{name}": 1}})


def _due(database: Database[Document]) -> list[str]:
    done = (database[META].find_one({"_id": SCHEMA}) or {}).get("upgraded", ())
    return [name for name in STEPS if name not in done]


def _note(database: Database[Document], change: Document) -> None:
    database[META].update_one({"_id": SCHEMA}, change, upsert=True)


@contextmanager
def _alone(database: Database[Document], life: float) -> Iterator[Renew]:
    """Nobody else is at it, for the length of a `with` block that renews this often enough."""
    lease = LeaseStore(database, LEASE, f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}", life=life)
    granted = lease.acquire()
    if isinstance(granted, HeldBy):
        raise _at_it(database, granted.holder)

    def renew() -> None:
        if lease.renew(granted.fence) is None:
            raise _at_it(database, holder) if (holder := lease.holder()) else UpgradingError(_TOO_LATE)

    try:
        yield renew
    finally:
        lease.release(granted.fence)


def _at_it(database: Database[Document], holder: str) -> UpgradingError:
    host, process, _ = holder.rsplit(":", 2)
    noted = (database[META].find_one({"_id": SCHEMA}) or {}).get("upgrading", {})
    how_far = ", ".join(f"{one['done']:,} of {one['total']:,} documents done" for one in noted.values())
    return UpgradingError(
        f"the database {database.name!r} is being brought into today's form by process {process} on "
        f"{host} ({how_far or 'just begun'}). Run this again when that is done; what only reads goes on meanwhile"
    )


def order_candle_fields(database: Database[Document], name: str, renew: Renew, told: Told) -> None:
    """Until schema 3 `closed` and `u` stood behind the market values; the guard of open candles needs them before."""
    ordered = {field: f"$$this.{field}" for field in CANDLE_FIELDS}
    in_order = {"$cond": [{"$eq": ["$$this", None]}, None, ordered]}
    update = {
        "candles": {"$map": {"input": "$candles", "in": in_order}},
        "rev": {"$add": [{"$ifNull": ["$rev", 0]}, Int64(1)]},
    }
    log.info("candles are stored in a new order of fields")
    _in_portions(database, CANDLES.name, _BUCKETS_AT_ONCE, [{"$set": update}], name, renew, told)


def count_closed(database: Database[Document], name: str, renew: Renew, told: Told) -> None:
    """Until schema 6 a bucket did not say how many closed candles it holds. Its fields stand before its candles."""
    bucket = {field: f"${field}" for field in ("_id", "exchange", "symbol", "interval", "start")}
    change = {
        "$replaceWith": {
            **bucket,
            "rev": {"$ifNull": ["$rev", Int64(0)]},
            "stored": COUNTED,
            "audited": False,
            "candles": "$candles",
        }
    }
    log.info("buckets learn how many closed candles they hold")
    _in_portions(database, CANDLES.name, _BUCKETS_AT_ONCE, [change], name, renew, told)


def make_signals_small(database: Database[Document], name: str, renew: Renew, told: Told) -> None:
    """Until schema 5 each signal held the text of its settings and a null for whatever was not known, and its best and
    worst return were those until today: their returns are worked out again, the newest first, when the flow runs."""
    texts = sorted(text for text in database[SIGNALS.name].distinct("settings") if " " in text)
    for text in texts:
        database[SIGNAL_SETTINGS.name].update_one(
            {"_id": settings_id(text)}, {"$setOnInsert": {"text": text}}, upsert=True
        )
    place = {"$indexOfArray": [{"$literal": texts}, "$settings"]}
    ids = {"$arrayElemAt": [{"$literal": [settings_id(text) for text in texts]}, place]}
    changes: list[Document] = [
        {
            "$set": {
                "settings": {"$cond": [{"$gte": [place, 0]}, ids, "$settings"]},
                "returns_due": {"$cond": ["$confirmed", {"$add": ["$at", FIRST]}, None]},
            }
        },
        {"$unset": "returns_through"},
        {
            "$replaceWith": {
                "$arrayToObject": {
                    "$filter": {"input": {"$objectToArray": "$$ROOT"}, "cond": {"$ne": ["$$this.v", None]}}
                }
            }
        },
    ]
    log.info("signals are stored without what is not known")
    _in_portions(database, SIGNALS.name, _SIGNALS_AT_ONCE, changes, name, renew, told)


def _in_portions(
    database: Database[Document],
    collection: str,
    portion: int,
    change: list[Document],
    name: str,
    renew: Renew,
    told: Told,
) -> None:
    """Change every document, so many at a time, from where it was left off."""
    documents = database[collection]
    noted = (database[META].find_one({"_id": SCHEMA}) or {}).get("upgrading", {}).get(name, {})
    after, done = noted.get("after", ""), noted.get("done", 0)
    total = max(documents.estimated_document_count(), done)
    log.info("%s: %d of %d are done, from the document after %r on", name, done, total, after)
    while ids := [one["_id"] for one in _next(documents, after, portion)]:
        renew()
        documents.update_many({"_id": {"$in": ids}}, change)
        after, done = ids[-1], done + len(ids)
        _note(database, {"$set": {f"upgrading.{name}": {"after": after, "done": done, "total": total}}})
        told(done, max(total, done))
    log.info("%s: all %d are done", name, done)


def _next(documents: Any, after: str, portion: int) -> Any:
    return documents.find({"_id": {"$gt": after}}, {"_id": 1}).sort("_id", 1).limit(portion)


Step = Callable[[Database[Document], str, Renew, Told], None]

STEPS: Final[Mapping[str, Step]] = {
    "candle fields": order_candle_fields,
    "small signals": make_signals_small,
    "closed counts": count_closed,
}
