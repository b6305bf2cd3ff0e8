"""What strategies say at the newest candle, from the window of its series: what they say there over any history.

The columns and codes of the candles before it are kept, since a final candle changes neither; what has to be computed
is one value of each column. A strategy that can tell from it that nothing happens is not asked further.
"""

import logging
from collections.abc import Mapping, Sequence
from math import isnan
from typing import Final

import numpy as np

from pipeline.finding import Finding
from pipeline.indicators import PriceScaleError, newest_average, newest_bands, tail
from pipeline.ingest.window import CLOSE, HIGH, LOW
from pipeline.ingest.window import Columns as Candles
from pipeline.periods import PERIODS, Columns, Floats, Periods
from pipeline.signals import SIZED_BY, Calculation, findings
from pipeline.strategies.base import CANDLE_COLUMNS, AnswerError, Codes, Strategy
from pipeline.strategies.chosen import Intervals, on_interval
from pipeline.strategies.runner import last_code, run
from schemas.candles import INDICATOR_FIELDS
from schemas.series import SeriesKey

log = logging.getLogger(__name__)

_BANDS: Final = ("bb_upper", "bb_middle", "bb_lower")
_SLACK: Final = 40


class LiveSignals:
    """The strategies that run, for any number of series. One that fails is said once, and passed over."""

    def __init__(
        self, strategies: Sequence[Strategy], periods: Periods = PERIODS, *, intervals: Intervals | None = None
    ) -> None:
        self._strategies = tuple(strategies)
        self._intervals = intervals or {}
        self.periods = periods
        needed = {SIZED_BY, *(name for one in strategies for name in one.needs)}
        self.names = tuple(name for name in periods.columns if name in needed)
        self.keep = 1 + max((one.lookback for one in strategies), default=1)
        self._failed: set[str] = set()

    def __call__(self, key: SeriesKey, decimals: int) -> "SeriesSignals":
        """What they say of one series."""
        return SeriesSignals(self, key, decimals)

    def on(self, code: str) -> tuple[Strategy, ...]:
        """Those that run on candles of this length."""
        return on_interval(self._strategies, self._intervals, code)

    def failed(self, error: AnswerError, name: str) -> None:
        """A strategy did not answer."""
        if name not in self._failed:
            log.error("%s; it gives no signals until this is mended", error)
            self._failed.add(name)


class SeriesSignals:
    """Asks every strategy about the last candle of the window of one series."""

    __slots__ = ("_calculation", "_decimals", "_house", "_key", "_recent", "_strategies")

    def __init__(self, house: LiveSignals, key: SeriesKey, decimals: int) -> None:
        self._house = house
        self._key = key
        self._decimals = decimals
        self._calculation = Calculation(house.periods, decimals)
        self._strategies = house.on(key.interval)
        self._recent = RecentColumns(house.names, len(self._strategies), house.keep)

    def closed(self, first: int, candles: Candles, stored: Sequence[float] | None) -> tuple[Finding, ...]:
        """The signals at the last candle of the window, which is final; none where the price does not fit the symbol's
        decimals. `stored` are its stored indicators, where they are known."""
        number = first + candles.shape[1] - 1
        if not self._see(number, first, candles, stored):
            return ()
        codes, said = self._ask(number, candles)
        self._recent.settle(number, codes)
        return said

    def opened(self, first: int, candles: Candles, stored: Sequence[float] | None) -> tuple[Finding, ...]:
        """What the signals would be if it closed as it is."""
        number = first + candles.shape[1] - 1
        return self._ask(number, candles)[1] if self._see(number, first, candles, stored) else ()

    def corrected(self) -> None:
        """A final candle has become another, and with it what was computed since."""
        self._recent.number = None

    def _see(self, number: int, first: int, candles: Candles, stored: Sequence[float] | None) -> bool:
        """Have the columns up to this candle at hand. False where the price does not fit."""
        try:
            if stored is None or isnan(stored[0]) or self._recent.number != number - 1:
                self._look_back(number, first, candles)
            else:
                self._recent.renew(self._newest(candles[CLOSE], stored))
        except PriceScaleError:
            self._recent.number = None
            return False
        return True

    def _newest(self, close: Floats, stored: Sequence[float]) -> list[float]:
        """The last value of each column that strategies need."""
        known = dict(zip(INDICATOR_FIELDS, stored, strict=True))
        periods, decimals = self._house.periods, self._decimals
        for name in self._house.names:
            if name in known:
                continue
            if name in _BANDS:
                known |= zip(_BANDS, newest_bands(close, decimals=decimals, periods=periods), strict=True)
            else:
                known[name] = newest_average(close, int(name.removeprefix("sma")), decimals=decimals)
        return [known[name] for name in self._house.names]

    def _look_back(self, number: int, first: int, candles: Candles) -> None:
        """Compute every column of the candles that strategies look back over, and what they said of them."""
        house = self._house
        prices = (candles[row] for row in (HIGH, LOW, CLOSE))
        columns = tail(first, *prices, decimals=self._decimals, periods=house.periods, keep=house.keep)
        before = {name: values[:-1] for name, values in columns.items()}
        traded = self._traded(candles[:, :-1], len(before[SIZED_BY]))
        self._recent.restart(number - 1, before, [self._said_before(one, traded | before) for one in self._strategies])
        self._recent.renew([float(columns[name][-1]) for name in house.names])

    def _said_before(self, strategy: Strategy, columns: Columns) -> Codes:
        if not len(columns[SIZED_BY]):
            return np.zeros(0, np.int8)
        try:
            return run(strategy, columns)
        except AnswerError as error:
            self._house.failed(error, strategy.name)
            return np.zeros(len(columns[SIZED_BY]), np.int8)

    def _ask(self, number: int, candles: Candles) -> tuple[list[int], tuple[Finding, ...]]:
        """The code of each strategy, and the signals."""
        columns = self._recent.columns()
        columns |= self._traded(candles, len(columns[SIZED_BY]))
        codes: list[int] = []
        found: list[Finding] = []
        for strategy, before in zip(self._strategies, self._recent.said(), strict=True):
            try:
                code = last_code(strategy, columns, before)
            except AnswerError as error:
                self._house.failed(error, strategy.name)
                code = 0
            codes.append(code)
            if code:
                found += self._found(strategy, code, columns, number)
        return codes, tuple(found)

    def _found(self, strategy: Strategy, code: int, columns: Columns, number: int) -> list[Finding]:
        newest = {name: values[-1:] for name, values in columns.items()}
        return findings(
            self._key, strategy, self._calculation, newest, np.array([code], np.int8), np.array([number]), [0]
        )

    @staticmethod
    def _traded(candles: Candles, count: int) -> Columns:
        """What was traded in the last candles."""
        return dict(zip(CANDLE_COLUMNS, candles[:, candles.shape[1] - count :], strict=True))


