"""Series documents: coverage that stays true however often, and by however many, it is told."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.candle import Candle, CandleWrite
from pipeline.store import series as module
from pipeline.store.candles.coverage import Coverage, coverage
from pipeline.store.candles.frame import FRAME_SCHEMA
from pipeline.store.candles.store import BucketBusyError, CandleStore
from pipeline.store.candles.unfinished import GIVEN_UP
from pipeline.store.prepare import prepare
from pipeline.store.series import Progress, SeriesStore, progress_operations
from pipeline.timeline import DAY, MINUTE, interval, to_datetime
from schemas.candles import CANDLES, INDICATOR_FIELDS
from schemas.series import SERIES, Gone, Hole, SeriesKey, Watermark
from tests.live_writer import write_live

KEY = SeriesKey("sim", "BTCUSDT", "1m")
T0 = interval("1m").bucket(1_700_000_000_000).start
NOW = T0 + DAY


@pytest.fixture
def series(db: Any) -> SeriesStore:
    prepare(db, [CANDLES, SERIES])
    return SeriesStore(db)


def minute(number: int) -> int:
    return T0 + number * MINUTE


def store_minutes(db: Any, *numbers: int) -> None:
    t = np.array([minute(number) for number in numbers])
    columns = dict.fromkeys(FRAME_SCHEMA, np.ones(len(t))) | dict.fromkeys(INDICATOR_FIELDS, np.full(len(t), np.nan))
    columns |= {"t": t, "te": t + MINUTE - 1, "u": t + MINUTE, "closed": np.ones(len(t), np.bool_)}
    frame = pl.DataFrame(columns).select(pl.col(name).cast(kind) for name, kind in FRAME_SCHEMA.items())
    CandleStore(db).replace_closed(KEY, frame)


def hole(first: int, last: int, evidence: str = "empty answer") -> Hole:
    return Hole(
        start=to_datetime(minute(first)), end=to_datetime(minute(last)), evidence=evidence, found_at=to_datetime(NOW)
    )


def test_nothing_is_known_of_a_new_series(series: SeriesStore) -> None:
    assert series.get(KEY) is None
    assert series.list() == []


def tell(db: Any, progress: list[Progress]) -> None:
    db.series.bulk_write(progress_operations(progress), ordered=True)


def test_a_close_is_told_in_one_write(series: SeriesStore, db: Any) -> None:
    tell(db, [Progress(KEY, NOW, (minute(1),))])
    told = db.series.bulk_write(progress_operations([Progress(KEY, NOW + 1, (minute(2),))]), ordered=True)
    assert told.modified_count == 1
    known = series.get(KEY)
    assert known is not None
    assert (known.last_closed, known.last_frame, known.stored) == (to_datetime(minute(2)), to_datetime(NOW + 1), 1)


def test_a_count_tells_the_first_and_last_closed_candle(series: SeriesStore, db: Any) -> None:
    store_minutes(db, 5, 6, 300, 700)
    write_live(db, [CandleWrite(KEY, Candle(minute(701), 1, 1, 1, 1, 1, 1, 1, 1, 1, closed=False, u=minute(701)))])
    counted = series.recount(KEY, "rest", NOW)
    assert counted == series.get(KEY)
    assert counted.stored == 4
    assert (counted.first, counted.last_closed) == (to_datetime(minute(5)), to_datetime(minute(700)))
    assert (counted.source, counted.updated_at) == ("rest", to_datetime(NOW))


def test_a_count_of_nothing(series: SeriesStore) -> None:
    counted = series.recount(KEY, None, NOW)
    assert (counted.stored, counted.first, counted.last_closed, counted.source) == (0, None, None, None)


def test_a_count_looks_at_its_own_series_alone(series: SeriesStore, db: Any) -> None:
    store_minutes(db, 1)
    assert series.recount(SeriesKey("sim", "BTCUSDT", "15m"), None, NOW).stored == 0
    assert series.recount(SeriesKey("sim", "BTCUSD", "1m"), None, NOW).stored == 0


@pytest.mark.parametrize(
    ("told", "source"),
    [(["rest"], "rest"), (["rest", "rest"], "rest"), (["archive", "rest"], "mixed"), (["archive", None], "archive")],
)
def test_where_candles_come_from(series: SeriesStore, told: list[Any], source: str) -> None:
    for one in told:
        series.recount(KEY, one, NOW)
    found = series.get(KEY)
    assert found is not None
    assert found.source == source


def test_a_count_during_which_a_candle_closed_is_taken_again(
    series: SeriesStore, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_minutes(db, 0, 1)
    series.recount(KEY, "rest", NOW)
    late = iter([2])

    def count_while_one_closes(*asked: Any) -> Coverage:
        counted = coverage(*asked)
        for number in late:
            store_minutes(db, number)
            tell(db, [Progress(KEY, minute(number), (minute(number),))])
        return counted

    monkeypatch.setattr(module, "coverage", count_while_one_closes)
    counted = series.recount(KEY, "rest", NOW)
    assert (counted.stored, counted.last_closed) == (3, to_datetime(minute(2)))


def test_a_count_that_is_always_overtaken_ends_in_an_error(
    series: SeriesStore, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overtaken(*_: Any) -> Coverage:
        db.series.update_one({}, {"$inc": {"stored": 1}})
        return Coverage()

    monkeypatch.setattr(module, "coverage", overtaken)
    with pytest.raises(BucketBusyError, match="count it again"):
        series.recount(KEY, "rest", NOW)


def test_a_count_that_is_no_news_is_not_written_down(series: SeriesStore, db: Any) -> None:
    store_minutes(db, 0, 1)
    counted = series.recount(KEY, "rest", NOW)
    assert series.recount(KEY, None, NOW + DAY) == counted


@pytest.mark.parametrize(
    ("told", "stored", "last"),
    [
        pytest.param([(2,)], 3, 2, id="the next one"),
        pytest.param([(2, 3, 4)], 5, 4, id="several in a row"),
        pytest.param([(2,), (2,), (1,)], 3, 2, id="told again"),
        pytest.param([(4,)], 2, 4, id="after a gap the count waits"),
        pytest.param([()], 2, 1, id="no close"),
    ],
)
def test_progress_counts_each_candle_once(
    series: SeriesStore, db: Any, told: list[tuple[int, ...]], stored: int, last: int
) -> None:
    store_minutes(db, 0, 1)
    series.recount(KEY, "rest", NOW)
    for numbers in told:
        tell(db, [Progress(KEY, NOW, tuple(minute(number) for number in numbers))])
    found = series.get(KEY)
    assert found is not None
    assert (found.stored, found.last_closed, found.last_frame) == (stored, to_datetime(minute(last)), to_datetime(NOW))


def test_the_last_frame_never_goes_back(series: SeriesStore, db: Any) -> None:
    for time in (NOW, NOW - 1):
        tell(db, [Progress(KEY, time)])
    found = series.get(KEY)
    assert found is not None
    assert found.last_frame == to_datetime(NOW)


async def test_progress_through_both_asynchronous_drivers(series: SeriesStore, async_db: Any) -> None:
    await async_db.series.bulk_write(progress_operations([Progress(KEY, NOW, (minute(1),))]), ordered=True)
    found = series.get(KEY)
    assert found is not None
    assert found.last_closed == to_datetime(minute(1))


@pytest.mark.parametrize(
    ("recorded", "remain"),
    [
        ([(1, 2), (5, 6)], [(1, 2), (5, 6)]),
        ([(1, 2), (1, 2)], [(1, 2)]),
        ([(1, 2), (4, 4), (1, 5)], [(1, 5)]),
        ([(1, 5), (2, 3)], [(1, 5), (2, 3)]),
    ],
)
def test_holes(series: SeriesStore, recorded: list[tuple[int, int]], remain: list[tuple[int, int]]) -> None:
    for first, last in recorded:
        series.record_hole(KEY, hole(first, last))
    found = series.get(KEY)
    assert found is not None
    assert found.holes == [hole(*one) for one in remain]


def test_evidence_is_text_whatever_it_looks_like(series: SeriesStore) -> None:
    series.record_hole(KEY, hole(1, 2, "$stored"))
    found = series.get(KEY)
    assert found is not None
    assert found.holes[0].evidence == "$stored"


def test_what_a_symbol_was_given_up_with_is_no_hole_once_it_is_traded_again(series: SeriesStore) -> None:
    assert series.note_gone(KEY, "it ended", NOW, minute(9))
    assert not series.note_gone(KEY, "it ended, later", NOW + MINUTE)
    for one in (hole(1, 2), hole(5, 6, GIVEN_UP)):
        series.record_hole(KEY, one)
    known = series.get(KEY)
    assert known is not None
    assert known.gone == Gone(since=to_datetime(NOW), why="it ended", end=to_datetime(minute(9)))
    other = SeriesKey("sim", "ETHUSDT", "1m")
    series.record_hole(other, hole(5, 6, GIVEN_UP))
    series.note_back([KEY, other])
    back, unchanged = series.get(KEY), series.get(other)
    assert back is not None
    assert unchanged is not None
    assert (back.gone, back.holes) == (None, [hole(1, 2)])
    assert unchanged.holes == [hole(5, 6, GIVEN_UP)], "it was never gone"


def test_a_hole_that_was_filled_is_forgotten(series: SeriesStore) -> None:
    for one in (hole(1, 2), hole(5, 6)):
        series.record_hole(KEY, one)
    series.forget_holes(KEY, minute(0), minute(3))
    found = series.get(KEY)
    assert found is not None
    assert found.holes == [hole(5, 6)]


def test_listing_and_watermarks(series: SeriesStore) -> None:
    mark = Watermark(at=to_datetime(minute(9)), settings="rsi 14")
    series.set_listed(KEY, minute(0))
    seen = series.get(KEY)
    assert seen is not None
    assert series.derived(seen, mark, None, [])
    found = series.get(KEY)
    assert found is not None
    assert (found.listed, found.indicators, found.signals) == (to_datetime(minute(0)), mark, None)


def test_list_by_exchange_symbol_and_interval(series: SeriesStore) -> None:
    keys = [SeriesKey(e, s, i) for e in ("demo", "sim") for s in ("BTCUSDT", "ETHUSDT") for i in ("1h", "1m")]
    for key in keys:
        series.set_listed(key, minute(0))
    assert [one.id for one in series.list()] == sorted(map(str, keys))
    assert [one.id for one in series.list("sim", "ETHUSDT", "1m")] == ["sim:ETHUSDT:1m"]
    assert len(series.list(symbol="BTCUSDT")) == 4
