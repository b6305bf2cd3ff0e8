"""Each question of the audit, as tables: what is sound passes, each way of being wrong is found where it is."""

import itertools
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.history.checks import differing, disagreeing, insane, runs
from pipeline.timeline import HOUR, MINUTE, Window, interval

M1, M15, H1 = interval("1m"), interval("15m"), interval("1h")
START = 1_763_596_800_000  # 2025-11-20


def table(count: int = 120, first: int = START) -> pl.DataFrame:
    """Minutes whose prices climb by one and whose volume is the number of the minute."""
    numbers = list(range(count))
    opened = [first + number * MINUTE for number in numbers]
    return pl.DataFrame(
        {
            "t": opened,
            "te": [time + MINUTE - 1 for time in opened],
            "open": [100.0 + number for number in numbers],
            "high": [102.0 + number for number in numbers],
            "low": [99.0 + number for number in numbers],
            "close": [101.0 + number for number in numbers],
            "volume": [0.1 * number for number in numbers],
            "quote_volume": [1.1 * number for number in numbers],
            "taker_buy_base": [0.05 * number for number in numbers],
            "taker_buy_quote": [0.5 * number for number in numbers],
            "trades": numbers,
            "closed": [True] * count,
        }
    )


def hours() -> pl.DataFrame:
    """What the 120 minutes add up to, by hand."""
    each = []
    for hour in range(2):
        numbers = range(60 * hour, 60 * hour + 60)
        total = sum(numbers)
        each.append(
            {
                "t": START + hour * HOUR,
                "te": START + (hour + 1) * HOUR - 1,
                "open": 100.0 + numbers[0],
                "high": 102.0 + numbers[-1],
                "low": 99.0 + numbers[0],
                "close": 101.0 + numbers[-1],
                "volume": 0.1 * total,
                "quote_volume": 1.1 * total,
                "taker_buy_base": 0.05 * total,
                "taker_buy_quote": 0.5 * total,
                "trades": total,
                "closed": True,
            }
        )
    return pl.DataFrame(each)


def changed(candles: pl.DataFrame, row: int, column: str, value: Any) -> pl.DataFrame:
    cells = candles[column].to_list()
    cells[row] = value
    return candles.with_columns(pl.Series(column, cells, dtype=candles[column].dtype))


def test_sound_candles_pass_every_question() -> None:
    assert insane(table(), M1) == []
    assert differing(table(), table(), M1) == []
    assert disagreeing(table(), M1, hours(), H1) == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("high", 50.0),
        ("high", 107.5),  # below the close of that minute
        ("low", 107.5),
        ("low", 0.0),
        ("open", -1.0),
        ("close", float("nan")),
        ("high", float("inf")),
        ("volume", -0.1),
        ("quote_volume", float("nan")),
        ("taker_buy_base", -1.0),
        ("taker_buy_quote", float("inf")),
        ("trades", -1),
        ("te", START),
    ],
)
def test_each_value_that_no_candle_can_have(column: str, value: Any) -> None:
    where = START + 7 * MINUTE
    assert insane(changed(table(), 7, column, value), M1) == [Window(where, where)]


@pytest.mark.parametrize(
    "column",
    ["open", "high", "low", "close", "volume", "quote_volume", "taker_buy_base", "taker_buy_quote", "trades"],
)
def test_a_single_other_value_differs_and_disagrees(column: str) -> None:
    where = START + 7 * MINUTE
    other = table()[column][7] + (1 if column == "trades" else 1e-9)
    assert differing(changed(table(), 7, column, other), table(), M1) == [Window(where, where)]

    place = {"open": 60, "high": 119, "low": 60, "close": 119}.get(column, 70)
    much = table()[column][place] + (-50 if column == "low" else 50)
    second = START + HOUR
    assert disagreeing(changed(table(), place, column, much), M1, hours(), H1) == [Window(second, second)]


def test_what_only_one_of_them_has_or_is_open_is_not_compared() -> None:
    assert differing(table(60), table(120, START + 30 * MINUTE), M1) == [
        Window(START + 30 * MINUTE, START + 59 * MINUTE)
    ]
    still_open = changed(changed(table(), 7, "high", 500.0), 7, "closed", False)
    assert differing(still_open, table(), M1) == []


@pytest.mark.parametrize("drop", [60, 75, 119])
def test_where_a_small_candle_is_missing_there_is_nothing_to_compare(drop: int) -> None:
    torn = changed(table(), 70, "volume", 1e9)
    lacking = torn.filter(pl.col("t") != START + drop * MINUTE)
    assert disagreeing(lacking, M1, hours(), H1) == []


def test_sums_may_differ_in_their_last_bits_only() -> None:
    exact = hours()["volume"][1]
    assert disagreeing(table(), M1, changed(hours(), 1, "volume", exact * (1 + 1e-12)), H1) == []
    assert len(disagreeing(table(), M1, changed(hours(), 1, "volume", exact * (1 + 1e-7)), H1)) == 1


@given(flags=st.lists(st.booleans(), min_size=1, max_size=50))
def test_runs_are_the_flagged_candles_and_no_two_touch(flags: list[bool]) -> None:
    candles = table(len(flags))
    found = runs(candles, pl.Series(flags).to_numpy(), M1)
    covered = [time for run in found for time in range(run.start, run.end + 1, MINUTE)]
    assert covered == [time for time, flag in zip(candles["t"].to_list(), flags, strict=True) if flag]
    assert all(later.start > sooner.end + MINUTE for sooner, later in itertools.pairwise(found))


@pytest.mark.parametrize("count", [0, 1])
def test_few_candles_are_no_trouble(count: int) -> None:
    few = table().head(count)
    assert insane(few, M1) == []
    assert differing(few, table().head(0), M1) == []
    assert disagreeing(few, M1, hours(), H1) == []
    assert disagreeing(table(), M1, hours().head(0), M15) == []
