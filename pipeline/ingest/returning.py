"""Returns of signals at each close: one refresh at a time, of a few of the symbols whose candles closed meanwhile.

When hundreds close in one moment their returns take seconds of a processor, and it is frames that must not wait: so
there are pauses between.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any, Final

from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipeline.ingest.background import Background
from pipeline.store.signals.returns import ReturnStore

log = logging.getLogger(__name__)

AT_ONCE: Final = 10
"""Symbols in one refresh."""
PAUSE: Final = 3
"""Times as long as a refresh took, before the next."""


class Returning:
    """Keeps nobody waiting: what fails is made up for by the next close, or by the refresh of every minute."""

    def __init__(self, background: Background, database: Database[dict[str, Any]], exchange: str) -> None:
        self._background = background
        self._store = ReturnStore(database)
        self._exchange = exchange
        self._closed: set[str] = set()
        self._is_refreshing = False

    def closed(self, symbols: Iterable[str]) -> None:
        """Candles of these closed and are stored."""
        self._closed.update(symbols)
        if self._closed and not self._is_refreshing:
            self._is_refreshing = True
            self._background.start(self._refresh())

    async def _refresh(self) -> None:
        try:
            while self._closed:
                symbols = {self._closed.pop() for _ in range(min(AT_ONCE, len(self._closed)))}
                begun = time.monotonic()
                await self._background.short(self._store.refresh, self._exchange, symbols)
                await asyncio.sleep(PAUSE * (time.monotonic() - begun) if self._closed else 0)
        except PyMongoError as error:
            log.warning("returns were not refreshed: %s; the next close tries again", str(error)[:300])
        finally:
            self._is_refreshing = False
