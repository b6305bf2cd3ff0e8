"""Which symbols move alike: the correlation of their returns, hour by hour."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
DAYS: Final = 30
"""So far back it is measured."""
FEWEST: Final = 7 * 24
"""Of fewer hours in common nothing is said."""
_DIGITS: Final = 3


def correlations(closes: Mapping[str, Floats]) -> dict[str, dict[str, float]]:
    """Of each symbol with each other one. `closes`: of the same hours, one after the other; NaN where none is known. A
    symbol of which too little is known is left out; one that moves like nothing else has nobody."""
    names = sorted(closes)
    if not names:
        return {}
    found = matrix(np.array([closes[name] for name in names], dtype=float))
    return {
        names[one]: {names[other]: float(row[other]) for other in np.flatnonzero(np.isfinite(row)) if other != one}
        for one, row in enumerate(found)
        if np.isfinite(row[one])
    }


def matrix(closes: Floats) -> Floats:
    """The same of rows, a symbol each: NaN where nothing is said, of a symbol itself too."""
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.diff(np.log(closes), axis=1)
    known = np.isfinite(returns)
    moves = np.where(known, returns, 0.0)
    there = known.astype(float)
    counts = _products(there, there)
    sums = _products(moves, there)
    squares = _products(moves**2, there)
    with np.errstate(divide="ignore", invalid="ignore"):
        covariance = _products(moves, moves) / counts - (sums / counts) * (sums.T / counts)
        variance = squares / counts - (sums / counts) ** 2
        found = covariance / np.sqrt(variance * variance.T)
    told = (counts >= FEWEST) & np.isfinite(found)
    told &= np.diagonal(told & (variance > 0))
    told &= np.diagonal(told)[:, None]
    return np.where(told, np.round(np.clip(found, -1.0, 1.0), _DIGITS), np.nan)


def _products(one: Floats, other: Floats) -> Floats:
    """Of each row with each other one, summed. Not by a library that shares it out to threads: for so few numbers those
    wait for each other on a busy machine, and for many times as long as it takes."""
    found: Floats = np.einsum("ij,kj->ik", one, other)
    return found


def groups(found: Mapping[str, Mapping[str, float]], least: float) -> dict[str, frozenset[str]]:
    """Of each symbol, those that move like it: as far together as `least`, or farther."""
    return {name: frozenset(other for other, one in of_it.items() if one >= least) for name, of_it in found.items()}
