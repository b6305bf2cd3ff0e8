"""The columns of the last candles of a series, and what strategies said of them, so that an update computes one new
value of each and nothing twice. It holds numbers; it computes none, and knows nothing of what they mean."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from pipeline.indicators import Floats
from pipeline.strategies.base import Codes

_SLACK: Final = 40


class Recent:
    """At most `keep` candles, the newest among them. Never copies on a read; after every few candles it moves what it
    holds to the front of its memory."""

    __slots__ = ("_begin", "_codes", "_end", "_keep", "_names", "_values", "number")

    def __init__(self, names: Sequence[str], voices: int, keep: int) -> None:
        self._names = tuple(names)
        self._keep = keep
        self._values = np.empty((len(self._names), keep + _SLACK))
        self._codes = np.zeros((voices, keep + _SLACK), np.int8)
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
        """A row for each voice: what it said of the candles before the newest. A view."""
        return self._codes[:, self._begin : self._end]

    def _move_to_front(self) -> None:
        held = slice(self._begin, self._end)
        kept = self._end - self._begin
        self._values[:, :kept] = self._values[:, held].copy()
        self._codes[:, :kept] = self._codes[:, held].copy()
        self._begin, self._end = 0, kept
