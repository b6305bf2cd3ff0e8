"""How well it went: what was measured of an exchange's targets while the page's server has lived, for a day at most.

It is kept in memory alone: who wants more asks Prometheus.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from pymongo.errors import PyMongoError

from pipeline.app.status import TargetNow
from pipeline.errors import TidemarkError

log = logging.getLogger(__name__)

EVERY: Final = timedelta(minutes=5)
KEPT: Final = timedelta(days=1)


class Measured:
    """Of one exchange, the oldest first."""

    def __init__(self) -> None:
        self._noted: deque[tuple[datetime, dict[str, float | None]]] = deque(maxlen=KEPT // EVERY)

    @property
    def at(self) -> list[datetime]:
        """When it was measured."""
        return [at for at, _ in self._noted]

    def of(self, key: str) -> list[float | None]:
        """What that target was then; None: nothing was known of it."""
        return [found.get(key) for _, found in self._noted]

    def note(self, targets: Sequence[TargetNow], now: datetime) -> None:
        """Keep it, unless something was kept a moment ago."""
        if not self._noted or now - self._noted[-1][0] >= EVERY * 0.9:
            self._noted.append((now, {one.key: one.measured for one in targets}))


async def note_for_ever(look: Callable[[], None]) -> None:
    """Look now and then, until it is cancelled. Where the database is away nothing is known of that time."""
    while True:
        try:
            await asyncio.to_thread(look)
        except (PyMongoError, TidemarkError) as error:
            log.warning("the targets cannot be measured now: %s", error)
        await asyncio.sleep(EVERY.total_seconds())
