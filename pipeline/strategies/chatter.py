"""How much strategies say: signals a day, from what they say of made-up markets. Reads no database."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np

from pipeline.periods import Periods
from pipeline.strategies.base import Strategy
from pipeline.strategies.chosen import Intervals, on_interval
from pipeline.strategies.runner import run
from pipeline.strategies.synthetic import samples
from pipeline.timeline import DAY, interval

TEMPERS: Final = ("walk", "wild")
"""Markets that are no pattern: a strategy says of them about what it says of a real one."""
_MONTH: Final = 30 * DAY


class Chatter(NamedTuple):
    """What a strategy says a day on candles of one length, of one symbol."""

    strategy: str
    interval: str
    a_day: float


def chatter(
    strategies: Iterable[Strategy], codes: Iterable[str], periods: Periods, intervals: Intervals
) -> Iterator[Chatter]:
    """Of each strategy, on each length of candles that it runs on."""
    strategies = list(strategies)
    seen = [one.columns(periods) for one in samples() if one.name in TEMPERS]
    rates = {one.name: float(np.mean([np.mean(run(one, columns) != 0) for columns in seen])) for one in strategies}
    for code in codes:
        candles_a_day = DAY / (interval(code).milliseconds or _MONTH)
        for one in on_interval(strategies, intervals, code):
            yield Chatter(one.name, code, rates[one.name] * candles_a_day)
