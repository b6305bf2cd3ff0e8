"""The newest closed candles of a series with no hole between them, and what is computed from them: the indicators and
the signals of each candle when it is final, and of the open one as it is.

Prices have the decimals of the finest: after one that is finer than all before, everything is computed with its own,
and what was computed before is asked for anew. What is no price at all is a hole to the indicators.

How it is computed is not known here: indicators come from a `Compute`, signals from an `Adviser`. A signal that was
said of a final candle is never taken back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.candle import Candle
from pipeline.finding import Finding
from pipeline.ingest.events import ClosedCandles, Effect, FinerPrices, Shown
from pipeline.ticks import MOST, decimals_in, decimals_of_price
from schemas.series import SeriesKey

Columns = npt.NDArray[np.float64]
"""Rows open, high, low, close, volume; one column a candle, oldest first."""

HIGH: Final = 1
LOW: Final = 2
CLOSE: Final = 3
_ROWS: Final = 5

Compute = Callable[[int, Columns, int], tuple[float, ...]]
"""Indicators of the last candle of a window, from the number of its first candle, its columns, and the decimals of the
symbol's price."""


class Adviser(Protocol):
    """What the strategies say of one series. It is told of every final candle, in order, and of some that are open."""

    def closed(self, first: int, columns: Columns, stored: Sequence[float] | None) -> tuple[Finding, ...]:
        """The signals at the last candle of a window, which is final. `first` numbers the window's first candle;
        `stored` are the stored indicators of the last one, where they are known."""

    def opened(self, first: int, columns: Columns, stored: Sequence[float] | None) -> tuple[Finding, ...]:
        """What the signals would be if it closed as it is."""

    def corrected(self) -> None:
        """A final candle of the window has become another."""


Decide = Callable[[SeriesKey, int], Adviser]
"""The adviser of a series, whose prices have so many decimals."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is computed of every series: indicators from so many candles, the open one among them, and what the
    strategies decide, of open candles too where it is to be shown."""

    compute: Compute
    window: int
    decide: Decide | None = None
    shows_open: bool = False


class CandleWindow:
    """At most `size` closed candles, and room for the open one behind them. Never copies on a read; after every `slack`
    candles it moves them to the front of its memory."""

    def __init__(self, size: int, slack: int = 256) -> None:
        self._size = size
        self._room = size + slack
        self._data: Columns = np.empty((_ROWS, self._room + 1))
        self._begin = 0
        self._end = 0

    def __len__(self) -> int:
        return self._end - self._begin

    def restart(self, candles: Columns) -> None:
        """Hold the newest of these and nothing else: what `clear` and `append` of each would leave."""
        newest = candles[:, -self._size :]
        self._begin, self._end = 0, newest.shape[1]
        self._data[:, : self._end] = newest

    def append(self, candle: Candle) -> None:
        """Add a newly closed candle; the oldest leaves when the window is full."""
        if self._end == self._room:
            self._move_to_front()
        self._data[:, self._end] = candle[1:6]
        self._end += 1
        self._begin = max(self._begin, self._end - self._size)

    def _move_to_front(self) -> None:
        kept = self._size - 1
        self._data[:, :kept] = self._data[:, self._end - kept : self._end].copy()
        self._begin, self._end = 0, kept

    def replace(self, age: int, candle: Candle) -> None:
        """Correct the candle that is `age` candles older than the newest."""
        self._data[:, self._end - 1 - age] = candle[1:6]

    def keep(self, newest: int) -> None:
        """Forget all but so many."""
        self._begin = max(self._begin, self._end - newest)

    def clear(self) -> None:
        """Forget everything: what follows does not continue what came before."""
        self._begin = self._end = 0

    def closed(self) -> Columns:
        """The closed candles. A view: valid until the next call that changes the window."""
        return self._data[:, self._begin : self._end]

    def with_open(self, candle: Candle) -> Columns:
        """The closed candles and, last, the open one. A view, as `closed` is."""
        self._data[:, self._end] = candle[1:6]
        return self._data[:, self._begin : self._end + 1]


