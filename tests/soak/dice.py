"""Strategies that say everything there is to say, and often, so that half an hour has as much trading as a week: what
each says of a candle is in the last digits of its close."""

from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np

_SPOKEN: Final = np.array([1, 1, 2, 2, 2, 3, 4, 4, 0, 0, 0], np.int8)
"""Trial, entry, add, exit, and nothing; 0 to 10 are thrown."""


@dataclass(frozen=True)
class _Dice:
    factor: ClassVar[int]

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
        digits = np.nan_to_num(np.rint(columns["close"] * 100)).astype(np.int64)
        thrown = _SPOKEN[digits * self.factor % len(_SPOKEN)]
        codes = np.where(columns["close"] >= columns["open"], thrown, -thrown).astype(np.int8)
        codes[np.isnan(columns["atr"])] = 0
        return codes


@dataclass(frozen=True)
class RedDice(_Dice):
    """One of two."""

    name: ClassVar[str] = "red_dice"
    factor: ClassVar[int] = 3


@dataclass(frozen=True)
class BlueDice(_Dice):
    """One of two."""

    name: ClassVar[str] = "blue_dice"
    factor: ClassVar[int] = 5
