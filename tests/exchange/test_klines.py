"""Kline answers: good ones become candles exactly; each way of being bad is named, and nothing is used."""

from contextlib import suppress
from copy import deepcopy
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exchange.errors import BadAnswerError
from pipeline.exchange.klines import SCHEMA, candles, empty
from pipeline.timeline import DAY, INTERVALS, MINUTE, Interval, Window, interval

START = 1_700_006_400_000
M1 = interval("1m")
WINDOW = Window(START, START + 9 * MINUTE)


def row(opened: int, step: Interval = M1) -> list[Any]:
    return [
        opened,
        "100.10",
        "101.5",
        "99.9",
        "100.2",
        "12.345",
        step.close_time(opened),
        "1234.5",
        7,
        "6.5",
        "650.25",
        "0",
    ]


ROWS = [row(START + number * MINUTE) for number in range(10)]


def test_a_good_answer_becomes_candles_and_the_open_one_is_marked() -> None:
    server_time = START + 9 * MINUTE + 30_000
    table = candles(ROWS, "BTCUSDT", M1, WINDOW, server_time)
    assert table.schema == SCHEMA
    assert table["t"].to_list() == [START + number * MINUTE for number in range(10)]
    assert table.row(0, named=True) == {
        "t": START,
        "te": START + 59_999,
        "open": 100.1,
        "high": 101.5,
        "low": 99.9,
        "close": 100.2,
        "volume": 12.345,
        "quote_volume": 1234.5,
        "trades": 7,
        "taker_buy_base": 6.5,
        "taker_buy_quote": 650.25,
        "closed": True,
        "u": server_time,
    }
    assert table["closed"].to_list() == [True] * 9 + [False]


@pytest.mark.parametrize(("server_time", "closed"), [(START + 59_999, False), (START + 60_000, True)])
def test_a_candle_is_closed_when_its_last_millisecond_is_over(server_time: int, closed: bool) -> None:
    assert candles([row(START)], "BTCUSDT", M1, WINDOW, server_time)["closed"].to_list() == [closed]


def test_an_empty_answer_is_no_candles_and_a_quiet_minute_is_a_candle() -> None:
    assert candles([], "BTCUSDT", M1, WINDOW, START).equals(empty())
    quiet = [START, "1", "1", "1", "1", "0", START + 59_999, "0", 0, "0", "0", "0"]
    assert candles([quiet], "BTCUSDT", M1, WINDOW, START)["volume"].to_list() == [0.0]


@given(code=st.sampled_from(sorted(INTERVALS)), moment=st.integers(0, 2**41), count=st.integers(1, 30))
def test_candles_of_every_interval_are_accepted_where_they_open(code: str, moment: int, count: int) -> None:
    step = interval(code)
    first = step.floor(moment)
    opens = [step.after(first, number) for number in range(count)]
    table = candles([row(t, step) for t in opens], "S", step, Window(first, opens[-1]), step.after(first, count))
    assert table["t"].to_list() == opens
    assert table["closed"].all()


def changed(number: int, field: int, value: Any) -> list[Any]:
    rows = deepcopy(ROWS)
    rows[number][field] = value
    return rows


BAD = [
    ({"code": -1}, "row 0, answer: a list of rows was expected, not dict"),
    ([*ROWS[:2], 5], "row 2, row: a list was expected, not 5"),
    ([*ROWS[:2], "x" * 12], "row 2, row: a list was expected"),
    ([*ROWS[:2], ROWS[2][:11]], "row 2, row: 12 fields were expected, not 11"),
    ([*ROWS[:2], [*ROWS[2], "0"]], "row 2, row: 12 fields were expected, not 13"),
    (changed(3, 0, "1700006580000"), "row 3, open time: '1700006580000' is not a whole number"),
    (changed(3, 0, True), "row 3, open time: True is not a whole number"),
    (changed(3, 0, 2**70), "row 3, open time: .* is not a whole number"),
    (changed(3, 0, ROWS[2][0]), "row 3, open time: 2023-11-15T00:02:00Z is there twice"),
    (changed(3, 0, ROWS[0][0] - MINUTE), "row 3, open time: 2023-11-14T23:59:00Z goes back in time"),
    ([ROWS[1], ROWS[0]], "row 1, open time: 2023-11-15T00:00:00Z goes back in time"),
    ([row(START - MINUTE)], "row 0, open time: 2023-11-14T23:59:00Z was not asked for"),
    ([*ROWS, row(START + 10 * MINUTE)], "row 10, open time: 2023-11-15T00:10:00Z was not asked for"),
    (changed(3, 0, ROWS[3][0] + 1), "row 3, open time: .* is not when a candle of 1m opens"),
    (changed(3, 6, ROWS[3][6] + 1), "row 3, close time: .* is not when the candle of this row closes"),
    (changed(3, 1, 100.1), "row 3, open: 100.1 is not a number written as text"),
    (changed(3, 2, None), "row 3, high: None is not a number"),
    (changed(3, 2, "abc"), "row 3, high: 'abc' is not a number"),
    (changed(3, 3, ""), "row 3, low: '' is not a number"),
    (changed(3, 4, "nan"), "row 3, close: 'nan' is not a number"),
    (changed(3, 4, "1_0"), "row 3, close: '1_0' is not a number"),
    (changed(3, 5, "1e400"), "row 3, volume: '1e400' is not a number"),
    (changed(3, 5, "1.2.3"), "row 3, volume: '1.2.3' is not a number"),
    (changed(3, 2, "99"), "row 3, high: 99.0 is below the low"),
    (changed(3, 2, "100.15"), "row 3, high: 100.15 is below the open or the close"),
    (changed(3, 3, "100.15"), "row 3, low: 100.15 is above the open or the close"),
    (changed(3, 3, "0"), "row 3, low: 0.0 is not a price"),
    (changed(3, 3, "-1"), "row 3, low: -1.0 is not a price"),
    (changed(3, 5, "-0.1"), "row 3, volume: -0.1 is negative"),
    (changed(3, 7, "-1"), "row 3, quote volume: -1.0 is negative"),
    (changed(3, 8, -1), "row 3, trades: -1 is negative"),
    (changed(3, 8, 1.5), "row 3, trades: 1.5 is not a whole number"),
    (changed(3, 9, "-1"), "row 3, taker buy base: -1.0 is negative"),
    (changed(3, 10, "-1"), "row 3, taker buy quote: -1.0 is negative"),
]


@pytest.mark.parametrize(("rows", "said"), BAD, ids=[said for _, said in BAD])
def test_a_bad_answer_is_named_by_series_row_and_field(rows: Any, said: str) -> None:
    with pytest.raises(BadAnswerError, match=f"BTCUSDT 1m: .*{said}"):
        candles(rows, "BTCUSDT", M1, WINDOW, START + DAY)


@given(
    number=st.integers(0, 9),
    field=st.sampled_from(range(11)),
    value=st.one_of(
        st.none(), st.booleans(), st.text(max_size=5), st.floats(), st.integers(), st.lists(st.integers(), max_size=2)
    ),
)
def test_whatever_is_in_a_cell_the_answer_is_used_whole_or_refused(number: int, field: int, value: Any) -> None:
    with suppress(BadAnswerError):
        table = candles(changed(number, field, value), "BTCUSDT", M1, WINDOW, START + DAY)
        assert table.height == 10
        assert table.select(pl.all_horizontal(pl.col(pl.Float64).is_finite()).all()).item()
