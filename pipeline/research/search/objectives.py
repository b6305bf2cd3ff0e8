"""What makes one trial better than another: a figure, or several that are not weighed against each other. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Self

from pipeline.errors import UsageError
from pipeline.research.search.figures import FIGURES

_LESS_IS_BETTER: Final = frozenset(
    ("max_drawdown_pct", "under_water_days", "volatility_pct", "exposure_pct", "chance", "fees", "turnover",
     "still_open", "on_an_assumption", "mean_hours")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Objectives:
    """The first ranks where one must be named; with several, those on the front are as good as each other."""

    names: tuple[str, ...]

    @classmethod
    def of(cls, names: Sequence[str]) -> Self:
        """Checked: each is a figure of a trial."""
        for name in names:
            if name not in FIGURES:
                near = get_close_matches(name, FIGURES, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                raise UsageError(f"--objective {name}: there is no such figure.{hint} There are: {', '.join(FIGURES)}")
        if not names or len(set(names)) != len(names):
            raise UsageError("--objective takes a figure, or several that differ: --objective sharpe")
        return cls(tuple(names))

    def scores(self, figures: Mapping[str, Any]) -> tuple[float, ...] | None:
        """More is better in each; None where one of them is not known."""
        values = [figures.get(name) for name in self.names]
        if any(one is None for one in values):
            return None
        return tuple(
            -float(one) if name in _LESS_IS_BETTER else float(one)
            for name, one in zip(self.names, values, strict=True)
            if one is not None
        )

    def front(self, scores: Sequence[tuple[float, ...] | None]) -> list[int]:
        """Places of those that no other beats in one thing without being worse in another; by the first objective, then
        in their order."""
        known = [(one, place) for place, one in enumerate(scores) if one is not None]
        best = [
            (one, place) for one, place in known if not any(_beats(other, one) for other, _ in known)
        ]  # fmt: skip
        return [place for one, place in sorted(best, key=lambda each: (-each[0][0], each[1]))]


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))
