"""What a series lacks for good once the exchange forgets its symbol: said wherever it lies; no candle stays open."""

from typing import Any

import pytest

from pipeline.candle import Candle, CandleWrite
from pipeline.store.candles.coverage import SlotState, presence
from pipeline.store.candles.unfinished import Unfinished, remove_open, unfinished
from pipeline.store.prepare import prepare
from pipeline.timeline import MINUTE, Window, interval
from schemas.series import SeriesKey
from schemas.shared import SLOTS_PER_BUCKET
from tests.live_writer import write_live

KEY = SeriesKey("sim", "BTCUSDT", "1m")
T0 = interval("1m").bucket(1_700_000_000_000).start
CLOSED = [5, 6, 8, 9, 12, SLOTS_PER_BUCKET + 3]
OPEN = [7, 10, SLOTS_PER_BUCKET + 4]
LAST = SLOTS_PER_BUCKET + 4


def minute(number: int) -> int:
    return T0 + number * MINUTE


def candle(number: int, *, closed: bool) -> CandleWrite:
    return CandleWrite(KEY, Candle(minute(number), 1, 1, 1, 1, 1, 1, 1, 1, 1, closed=closed, u=minute(number)))


@pytest.fixture
def candles(db: Any) -> Any:
    """Closed candles and open ones in two buckets; 11, and what lies between the buckets' ends, is missing."""
    prepare(db)
    write_live(db, [candle(n, closed=True) for n in CLOSED] + [candle(n, closed=False) for n in OPEN])
    return db["candles"]


def stretch(first: int, last: int) -> Window:
    return Window(minute(first), minute(last))


BETWEEN = (13, SLOTS_PER_BUCKET + 2)


@pytest.mark.parametrize(
    ("until", "holes", "unsaid"),
    [
        (None, [], [(7, 7), (10, 10), (LAST, LAST)]),
        (None, [(10, 11)], [(7, 7), (LAST, LAST)]),
        (minute(LAST), [], [(7, 7), (10, 11), BETWEEN, (LAST, LAST)]),
        (minute(20), [], [(7, 7), (10, 11), BETWEEN, (LAST, LAST)]),
        (minute(LAST + 3), [], [(7, 7), (10, 11), BETWEEN, (LAST, LAST + 2)]),
        (minute(LAST + 4) - 1, [], [(7, 7), (10, 11), BETWEEN, (LAST, LAST + 2)]),
        (minute(LAST + 3), [(0, 3), (7, 7), (9, 10), BETWEEN], [(11, 11), (LAST, LAST + 2)]),
        (minute(2 * LAST), [(LAST, 3 * LAST)], [(7, 7), (10, 11), BETWEEN]),
    ],
)
def test_what_no_hole_tells_of_is_named_wherever_it_lies(
    candles: Any, until: int | None, holes: list[tuple[int, int]], unsaid: list[tuple[int, int]]
) -> None:
    found = unfinished(candles, KEY, [stretch(*one) for one in holes], until)
    assert found == Unfinished([stretch(*one) for one in unsaid], [minute(number) for number in OPEN])


def test_of_nothing_nothing_is_missing(db: Any) -> None:
    prepare(db)
    assert unfinished(db["candles"], KEY, [], minute(9)) == Unfinished([], [])
    remove_open(db["candles"], KEY, [])


def test_only_what_is_still_open_is_removed(candles: Any, db: Any) -> None:
    left = unfinished(candles, KEY, [], None).left_open
    write_live(db, [candle(10, closed=True)])
    remove_open(candles, KEY, [*left, minute(8), minute(400)])
    states = presence(candles, KEY, minute(0), minute(LAST))
    assert [n for n, one in enumerate(states) if one == SlotState.CLOSED] == sorted([*CLOSED, 10])
    assert not (states == SlotState.OPEN).any()
    assert unfinished(candles, KEY, [], None) == Unfinished([], [])
