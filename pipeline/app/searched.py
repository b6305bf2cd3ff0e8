"""A search that is kept, as it is looked at: its trials, the best first, and the days that their equity is of. Reads
only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.app.opened import Opened
from pipeline.app.search import Kept, searches, trials
from pipeline.research.search.evaluate import times_of
from pipeline.timeline import to_ms
from schemas.searches import Search, Trial

__all__ = ["Kept", "Searched", "searched", "searches"]

_VERDICT: Final = "verdict"


@dataclass(frozen=True, slots=True)
class Searched:
    """`trials`: at most so many as were asked for, of `tried`; `days`: when the equity of each is told."""

    search: Search
    tried: int
    trials: Sequence[Trial]
    days: Sequence[int]

    @property
    def best(self) -> Trial | None:
        """By the first objective; None where nothing has figures."""
        return next((one for one in self.trials if one.state == "done"), None)

    @property
    def verdict(self) -> dict[str, Any] | None:
        """None: it has not ended."""
        return (self.search.result or {}).get(_VERDICT)

    @property
    def forward(self) -> dict[str, Any] | None:
        """None: it has not ended, or had no folds."""
        return (self.search.result or {}).get("forward")


def searched(tm: Opened, name: str, most: int) -> Searched:
    """One of them, with that many trials."""
    found, ranked = trials(tm, name)
    return Searched(found, len(ranked), ranked[:most], times_of(to_ms(found.start), to_ms(found.end)))
