"""How a series begins, by what is stored of it and what the exchange is known not to have."""

import pytest

from pipeline.candle import Candle
from pipeline.ingest.events import ClosedCandles
from pipeline.ingest.history import opening
from pipeline.timeline import MINUTE, Window, interval

STEP = interval("1m")
T = 1_760_000_040_000 // MINUTE * MINUTE


def at(number: int) -> int:
    return T + number * MINUTE


def candles(numbers: str) -> tuple[Candle, ...]:
    """`0-3 5` are the candles 0, 1, 2, 3 and 5."""
    spans = [part.partition("-") for part in numbers.split()]
    listed = [number for first, _, last in spans for number in range(int(first), int(last or first) + 1)]
    return tuple(Candle(at(one), *(1.0,) * 6, 1, 1.0, 1.0, True, at(one + 1)) for one in listed)


@pytest.mark.parametrize(
    ("stored", "holes", "settled", "history", "ahead"),
    [
        ("0-9", "", 9, "0-9", ""),
        ("0-4 7-9", "", 4, "0-4", "7-9"),
        ("0-2 4-6 9", "", 2, "0-2", "4-6 9"),
        ("0-4 7-9", "5-6", 9, "7-9", ""),
        ("0-4 7-9", "5", 5, "", "7-9"),
        ("0-4 7-9", "6", 4, "0-4", "7-9"),
        ("0-4 7-9", "5 6", 9, "7-9", ""),
        ("0-2 4-6 9", "3", 6, "4-6", "9"),
        ("0-4", "5-6", 6, "", ""),
        ("0-4 6-9", "3-5", 9, "6-9", ""),
        ("9", "", 9, "9", ""),
    ],
    ids=[
        "nothing is missing",
        "a break is fetched, what lies behind it waits",
        "two breaks: the first counts",
        "a hole of the exchange's own begins the warm-up anew",
        "a hole, and then a break",
        "a break, and then a hole",
        "a hole in two records",
        "a hole, and later a break",
        "the newest are a hole",
        "a record that says too much",
        "one candle",
    ],
)
def test_nothing_is_missing_up_to_the_settled_candle(
    stored: str, holes: str, settled: int, history: str, ahead: str
) -> None:
    known = [Window(part[0].t, part[-1].t) for part in map(candles, holes.split())]
    found = opening(STEP, ClosedCandles.of(candles(stored)), known)
    assert found is not None
    assert (found.settled, tuple(found.history), found.ahead) == (at(settled), candles(history), candles(ahead))


def test_of_nothing_there_is_no_beginning() -> None:
    assert opening(STEP, ClosedCandles.of(()), [Window(at(0), at(3))]) is None
