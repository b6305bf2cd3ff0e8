"""One word for what a search found, the figures that it rests on, and what would change it. Pure.

The word is not a proof. "holds up" means that nothing of what is looked at here speaks against it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import ceil, sqrt
from statistics import NormalDist
from typing import Any, Final, Literal

from pipeline.research.figures import DAYS_A_YEAR

Word = Literal["likely luck", "fragile", "holds up"]

SURE: Final = 0.95
"""A deflated Sharpe ratio below is luck."""
EVEN: Final = 0.5
"""What is best on half of the days and above the middle on the other less often than so is luck."""
RARE: Final = 0.05
"""Signals at other moments that do as well more often than so make it fragile."""
KEPT: Final = 0.5
"""Neighbours that keep less than so much of it make it fragile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a verdict rests on; None where it could not be told. Sharpe ratios are those of a day."""

    days: int
    trials: int
    """Ever made on these data."""
    sharpe: float | None
    by_luck: float
    """The Sharpe ratio that the best of so many has without an edge."""
    deflated: float | None
    overfitting: float | None
    out_of_sample_pct: float | None
    folds: int
    folds_won: int
    chance: float | None
    """How often the same signals at other moments did as well, out of sample."""
    trade_low: float | None
    trade_high: float | None
    """Between which two the mean profit of a trade lies, out of sample, in nine of ten draws."""
    plateau: float | None
    """What the middle one of the neighbours keeps of the objective."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The word, why, and what would change it."""

    word: Word
    because: Sequence[str]
    would_change: Sequence[str]
    evidence: Evidence

    def told(self) -> dict[str, Any]:
        """As it is kept."""
        return {
            "word": self.word, "because": list(self.because), "would_change": list(self.would_change),
            "evidence": asdict(self.evidence),
        }  # fmt: skip


def verdict_of(found: Evidence) -> Verdict:
    """What speaks for luck comes first; then what makes it fragile."""
    luck, fragile = _luck(found), _fragile(found)
    if luck:
        return Verdict("likely luck", [*luck, *fragile], _would_change(found), found)
    if fragile:
        return Verdict("fragile", fragile, _would_change(found), found)
    return Verdict("holds up", _holds(found), _would_change(found), found)


def _luck(found: Evidence) -> list[str]:
    said = []
    if found.sharpe is None or found.deflated is None:
        return ["too few days, or days without a trade, to tell anything"]
    if found.deflated < SURE:
        said.append(
            f"its Sharpe of {_yearly(found.sharpe)} is above what the best of {found.trials:,} trials has by luck, "
            f"{_yearly(found.by_luck)}, with a probability of {found.deflated:.0%} only"
        )
    if found.overfitting is not None and found.overfitting > EVEN:
        said.append(f"what is best on half of the days is below the middle on the other in {found.overfitting:.0%}")
    if found.out_of_sample_pct is not None and found.out_of_sample_pct <= 0:
        said.append(f"what was chosen on a stretch brought {found.out_of_sample_pct:+.2f} % on those behind it")
    return said


def _fragile(found: Evidence) -> list[str]:
    said = []
    if found.out_of_sample_pct is None:
        said.append("nothing was judged out of sample")
    if found.folds and found.folds_won * 2 < found.folds:
        said.append(f"only {found.folds_won} of {found.folds} stretches behind brought anything")
    if found.chance is not None and found.chance > RARE:
        said.append(f"the same signals at other moments did as well in {found.chance:.0%}")
    if found.trade_low is not None and found.trade_low <= 0:
        said.append("the mean profit of a trade out of sample may as well be none")
    if found.plateau is not None and found.plateau < KEPT:
        said.append(f"one step away from its parameters {found.plateau:.0%} of it are left")
    return said


def _holds(found: Evidence) -> list[str]:
    said = [
        (
            f"its Sharpe of {_yearly(found.sharpe)} is above what the best of {found.trials:,} trials has by luck, "
            f"{_yearly(found.by_luck)}, with a probability of {found.deflated or 0:.1%}"
        ),
        (
            f"what was chosen on a stretch brought {found.out_of_sample_pct or 0:+.2f} % on those behind it, "
            f"{found.folds_won} of {found.folds} of them something"
        ),
    ]
    if found.plateau is not None:
        said.append(f"one step away from its parameters {found.plateau:.0%} of it are left")
    return said


def _would_change(found: Evidence) -> list[str]:
    if found.sharpe is None or found.deflated is None:
        return ["more days, or a space in which something trades"]
    if found.deflated >= SURE:
        return ["another search on these days: each trial raises what the best has by luck", "what the sealed days say"]
    gap = found.sharpe - found.by_luck
    if gap <= 0:
        return [f"a Sharpe above {_yearly(found.by_luck)}: no number of days makes this one unlikely to be luck"]
    share = NormalDist().inv_cdf(min(max(found.deflated, 1e-6), 1 - 1e-6)) / NormalDist().inv_cdf(SURE)
    needed = ceil(found.days / share**2) if share > 0 else None
    return [] if needed is None else [f"the same for {needed:,} days in the place of {found.days:,}"]


def _yearly(daily: float | None) -> str:
    return "-" if daily is None else f"{daily * sqrt(DAYS_A_YEAR):.2f}"
