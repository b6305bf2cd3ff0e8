"""The candle store on a real mongod: what is written is loaded back, and of two writers the right one wins."""

import asyncio
import math
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from pipeline.candle import Candle, CandleWrite, IndicatorWrite
from pipeline.errors import UsageError
from pipeline.store.candles import store as module
from pipeline.store.candles.codec import BrokenBucketError
from pipeline.store.candles.coverage import SlotState
from pipeline.store.candles.frame import FRAME_SCHEMA, FrameError
from pipeline.store.candles.live import AsyncCandleWriter, WriteReport
from pipeline.store.candles.store import BucketBusyError, CandleStore
from pipeline.store.prepare import prepare
from pipeline.timeline import INTERVALS, MINUTE, interval, to_datetime, to_ms
from schemas.candles import CANDLE_FIELDS, CANDLES, INDICATOR_FIELDS
from schemas.series import SeriesKey
from tests.live_writer import write_live

KEY = SeriesKey("sim", "BTCUSDT", "1m")
T0 = interval("1m").bucket(1_700_000_000_000).start
NAN = float("nan")


@pytest.fixture
def store(db: Any) -> CandleStore:
    prepare(db, [CANDLES])
    return CandleStore(db)


def minute(number: int) -> int:
    return T0 + number * MINUTE


def history(
    numbers: Sequence[int], price: float = 100.0, u: int = 0, closed: bool = True, code: str = "1m"
) -> pl.DataFrame:
    """Candles by number since T0; the price says which writer they come from."""
    step = interval(code)
    t = [step.after(T0, number) for number in numbers]
    columns = {name: [price] * len(t) for name in FRAME_SCHEMA} | {
        "t": t,
        "te": [step.close_time(one) for one in t],
        "trades": [7] * len(t),
        "closed": [closed] * len(t),
        "u": [step.close_time(one) + 1 + u for one in t],
    }
    columns |= dict.fromkeys(INDICATOR_FIELDS, [NAN] * len(t))
    return pl.DataFrame(columns).select(pl.col(name).cast(kind) for name, kind in FRAME_SCHEMA.items())


def live(
    number: int, price: float, u: int, closed: bool = False, authority: bool = False, key: SeriesKey = KEY
) -> CandleWrite:
    prices = (price,) * 6
    return CandleWrite(
        key, Candle(minute(number), *prices, 7, price, price, closed, minute(number) + u), authority=authority
    )


def everything(store: CandleStore, key: SeriesKey = KEY) -> pl.DataFrame:
    return store.load(key, T0 - 300 * MINUTE, T0 + 3_000 * MINUTE)


def prices(store: CandleStore) -> dict[int, tuple[float, bool]]:
    frame = everything(store)
    numbers = ((frame["t"].cast(pl.Int64) - T0) // MINUTE).to_list()
    return dict(zip(numbers, zip(frame["close"], frame["closed"], strict=True), strict=True))


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param(range(1000), id="across buckets"),
        pytest.param(range(240), id="exactly one"),
        pytest.param([0], id="one candle"),
        pytest.param([3, 5, 239, 240, 900], id="with holes"),
        pytest.param(range(-50, 50), id="not from a bucket's start"),
    ],
)
def test_what_is_written_is_loaded_back(store: CandleStore, numbers: Sequence[int]) -> None:
    frame = history(numbers)
    assert store.replace_closed(KEY, frame) == WriteReport(len(numbers), len(numbers), 0, 0)
    assert everything(store).equals(frame)
    assert everything(store).schema == pl.Schema(FRAME_SCHEMA)
    assert store.replace_closed(KEY, frame) == WriteReport(len(numbers), 0, len(numbers), 0)


