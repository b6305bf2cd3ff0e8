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
from pipeline.store.lease import Held, LeaseStore
from schemas.candles import CANDLE_FIELDS, CANDLES

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
"""About a second of the server's time."""
_TOO_LATE: Final = (
    "this process stood still for so long that its turn to bring candles into today's form was over; run it again: it "
    "goes on from where that is now"
)


class UpgradingError(TidemarkError):
    """Another process brings the documents into today's form. Wait for it, and run the command again."""


def upgrade(database: Database[Document], told: Told = lambda _done, _total: None, *, life: float = LIFE) -> None:
    """Do the steps that are not noted as done, or refuse with `UpgradingError` while another process does them."""
    if not _due(database):
        return
    if database[CANDLES.name].find_one({}, {"_id": 1}) is None:
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
    if isinstance(granted, Held):
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
        f"the candles of the database {database.name!r} are being brought into today's form by process {process} on "
        f"{host} ({how_far or 'just begun'}). Run this again when that is done; what only reads goes on meanwhile"
    )


def order_candle_fields(database: Database[Document], name: str, renew: Renew, told: Told) -> None:
    """Until schema 3 `closed` and `u` stood behind the market values; the guard of open candles needs them before."""
    candles = database[CANDLES.name]
    ordered = {field: f"$$this.{field}" for field in CANDLE_FIELDS}
    in_order = {"$cond": [{"$eq": ["$$this", None]}, None, ordered]}
    update = {
        "candles": {"$map": {"input": "$candles", "in": in_order}},
        "rev": {"$add": [{"$ifNull": ["$rev", 0]}, Int64(1)]},
    }
    noted = (database[META].find_one({"_id": SCHEMA}) or {}).get("upgrading", {}).get(name, {})
    after, done = noted.get("after", ""), noted.get("done", 0)
    total = max(candles.estimated_document_count(), done)
    log.info("candles are stored in a new order of fields, from the document after %r on: %d of %d", after, done, total)
    while ids := [one["_id"] for one in _next(candles, after)]:
        renew()
        candles.update_many({"_id": {"$in": ids}}, [{"$set": update}])
        after, done = ids[-1], done + len(ids)
        _note(database, {"$set": {f"upgrading.{name}": {"after": after, "done": done, "total": total}}})
        told(done, max(total, done))
    log.info("candles are stored in a new order of fields: all %d documents", done)


def _next(candles: Any, after: str) -> Any:
    return candles.find({"_id": {"$gt": after}}, {"_id": 1}).sort("_id", 1).limit(_BUCKETS_AT_ONCE)


Step = Callable[[Database[Document], str, Renew, Told], None]

STEPS: Final[Mapping[str, Step]] = {"candle fields": order_candle_fields}
