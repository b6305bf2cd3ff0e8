"""Says in `control` that this process lives and how it fares. A reader takes an old heartbeat for a dead process."""

import logging
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pymongo
from pymongo.errors import PyMongoError

from schemas.control import CONTROL

log = logging.getLogger(__name__)

ALIVE_FOR: Final = timedelta(seconds=15)
"""A process whose last heartbeat is older than this is taken for dead."""
PATIENCE: Final = 5.0
"""Seconds for one beat."""


class Heartbeat:
    """The heartbeat document of this process."""

    def __init__(self, database: Any, role: str, detail: str, patience: float = PATIENCE) -> None:
        self._control = database[CONTROL.name]
        self._patience = patience
        host, pid = socket.gethostname(), os.getpid()
        self._id = f"heartbeat:{role}:{host}:{pid}"
        self._others = {"kind": "heartbeat", "role": role, "detail": detail, "_id": {"$ne": self._id}}
        self._known = {
            "kind": "heartbeat",
            "role": role,
            "host": host,
            "pid": pid,
            "started_at": datetime.now(UTC),
            "detail": detail,
        }

    async def beat(self, figures: Mapping[str, float]) -> None:
        """One beat. A database that is away is no reason to stop."""
        document = self._known | {
            "at": datetime.now(UTC),
            "figures": {name: float(one) for name, one in figures.items()},
        }
        try:
            with pymongo.timeout(self._patience):
                await self._control.update_one({"_id": self._id}, {"$set": document}, upsert=True)
        except PyMongoError as error:
            log.debug("no heartbeat: %s", error)

    async def succeed(self) -> None:
        """Take the place of processes that did the same work and were killed: they need nobody's attention any more."""
        dead = self._others | {"at": {"$lt": datetime.now(UTC) - ALIVE_FOR}}
        try:
            with pymongo.timeout(self._patience):
                await self._control.delete_many(dead)
        except PyMongoError as error:
            log.debug("heartbeats of the dead stay: %s", error)

    async def end(self) -> None:
        """The process leaves in order."""
        try:
            with pymongo.timeout(self._patience):
                await self._control.delete_one({"_id": self._id})
        except PyMongoError as error:
            log.debug("the last heartbeat stays: %s", error)
