"""Batches on their way to the database: in portions, in order, and back to the core where they were not taken."""

import asyncio

import pytest
from pymongo.errors import AutoReconnect

from pipeline.candle import Candle, CandleWrite, IndicatorWrite
from pipeline.finding import Finding
from pipeline.ingest import writer as module
from pipeline.ingest.core import Core
from pipeline.ingest.events import NO_CANDLES, Batch
from pipeline.ingest.telemetry import Metrics
from pipeline.ingest.window import Recipe
from pipeline.ingest.writer import Writer
from pipeline.store.candles.live import WriteReport
from pipeline.store.candles.store import CandleStore
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.timeline import Window, interval, to_ms
from schemas.series import SeriesKey

KEY = SeriesKey("sim", "BTCUSDT", "1m")
STEP = interval("1m")
START = STEP.bucket(1_760_000_000_000).start


def candle(number, *, closed=True):
    t = STEP.after(START, number)
    return Candle(t, 1.0, 2.0, 0.5, 1.5, 3.0, 4.0, 5, 1.0, 1.0, closed, t + 60_000)


def write(number):
    return CandleWrite(KEY, candle(number), None, authority=False)


async def until(so):
    while not so():  # noqa: ASYNC110 - the database tells nobody
        await asyncio.sleep(0.01)


@pytest.fixture
def core():
    core = Core(Recipe(lambda *_: (float("nan"),) * 9, 11))
    core.watch(KEY, settled=STEP.after(START, -1), history=NO_CANDLES, decimals=1)
    return core


@pytest.fixture
def writer(core, db, async_db):
    prepare(db)
    return Writer(
        core,
        async_db,
        Metrics(),
        every=0.25,
        write_timeout=5.0,
        refill=lambda: None,
        now=lambda: START,
        corrected=lambda _: None,
    )


@pytest.mark.parametrize(
    ("candles", "values", "portions"), [(3, 2, [5]), (7, 0, [3, 3, 1, 0]), (4, 4, [3, 1, 3, 1, 0])]
)
def test_a_batch_in_portions(candles, values, portions):
    batch = Batch(tuple(map(write, range(candles))), tuple(IndicatorWrite(KEY, n, ()) for n in range(values)))
    pieces = list(batch.pieces(5 if portions == [5] else 3))
    assert [len(one.candles) + len(one.indicators) for one in pieces] == portions
    assert sum((one.candles for one in pieces), ()) == batch.candles
    assert sum((one.indicators for one in pieces), ()) == batch.indicators


async def test_what_the_database_did_not_take_goes_back_in_its_order(writer, core, db, monkeypatch):
    monkeypatch.setattr(module, "MOST_AT_ONCE", 2)
    send, sent = writer._candles.write, []

    async def breaks_after_one(candles):
        if sent:
            raise AutoReconnect("gone")
        sent.extend(candles)
        return await send(candles)

    monkeypatch.setattr(writer._candles, "write", breaks_after_one)
    for number in range(5):
        core.frame(KEY, candle(number), candle(number).u)
    assert not await writer.flush()
    left = core.take()
    assert [one.candle.t for one in left.candles] == [candle(number).t for number in (2, 3, 4)]
    core.put_back(left)
    monkeypatch.setattr(writer._candles, "write", send)
    assert await writer.flush()
    stored = CandleStore(db).load(KEY, START, STEP.after(START, 9))
    assert stored["closed"].to_list() == [True] * 5


