"""Which symbols moved alike, as it would have been known at a moment of the past."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from pipeline.portfolio.alike import DAYS, Floats, matrix
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.minutes import Flags, Minutes
from pipeline.timeline import DAY, HOUR, MINUTE

_HOURS: Final = DAYS * DAY // HOUR


def alike_at(asked: Asked, names: Sequence[str], moment: int) -> Flags:
    """Which of these symbols moved alike in the thirty days before, as far as the run has minutes of them: each with
    each; with itself, where enough is known of it."""
    closes = np.array([_closes(asked.minutes[name], moment) for name in names])
    found: Flags = matrix(closes) >= asked.policy.portfolio.alike
    return found


def groups_at(asked: Asked, moment: int) -> Mapping[str, frozenset[str]]:
    """Of each symbol of which enough is known, the others that moved like it."""
    names = sorted(asked.minutes)
    found = alike_at(asked, names, moment)
    alike = {name: {names[other] for other in np.flatnonzero(row)} for name, row in zip(names, found, strict=True)}
    return {name: frozenset(others - {name}) for name, others in alike.items() if name in others}


def _closes(minutes: Minutes, moment: int) -> Floats:
    """Its price at the end of each hour; NaN where no minute is stored."""
    ends = moment // HOUR * HOUR + HOUR * np.arange(-_HOURS, 1)
    places = (ends - minutes.start) // MINUTE - 1
    inside = (places >= 0) & (places < len(minutes.close))
    inside[inside] = minutes.there[places[inside]]
    closes = np.full(len(ends), np.nan)
    closes[inside] = minutes.close[places[inside]]
    return closes
