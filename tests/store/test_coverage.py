"""What is stored of a series is told by the index and by the buckets that are not full; the others are not read."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.store.candles import coverage
from pipeline.store.candles.codec import BrokenBucketError
from pipeline.store.candles.coverage import Coverage, SlotState
from pipeline.store.candles.frame import FRAME_SCHEMA
from pipeline.store.candles.store import CandleStore
from pipeline.store.prepare import prepare
from pipeline.timeline import MINUTE, interval, to_datetime
from schemas.candles import INDICATOR_FIELDS
from schemas.series import SeriesKey
from schemas.shared import SLOTS_PER_BUCKET

KEY = SeriesKey("sim", "BTCUSDT", "1m")
T0 = interval("1m").bucket(1_700_000_000_000).start
BUCKETS = 12
HOLE = 5 * SLOTS_PER_BUCKET + 17
FIRST, LAST = 230, BUCKETS * SLOTS_PER_BUCKET - 100


@pytest.fixture
def stored(db: Any) -> Any:
    """Twelve buckets: the first and the last not full, and one with a hole."""
    prepare(db)
    numbers = np.array([number for number in range(FIRST, LAST + 1) if number != HOLE])
    t = T0 + numbers * MINUTE
    columns = dict.fromkeys(FRAME_SCHEMA, np.ones(len(t))) | dict.fromkeys(INDICATOR_FIELDS, np.full(len(t), np.nan))
    columns |= {"t": t, "te": t + MINUTE - 1, "u": t + MINUTE, "closed": numbers != LAST}
    frame = pl.DataFrame(columns).select(pl.col(name).cast(kind) for name, kind in FRAME_SCHEMA.items())
    CandleStore(db).replace_closed(KEY, frame)
    return db


def documents_read(db: Any, ask: Any) -> tuple[Any, int, int]:
    """What it answers, how many documents the server read for it, and how many bytes it sent."""
    db.command("profile", 2)
    answer = ask()
    db.command("profile", 0)
    told = list(db["system.profile"].find({"ns": f"{db.name}.candles"}))
    assert told
    return answer, sum(one.get("docsExamined", 0) for one in told), sum(one["responseLength"] for one in told)


def test_only_buckets_that_are_not_full_are_read(stored: Any) -> None:
    start, end = T0, T0 + BUCKETS * SLOTS_PER_BUCKET * MINUTE - 1
    states, read, sent = documents_read(stored, lambda: CandleStore(stored).presence(KEY, start, end))
    expected = np.full(BUCKETS * SLOTS_PER_BUCKET, SlotState.CLOSED)
    expected[:FIRST] = expected[HOLE] = expected[LAST + 1 :] = SlotState.MISSING
    expected[LAST] = SlotState.OPEN
    np.testing.assert_array_equal(states, expected)
    assert read == 3
    assert sent < 8_000


def test_a_count_reads_the_first_and_the_last_bucket(stored: Any) -> None:
    counted, read, _ = documents_read(stored, lambda: coverage.coverage(stored.candles, KEY))
    assert counted == Coverage(T0 + FIRST * MINUTE, T0 + (LAST - 1) * MINUTE, LAST - FIRST - 1)
    assert read == 2


def test_where_a_series_begins_and_ends_is_read_from_the_index(stored: Any) -> None:
    found, read, _ = documents_read(stored, lambda: coverage.bounds(stored.candles, KEY))
    assert found == (T0, T0 + (BUCKETS * SLOTS_PER_BUCKET - 1) * MINUTE)
    assert read == 0


def test_a_bucket_that_says_less_than_it_holds_is_looked_into(stored: Any) -> None:
    """As one does that an older version wrote meanwhile, or a person by hand."""
    start = {"start": to_datetime(T0 + SLOTS_PER_BUCKET * MINUTE)}
    stored.candles.update_one(start, {"$unset": {"stored": 1}})
    end = T0 + BUCKETS * SLOTS_PER_BUCKET * MINUTE - 1
    states, read, _ = documents_read(stored, lambda: CandleStore(stored).presence(KEY, T0, end))
    assert (states == SlotState.CLOSED).sum() == LAST - FIRST - 1
    assert read == 4


def test_one_that_is_no_bucket_is_named(stored: Any) -> None:
    stored.candles.update_one(
        {"start": to_datetime(T0)}, {"$set": {"candles": "text"}}, bypass_document_validation=True
    )
    with pytest.raises(BrokenBucketError, match=r"sim:BTCUSDT:1m:.* is no bucket"):
        CandleStore(stored).presence(KEY, T0, T0 + MINUTE)
