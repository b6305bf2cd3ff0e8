"""Signals from the live core: each said once at the settle of its candle, written after it, and kept while the database
is away; what is shown of an open candle comes and goes; a correction leaves a mark."""

import asyncio
from collections.abc import Iterable
from typing import Any, ClassVar

import pytest
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from pipeline.candle import Candle
from pipeline.finding import Finding
from pipeline.ingest.core import Core
from pipeline.ingest.events import Answer, ClosedCandles, Shown
from pipeline.ingest.telemetry import Metrics
from pipeline.ingest.window import Recipe
from pipeline.ingest.writer import Writer
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.store.signals.write import AsyncSignalWriter
from pipeline.timeline import MINUTE, Window, interval, to_datetime
from schemas.series import SeriesKey

KEY = SeriesKey("sim", "BTCUSDT", "1m")
STEP = interval("1m")
T = 1_760_000_040_000 // MINUTE * MINUTE


def value_of(first: int, columns: Any, decimals: int) -> tuple[float, ...]:
    return (float(first),) * 9


class Above100:
    """Says something of every candle that closes above 100, and notes what it is told besides."""

    corrections: ClassVar[list[SeriesKey]] = []

    def __init__(self, key: SeriesKey, _decimals: int) -> None:
        self.key = key

    def closed(self, first: int, columns: Any, _stored: Any) -> tuple[Finding, ...]:
        opened = STEP.open_time(first + columns.shape[1] - 1)
        close = float(columns[3, -1])
        said = Finding(self.key, "above", "entry", "long", opened, close, 1.0, {"close": close}, "above()")
        return (said,) if close > 100 else ()

    opened = closed

    def corrected(self) -> None:
        self.corrections.append(self.key)


def candle(number: int, close: float, *, after: int = 30_000, closed: bool = True) -> Candle:
    opened = T + number * MINUTE
    said = opened + (MINUTE + 200 if closed else after)
    return Candle(opened, 100.0, max(close, 100.0), min(close, 100.0), close, 5.0, 500.0, 3, 2.0, 200.0, closed, said)


def at(number: int) -> int:
    return T + number * MINUTE


def core(*, shows_open: bool = False, outbox_limit: int = 100, history: Iterable[Candle] = ()) -> Core:
    made = Core(Recipe(value_of, 10, Above100, shows_open), outbox_limit=outbox_limit)
    made.watch(KEY, settled=T - MINUTE, history=ClosedCandles.of(history), decimals=1)
    made.connected([KEY], T)
    return made


def said(core: Core) -> list[int]:
    return [finding.t for finding in core.take().signals]


def test_a_signal_is_said_once_at_the_close_and_travels_with_its_candle() -> None:
    live = core()
    live.frame(KEY, candle(0, 101.0, closed=False), at(0))
    assert said(live) == []
    live.frame(KEY, candle(0, 101.0), at(1))
    live.frame(KEY, candle(0, 101.0), at(1))
    assert live.closes_waiting()
    batch = live.take()
    assert [write.t for write in batch.candles] == [one.t for one in batch.signals] == [at(0)]
    live.frame(KEY, candle(1, 99.0), at(2))
    assert said(live) == []


def test_behind_a_gap_nothing_is_said_until_it_is_filled() -> None:
    live = core()
    live.frame(KEY, candle(1, 102.0), at(2))
    assert said(live) == []
    live.answer(Answer(KEY, Window(at(0), at(0)), (candle(0, 101.0),), at(2)), at(2))
    assert said(live) == [at(0), at(1)]


def test_what_could_not_be_written_is_said_again_before_what_came_since() -> None:
    live = core()
    live.frame(KEY, candle(0, 101.0), at(1))
    lost = live.take()
    live.frame(KEY, candle(1, 102.0), at(2))
    live.put_back(lost)
    assert said(live) == [at(0), at(1)]


def test_what_cannot_be_kept_is_named_to_be_computed_again() -> None:
    live = core(outbox_limit=1)
    for number in range(3):
        live.frame(KEY, candle(number, 101.0), at(number + 1))
    live.put_back(live.take())
    assert said(live) == [at(2)]
    assert live.unsaved == {KEY: Window(at(0), at(1))}


def test_a_start_says_the_newest_candle_again_because_the_last_process_may_have_died_before_it_could() -> None:
    assert said(core(history=[candle(-2, 101.0), candle(-1, 102.0)])) == [at(-1)]


