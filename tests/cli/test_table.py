"""A table that fits: what is shortened, what is left out, and in which order."""

import io

import pytest
from rich.console import Console

from pipeline.cli.table import Column, Table

COLUMNS = (
    Column("symbol"),
    Column("price", 2, right=True),
    Column("why", 1, long="cut", least=10),
    Column("fee", 3, right=True),
)
ROWS = [("BTCUSDT", "71,000.50", "held by macd_cross 1h", "-3.98"), ("ETHUSDT", None, None, "0.00")]


def drawn(table: Table, width: int, *, terminal: bool = False) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=terminal, no_color=True, record=True)
    console.print(table, crop=False)
    return [line.rstrip() for line in console.export_text().splitlines()]


@pytest.mark.parametrize(
    ("width", "first", "left_out"),
    [
        (50, "BTCUSDT  71,000.50  held by macd_cross 1h  -3.98", []),
        (46, "BTCUSDT  71,000.50  held by macd_cross…  -3.98", []),
        (40, "BTCUSDT  71,000.50  held by…    -3.98", []),
        (36, "BTCUSDT  71,000.50  held by…", ["fee"]),
        (30, "BTCUSDT  71,000.50  held by…", ["fee"]),
        (29, "BTCUSDT  held by macd_cross…", ["price", "fee"]),
        (20, "BTCUSDT  held by…", ["price", "fee"]),
        (8, "BTCUSDT", ["price", "why", "fee"]),
        (3, "BTCUSDT", ["price", "why", "fee"]),
    ],
)
def test_what_matters_most_is_shortened_last(width: int, first: str, left_out: list[str]) -> None:
    table = Table(COLUMNS, ROWS)
    lines = drawn(table, width)
    assert (" ".join(lines[2].split()), len(lines)) == (" ".join(first.split()), 4)
    assert all(len(line) <= max(width, 7) for line in lines)
    assert table.left_out(width) == left_out


def test_a_long_text_goes_on_in_the_next_line() -> None:
    columns = (Column("name"), Column("rule", 1, long="wrap", least=8))
    assert drawn(Table(columns, [("a", "long above the average, short below")]), 14) == [
        "name  rule",
        "─" * 14,
        "a     long",
        "      above",
        "      the",
        "      average,",
        "      short",
        "      below",
    ]


def test_numbers_are_right_aligned_under_their_names() -> None:
    assert drawn(Table(("symbol", "count"), [("a", 1), ("b", 22.5)]), 40)[0::2] == ["symbol  count", "a           1"]


def test_wide_is_every_column_in_a_file_and_a_line_a_cell_where_the_terminal_is_too_narrow() -> None:
    table = Table(COLUMNS, ROWS, wide=True)
    assert drawn(table, 40)[2] == "BTCUSDT  71,000.50  held by macd_cross 1h  -3.98"
    assert drawn(table, 40, terminal=True)[:4] == [
        "symbol  BTCUSDT",
        "price   71,000.50",
        "why     held by macd_cross 1h",
        "fee     -3.98",
    ]
    assert drawn(table, 80, terminal=True)[2] == "BTCUSDT  71,000.50  held by macd_cross 1h  -3.98"


def test_nothing_has_words_for_it() -> None:
    assert drawn(Table(("symbol",), [], empty="none yet"), 20)[-1] == "none yet"
