"""What strategies say at the newest candle, from the window of its series: what they say there over any history."""

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np

from pipeline.indicators import PERIODS, Periods, PriceScaleError, tail
from pipeline.ingest.window import Columns
from pipeline.signals import Calculation, findings
from pipeline.store.signals import Finding
from pipeline.strategies.base import CANDLE_COLUMNS, AnswerError, Prices, Strategy
from pipeline.strategies.runner import last_code
from schemas.series import SeriesKey

log = logging.getLogger(__name__)

_HIGH: Final = 1
_LOW: Final = 2
_CLOSE: Final = 3


class LiveSignals:
    """Asks every strategy about the last candle of a window. A strategy that fails is said once, and passed over."""

    def __init__(self, strategies: Sequence[Strategy], periods: Periods = PERIODS) -> None:
        self._strategies = tuple(strategies)
        self._periods = periods
        self._failed: set[str] = set()

    def __call__(self, key: SeriesKey, first: int, columns: Columns, decimals: int) -> tuple[Finding, ...]:
        """The signals at the last candle; none where the price does not fit the symbol's decimals."""
        high, low, close = columns[_HIGH], columns[_LOW], columns[_CLOSE]
        try:
            computed = tail(first, high, low, close, decimals=decimals, periods=self._periods)
        except PriceScaleError:
            return ()
        count = len(computed["rsi"])
        candles = {name: row[-count:] for name, row in zip(CANDLE_COLUMNS, columns, strict=True)}
        number = first + columns.shape[1] - 1
        calculation = Calculation(self._periods, decimals)
        return tuple(
            one
            for strategy in self._strategies
            for one in self._said(strategy, key, calculation, computed | candles, number)
        )

    def _said(
        self, strategy: Strategy, key: SeriesKey, calculation: Calculation, columns: Prices, number: int
    ) -> list[Finding]:
        try:
            code = last_code(strategy, columns)
        except AnswerError as error:
            if strategy.name not in self._failed:
                log.error("%s; it gives no signals until this is mended", error)
                self._failed.add(strategy.name)
            return []
        if code == 0:
            return []
        newest = {name: values[-1:] for name, values in columns.items()}
        codes = np.array([code], dtype=np.int8)
        return findings(key, strategy, calculation, newest, codes, np.array([number]), [0])
