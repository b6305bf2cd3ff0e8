"""The rules of one series, a case each: what goes in, what is written, what is asked for."""

from dataclasses import replace

import pytest

from pipeline.candle import Candle
from pipeline.exchange.products.spot import SPOT
from pipeline.ingest.book import NEVER, Book, Patience
from pipeline.ingest.core import Core, plausible
from pipeline.ingest.events import (
    Answer,
    AskWhetherTraded,
    ClosedCandles,
    FetchCandles,
    FinerPrices,
    RecordHole,
    SilentStream,
)
from pipeline.ingest.window import Recipe
from pipeline.timeline import MINUTE, Window, interval
from schemas.series import SeriesKey

KEY = SeriesKey("sim", "BTCUSDT", "1m")
T = 1_760_000_040_000 // MINUTE * MINUTE
PATIENCE = Patience()


def close_of(first, columns, decimals):
    return (float(columns.shape[1]), float(columns[3, -1]))


def candle(number, close=100.0, *, after=30_000, closed=False):
    opened = T + number * MINUTE
    said = opened + (MINUTE + 200 if closed else after)
    return Candle(opened, 100.0, max(close, 100.0), min(close, 100.0), close, 5.0, 500.0, 3, 2.0, 200.0, closed, said)


def at(number, offset=0):
    return T + number * MINUTE + offset


def a_book(patience, *, step="1m", settled=T - MINUTE, history=(), compute=close_of, **more):
    made = Book(
        SeriesKey("sim", "BTCUSDT", step),
        interval(step),
        settled=settled,
        history=ClosedCandles.of(history),
        decimals=2,
        recipe=Recipe(compute, 5),
        patience=patience,
        **more,
    )
    made.connected(interval(step).after(settled))
    return made


