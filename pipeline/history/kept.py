"""The past of series that are kept current, as the ingester asks for it: completed, computed, and whether it is whole.

It asks the exchange for what is missing and for what it lists, and nothing else.
"""

import logging
from typing import Any

from pymongo.database import Database

from pipeline.errors import TidemarkError
from pipeline.exchange.listed import Listed
from pipeline.history.backfill import Backfill
from pipeline.history.derive import Derivation, withdrawals
from pipeline.history.listing import Wanted, wanted_series
from pipeline.history.plan import lacking, wanted
from pipeline.history.report import SeriesReport, SourceChoice
from pipeline.memory import give_back
from pipeline.store.symbols import SymbolStore
from schemas.series import SeriesKey

log = logging.getLogger(__name__)


class KeptHistory:
    """The history of any number of series of one exchange, `days` long."""

    def __init__(
        self,
        database: Database[dict[str, Any]],
        work: Backfill,
        derivation: Derivation,
        listed: Listed,
        *,
        days: int,
        source: SourceChoice,
    ) -> None:
        self._work = work
        self._derivation = derivation
        self._listed = listed
        self._symbols = SymbolStore(database)
        self._clock = work.market.client.clock
        self._exchange = work.market.client.environment.name
        self._days = days
        self._source: SourceChoice = source

    def use(self, derivation: Derivation) -> None:
        """From now on this one computes. One that is at work ends its series as it began it."""
        self._derivation = derivation

    def fetch(self, key: SeriesKey) -> None:
        """Fetch what is missing, and compute nothing; `TidemarkError` where candles could not be had."""
        _refuse_incomplete(self._work.fill(self._wanted(key), self._days, self._source))

    def fill(self, key: SeriesKey) -> None:
        """Fetch what is missing and compute what follows from it; `TidemarkError` where candles could not be had."""
        derivation = self._derivation
        for said in withdrawals(derivation.not_chosen([key])):
            log.warning("%s: %s", key, said)
        report = self._work.fill(self._wanted(key), self._days, self._source)
        (derived,) = derivation.bring_up_all([key], self._clock.now())
        give_back()
        if derived.failure is not None:  # trying again would not help, and candles do not wait for it
            log.error("%s: its indicators and signals are not new: %s", key, derived.failure)
        _refuse_incomplete(report)

    def is_whole(self, key: SeriesKey) -> bool:
        """Whether nothing is missing behind its last closed candle, by what its document says."""
        one = self._wanted(key)
        window = wanted(one.step, self._clock.now(), self._days, one.listed, one.delivered)
        known = self._work.series.get(key)
        return window is None or (known is not None and not lacking(known, one.step, window))

    def decimals(self, symbol: str) -> int:
        """Of its prices, the finest ever seen included."""
        known, now = self._symbols.get(self._exchange, symbol), self._listed.symbol(symbol).price_precision
        return now if known is None else max(now, known.decimals)

    def must_trade(self, symbol: str) -> None:
        """`NotTradedError` where the exchange, asked not long ago, does not trade it any more."""
        self._listed.must_trade(symbol, self._clock.now())

    def _wanted(self, key: SeriesKey) -> Wanted:
        (one,) = wanted_series([key.symbol], [key.interval], [self._listed.symbol(key.symbol)], key.exchange)
        return one


def _refuse_incomplete(report: SeriesReport) -> None:
    if report.failures:
        raise TidemarkError("; ".join(report.failures))