@pytest.mark.parametrize("code", INTERVALS)
def test_every_interval_is_loaded_back(store: CandleStore, code: str) -> None:
    key, step = SeriesKey("sim", "BTCUSDT", code), interval(code)
    start = step.ceil(T0)
    t = [step.after(start, number) for number in range(300)]
    frame = history(range(300)).with_columns(
        pl.Series("t", t).cast(FRAME_SCHEMA["t"]),
        pl.Series("te", [step.close_time(one) for one in t]).cast(FRAME_SCHEMA["t"]),
    )
    store.replace_closed(key, frame)
    assert store.load(key, start, t[-1]).equals(frame)
    assert store.load(key, t[100], t[199]).equals(frame[100:200])


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 999, range(1000)),
        (0, 0, range(1)),
        (239, 240, range(239, 241)),
        (240, 479, range(240, 480)),
        (500.5, 600.5, range(501, 601)),
        (1000, 2000, range(0)),
        (20, 10, range(0)),
        (20.5, 20.6, range(0)),
    ],
)
def test_load_takes_what_opens_between_both_ends(store: CandleStore, start: float, end: float, expected: range) -> None:
    store.replace_closed(KEY, history(range(1000)))
    store.replace_closed(SeriesKey("sim", "BTCUSDT", "3m"), history(range(10), code="3m"))
    found = store.load(KEY, T0 + int(start * MINUTE), T0 + int(end * MINUTE))
    assert [to_ms(t) for t in found["t"]] == [minute(number) for number in expected]


