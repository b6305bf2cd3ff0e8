"""The indicators of the newest candle, from the window of its series: what `indicators` gives over any history."""

import logging

from pipeline.indicators import PriceScaleError, newest
from pipeline.ingest.window import CLOSE, HIGH, LOW, Columns
from pipeline.periods import PERIODS, Periods
from schemas.candles import INDICATOR_FIELDS

log = logging.getLogger(__name__)


class LiveIndicators:
    """Computes the stored indicators of one candle, in their stored order."""

    def __init__(self, periods: Periods = PERIODS) -> None:
        self._periods = periods
        self._places = [periods.columns.index(name) for name in INDICATOR_FIELDS]
        self._complained = False

    def __call__(self, first: int, columns: Columns, decimals: int) -> tuple[float, ...]:
        """The values at the last candle; not numbers where the price does not fit the symbol's decimals."""
        high, low, close = columns[HIGH], columns[LOW], columns[CLOSE]
        try:
            found = newest(first, high, low, close, decimals=decimals, periods=self._periods)
        except PriceScaleError as error:
            if not self._complained:
                log.error("indicators are left out where the price does not fit: %s", error)
                self._complained = True
            return (float("nan"),) * len(INDICATOR_FIELDS)
        return tuple(found[place] for place in self._places)