@pytest.mark.parametrize("gap_is_filled", ["before the database is back", "while it is refilled"])
async def test_a_candle_that_was_shed_while_open_in_the_store_does_not_get_the_indicators_of_its_close(
    db, async_db, gap_is_filled
):
    """Candle 1 is stored open, behind a gap; the database goes; it closes, and so do two more; the outbox keeps two
    candles, so candle 1 is to be fetched again. The gap before them is filled: their indicators are known now."""
    prepare(db)
    core = Core(Recipe(lambda *_: (7.0,) * 9, 11), outbox_limit=2)
    refilled = []

    def refill():
        refilled.extend(core.unsaved.values())
        core.unsaved.clear()

    writer = Writer(
        core,
        async_db,
        Metrics(),
        every=0.25,
        write_timeout=5.0,
        refill=refill,
        now=lambda: START,
        corrected=lambda _: None,
    )
    core.watch(KEY, settled=STEP.after(START, -1), history=NO_CANDLES, decimals=1)
    core.frame(KEY, candle(1, closed=False)._replace(u=candle(1).t + 1), candle(1).t + 1)
    assert await writer.flush()
    for number in (1, 2, 3):
        core.frame(KEY, candle(number), candle(number).u)
    core.put_back(core.take())
    if gap_is_filled == "while it is refilled":
        assert await writer.flush()
    core.frame(KEY, candle(0), candle(3).u)
    assert await writer.flush()
    stored = CandleStore(db).load(KEY, START, STEP.after(START, 3), ("closed", "rsi")).rows()
    assert [closed for closed, _ in stored] == [True, False, True, True]
    assert [rsi == 7.0 for _, rsi in stored] == [True, False, True, True]
    assert refilled == [Window(candle(1).t, candle(1).t)]


async def test_open_candles_are_written_in_turns_and_closed_ones_first(writer, core, monkeypatch):
    monkeypatch.setattr(module, "OPEN_AT_ONCE", 2)
    keys = [SeriesKey("sim", f"S{number}USDT", "1m") for number in range(5)]
    writes = []

    async def collect(candles):
        writes.append([(one.key, one.candle.closed) for one in candles])
        if len(writes) == 1:
            core.frame(keys[0], candle(0, closed=False)._replace(u=START + 2), START)
            core.frame(keys[4], candle(0), candle(0).u)
        return WriteReport(len(candles), len(candles))

    monkeypatch.setattr(writer._candles, "write", collect)
    for key in keys:
        core.watch(key, settled=STEP.after(START, -1), history=NO_CANDLES, decimals=1)
        core.frame(key, candle(0, closed=False)._replace(u=START + 1), START)
    assert await writer.flush()
    assert writes == [
        [(keys[0], False), (keys[1], False)],
        [(keys[4], True), (keys[2], False), (keys[3], False)],
        [(keys[0], False)],
    ]
    assert not core.take()


async def test_progress_that_was_not_written_down_is_told_again(writer, core, db, monkeypatch):
    core.frame(KEY, candle(0), candle(0).u)
    assert await writer.flush()
    series = writer._series

    class Gone:
        async def bulk_write(self, *_, **__):
            raise AutoReconnect("gone")

    monkeypatch.setattr(writer, "_series", Gone())
    await writer.tell_progress()
    assert SeriesStore(db).get(KEY) is None
    monkeypatch.setattr(writer, "_series", series)
    await writer.tell_progress()
    assert to_ms(SeriesStore(db).get(KEY).last_closed) == candle(0).t


async def test_a_close_that_is_stored_while_progress_is_told_and_is_no_newer_is_told_next(
    writer, core, db, monkeypatch
):
    """The exchange said of it before the frame that is told of, as REST does of what a stream left out."""
    core.frame(KEY, candle(0), candle(0).u)
    assert await writer.flush()
    series = writer._series

    class Slow:
        async def bulk_write(self, *arguments, **options):
            core.frame(KEY, candle(1)._replace(u=candle(0).u), candle(1).u)
            assert await writer.flush()
            return await series.bulk_write(*arguments, **options)

    monkeypatch.setattr(writer, "_series", Slow())
    await writer.tell_progress()
    monkeypatch.setattr(writer, "_series", series)
    await writer.tell_progress()
    assert to_ms(SeriesStore(db).get(KEY).last_closed) == candle(1).t