class Computed:
    """What is computed of one series, with the decimals of the finest of its prices. Signals collect in `signals` and
    `shown`, finer prices in `effects`."""

    __slots__ = (
        "_adviser",
        "_decimals",
        "_key",
        "_on_show",
        "_recipe",
        "_window",
        "effects",
        "shown",
        "signals",
    )

    def __init__(
        self,
        key: SeriesKey,
        newest: int,
        history: ClosedCandles,
        *,
        decimals: int,
        recipe: Recipe,
        effects: list[Effect],
    ) -> None:
        """`newest` is the number of the candle that `history` ends with."""
        self._key = key
        self._decimals = decimals
        self._recipe = recipe
        self._on_show: set[str] | None = None
        self.effects = effects
        self.signals: list[Finding] = []
        self.shown: list[Shown] = []
        self._window = CandleWindow(recipe.window - 1)
        self._window.restart(self._priced(history.prices))
        self._adviser = recipe.decide and recipe.decide(key, self._decimals)
        if len(self._window):
            self._advise(newest, int(history.times[-1]), None)

    @property
    def price(self) -> float | None:
        """The newest close."""
        return float(self._window.closed()[CLOSE, -1]) if len(self._window) else None

    def of_closed(self, number: int, candle: Candle) -> tuple[float, ...] | None:
        """The indicators of a final candle, the next one of the window. None where its close is no price: then what
        follows is a beginning."""
        if not self._is_priced(candle):
            self._window.clear()
            return None
        self._window.append(candle)
        values = self._recipe.compute(self._first(number), self._window.closed(), self._decimals)
        self._advise(number, candle.t, values)
        return values

    def of_open(self, number: int, candle: Candle) -> tuple[float, ...] | None:
        """The indicators of the candle behind the window, which is still open."""
        if not self._is_priced(candle):
            return None
        first, columns = self._first(number - 1), self._window.with_open(candle)
        values = self._recipe.compute(first, columns, self._decimals)
        if self._adviser is not None and self._recipe.shows_open:
            self._show(candle.t, self._adviser.opened(first, columns, values))
        return values

    def correct(self, age: int, candle: Candle) -> bool:
        """The final candle that is `age` candles older than the newest is this one. False where that is known, or
        nothing depends on it."""
        if age >= len(self._window) or tuple(self._window.closed()[:, -1 - age]) == candle[1:6]:
            return False
        if self._is_priced(candle):
            self._window.replace(age, candle)
        else:
            self._window.keep(age)
        if self._adviser is not None:
            self._adviser.corrected()
        return True

    def begin_anew(self) -> None:
        """What follows does not continue what came before."""
        self._window.clear()

    def forget_shown(self) -> None:
        """What was shown may not have been stored: show it again."""
        self._on_show = None

    def can_price(self, close: float) -> bool:
        """Whether it is a price."""
        return decimals_of_price(close, self._decimals) <= max(MOST, self._decimals)

    def use_decimals(self, decimals: int) -> None:
        """Prices have so many decimals: what is computed from now on is computed with them."""
        if decimals > self._decimals:
            self._decimals = decimals
            self._adviser = self._recipe.decide and self._recipe.decide(self._key, decimals)

    def use(self, recipe: Recipe) -> None:
        """What is computed from here on is computed by this one. What was said of a final candle stays said; what is
        shown of the open one is shown anew."""
        self._recipe = recipe
        self._adviser = recipe.decide and recipe.decide(self._key, self._decimals)
        self.forget_shown()

    def _first(self, newest: int) -> int:
        """The number of the window's first candle."""
        return newest + 1 - len(self._window)

    def _advise(self, number: int, t: int, values: Sequence[float] | None) -> None:
        """The newest candle of the window is final, and shows nothing any more."""
        if self._adviser is None:
            return
        self.signals += self._adviser.closed(self._first(number), self._window.closed(), values)
        if self._on_show is None or self._on_show:
            self.shown.append(Shown(self._key, t, ()))
            self._on_show = set()

    def _show(self, t: int, findings: tuple[Finding, ...]) -> None:
        """Only what is not on show already."""
        ids = {one.id for one in findings}
        if ids != self._on_show:
            self.shown.append(Shown(self._key, t, findings))
            self._on_show = ids

    def _priced(self, history: Columns) -> Columns:
        """The newest candles whose closes are all prices; they are known to have the decimals of the finest."""
        needed = decimals_in(history[CLOSE], self._decimals)
        strange = np.flatnonzero(needed > max(MOST, self._decimals))
        begin = int(strange[-1]) + 1 if len(strange) else 0
        finest = int(needed[begin:].max(initial=self._decimals))
        if finest > self._decimals:
            self._decimals = finest
            self.effects.append(FinerPrices(self._key, finest))
        return history[:, begin:]

    def _is_priced(self, candle: Candle) -> bool:
        """Whether its close is a price; from here on everything is computed with its decimals."""
        decimals = decimals_of_price(candle.close, self._decimals)
        if decimals > max(MOST, self._decimals):
            return False
        if decimals > self._decimals:
            self.use_decimals(decimals)
            self.effects.append(FinerPrices(self._key, decimals))
        return True