class RecentColumns:
    """The columns of the last candles of a series, and what strategies said of them, so that an update computes one new
    value of each and nothing twice. It holds numbers; it computes none, and knows nothing of what they mean.

    At most `keep` candles, the newest among them. Never copies on a read; after every few candles it moves what it
    holds to the front of its memory."""

    __slots__ = ("_begin", "_codes", "_end", "_keep", "_names", "_values", "number")

    def __init__(self, names: Sequence[str], strategies: int, keep: int) -> None:
        self._names = tuple(names)
        self._keep = keep
        self._values = np.empty((len(self._names), keep + _SLACK))
        self._codes = np.zeros((strategies, keep + _SLACK), np.int8)
        self._begin = self._end = 0
        self.number: int | None = None
        """The newest candle whose columns and codes are final; the newest of all follows it."""

    def restart(self, number: int, columns: Mapping[str, Floats], codes: Sequence[Codes]) -> None:
        """Hold these candles up to that one, which is final as all before it."""
        self._begin, self._end = 0, len(columns[self._names[0]])
        for row, name in zip(self._values, self._names, strict=True):
            row[: self._end] = columns[name]
        for line, said in zip(self._codes, codes, strict=True):
            line[: self._end] = said
        self.number = number

    def renew(self, values: Sequence[float]) -> None:
        """The newest candle has these values, in the order of the names."""
        self._values[:, self._end] = values

    def settle(self, number: int, codes: Sequence[int]) -> None:
        """The newest candle, which has this number, is final, and this was said of it."""
        self._codes[:, self._end] = codes
        self._end += 1
        self._begin = max(self._begin, self._end - self._keep + 1)
        self.number = number
        if self._end == self._values.shape[1]:
            self._move_to_front()

    def columns(self) -> dict[str, Floats]:
        """The columns up to the newest candle. Views: valid until the next call that changes something."""
        return dict(zip(self._names, self._values[:, self._begin : self._end + 1], strict=True))

    def said(self) -> Codes:
        """A row for each strategy: what it said of the candles before the newest. A view."""
        return self._codes[:, self._begin : self._end]

    def _move_to_front(self) -> None:
        held = slice(self._begin, self._end)
        kept = self._end - self._begin
        self._values[:, :kept] = self._values[:, held].copy()
        self._codes[:, :kept] = self._codes[:, held].copy()
        self._begin, self._end = 0, kept