def test_more_candles_than_there_was_room_for(store: CandleStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROOM", 10)
    monkeypatch.setattr(module, "BUCKETS_A_BATCH", 2)
    store.replace_closed(KEY, history(range(2_000)))
    assert store.load(KEY, T0, minute(1_999)).equals(history(range(2_000)))


def test_columns_are_those_asked_for_in_that_order(store: CandleStore) -> None:
    store.replace_closed(KEY, history(range(300)))
    assert store.load(KEY, T0, minute(299), ["close", "t"]).equals(history(range(300)).select("close", "t"))
    assert store.load(KEY, 0, 0, ["close", "t"]).equals(history([]).select("close", "t"))
    with pytest.raises(UsageError, match="no column price"):
        store.load(KEY, 0, 0, ["price"])


def test_presence_tells_missing_open_and_closed(store: CandleStore, db: Any) -> None:
    store.replace_closed(KEY, history([0, 1, 239, 241, 500]))
    write_live(db, [live(501, 1.0, 5)])
    states = store.presence(KEY, minute(-2), minute(600))
    assert len(states) == 603
    found = {int(where) - 2: SlotState(states[where]) for where in np.flatnonzero(states)}
    assert found == dict.fromkeys([0, 1, 239, 241, 500], SlotState.CLOSED) | {501: SlotState.OPEN}
    assert store.presence(KEY, minute(241), minute(241)).tolist() == [SlotState.CLOSED]


def test_a_bucket_reads_as_plain_documents(store: CandleStore, db: Any) -> None:
    store.replace_closed(KEY, history([0, 2]))
    bucket = db.candles.find_one()
    assert list(bucket) == ["_id", "exchange", "symbol", "interval", "start", "rev", "stored", "audited", "candles"]
    assert bucket["_id"] == "sim:BTCUSDT:1m:2023-11-14T20:00:00Z"
    assert bucket["candles"][1] is None
    assert tuple(bucket["candles"][2]) == CANDLE_FIELDS
    assert len(bucket["candles"]) == 240


GUARD_CASES = [
    # writes by price: (kind, price, event time, closed) -> the price and state that remain
    pytest.param([("live", 1, 5, False), ("live", 2, 6, False)], (2, False), id="newer open wins"),
    pytest.param([("live", 1, 6, False), ("live", 2, 5, False)], (1, False), id="older open loses"),
    pytest.param([("live", 1, 5, False), ("live", 2, 5, False)], (2, False), id="same event time: the greater"),
    pytest.param([("live", 2, 5, False), ("live", 1, 5, False)], (2, False), id="whichever comes first"),
    pytest.param([("live", 1, 5, False), ("live", 2, 4, True)], (2, True), id="close beats a newer open"),
    pytest.param([("live", 1, 5, True), ("live", 2, 9, False)], (1, True), id="closed never reopens"),
    pytest.param([("live", 1, 5, True), ("live", 2, 9, True)], (1, True), id="the stream does not correct"),
    pytest.param([("live", 1, 5, True), ("rest", 2, 9, True)], (2, True), id="REST corrects"),
    pytest.param([("live", 1, 5, True), ("truth", 2, 9, True)], (2, True), id="REST corrects through a live write"),
    pytest.param([("rest", 1, 5, True), ("live", 2, 9, True)], (1, True), id="REST stays"),
    pytest.param([("rest", 1, 5, True), ("rest", 2, 9, False)], (1, True), id="REST does not reopen"),
    pytest.param([("rest", 1, 5, True), ("truth", 2, 9, False)], (1, True), id="nor through a live write"),
    pytest.param([("live", 1, 9, False), ("rest", 2, 5, False)], (1, False), id="older REST open loses"),
    pytest.param([("live", 1, 5, False), ("rest", 2, 9, False)], (2, False), id="newer REST open wins"),
    pytest.param([("live", 1, 9, False), ("rest", 2, 5, True)], (2, True), id="REST closes"),
]


@pytest.mark.parametrize(("writes", "remains"), GUARD_CASES)
async def test_of_two_writers_the_right_one_wins(
    store: CandleStore, async_db: Any, writes: list[tuple[str, int, int, bool]], remains: tuple[int, bool]
) -> None:
    writer = AsyncCandleWriter(async_db)
    for kind, price, u, closed in writes:
        if kind == "rest":
            moment = pl.lit(minute(3) + u).cast(FRAME_SCHEMA["u"])
            store.replace_closed(KEY, history([3], price, closed=closed).with_columns(u=moment))
        else:
            await writer.write([live(3, price, u, closed, authority=kind == "truth")])
    assert prices(store) == {3: remains}


async def test_one_bulk_over_many_series(store: CandleStore, async_db: Any) -> None:
    keys = [SeriesKey("sim", f"S{number}USDT", "1m") for number in range(50)]
    writer = AsyncCandleWriter(async_db)
    assert await writer.write([live(3, 1.0, 5, key=key) for key in keys]) == WriteReport(50, 50, 0, 0)
    await writer.write([live(3, 2.0, 4 + number % 3, key=key) for number, key in enumerate(keys)])
    assert await writer.write([]) == WriteReport()
    assert [everything(store, key)["close"].to_list() for key in keys] == [[2.0 if n % 3 else 1.0] for n in range(50)]
    closes = [live(3, 3.0, 9, closed=True, key=key) for key in keys]
    assert await writer.write(closes[:20]) == WriteReport(20, 20, 0, 0)
    assert await writer.write(closes) == WriteReport(50, 30, 0, 20)


async def test_a_dropped_bucket_is_made_again(store: CandleStore, db: Any, async_db: Any) -> None:
    writer = AsyncCandleWriter(async_db)
    await writer.write([live(3, 1.0, 5)])
    db.candles.delete_many({})
    assert await writer.write([live(4, 2.0, 5), live(5, 2.0, 5)]) == WriteReport(2, 2, 0, 0)
    assert prices(store) == {4: (2.0, False), 5: (2.0, False)}


async def test_indicators_are_written_to_closed_candles_alone(store: CandleStore, async_db: Any) -> None:
    """Not to one that is open, which they do not belong to, and not to one that is not stored."""
    writer = AsyncCandleWriter(async_db)
    await writer.write([live(3, 1.0, 5, closed=True), live(5, 1.0, 5)])
    values = tuple(float(number) for number in range(len(INDICATOR_FIELDS)))
    assert await writer.write_indicators([IndicatorWrite(KEY, minute(n), values) for n in (3, 4, 5)]) == 1
    stored = dict(zip((3, 5), everything(store).select(INDICATOR_FIELDS).rows(), strict=True))
    assert stored[3] == values
    assert all(math.isnan(value) for value in stored[5])
    assert await writer.write_indicators([]) == 0


async def test_two_ingesters_that_create_the_same_buckets(store: CandleStore, async_db: Any) -> None:
    """Both see no bucket, both create it; every candle arrives."""
    writers = [AsyncCandleWriter(async_db) for _ in range(4)]
    reports = await asyncio.gather(
        *(
            writer.write([live(240 * bucket + number, 1.0, 5) for bucket in range(5)])
            for number, writer in enumerate(writers)
        )
    )
    assert sum(report.written for report in reports) == 20
    assert everything(store).height == 20


def test_indicators_stay_where_the_market_did_not_change(store: CandleStore) -> None:
    store.replace_closed(KEY, history(range(10), u=0))
    store.set_indicators(KEY, everything(store).select("t", "u").with_columns(rsi=pl.lit(55.0)))
    corrected = pl.concat([history(range(5), u=1), history(range(5, 10), 101.0)])
    assert store.replace_closed(KEY, corrected) == WriteReport(10, 5, 5, 0)
    found = everything(store)
    assert found["rsi"].to_list()[:5] == [55.0] * 5
    assert found["rsi"].is_nan().to_list() == [False] * 5 + [True] * 5
    assert found["u"].to_list()[:5] == history(range(5))["u"].to_list()


def test_an_open_candle_that_closes_unchanged_keeps_its_indicators(store: CandleStore) -> None:
    store.replace_closed(KEY, history([1], closed=False).with_columns(rsi=pl.lit(55.0)))
    store.replace_closed(KEY, history([1], u=1))
    assert everything(store).select("closed", "rsi").rows() == [(True, 55.0)]


def test_set_indicators_touches_existing_candles_alone_and_only_what_changed(store: CandleStore, db: Any) -> None:
    store.replace_closed(KEY, history([0, 1, 240]))
    values = pl.DataFrame({"t": [minute(n) for n in (0, 1, 2, 300)], "rsi": [1.0, 2.0, 3.0, 4.0]})
    assert store.set_indicators(KEY, values) == WriteReport(4, 2, 0, 2)
    assert store.set_indicators(KEY, values) == WriteReport(4, 0, 2, 2)
    assert everything(store)["rsi"].to_list()[:2] == [1.0, 2.0]
    assert everything(store).drop("rsi").equals(history([0, 1, 240]).drop("rsi"))
    assert [bucket["rev"] for bucket in db.candles.find().sort("_id", 1)] == [2, 1]


def test_set_indicators_leaves_the_others_as_they_are(store: CandleStore) -> None:
    store.replace_closed(KEY, history([0]))
    t = pl.lit(minute(0)).alias("t")
    store.set_indicators(KEY, pl.select(t, rsi=1.0, atr=2.0))
    store.set_indicators(KEY, pl.select(t, atr=NAN, sma7=3.0))
    assert everything(store).select("rsi", "sma7").rows() == [(1.0, 3.0)]
    assert everything(store)["atr"].is_nan().all()


def test_a_bucket_under_another_start_is_refused_by_name(store: CandleStore, db: Any) -> None:
    store.replace_closed(KEY, history([0]))
    db.candles.update_one({}, {"$set": {"start": to_datetime(minute(240))}})
    with pytest.raises(BrokenBucketError, match="another `start`"):
        store.replace_closed(KEY, history([1]))


def test_indicators_of_a_candle_that_was_rewritten_since_are_not_stored(store: CandleStore, db: Any) -> None:
    write_live(db, [live(0, 1.0, 5), live(1, 1.0, 5)])
    loaded = everything(store).select("t", "u").with_columns(rsi=pl.lit(9.0))
    write_live(db, [live(1, 2.0, 6)])
    assert store.set_indicators(KEY, loaded) == WriteReport(2, 1, 0, 1)
    assert everything(store)["rsi"].is_nan().to_list() == [False, True]


def _lacks(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.drop("close")


def _null(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(close=pl.when(pl.col("t") == pl.col("t").max()).then(None).otherwise(pl.col("close")))


def _off_grid(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(t=pl.col("t") + pl.duration(milliseconds=1))


def _twice(frame: pl.DataFrame) -> pl.DataFrame:
    return pl.concat([frame, frame.tail(1)])


def _text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(close=pl.lit("dear"))


def _not_a_number(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(volume=pl.Series([1.0, NAN, 1.0]))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (_not_a_number, "volume is nan in row 1"),
        (_lacks, "lacks the columns close"),
        (_null, "close has no value in row 2"),
        (_off_grid, "no 1m candle opens at 2023-11-14T20:00:00.001Z"),
        (_twice, "20:02:00Z is in the table twice"),
        (_text, "close is String"),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_a_bad_table_is_refused_whole(store: CandleStore, spoil: Any, says: str) -> None:
    with pytest.raises(FrameError, match=says):
        store.replace_closed(KEY, spoil(history(range(3))))
    assert everything(store).is_empty()


def test_an_unsorted_table_is_sorted(store: CandleStore) -> None:
    store.replace_closed(KEY, history([5, 3, 4]).with_columns(close=pl.Series([5.0, 3.0, 4.0])))
    assert prices(store) == {3: (3.0, True), 4: (4.0, True), 5: (5.0, True)}


def test_a_bucket_edited_by_hand_is_mended_by_the_next_write(store: CandleStore, db: Any) -> None:
    store.replace_closed(KEY, history(range(240)))
    edit = {"$set": {"candles.3.open": 4, "candles.4.trades": 9}, "$unset": {"rev": 1}}
    db.command("update", "candles", updates=[{"q": {}, "u": edit}], bypassDocumentValidation=True)
    assert everything(store)["open"].to_list()[3] == 4.0
    assert store.replace_closed(KEY, history(range(240))) == WriteReport(240, 2, 238, 0)
    assert everything(store).equals(history(range(240)))


class _Interfering(CandleStore):
    """Lets somebody else write between the read and the write."""

    def __init__(self, db: Any, interfere: Any) -> None:
        super().__init__(db)
        self._interfere = interfere

    def _stored(self, *arguments: Any) -> Any:
        found = super()._stored(*arguments)
        self._interfere()
        return found


@pytest.mark.parametrize("stored_before", [True, False], ids=["bucket there", "bucket new"])
def test_a_write_between_read_and_replace_is_not_lost(store: CandleStore, db: Any, stored_before: bool) -> None:
    if stored_before:
        store.replace_closed(KEY, history([100]))
    moves = iter(range(20, 30))
    between = _Interfering(db, lambda: write_live(db, [live(next(moves), 5.0, 5)]))
    assert between.replace_closed(KEY, history(range(10))).written == 10
    found = prices(store)
    assert {found[number] for number in range(10)} == {(100.0, True)}
    assert found[20] == (5.0, False)


def test_a_slot_that_is_contested_at_every_attempt_ends_in_an_error_and_loses_nothing(
    store: CandleStore, db: Any
) -> None:
    price = iter(range(1, 1_000))

    def correct() -> None:
        write_live(db, [live(3, float(next(price)), 5, closed=True, authority=True)])

    with pytest.raises(BucketBusyError, match=f"{module.ATTEMPTS} times in a row"):
        _Interfering(db, correct).replace_closed(KEY, history([3, 4]))
    assert prices(store) == {3: (float(module.ATTEMPTS), True), 4: (100.0, True)}


def test_two_backfills_and_a_live_writer_at_once(store: CandleStore, db: Any) -> None:
    """All write the same six buckets at the same time: nothing is lost, nothing reopens."""
    count, failures = 1_440, []
    start = threading.Barrier(4)

    def backfill(chunk: int, reverse: bool) -> None:
        own = CandleStore(db)
        starts = range(0, count, chunk)
        for first in reversed(starts) if reverse else starts:
            own.replace_closed(KEY, history(range(first, min(first + chunk, count))))

    def stream() -> None:
        for number in range(count + 50):
            write_live(db, [live(number, 50.0, 5), live(number, 51.0, 6, closed=number % 2 == 0)])

    def indicators() -> None:
        own = CandleStore(db)
        own.set_indicators(KEY, own.load(KEY, T0, minute(count)).select("t", "u").with_columns(rsi=pl.lit(1.0)))

    def run(task: Any, *arguments: Any) -> None:
        try:
            start.wait()
            task(*arguments)
        except Exception as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [
        threading.Thread(target=run, args=arguments)
        for arguments in ((backfill, 97, False), (backfill, 240, True), (stream,), (indicators,))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert failures == []
    found = prices(store)
    assert [number for number in range(count) if found[number] != (100.0, True)] == []
    assert {found[number] for number in range(count, count + 50)} == {(51.0, True), (51.0, False)}
    assert len(found) == count + 50
    assert [number for number in found if found[number][1] and number >= count and number % 2] == []


def test_reports_add_up() -> None:
    one = WriteReport(4, 3, 1, 0)
    assert one + replace(one, refused=2) == WriteReport(8, 6, 2, 2)


@pytest.mark.parametrize("code", ["1m", "1h"])
@pytest.mark.parametrize(("first", "last"), [(-50, 600), (3, 3), (100, 260), (239, 240), (500, 700), (900, 950)])
def test_what_candles_closed_at_is_read_without_the_rest_of_them(
    store: CandleStore, code: str, first: int, last: int
) -> None:
    key, step = SeriesKey("sim", "BTCUSDT", code), interval(code)
    numbers = [number for number in range(520) if number % 7 or number < 240]
    table = history(numbers, code=code).with_columns(pl.int_range(pl.len()).cast(pl.Float64).alias("close"))
    store.replace_closed(key, table)
    start, end = step.after(T0, first), step.after(T0, last)
    loaded = store.load(key, start, end, ("t", "close"))
    wanted = dict(zip(loaded["t"].cast(pl.Int64), loaded["close"], strict=True))
    assert store.closes(key, start, end) == wanted
