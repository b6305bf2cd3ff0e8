"""One holder at a time: a lease that is taken, renewed, and lost by silence.

Only the server's clock is asked, in one atomic update, so hosts whose clocks differ cannot both hold it. Whoever takes
it gets a higher fence than anyone before. The holder itself trusts its lease for less long than the server grants it:
it counts from before it asked, on a clock that nobody sets.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from pipeline.timeline import SECOND
from schemas.control import CONTROL

LIFE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Grant:
    """The lease is ours until `good_until`, in seconds of the clock that the store was given."""

    fence: int
    good_until: float


@dataclass(frozen=True, slots=True)
class HeldBy:
    """Somebody else has it."""

    holder: str


class LeaseStore:
    """The lease on one thing, as one holder sees it. A holder's name is its own: one a process, never used again."""

    def __init__(
        self,
        database: Database[dict[str, Any]],
        what: str,
        holder: str,
        *,
        life: float = LIFE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._control = database[CONTROL.name]
        self._id = f"lease:{what}"
        self._holder = holder
        self.life = life
        self._clock = clock

    def acquire(self) -> Grant | HeldBy:
        """Take the lease if nobody holds it any more."""
        asked = self._clock()
        ours = {"$or": [{"$lte": [{"$ifNull": ["$until", "$$NOW"]}, "$$NOW"]}, {"$eq": ["$holder", self._holder]}]}
        found = self._take(
            {
                "kind": "lease",
                "holder": {"$cond": [ours, self._holder, "$holder"]},
                "fence": {"$cond": [ours, {"$add": [{"$ifNull": ["$fence", 0]}, 1]}, "$fence"]},
                "until": {"$cond": [ours, self._until(), "$until"]},
            }
        )
        if found["holder"] != self._holder:
            return HeldBy(found["holder"])
        return Grant(int(found["fence"]), asked + self.life)

    def renew(self, fence: int) -> Grant | None:
        """Hold it for longer; None where another has taken it since."""
        asked = self._clock()
        renewed = self._control.update_one(self._mine(fence), [{"$set": {"until": self._until()}}])
        return Grant(fence, asked + self.life) if renewed.matched_count else None

    def release(self, fence: int) -> None:
        """Let go at once, so that a standby need not wait; of no effect where another holds it by now."""
        self._control.update_one(self._mine(fence), [{"$set": {"until": "$$NOW"}}])

    def forget(self, fence: int) -> None:
        """Let go at once and leave no document behind: for a thing of which nobody compares fences."""
        self._control.delete_one(self._mine(fence))

    def forget_of(self, holder: str) -> None:
        """The same for one that is known to be no more."""
        self._control.delete_one({"_id": self._id, "holder": holder})

    def holder(self) -> str | None:
        """Who holds it now, if anybody does."""
        alive = {"_id": self._id, "$expr": {"$gt": ["$until", "$$NOW"]}}
        found = self._control.find_one(alive)
        return None if found is None else str(found["holder"])

    def _mine(self, fence: int) -> dict[str, Any]:
        return {"_id": self._id, "holder": self._holder, "fence": fence}

    def _until(self) -> dict[str, Any]:
        return {"$add": ["$$NOW", round(self.life * SECOND)]}

    def _take(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Two that take the very first lease at once collide on its id: the second asks again."""
        for last in (False, True):
            try:
                found = self._control.find_one_and_update(
                    {"_id": self._id}, [{"$set": fields}], upsert=True, return_document=ReturnDocument.AFTER
                )
            except DuplicateKeyError:
                if last:
                    raise
            else:
                return dict(found or {})
        raise AssertionError("the last try returns or raises")
