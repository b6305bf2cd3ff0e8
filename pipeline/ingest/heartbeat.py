"""Says in `control` that this process lives and how it fares. A reader takes an old heartbeat for a dead process."""

import logging
import os
import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pymongo.errors import PyMongoError

from schemas.control import CONTROL

log = logging.getLogger(__name__)


class Heartbeat:
    """The heartbeat document of this process."""

    def __init__(self, database: Any, role: str, detail: str) -> None:
        self._control = database[CONTROL.name]
        host, pid = socket.gethostname(), os.getpid()
        self._id = f"heartbeat:{role}:{host}:{pid}"
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
            await self._control.update_one({"_id": self._id}, {"$set": document}, upsert=True)
        except PyMongoError as error:
            log.debug("no heartbeat: %s", error)

    async def end(self) -> None:
        """The process leaves in order."""
        await self._control.delete_one({"_id": self._id})