async def test_of_many_series_those_are_told_first_that_closed_or_wait_longest(writer, core, db, monkeypatch):
    keys = [SeriesKey("sim", f"S{number}USDT", "1m") for number in range(5)]
    for key in keys:
        core.watch(key, settled=STEP.after(START, -1), history=NO_CANDLES, decimals=1)

    async def told_of(moment, *, most, closing=None):
        for key in keys:
            core.frame(key, candle(0, closed=key == closing)._replace(u=START + moment), START + moment)
        assert await writer.flush()
        await writer.tell_progress(most)
        stored = {one["symbol"]: to_ms(one["last_frame"]) - START for one in db.series.find()}
        return [stored.get(key.symbol) for key in keys]

    assert await told_of(1, most=2) == [1, 1, None, None, None]
    assert await told_of(2, most=2) == [1, 1, 2, 2, None]
    assert await told_of(60_003, most=2, closing=keys[3]) == [60_003, 1, 2, 60_003, 60_003]
    assert await told_of(60_004, most=None) == [60_004, 60_004, 60_004, 60_003, 60_004]


async def test_each_signal_is_a_line_and_a_flood_is_counted(writer, caplog):
    caplog.set_level("INFO")

    def found(number):
        return Finding(
            SeriesKey("sim", f"S{number}USDT", "1m"), "cross", "entry", "short", START, 70952.0, 1.0, {}, "x"
        )

    await writer._write_signals(Batch((), (), (found(0),)))
    assert [one.message for one in caplog.records] == ["signal S0USDT short entry @ 70952.0 by cross 1m"]
    await writer._write_signals(Batch((), (), (found(0),)))
    assert len(caplog.records) == 1, "what is stored already is not said again"
    caplog.clear()
    await writer._write_signals(Batch((), (), tuple(map(found, range(10, 40)))))
    assert [one.message for one in caplog.records][-2:] == [
        "signal S29USDT short entry @ 70952.0 by cross 1m",
        "and 10 more signals at this close",
    ]
    assert writer._metrics.hour.signals == 31


async def test_it_flushes_less_often_while_the_process_is_behind(writer):
    assert writer._pause() == 0.25
    writer._took = 0.1
    assert writer._pause() == pytest.approx(0.15)
    writer._took = 0.9
    assert writer._pause() == 0.0
    writer._metrics.is_behind = True
    assert writer._pause() == 1.0


async def test_what_closed_waits_for_no_open_candle(writer, core, db, monkeypatch):
    send, database_is_slow = writer._candles.write, asyncio.Event()
    other = SeriesKey("sim", "ETHUSDT", "1m")
    core.watch(other, settled=STEP.after(START, -1), history=NO_CANDLES, decimals=1)
    waiting = asyncio.Event()

    async def slow_for_open(candles):
        if not any(one.candle.closed for one in candles):
            waiting.set()
            await database_is_slow.wait()
        return await send(candles)

    monkeypatch.setattr(writer._candles, "write", slow_for_open)
    lanes = [asyncio.create_task(one) for one in (writer.keep_closed(), writer.keep_open())]
    try:
        core.frame(other, candle(0, closed=False)._replace(u=START + 1), START)
        writer.changed()
        async with asyncio.timeout(30):
            await waiting.wait()
            core.frame(KEY, candle(0), candle(0).u)
            writer.changed()
            await until(lambda: CandleStore(db).load(KEY, START, START).height)
            assert not CandleStore(db).load(other, START, START).height
            database_is_slow.set()
            await until(lambda: CandleStore(db).load(other, START, START).height)
    finally:
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)


async def test_what_closed_while_the_database_was_away_is_written_when_it_is_back(writer, core, db, monkeypatch):
    send, away = writer._candles.write, [True]
    tried = asyncio.Event()

    async def fails(candles):
        if away[0]:
            tried.set()
            raise AutoReconnect("gone")
        return await send(candles)

    monkeypatch.setattr(writer._candles, "write", fails)
    monkeypatch.setattr(writer, "_every", 0.01)
    lanes = [asyncio.create_task(one) for one in (writer.keep_closed(), writer.keep_open())]
    try:
        core.frame(KEY, candle(0, closed=False)._replace(u=START + 1), START)
        writer.changed()
        async with asyncio.timeout(30):
            await tried.wait()
            core.frame(KEY, candle(0), candle(0).u)
            writer.changed()
            core.frame(KEY, candle(1, closed=False)._replace(u=candle(1).t + 1), candle(1).t)
            writer.changed()
            away[0] = False
            both = CandleStore(db).load
            await until(lambda: both(KEY, START, STEP.after(START, 1))["closed"].to_list() == [True, False])
    finally:
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