@pytest.fixture
def book():
    """Settled up to candle -1, the stream up since candle 0 opened, and never suspected of being dead."""
    return a_book(replace(PATIENCE, silence=NEVER // 2), history=[candle(n, closed=True) for n in range(-3, 0)])


def written(book):
    return [(w.candle.t, w.candle.close, w.candle.closed, w.indicators) for w in book.candles]


def test_an_open_candle_is_written_with_indicators_over_the_window_and_itself(book):
    book.frame(candle(0, 101.0), at(0))
    assert book.open_write().indicators == (4.0, 101.0)


def test_an_open_candle_that_did_not_change_is_not_written_again(book):
    book.frame(candle(0, 101.0), at(0))
    assert book.open_write() is not None
    assert book.open_write() is None


@pytest.mark.parametrize(
    ("frames", "newest"),
    [
        ([candle(0, 101.0, after=1_000), candle(0, 102.0, after=2_000)], 102.0),
        ([candle(0, 102.0, after=2_000), candle(0, 101.0, after=1_000)], 102.0),
        ([candle(0, 102.0, after=2_000), candle(0, 999.0, after=2_000)], 102.0),
        ([candle(1, 103.0), candle(0, 101.0)], 103.0),
        ([candle(0, 101.0), candle(1, 103.0)], 103.0),
    ],
    ids=["newer wins", "late loses", "same moment: first stays", "late frame of the candle before", "next candle"],
)
def test_the_newest_event_is_the_open_candle(book, frames, newest):
    for frame in frames:
        book.frame(frame, at(1))
    assert book.open.close == newest


def test_the_open_candle_behind_an_unconfirmed_one_has_no_indicators_yet(book):
    book.frame(candle(1, 103.0), at(0))
    assert book.open_write().indicators is None


def test_a_close_is_written_once_however_often_it_is_sent(book):
    for _ in range(3):
        book.frame(candle(0, 101.0, closed=True), at(0))
    assert written(book) == [(at(0), 101.0, True, (4.0, 101.0))]


def test_a_closed_candle_is_not_reopened_by_a_late_frame(book):
    book.frame(candle(0, 101.0, closed=True), at(0))
    assert not book.frame(candle(0, 99.0, after=59_000), at(0))
    assert book.open is None


def test_a_close_behind_a_gap_is_written_at_once_and_its_indicators_when_the_gap_is_filled(book):
    book.frame(candle(1, 102.0, closed=True), at(0))
    assert written(book) == [(at(1), 102.0, True, None)]
    book.candles.clear()
    book.frame(candle(0, 101.0, closed=True), at(0))
    assert written(book) == [(at(0), 101.0, True, (4.0, 101.0))]
    assert [(v.t, v.indicators) for v in book.values] == [(at(1), (4.0, 102.0))]


def test_a_repeated_close_behind_a_gap_is_not_written_again(book):
    book.frame(candle(1, 102.0, closed=True), at(0))
    assert not book.frame(candle(1, 102.0, closed=True), at(0))
    assert len(book.candles) == 1


def test_a_close_that_comes_before_our_clock_has_it_hides_none_that_is_missing(book):
    book.frame(candle(2, closed=True), at(2))
    assert [book.missing(at(number)) for number in range(5)] == [0, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("now", "asked"),
    [
        (at(1, PATIENCE.grace - 1), None),
        (at(1, PATIENCE.grace), Window(at(0), at(0))),
        (at(3, PATIENCE.grace), Window(at(0), at(2))),
        (at(3, PATIENCE.grace - 1), Window(at(0), at(1))),
    ],
    ids=["within the grace", "no close came", "three minutes of silence", "the third is still within its grace"],
)
def test_a_candle_that_should_be_closed_is_fetched(book, now, asked):
    book.time(now)
    assert book.effects == ([FetchCandles(KEY, asked)] if asked else [])


def test_without_a_stream_nothing_is_waited_for(book):
    book.disconnected()
    book.time(at(1))
    assert book.effects == [FetchCandles(KEY, Window(at(0), at(0)))]


def test_a_stream_that_came_back_after_the_close_will_not_bring_it(book):
    book.disconnected()
    book.connected(at(1, 100))
    book.time(at(1, 100))
    assert book.effects == [FetchCandles(KEY, Window(at(0), at(0)))]


def test_one_fetch_at_a_time(book):
    book.time(at(2, 10_000))
    book.effects.clear()
    assert book.due == NEVER
    book.time(at(3, 10_000))
    assert book.effects == []


@pytest.mark.parametrize("failure", ["no answer", "an answer without it"])
def test_a_fruitless_fetch_is_tried_again_later_and_later(book, failure):
    now, waits = at(1, PATIENCE.grace), []
    for _ in range(5):
        book.time(now)
        assert book.effects.pop()
        if failure == "no answer":
            book.fetch_failed(now)
        else:
            book.answer(Answer(KEY, Window(at(0), at(0)), (), now), now)
        waits.append(book.due - now)
        now = book.due
    assert waits == [500, 1_000, 2_000, 4_000, 4_000]


def test_a_candle_the_exchange_does_not_have_becomes_a_hole_and_warm_up_begins_again(book):
    book.frame(candle(1, 102.0, closed=True), at(0))
    late = at(1) + PATIENCE.hole_after
    for moment in (late, late + PATIENCE.later):
        assert not any(isinstance(effect, RecordHole) for effect in book.effects), "one answer is not enough"
        book.time(moment)
        book.answer(Answer(KEY, Window(at(0), at(0)), (), moment), moment)
    hole = next(effect for effect in book.effects if isinstance(effect, RecordHole))
    assert hole.window == Window(at(0), at(0))
    assert [(v.t, v.indicators) for v in book.values] == [(at(1), (1.0, 102.0))]


def test_where_rest_has_had_nothing_for_long_it_is_asked_whether_the_series_is_traded(book):
    now, asked = at(1, PATIENCE.grace), []
    while now < at(30):
        book.time(now)
        window = book.effects.pop().window
        book.answer(Answer(KEY, window, (), now), now)
        asked += [(now, effect) for effect in book.effects]
        book.effects.clear()
        now = book.due
    assert {effect for _, effect in asked} == {AskWhetherTraded(KEY)}
    assert asked[0][0] >= at(1) + PATIENCE.hole_after


def decimals_of(first, columns, decimals):
    return (float(decimals), float(columns.shape[1]))


@pytest.fixture
def of_decimals():
    """A book whose indicators tell how many decimals they were computed with, and over how many candles."""
    history = [candle(n, closed=True) for n in range(-3, 0)]
    return a_book(replace(PATIENCE, silence=NEVER // 2), history=history, compute=decimals_of)


def test_a_finer_price_is_computed_with_its_decimals_as_is_all_that_follows(of_decimals):
    for number, close in ((0, 100.25), (1, 100.125), (2, 100.5)):
        of_decimals.frame(candle(number, close, closed=True), at(number + 1))
    assert [write.indicators[0] for write in of_decimals.candles] == [2.0, 3.0, 3.0]
    assert of_decimals.effects == [FinerPrices(KEY, 3)]


def test_of_what_is_no_price_there_are_no_indicators_and_those_after_it_begin_anew(of_decimals):
    of_decimals.frame(candle(0, 100 + 0.1 + 0.2 + 1e-12, closed=True), at(1))
    of_decimals.frame(candle(1, 101.0, closed=True), at(2))
    assert [write.indicators for write in of_decimals.candles] == [None, (2.0, 1.0)]
    assert of_decimals.effects == []


def test_what_is_stored_tells_the_decimals_and_where_the_indicators_begin():
    closes = (100.00000000001, 100.125, 100.5)
    history = [candle(n, close, closed=True) for n, close in zip(range(-3, 0), closes, strict=True)]
    book = a_book(PATIENCE, history=history, compute=decimals_of)
    assert book.effects == [FinerPrices(KEY, 3)]
    book.frame(candle(0, 100.5, closed=True), at(1))
    assert book.candles[0].indicators == (3.0, 3.0)


def test_a_correction_to_what_is_no_price_is_a_beginning(of_decimals):
    wrong = candle(-2, 100.00000000001, closed=True)
    of_decimals.answer(Answer(KEY, Window(at(-2), at(-2)), (wrong,), at(0)), at(0))
    of_decimals.frame(candle(0, closed=True), at(1))
    assert of_decimals.candles[-1].indicators == (2.0, 2.0)


def test_rest_corrects_a_closed_candle_and_has_what_follows_recomputed(book):
    book.answer(Answer(KEY, Window(at(-2), at(-2)), (candle(-2, 107.0, closed=True),), at(0)), at(0))
    assert [(w.candle.close, w.authority, w.repairs) for w in book.candles] == [(107.0, True, True)]


def test_a_gap_is_repaired_where_candles_behind_it_are_stored_already(book):
    book.frame(candle(1, 102.0, closed=True), at(0))
    book.frame(candle(0, 101.0, closed=True), at(0))
    book.frame(candle(2, 103.0, closed=True), at(0))
    assert [(w.candle.t, w.repairs) for w in book.candles] == [(at(1), False), (at(0), True), (at(2), False)]


def test_rest_agreeing_with_a_closed_candle_writes_nothing(book):
    book.answer(Answer(KEY, Window(at(-2), at(-2)), (candle(-2, closed=True),), at(0)), at(0))
    assert (book.candles, book.effects) == ([], [])


def test_rest_tells_the_open_candle_of_a_quiet_series(book):
    book.answer(Answer(KEY, Window(at(0), at(0)), (candle(0, 101.5),), at(0, 40_000)), at(0, 40_000))
    assert book.open_write().candle.close == 101.5


def test_a_silent_stream_is_compared_with_rest_ever_more_rarely():
    start = interval("1d").floor(T)
    book = a_book(PATIENCE, step="1d", settled=interval("1d").after(start, -1))
    asked = []
    for minute in range(70):
        now = start + minute * MINUTE
        book.time(now)
        if book.effects:
            asked.append(minute)
            book.answer(Answer(book.key, book.effects.pop().window, (), now), now)
    assert asked == [1, 2, 4, 8, 16, 32, 48, 64]


def test_a_stream_that_says_nothing_while_trades_happen_is_found():
    book = a_book(PATIENCE)
    book.frame(candle(0, after=1_000)._replace(trades=1), at(0, 1_000))
    now = at(0, 1_000) + PATIENCE.silence
    book.time(now)
    asked = book.effects.pop()
    assert asked == FetchCandles(KEY, Window(at(0), at(1)))
    rows = (candle(0, closed=True), candle(1, after=500))
    book.answer(Answer(KEY, asked.window, rows, now), now)
    assert SilentStream(KEY, PATIENCE.silence) in book.effects


def test_a_stream_that_is_as_quiet_as_the_market_is_left_alone():
    book = a_book(PATIENCE)
    book.frame(candle(0, after=1_000), at(0, 1_000))
    now = at(0, 1_000) + PATIENCE.silence
    book.time(now)
    book.effects.clear()
    same = candle(0, after=59_000)
    book.answer(Answer(KEY, Window(at(0), at(0)), (same,), now), now)
    assert book.effects == []


@pytest.mark.parametrize(
    ("frame", "believed"),
    [
        (candle(0), True),
        (candle(0, closed=True), True),
        (candle(0)._replace(t=at(0, 1)), False),
        (candle(0)._replace(u=at(5_000)), False),
        (candle(0)._replace(u=at(-2)), False),
        (candle(9), False),
        (candle(0)._replace(high=99.0), False),
        (candle(0)._replace(close=float("nan")), False),
        (candle(0)._replace(high=float("inf")), False),
        (candle(0)._replace(trades=1 << 70), False),
        (candle(0)._replace(trades=-1), False),
        (candle(0)._replace(volume=float("nan")), False),
        (candle(0)._replace(quote_volume=float("inf")), False),
        (candle(0)._replace(taker_buy_quote=-1.0), False),
        (candle(0, 100.125), True),
        (candle(0, 100.00000000001), False),
    ],
    ids=[
        "open",
        "closed",
        "off the grid",
        "sent days later",
        "sent before",
        "future",
        "high below close",
        "not a number",
        "without end",
        "more trades than the database can hold",
        "fewer trades than none",
        "no volume",
        "a volume without end",
        "less bought than nothing",
        "a finer price than before",
        "more decimals than a price has",
    ],
)
def test_a_frame_that_cannot_be_true_is_dropped(book, frame, believed):
    assert plausible(book, frame, at(1)) is believed


@pytest.fixture
def core():
    made = Core(Recipe(close_of, 5), outbox_limit=2)
    made.watch(KEY, settled=at(-1), history=ClosedCandles.of([candle(-1, closed=True)]), decimals=2)
    made.connected([KEY], at(-3))
    return made


def test_open_candles_coalesce_and_closed_ones_do_not(core):
    for frame in (candle(0, 101.0, after=1_000), candle(0, 102.0, after=2_000), candle(0, 103.0, closed=True)):
        core.frame(KEY, frame, at(1))
    core.frame(KEY, candle(1, 104.0, after=1_000), at(2))
    core.frame(KEY, candle(1, 105.0, after=2_000), at(2))
    assert [w.candle.close for w in core.take().candles] == [103.0, 105.0]
    assert not core.take()


def test_a_batch_that_could_not_be_written_comes_again(core):
    core.frame(KEY, candle(1, 102.0, closed=True), at(2))
    core.frame(KEY, candle(0, 101.0, closed=True), at(2))
    core.frame(KEY, candle(2, 103.0), at(2))
    batch = core.take()
    core.put_back(batch)
    again = core.take()
    assert again == batch
    assert len(again.indicators) == 1


def test_what_the_outbox_cannot_keep_is_named(core):
    for number in range(4):
        core.frame(KEY, candle(number, closed=True), at(number + 1))
    core.put_back(core.take())
    assert core.unsaved == {KEY: Window(at(0), at(1))}
    assert [w.candle.t for w in core.take().candles] == [at(2), at(3)]


def test_an_unwatched_series_still_writes_what_it_had(core):
    core.frame(KEY, candle(0, 101.0), at(0))
    core.unwatch(KEY)
    assert [w.candle.close for w in core.take().candles] == [101.0]
    core.frame(KEY, candle(0, 102.0, after=50_000), at(0))
    assert not core.take()


def test_no_more_candles_are_asked_for_at_once_than_the_market_gives():
    day = interval("1d")
    book = a_book(PATIENCE, step="1d", settled=day.floor(T), page=199)
    book.time(day.after(T, 400) + PATIENCE.grace)
    (asked,) = book.effects
    assert asked.window == Window(day.after(T, 1), day.after(T, 199))


def test_a_market_whose_frames_come_seldom_has_longer_to_close_a_candle():
    seldom = Patience(grace=int(SPOT.streams.close_within * 1_000))
    for patience, asks in ((PATIENCE, 1), (seldom, 0)):
        book = a_book(patience, history=[candle(n, closed=True) for n in range(-3, 0)])
        book.frame(candle(0), at(0, 30_000))
        book.time(at(1, 3_500))
        assert len(book.effects) == asks
    book.frame(candle(0, closed=True), at(1, 4_100))
    book.time(at(1, 5_000))
    assert book.effects == []
