"""What is served on a schedule, and when each of it succeeded last: a document a deployment, in `control`.

The flows write it and anybody reads it, so it can be told also while Prefect is down what has not run for too long. It
starts nothing.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo import DeleteMany, UpdateOne
from pymongo.database import Database

from schemas.control import CONTROL, Deployment

INTERVALS: Final = 3
"""A deployment whose last success is older than so many of its intervals is overdue."""


def is_overdue(one: Deployment, now: datetime) -> bool:
    """Whether it should have succeeded since: it is served, nobody paused it, and it was given its time."""
    if one.served_since is None or one.paused:
        return False
    last = max(one.served_since, one.completed_at or one.served_since)
    return now - last > INTERVALS * timedelta(seconds=one.every_seconds)


class DeploymentStore:
    """The deployments of one environment."""

    def __init__(self, database: Database[dict[str, Any]], environment: str) -> None:
        self._control = database[CONTROL.name]
        self._environment = environment

    def serve(self, every: Mapping[str, timedelta], now: datetime) -> None:
        """From now on these are served, each at that distance; no others are."""
        ours = {"kind": "deployment", "environment": self._environment}
        changes: list[Any] = [
            UpdateOne(
                {"_id": self._id(name)},
                {
                    "$set": ours | {"name": name, "every_seconds": round(each.total_seconds()), "served_since": now},
                    "$setOnInsert": {"paused": False, "completed_at": None},
                },
                upsert=True,
            )
            for name, each in every.items()
        ]
        self._control.bulk_write([DeleteMany(ours | {"name": {"$nin": list(every)}}), *changes])

    def stop_serving(self) -> None:
        """Nobody serves them any more, and nobody has to wonder that they do not run."""
        ours = {"kind": "deployment", "environment": self._environment}
        self._control.update_many(ours, {"$set": {"served_since": None}})

    def pause(self, paused: Iterable[str]) -> None:
        """These are paused now, and no others; only what differs is written."""
        names = list(paused)
        ours = {"kind": "deployment", "environment": self._environment}
        for wanted, among in ((True, {"$in": names}), (False, {"$nin": names})):
            self._control.update_many(ours | {"name": among, "paused": not wanted}, {"$set": {"paused": wanted}})

    def complete(self, name: str, now: datetime) -> None:
        """A run of it succeeded. One that is not served on a schedule is not counted."""
        self._control.update_one({"_id": self._id(name)}, {"$set": {"completed_at": now}})

    def list(self) -> list[Deployment]:
        """All of them, by name."""
        found = self._control.find({"kind": "deployment", "environment": self._environment}).sort("name")
        return [Deployment.from_mongo(one) for one in found]

    def _id(self, name: str) -> str:
        return f"deployment:{self._environment}:{name}"
