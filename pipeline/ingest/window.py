"""The newest closed candles of a series with no hole between them, kept so that indicators read them in place."""

from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.ingest.events import Candle

Columns = npt.NDArray[np.float64]
"""Rows open, high, low, close, volume; one column a candle, oldest first."""

_ROWS: Final = 5


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

    def restart(self, candles: Iterable[Candle]) -> None:
        """Hold the newest of these and nothing else: what `clear` and `append` of each would leave."""
        rows = [candle[1:6] for candle in candles][-self._size :]
        self._begin, self._end = 0, len(rows)
        if rows:
            self._data[:, : len(rows)] = np.array(rows).T

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