def shown(core: Core) -> list[tuple[int, int]]:
    """(the open candle, how many signals are on it), as told to the store."""
    return [(one.t, len(one.findings)) for one in core.take().shown]


def test_what_is_shown_of_an_open_candle_comes_and_goes_and_ends_with_its_close() -> None:
    live = core(shows_open=True)
    live.take()
    told = []
    for after, close in ((1_000, 101.0), (2_000, 102.0), (3_000, 99.0), (4_000, 98.0), (5_000, 103.0)):
        live.frame(KEY, candle(0, close, after=after, closed=False), at(0))
        told.append(shown(live))
    assert told == [[(at(0), 1)], [], [(at(0), 0)], [], [(at(0), 1)]]
    live.frame(KEY, candle(0, 99.0), at(1))
    batch = live.take()
    assert (batch.signals, batch.shown) == ((), (Shown(KEY, at(0), ()),))
    live.frame(KEY, candle(1, 99.0), at(2))
    assert shown(live) == []


class Below100(Above100):
    """The other way round."""

    def closed(self, first: int, columns: Any, _stored: Any) -> tuple[Finding, ...]:
        opened, close = STEP.open_time(first + columns.shape[1] - 1), float(columns[3, -1])
        said = Finding(self.key, "below", "entry", "short", opened, close, 1.0, {"close": close}, "below()")
        return (said,) if close < 100 else ()

    opened = closed


def other_value_of(first: int, columns: Any, decimals: int) -> tuple[float, ...]:
    return (float(first) + 0.5,) * 9


def test_what_computes_and_says_is_exchanged_between_two_candles_in_every_series() -> None:
    other = SeriesKey("sim", "ETHUSDT", "1m")
    live = core(shows_open=True, history=[candle(-1, 99.0)])
    live.watch(other, settled=T - MINUTE, history=ClosedCandles.of([]), decimals=1)
    live.frame(KEY, candle(0, 101.0), at(1))
    live.frame(KEY, candle(1, 103.0, closed=False), at(1))
    live.frame(other, candle(0, 99.0), at(1))
    before = live.take()
    assert [(one.key, one.strategy) for one in before.signals] == [(KEY, "above")]

    live.use(Recipe(other_value_of, 10, Below100, shows_open=True))
    shown_anew = live.take()
    assert shown_anew.signals == (), "what was said of a final candle stays said, and nothing is said of it again"
    assert [(one.t, len(one.findings)) for one in shown_anew.shown] == [(at(1), 0)], "what is shown is shown anew"

    live.frame(KEY, candle(1, 102.0), at(2))
    live.frame(other, candle(1, 99.0), at(2))
    after = live.take()
    assert [(one.key, one.strategy, one.t) for one in after.signals] == [(other, "below", at(1))]
    values = {one.key: one.indicators for one in after.candles if one.candle.closed}
    assert {key: found[0] % 1 for key, found in values.items()} == {KEY: 0.5, other: 0.5}

    third = SeriesKey("sim", "SOLUSDT", "1m")
    live.watch(third, settled=T + MINUTE, history=ClosedCandles.of([]), decimals=1)
    live.frame(third, candle(2, 99.0), at(3))
    assert [one.strategy for one in live.take().signals] == ["below"], "and so it is of series that are begun later"


def test_what_was_shown_and_may_be_lost_is_shown_again() -> None:
    live = core(shows_open=True)
    live.frame(KEY, candle(0, 101.0, closed=False), at(0))
    live.put_back(live.take())
    assert shown(live) == [(at(0), 1)]


def test_nothing_is_shown_unless_asked_for_but_what_an_earlier_process_showed_is_taken_back() -> None:
    live = core()
    live.frame(KEY, candle(0, 101.0, closed=False), at(0))
    assert shown(live) == []
    live.frame(KEY, candle(0, 101.0), at(1))
    live.frame(KEY, candle(1, 101.0), at(2))
    assert shown(live) == [(at(0), 0)]


# --- into the database ---------------------------------------------------------------------------------------------


class Desk:
    """A core and its writer on a real database."""

    def __init__(self, live: Core, async_db: Any) -> None:
        self.core = live
        self.now = at(1) + 300
        self.corrected: list[SeriesKey] = []
        self.said: list[dict[str, Any]] = []
        self.writer = Writer(
            live,
            async_db,
            Metrics(),
            every=1,
            write_timeout=30,
            refill=lambda: None,
            now=lambda: self.now,
            corrected=self.corrected.extend,
            said=self.said.extend,
        )


