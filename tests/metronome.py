"""A strategy that has something to say at every close: for tests that must not wait for a market to move."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np


@dataclass(frozen=True)
class Metronome:
    """An entry at every candle: long where it rose, short where it fell."""

    name: ClassVar[str] = "metronome"

    @property
    def needs(self) -> tuple[str, ...]:
        """The columns it reads."""
        return ("open", "close", "atr")

    @property
    def lookback(self) -> int:
        """It remembers nothing."""
        return 0

    def signals(self, columns: dict[str, Any]) -> Any:
        """A code a candle."""
        codes = np.where(columns["close"] >= columns["open"], 2, -2).astype(np.int8)
        codes[np.isnan(columns["atr"])] = 0
        return codes
