"""What perpetual contracts exchanged as funding, fetched from where it is stored to now. What is not due is not asked
for; a symbol that gives no answer keeps no other from its own, and is asked again the next time.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from pymongo.database import Database

from pipeline.exchange.errors import ExchangeError
from pipeline.exchange.market import MarketData
from pipeline.store.funding import FundingStore
from pipeline.timeline import MINUTE, to_ms
from schemas.funding import Settlement
from schemas.symbols import Symbol

log = logging.getLogger(__name__)

ASKED_AT_MOST: Final = 400
"""In five minutes: the exchange counts these questions by themselves, and takes 500."""
_LATE: Final = MINUTE


class Settlements:
    """Those of one exchange."""

    def __init__(
        self,
        database: Database[dict[str, Any]],
        market: MarketData,
        wait: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = FundingStore(database, market.client.environment.name)
        self._market = market
        self._wait = wait
        self._clock = clock
        self._asked: list[float] = []

    def bring_up(self, symbols: Iterable[Symbol], since: int) -> int:
        """Fetch what is new of the perpetual ones among them, from `since` on where nothing is stored; how many
        settlements that were."""
        now = self._market.client.clock.now()
        names = [one.symbol for one in symbols if "PERPETUAL" in one.contract_type]
        newest = self._store.newest(names)
        fetched = 0
        for symbol in names:
            known = newest.get(symbol)
            if known is None or now >= known.at + known.period + _LATE:
                fetched += self._fetch(symbol, since if known is None else known.at + 1)
        return fetched

    def _fetch(self, symbol: str, since: int) -> int:
        fetched = 0
        try:
            while page := self._page(symbol, since):
                self._store.add(symbol, page)
                fetched += len(page)
                since = to_ms(page[-1].t) + 1
                if len(page) < self._market.settlements_at_most:
                    break
        except ExchangeError as error:
            log.warning("the funding of %s could not be asked for: %s", symbol, error)
        return fetched

    def _page(self, symbol: str, since: int) -> list[Settlement]:
        now = self._clock()
        self._asked = [one for one in self._asked if one > now - 300]
        if len(self._asked) >= ASKED_AT_MOST:
            self._wait(self._asked[0] + 300 - now)
        self._asked.append(self._clock())
        return self._market.settlements(symbol, since)
