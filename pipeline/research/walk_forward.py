"""Out of sample: what is chosen on a stretch is judged on the one behind it, over and over. Pure.

Days are counted from 0. Between the two lies a gap: trades that were open at the end of the first would still earn in
the second (the purge, as long as the longest of them), and what is said at its beginning still looks back into the
first (the embargo, as long as the warm-up).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.errors import UsageError

TRAIN: Final = 2
"""A training stretch is as long as so many of those it is judged on."""


@dataclass(frozen=True, slots=True)
class Fold:
    """Chosen on `train`, judged on `test`: first day and the day behind the last."""

    train: tuple[int, int]
    test: tuple[int, int]

    def purged(self, gap: int) -> tuple[int, int]:
        """The training stretch less a gap at its end: no more than half of it."""
        first, last = self.train
        return first, max(last - gap, first + (last - first + 1) // 2)


def folds_of(days: int, count: int, *, anchored: bool = False) -> list[Fold]:
    """So many, of equal length, one behind the other up to the last day. `anchored`: each is trained from the first day
    on, not only on as many days as the first one has."""
    if count < 1:
        raise UsageError(f"--walk-forward must be at least 1 fold, not {count}")
    length = days // (count + TRAIN)
    if length < 1:
        raise UsageError(
            f"{count} folds need at least {count + TRAIN} days, and {days} are searched: take fewer folds "
            "(--walk-forward) or more days (--days)"
        )
    first = days - count * length
    return [
        Fold((0 if anchored else place * length, begin), (begin, begin + length))
        for place, begin in enumerate(range(first, days, length))
    ]


def best_of(values: Sequence[float | None]) -> int | None:
    """The place of the highest, the first of several; None where none is known."""
    known = [(-value, place) for place, value in enumerate(values) if value is not None]
    return min(known)[1] if known else None
