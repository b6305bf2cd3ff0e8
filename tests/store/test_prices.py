"""Until when the candles of a symbol are all there, as a table."""

from typing import Any

import pytest

from pipeline.store.signals.prices import Reached, settled_through
from pipeline.timeline import DAY, HOUR, MINUTE, interval

START = 1_760_000_000_000 // DAY * DAY


def reached(code: str, known: int, closed: int) -> Any:
    """Minutes after START."""
    return Reached(interval(code), START + known * MINUTE, START + closed * MINUTE)


@pytest.mark.parametrize(
    ("series", "through"),
    [
        ([], None),
        ([("1h", 60, 60)], 60 * MINUTE),
        ([("1h", 119, 60)], 60 * MINUTE),
        ([("15m", 119, 105), ("1h", 119, 60)], 105 * MINUTE),
        ([("15m", 121, 120), ("1h", 121, 60)], 2 * HOUR - 1),
        ([("15m", 121, 120), ("1h", 121, 120)], 2 * HOUR),
        ([("15m", 121, 120), ("1h", 121, 120), ("1d", 121, 0)], 2 * HOUR),
        ([("1m", 60, 60), ("1h", 121, 120)], 2 * HOUR),
        ([("1m", 116, 116), ("1h", 121, 120)], 116 * MINUTE),
    ],
    ids=[
        "none",
        "one",
        "its candle is open",
        "the finest",
        "a coarser close is late by a moment",
        "and there",
        "a day's candle is open as it should be",
        "a finer one that stands still is not waited for",
        "one that is late by minutes is",
    ],
)
def test_until_when_all_candles_are_there(series: list[tuple[str, int, int]], through: int | None) -> None:
    told = settled_through([reached(*one) for one in series])
    assert told == (None if through is None else START + through)
