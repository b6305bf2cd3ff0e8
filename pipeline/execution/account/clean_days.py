"""Which days of trading were clean: what a stage of production is left after.

A day (UTC) is clean if an executor watched nearly all of it, something was traded on it, and no breaker but the one
that takes profit was tripped. One that is not clean makes the counting begin anew.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pymongo.errors import PyMongoError

from pipeline.store.account import AccountStore
from pipeline.store.control import ControlStore
from pipeline.store.orders import OrderJournal

log = logging.getLogger(__name__)

SNAPSHOTS_A_DAY: Final = 20 * 60
"""One a minute: so many mean that the executor was there for all but a few hours."""
_GOOD: Final = "daily-profit"


@dataclass(frozen=True, slots=True)
class CleanDays:
    """Looks back at yesterday. Blocks; doing it twice changes nothing."""

    journal: OrderJournal
    accounts: AccountStore
    control: ControlStore

    def look_back(self, now: datetime) -> None:
        """Count yesterday if it was clean; forget what was counted if it, or today so far, was not."""
        today = datetime(now.year, now.month, now.day, tzinfo=UTC)
        yesterday = today - timedelta(days=1)
        try:
            trips = [one.at for one in self.control.read().breakers.values() if one.name.partition(":")[0] != _GOOD]
            if any(at >= yesterday for at in trips):
                self.control.forget_clean_days()
            elif self._traded(yesterday, today) and self._watched(yesterday, today):
                self.control.add_clean_day(f"{yesterday:%Y-%m-%d}")
        except PyMongoError as error:
            log.warning("yesterday could not be looked at: %s", str(error)[:200])

    def _watched(self, start: datetime, end: datetime) -> bool:
        """Whether there is a line a minute, in any asset of the account."""
        return any(one.count(start, end) >= SNAPSHOTS_A_DAY for one in self.accounts.each())

    def _traded(self, start: datetime, end: datetime) -> bool:
        return any(one.filled and one.created_at < end for one in self.journal.since(start))
