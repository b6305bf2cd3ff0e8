"""Quantiles of a handful of measurements. Pure."""

import math
from collections.abc import Iterable


def quantile(values: Iterable[float], share: float) -> float | None:
    """The least value that `share` of the measurements do not exceed; None where there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
