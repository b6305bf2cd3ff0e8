from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import timeline
from pipeline.timeline import DAY, EVERY_INTERVAL, INTERVALS, Interval, UnknownIntervalError, interval, windows
from schemas.shared import SLOTS_PER_BUCKET

FIRST = timeline.to_ms(datetime(1905, 1, 1, tzinfo=UTC))
LAST = timeline.to_ms(datetime(2105, 1, 1, tzinfo=UTC))

times = st.integers(FIRST, LAST)
intervals = st.sampled_from(list(INTERVALS.values()))
spans = st.integers(0, 3 * SLOTS_PER_BUCKET)


def ms(text: str) -> int:
    return timeline.to_ms(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("code", "moment", "opens", "closes"),
    [
        ("1m", "2026-01-31T23:59:59.999Z", "2026-01-31T23:59:00Z", "2026-01-31T23:59:59.999Z"),
        ("15m", "2026-01-31T00:15:00Z", "2026-01-31T00:15:00Z", "2026-01-31T00:29:59.999Z"),
        ("12h", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z", "2026-01-31T23:59:59.999Z"),
        ("1d", "2024-02-29T13:00:00Z", "2024-02-29T00:00:00Z", "2024-02-29T23:59:59.999Z"),
        ("3d", "1970-01-03T23:59:59.999Z", "1970-01-01T00:00:00Z", "1970-01-03T23:59:59.999Z"),
        ("3d", "1969-12-31T00:00:00Z", "1969-12-29T00:00:00Z", "1969-12-31T23:59:59.999Z"),
        ("1w", "1970-01-01T00:00:00Z", "1969-12-29T00:00:00Z", "1970-01-04T23:59:59.999Z"),
        ("1w", "2026-07-19T23:59:59.999Z", "2026-07-13T00:00:00Z", "2026-07-19T23:59:59.999Z"),
        ("1w", "2026-07-20T00:00:00Z", "2026-07-20T00:00:00Z", "2026-07-26T23:59:59.999Z"),
        ("1w", "1969-12-28T23:59:59.999Z", "1969-12-22T00:00:00Z", "1969-12-28T23:59:59.999Z"),
        ("1M", "2024-02-29T12:00:00Z", "2024-02-01T00:00:00Z", "2024-02-29T23:59:59.999Z"),
        ("1M", "2025-02-28T12:00:00Z", "2025-02-01T00:00:00Z", "2025-02-28T23:59:59.999Z"),
        ("1M", "1900-02-28T12:00:00Z", "1900-02-01T00:00:00Z", "1900-02-28T23:59:59.999Z"),
        ("1M", "2025-12-31T23:59:59.999Z", "2025-12-01T00:00:00Z", "2025-12-31T23:59:59.999Z"),
        ("1M", "1969-12-31T23:59:59.999Z", "1969-12-01T00:00:00Z", "1969-12-31T23:59:59.999Z"),
    ],
)
def test_known_candles(code: str, moment: str, opens: str, closes: str) -> None:
    step = interval(code)
    opened = step.floor(ms(moment))
    assert (timeline.iso(opened), timeline.iso(step.close_time(opened))) == (opens, closes)


@pytest.mark.parametrize(
    ("code", "moment", "bucket", "position"),
    [
        ("1m", "2026-01-31T04:00:00Z", "2026-01-31T04:00:00Z", 0),
        ("1m", "2026-01-31T03:59:59.999Z", "2026-01-31T00:00:00Z", 239),
        ("1m", "1969-12-31T23:59:59.999Z", "1969-12-31T20:00:00Z", 239),
        ("1h", "1970-01-11T00:00:00Z", "1970-01-11T00:00:00Z", 0),
        ("1d", "1970-08-28T23:00:00Z", "1970-01-01T00:00:00Z", 239),
        ("1M", "1989-12-31T00:00:00Z", "1970-01-01T00:00:00Z", 239),
        ("1M", "1990-01-01T00:00:00Z", "1990-01-01T00:00:00Z", 0),
    ],
)
def test_known_slots(code: str, moment: str, bucket: str, position: int) -> None:
    assert interval(code).slot(ms(moment)) == (ms(bucket), position)


def test_every_week_opens_on_a_monday_and_every_month_on_its_first() -> None:
    week, month = interval("1w"), interval("1M")
    opened = [timeline.to_datetime(week.after(0, n)).weekday() for n in range(-3_000, 3_000)]
    firsts = [timeline.to_datetime(month.after(0, n)).day for n in range(-700, 1_600)]
    assert set(opened) == {0}
    assert set(firsts) == {1}


@given(intervals, times)
def test_every_instant_is_in_exactly_one_candle(step: Interval, time: int) -> None:
    opened = step.floor(time)
    assert opened <= time <= step.close_time(opened)
    assert step.close_time(step.after(opened, -1)) == opened - 1
    assert step.after(opened) == step.close_time(opened) + 1


@given(intervals, times)
def test_the_number_of_a_candle_and_its_opening_time_are_the_same_thing(step: Interval, time: int) -> None:
    number = step.index(time)
    assert step.index(step.open_time(number)) == number
    assert step.open_time(number) == step.floor(time)
    assert step.floor(step.floor(time)) == step.floor(time)


@given(intervals, times)
def test_every_instant_has_exactly_one_slot_and_the_slot_names_it(step: Interval, time: int) -> None:
    bucket, position = step.slot(time)
    assert 0 <= position < SLOTS_PER_BUCKET
    assert step.after(bucket, position) == step.floor(time)
    assert step.slot(step.close_time(step.floor(time))) == (bucket, position)
    assert step.bucket(time).start == bucket


@given(intervals, times, times)
def test_two_candles_never_share_a_slot(step: Interval, one: int, other: int) -> None:
    assert (step.slot(one) == step.slot(other)) == (step.floor(one) == step.floor(other))


@given(intervals, times)
def test_buckets_tile_time(step: Interval, time: int) -> None:
    bucket = step.bucket(time)
    assert bucket.start <= step.floor(time) <= bucket.end
    assert step.count(bucket.start, bucket.end) == SLOTS_PER_BUCKET
    following = step.bucket(step.close_time(bucket.end) + 1)
    assert following.start == step.close_time(bucket.end) + 1


@given(intervals, times, spans)
def test_the_buckets_of_a_span_are_those_of_its_candles(step: Interval, start: int, candles: int) -> None:
    end = step.after(start, candles)
    opened = [step.after(step.ceil(start), n) for n in range(step.count(start, end))]
    assert list(step.buckets(start, end)) == list(dict.fromkeys(map(step.bucket, opened)))


@given(intervals, times)
def test_ceil_is_the_first_opening_not_before(step: Interval, time: int) -> None:
    first = step.ceil(time)
    assert first >= time
    assert step.floor(first) == first
    assert first - 1 < time or step.floor(first - 1) < time
    assert step.after(first, -1) < time


@given(intervals, times, spans)
def test_count_counts_the_openings_within(step: Interval, start: int, candles: int) -> None:
    end = step.after(start, candles)
    opened = step.floor(start)
    assert step.count(start, end) == candles + (opened == start)
    assert step.count(start, end - 1) == max(0, candles - 1 + (opened == start))
    assert step.count(start, start - 1) == 0


@given(intervals, times, spans, st.integers(1, 400))
def test_windows_hold_every_candle_once_in_order(step: Interval, start: int, candles: int, limit: int) -> None:
    end = step.after(start, candles)
    cut = list(windows(step, start, end, limit))
    assert all(1 <= step.count(*window) <= limit for window in cut)
    assert all(step.count(*window) == limit for window in cut[:-1])
    opened = [step.after(window.start, n) for window in cut for n in range(step.count(*window))]
    assert opened == [step.after(step.ceil(start), n) for n in range(step.count(start, end))]


def test_a_span_without_candles_has_no_window_and_no_bucket() -> None:
    hour = interval("1h")
    assert list(windows(hour, 1, 1_000, 10)) == []
    assert list(hour.buckets(1, 1_000)) == []
    assert list(windows(hour, DAY, 0, 10)) == []


def test_a_window_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one candle, not 0"):
        list(windows(interval("1h"), 0, DAY, 0))


@given(times)
def test_times_survive_the_way_to_datetime_and_to_text(time: int) -> None:
    assert timeline.to_ms(timeline.to_datetime(time)) == time
    assert timeline.to_ms(datetime.fromisoformat(timeline.iso(time))) == time


@given(times, st.integers(-14, 14))
def test_the_zone_a_moment_is_written_in_changes_nothing(time: int, hours: int) -> None:
    elsewhere = timeline.to_datetime(time).astimezone(timezone(timedelta(hours=hours)))
    assert timeline.to_ms(elsewhere) == time


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (1_769_817_600_000, "2026-01-31T00:00:00Z"),
        (1_769_817_600_001, "2026-01-31T00:00:00.001Z"),
    ],
)
def test_how_a_time_is_written(time: int, text: str) -> None:
    assert timeline.iso(time) == text


def test_microseconds_are_cut_towards_the_past() -> None:
    assert timeline.to_ms(datetime(1970, 1, 1, microsecond=1_999, tzinfo=UTC)) == 1
    assert timeline.to_ms(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        timeline.to_ms(datetime(2026, 1, 1))  # noqa: DTZ001 - the case under test


def test_all_intervals_of_the_exchange_are_there() -> None:
    known = ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]
    assert list(INTERVALS) == known
    assert list(EVERY_INTERVAL) == ["1s", *known]
    assert all(interval(code).code == code == str(interval(code)) for code in EVERY_INTERVAL)
    assert interval("60s").code == "1m"


@pytest.mark.parametrize(
    ("code", "hint"), [("1H", "1h"), ("15", "15m"), ("61m", "Allowed: 1s, 1m"), ("", "Allowed: 1s, 1m")]
)
def test_an_unknown_interval_is_refused_with_what_is_allowed(code: str, hint: str) -> None:
    with pytest.raises(UnknownIntervalError) as refused:
        interval(code)
    assert hint in str(refused.value)
    assert repr(code) in str(refused.value)