async def test_a_signal_is_in_the_database_fresh_when_its_flush_is_done(db: Database[Any], async_db: Any) -> None:
    prepare(db)
    desk = Desk(core(), async_db)
    desk.core.frame(KEY, candle(0, 101.0), at(1))
    assert await desk.writer.flush()
    (stored,) = db["signals"].find()
    assert (stored["verdict"], stored["confirmed"], stored["source"]) == ("fresh", True, "live")
    assert stored["fresh_until"] == to_datetime(at(1) + 30_000)


async def test_a_signal_does_not_wait_until_the_disk_has_its_candle(
    db: Database[Any], async_db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it then does not take the candle, everything is written again, and the signal is there once."""
    prepare(db)
    desk = Desk(core(), async_db)
    slow = asyncio.Event()

    async def fails_late(*_: Any) -> None:
        await slow.wait()
        raise AutoReconnect("gone")

    desk.core.frame(KEY, candle(0, 101.0), at(1))
    with monkeypatch.context() as broken:
        broken.setattr(desk.writer._candles, "write", fails_late)
        flushing = asyncio.create_task(desk.writer.flush())
        await asyncio.wait([flushing], timeout=2)
        assert not flushing.done()
        assert len(desk.said) == 1
        slow.set()
        assert not await flushing
    assert db["candles"].count_documents({}) == 0
    assert await desk.writer.flush()
    assert (db["candles"].count_documents({}), db["signals"].count_documents({}), len(desk.said)) == (1, 1, 1)


async def test_whoever_wants_to_know_is_told_once_of_a_fresh_signal(db: Database[Any], async_db: Any) -> None:
    prepare(db)
    desk = Desk(core(), async_db)
    desk.core.frame(KEY, candle(0, 101.0), at(1))
    desk.core.frame(KEY, candle(1, 101.0, closed=False), at(1) + 1)
    assert await desk.writer.flush()
    assert [one["_id"] for one in desk.said] == [one["_id"] for one in db["signals"].find()]

    again = Desk(core(), async_db)
    again.core.frame(KEY, candle(0, 101.0), at(1))
    assert await again.writer.flush()
    assert again.said == [], "it is stored already: another process has told of it"

    late = Desk(core(), async_db)
    late.now = at(10)
    late.core.frame(KEY, candle(0, 101.0), at(1))
    late.core.frame(KEY, candle(1, 101.0), at(2))
    assert await late.writer.flush()
    assert late.said == []
    assert db["signals"].count_documents({}) == 2


async def test_while_the_database_takes_no_signals_they_wait_and_are_written_once(
    db: Database[Any], async_db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(db)
    desk = Desk(core(), async_db)
    desk.core.frame(KEY, candle(0, 101.0), at(1))
    truly = AsyncSignalWriter.write

    async def written_and_lost(writer: AsyncSignalWriter, *what: Any) -> None:
        await truly(writer, *what)
        raise AutoReconnect("the answer is lost")

    with monkeypatch.context() as broken:
        broken.setattr(AsyncSignalWriter, "write", written_and_lost)
        assert not await desk.writer.flush()
    first = db["signals"].find_one()
    desk.now = at(10)
    desk.core.frame(KEY, candle(1, 101.0), at(2))
    assert await desk.writer.flush()
    before, after = db["signals"].find().sort("_id", 1)
    assert before == first
    assert (after["verdict"], after["reason"]) == ("expired", "found 480 s after its candle closed")


async def test_a_correction_is_marked_before_it_is_stored_and_has_what_follows_computed(
    db: Database[Any], async_db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(db)
    desk = Desk(core(history=[candle(-2, 101.0), candle(-1, 102.0)]), async_db)
    await desk.writer.flush()
    Above100.corrections.clear()
    desk.core.answer(Answer(KEY, Window(at(-2), at(-2)), (candle(-2, 107.0),), at(0)), at(0))
    assert Above100.corrections == [KEY]

    async def fails(*_: Any) -> None:
        raise AutoReconnect("gone")

    with monkeypatch.context() as broken:
        broken.setattr(desk.writer._candles, "write", fails)
        assert not await desk.writer.flush()
    series = SeriesStore(db).get(KEY)
    assert series is not None
    assert [(one.start, one.confirmed) for one in series.stale] == [(to_datetime(at(-2)), False)]
    assert desk.corrected == []
    assert await desk.writer.flush()
    series = SeriesStore(db).get(KEY)
    assert series is not None
    assert [one.confirmed for one in series.stale] == [False, True]
    assert desk.corrected == [KEY]
