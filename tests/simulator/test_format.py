"""Numbers as the exchange prints them."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.simulator.types import KLINE, SymbolSpec
from pipeline.simulator.wire.format import grids, price_text, quantity_text, rest_rows
from pipeline.timeline import INTERVALS


def spec(tick: str, step: str, price_digits: int, quantity_digits: int) -> SymbolSpec:
    return SymbolSpec(
        "XUSDT", "X", "USDT", Decimal(tick), Decimal(step), 0,
        price_precision=price_digits, quantity_precision=quantity_digits,
    )  # fmt: skip


BTC = spec("0.10", "0.001", 2, 3)
SHIB = spec("0.000001", "1", 6, 0)
WHOLE = spec("5", "1", 0, 0)


@pytest.mark.parametrize(
    ("contract", "ticks", "price", "steps", "quantity", "quote"),
    [
        (BTC, 606_852, "60685.20", 14, "0.014", "849.59280"),
        (BTC, 1, "0.10", 1, "0.001", "0.00010"),
        (BTC, 0, "0.00", 0, "0.000", "0.00000"),
        (BTC, -606_852, "-60685.20", 14, "0.014", "-849.59280"),
        (SHIB, 19_004, "0.019004", 250, "250", "4.751000"),
        (WHOLE, 3, "15", 7, "7", "105"),
    ],
)
def test_one_number(contract: SymbolSpec, ticks: int, price: str, steps: int, quantity: str, quote: str) -> None:
    assert price_text(contract, ticks) == price
    assert quantity_text(contract, steps) == quantity
    assert grids(contract).quote.text(ticks * steps) == quote


@pytest.mark.parametrize("contract", [BTC, SHIB, WHOLE])
@given(counts=st.lists(st.integers(0, 2**50), max_size=20))
def test_many_numbers_are_printed_as_one_is_and_are_exact(contract: SymbolSpec, counts: list[int]) -> None:
    grid = grids(contract).price
    texts = grid.texts(np.array(counts, dtype=np.int64))
    assert texts == [grid.text(count) for count in counts]
    assert [Decimal(text) for text in texts] == [contract.tick * count for count in counts]


@pytest.mark.parametrize(("interval", "closes"), [("1m", 1_767_225_659_999), ("1M", 1_769_903_999_999)])
def test_a_rest_row(interval: str, closes: int) -> None:
    candle = np.array(
        [(1_767_225_600_000, 606_852, 607_000, 606_001, 606_900, 12_345, 7_490_000_000, 31, 45, 27_000_000)], KLINE
    )
    row = [
        1_767_225_600_000, "60685.20", "60700.00", "60600.10", "60690.00", "12.345", closes,
        "749000.00000", 31, "0.045", "2700.00000", "0",
    ]  # fmt: skip
    assert rest_rows(BTC, INTERVALS[interval], candle) == [row]
    assert rest_rows(BTC, INTERVALS[interval], np.concatenate([candle, candle])) == [row, row]
    assert rest_rows(BTC, INTERVALS[interval], candle[:0]) == []


def test_a_tick_that_does_not_fit_the_digits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.25 does not fit 1 digit"):
        grids(spec("0.25", "1", 1, 0))
