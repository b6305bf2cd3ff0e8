"""Which database this is, at whatever address it is reached. Reads only."""

from typing import Any

from pymongo.database import Database

from schemas.candles import CANDLES


def identity_of(database: Database[dict[str, Any]]) -> str:
    """What no other prepared database has: a server gives it to the collection of the candles as it makes it, and a
    replica set keeps it."""
    (found,) = database.list_collections(filter={"name": CANDLES.name})
    return str(found["info"]["uuid"])
