"""How much of a result is luck: figures of probability, one function each. Pure; what is drawn is drawn by a seed.

A Sharpe ratio is here the mean of the daily returns by their standard deviation, not scaled to a year. Sources: D.
Bailey and M. Lopez de Prado, "The Deflated Sharpe Ratio" (2014); D. Bailey, J. Borwein, M. Lopez de Prado and Q. Zhu,
"The Probability of Backtest Overfitting" (2015).
"""

from collections.abc import Sequence
from itertools import combinations
from math import e, log, sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BLOCKS: Final = 10
"""Parts that days are cut into for `overfitting`: 252 ways to take half of them."""
_GAMMA: Final = 0.5772156649015329
_NORMAL: Final = NormalDist()
_FEWEST: Final = 3


class Moments(NamedTuple):
    """Of daily returns: so many, their Sharpe ratio, skewness and kurtosis (3 where they are normal)."""

    days: int
    sharpe: float
    skew: float
    kurtosis: float


def moments_of(daily: Floats) -> Moments | None:
    """None where they do not differ."""
    if len(daily) < _FEWEST or (deviation := float(daily.std())) <= 1e-12:
        return None
    shifted = (daily - daily.mean()) / deviation
    sharpe = float(daily.mean()) / float(daily.std(ddof=1))
    return Moments(len(daily), sharpe, float((shifted**3).mean()), float((shifted**4).mean()))


def highest_by_luck(trials: int, deviation: float) -> float:
    """The Sharpe ratio that the best of so many trials without an edge has on average; `deviation`: how far their
    Sharpe ratios lie apart."""
    if trials < 2:
        return 0.0
    one, other = _NORMAL.inv_cdf(1 - 1 / trials), _NORMAL.inv_cdf(1 - 1 / (trials * e))
    return deviation * ((1 - _GAMMA) * one + _GAMMA * other)


def surely_above(found: Moments, benchmark: float) -> float:
    """The probability that the true Sharpe ratio is above the benchmark (probabilistic Sharpe ratio)."""
    spread = 1 - found.skew * found.sharpe + (found.kurtosis - 1) / 4 * found.sharpe**2
    return _NORMAL.cdf((found.sharpe - benchmark) * sqrt(found.days - 1) / sqrt(max(spread, 1e-12)))


def deflated_sharpe(found: Moments, trials: int, deviation: float) -> float:
    """The probability that there is an edge, when so many trials were made and the best was taken."""
    return surely_above(found, highest_by_luck(trials, deviation))


def overfitting(returns: Floats, blocks: int = BLOCKS) -> float | None:
    """How often what was best on half of the days is no better than the middle on the other half (PBO, by
    combinatorially symmetric cross-validation). A row a day, a column a trial; None of fewer than two trials, or than
    two days a block."""
    days, trials = returns.shape
    if trials < 2 or days < 2 * blocks:
        return None
    length = days // blocks
    cut = returns[days - length * blocks :].reshape(blocks, length, trials)
    sums, squares = cut.sum(axis=1), (cut**2).sum(axis=1)
    poor = total = 0
    for chosen in combinations(range(blocks), blocks // 2):
        inside = np.zeros(blocks, np.bool_)
        inside[list(chosen)] = True
        best = int(np.argmax(_sharpes(sums, squares, inside, length)))
        behind = _sharpes(sums, squares, ~inside, length)
        rank = float((behind < behind[best]).sum() + ((behind == behind[best]).sum() + 1) / 2) / (trials + 1)
        poor += log(rank / (1 - rank)) <= 0
        total += 1
    return poor / total


def _sharpes(sums: Floats, squares: Floats, taken: npt.NDArray[np.bool_], length: int) -> Floats:
    """Of each trial over the blocks that are taken; one that never moved has 0."""
    count = int(taken.sum()) * length
    mean = sums[taken].sum(axis=0) / count
    deviation = np.sqrt(np.maximum(squares[taken].sum(axis=0) / count - mean**2, 0.0))
    found: Floats = np.divide(mean, deviation, out=np.zeros_like(mean), where=deviation > 1e-12)
    return found


def mean_between(
    profits: Sequence[float], seed: int, draws: int = 2_000, share: float = 0.9
) -> tuple[float, float] | None:
    """Between which two the mean profit of a trade lies in that share of draws of as many trades, with replacement
    (bootstrap); None of fewer than three."""
    if len(profits) < _FEWEST:
        return None
    dice = np.random.default_rng(seed)
    values = np.asarray(profits, float)
    means = [float(dice.choice(values, len(values)).mean()) for _ in range(draws)]
    low, high = np.quantile(means, [(1 - share) / 2, (1 + share) / 2])
    return float(low), float(high)


def chance_of(found: float, others: Sequence[float]) -> float:
    """How often a draw without what is tested does as well: the draws, and the one that was found, are counted."""
    return (1 + sum(one >= found for one in others)) / (1 + len(others))
