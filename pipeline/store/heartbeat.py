"""Says in `control` that this process lives and how it fares. A reader takes an old heartbeat for a dead process."""

import logging
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import pymongo
from pymongo.errors import PyMongoError

from schemas.control import ALIVE_FOR, CONTROL

log = logging.getLogger(__name__)

OUTAGES_KEPT: Final = 200
PATIENCE: Final = 5.0
"""Seconds for one beat."""


class Heartbeat:
    """The heartbeat document of this process. `detail`: its share of the work at that exchange, where it has one."""

    def __init__(
        self, database: Any, role: str, exchange: str, detail: str | None = None, patience: float = PATIENCE
    ) -> None:
        self._control = database[CONTROL.name]
        self._patience = patience
        host, pid = socket.gethostname(), os.getpid()
        self._id = f"heartbeat:{role}:{host}:{pid}"
        work = {"role": role, "exchange": exchange, "detail": detail or exchange}
        same = {**work, "exchange": {"$in": [exchange, None]}}
        self._others = {"kind": "heartbeat", **same, "_id": {"$ne": self._id}}
        self._known = {
            "kind": "heartbeat",
            **work,
            "host": host,
            "pid": pid,
            "started_at": datetime.now(UTC),
        }

    async def beat(self, figures: Mapping[str, float], calls: Mapping[str, Mapping[str, int]] | None = None) -> None:
        """One beat. A database that is away is no reason to stop."""
        document = self._known | {
            "at": datetime.now(UTC),
            "figures": {name: float(one) for name, one in figures.items()},
            "calls": {call: dict(counts) for call, counts in (calls or {}).items()},
        }
        try:
            with pymongo.timeout(self._patience):
                await self._control.update_one({"_id": self._id}, {"$set": document}, upsert=True)
        except PyMongoError as error:
            log.debug("no heartbeat: %s", error)

    async def succeed(self) -> str | None:
        """Take the place of processes that did the same work and were killed: they need nobody's attention any more.
        The time that nobody did it is noted down, once. Who does the same work already, if anybody does."""
        now = datetime.now(UTC)
        dead = self._others | {"at": {"$lt": now - ALIVE_FOR}}
        try:
            with pymongo.timeout(self._patience):
                last = await self._control.find_one_and_delete(dead, sort=[("at", pymongo.DESCENDING)])
                await self._control.delete_many(dead)
                beside = await self._control.find_one(self._others)
                await self._note(now, None if beside else last)
        except PyMongoError as error:
            log.debug("heartbeats of the dead stay: %s", error)
            return None
        return None if beside is None else f"process {beside['pid']} on {beside['host']}"

    async def _note(self, now: datetime, last: Mapping[str, Any] | None) -> None:
        role, exchange, detail = (self._known[name] for name in ("role", "exchange", "detail"))
        named = ":".join(dict.fromkeys(map(str, (role, exchange, detail))))
        known = {"_id": f"uptime:{named}"}
        older = await self._control.find_one_and_delete(
            {"_id": f"uptime:{role}:{detail}", "kind": "uptime", "exchange": None}
        )
        began = {"since": now, "outages": [], **_past(older)}
        work = {"kind": "uptime", "role": role, "exchange": exchange, "detail": detail}
        await self._control.update_one(known, {"$setOnInsert": {**began, **work}}, upsert=True)
        if last is not None:
            outage = {"$each": [{"since": last["at"], "until": now}], "$slice": -OUTAGES_KEPT}
            await self._control.update_one(known, {"$push": {"outages": outage}})

    async def end(self) -> None:
        """The process leaves in order, and with it what is left of those that were killed while it did their work."""
        dead = self._others | {"at": {"$lt": datetime.now(UTC) - ALIVE_FOR}}
        try:
            with pymongo.timeout(self._patience):
                await self._control.delete_many({"$or": [{"_id": self._id}, dead]})
        except PyMongoError as error:
            log.debug("the last heartbeat stays: %s", error)


def _past(older: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a version that did not name the exchange had noted of the same work."""
    return {} if older is None else {"since": older["since"], "outages": older["outages"]}
