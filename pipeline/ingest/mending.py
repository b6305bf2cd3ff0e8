"""Series whose history has to be completed and computed again, each until that succeeded.

Two reasons: a closed candle that others build on was corrected, or the database was away for so long that not every
candle could be kept for it.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final

from pymongo.errors import PyMongoError

from pipeline.errors import TidemarkError, UsageError
from pipeline.exchange.errors import RefusedError
from pipeline.ingest.core import Core
from pipeline.ingest.jobs import Jobs
from pipeline.timeline import iso
from schemas.series import SeriesKey

log = logging.getLogger(__name__)

Backfill = Callable[[SeriesKey], None]
"""Fetch what is missing of a series' history and compute what follows from it. Blocks; raises `TidemarkError` where
something is still missing."""

AGAIN_AFTER: Final = 15.0
"""Seconds until what failed is tried again."""


class Mending:
    """Mends one series at a time in the threads for long work."""

    def __init__(self, core: Core, jobs: Jobs, backfill: Backfill, *, again_after: float = AGAIN_AFTER) -> None:
        self._core = core
        self._jobs = jobs
        self._backfill = backfill
        self._again_after = again_after
        self._owed: set[SeriesKey] = set()
        self._begun: set[SeriesKey] = set()

    @property
    def busy(self) -> bool:
        """Whether something is still to be mended."""
        return bool(self._begun)

    def make_up(self, keys: Iterable[SeriesKey]) -> None:
        """Mend these. Asked twice it is done once; asked while it is done, it is done once more."""
        for key in keys:
            self._owed.add(key)
            if key not in self._begun:
                self._begun.add(key)
                self._jobs.start(self._mend(key))

    def refill(self) -> None:
        """The database is back: fetch and compute what could not be kept for it."""
        for key, window in self._core.unsaved.items():
            log.info("%s: candles since %s are fetched again", key, iso(window.start))
        self.make_up(self._core.unsaved)
        self._core.unsaved.clear()

    async def _mend(self, key: SeriesKey) -> None:
        try:
            while key in self._owed:
                self._owed.discard(key)
                if not await self._is_mended(key):
                    await asyncio.sleep(self._again_after)
                    self._owed.add(key)
        finally:
            self._begun.discard(key)

    async def _is_mended(self, key: SeriesKey) -> bool:
        try:
            await self._jobs.history(self._backfill, key)
        except (RefusedError, UsageError) as error:
            log.error("%s: its history cannot be mended: %s. `tidemark backfill` says more", key, error)
        except (TidemarkError, PyMongoError) as error:
            log.warning("%s: its history is not mended yet: %s; trying again", key, str(error)[:300])
            return False
        return True
