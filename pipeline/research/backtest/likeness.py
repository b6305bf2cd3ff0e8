"""Which symbols moved alike, as it would have been known at a moment of the past."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from pipeline.portfolio.alike import DAYS, Floats, correlations, groups
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.minutes import Minutes
from pipeline.timeline import DAY, HOUR, MINUTE

_HOURS: Final = DAYS * DAY // HOUR


def groups_at(asked: Asked, moment: int) -> Mapping[str, frozenset[str]]:
    """Of each symbol those that moved like it in the thirty days before, as far as the run has minutes of them."""
    closes = {symbol: _closes(minutes, moment) for symbol, minutes in asked.minutes.items()}
    return groups(correlations(closes), asked.policy.portfolio.alike)


def _closes(minutes: Minutes, moment: int) -> Floats:
    """Its price at the end of each hour; NaN where no minute is stored."""
    ends = moment // HOUR * HOUR + HOUR * np.arange(-_HOURS, 1)
    places = (ends - minutes.start) // MINUTE - 1
    inside = (places >= 0) & (places < len(minutes.close))
    inside[inside] = minutes.there[places[inside]]
    closes = np.full(len(ends), np.nan)
    closes[inside] = minutes.close[places[inside]]
    return closes
