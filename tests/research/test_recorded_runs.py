"""What the shipped strategies would have brought on recorded BTCUSDT, as docs/backtesting.md tells it: each alone, by
the settings that are shipped. When the table fails, the new one is in the failure."""

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pytest

from pipeline.exchange.products.product import Product
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.execution.engine.state import SignalView
from pipeline.indicators import compute
from pipeline.periods import PERIODS
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.minutes import Minutes
from pipeline.research.backtest.run import Outcome, run
from pipeline.signals import Calculation, findings
from pipeline.strategies import registry
from pipeline.strategies.base import CANDLE_COLUMNS
from pipeline.strategies.runner import run_history
from pipeline.timeline import MINUTE, interval
from schemas.series import SeriesKey
from tests.research.stage import BTC, TICK, asked
from tests.research.test_fast import require_equal
from tests.strategies.recorded import FILES, needs_realdata, written

PAGE: Final = Path(__file__).parents[2] / "docs" / "backtesting.md"
FRESH: Final = 5 * MINUTE


@cache
def candles_of(code: str) -> pl.DataFrame:
    """As they were recorded; `t` is when each opens."""
    return pl.read_ipc(FILES[code]).with_columns(pl.col("date").dt.epoch("ms").alias("t")).sort("t")


@cache
def minutes_of(code: str) -> Minutes:
    """To be filled on. Of an hour nothing finer was recorded: its first minute has all of its range, the others stand
    at its close."""
    table = candles_of(code)
    length = interval(code).after(0) // MINUTE
    columns = [table[name].to_numpy() for name in ("open", "high", "low", "close")]
    spread = np.repeat(columns[3], length)
    prices = [spread.copy() for _ in columns]
    for whole, own in zip(prices, columns, strict=True):
        whole[::length] = own
    times = np.repeat(table["t"].to_numpy(), length) + np.tile(np.arange(length) * MINUTE, len(table))
    return Minutes.of(BTC, TICK, times, *prices)


def signals_of(code: str, name: str) -> list[SignalView]:
    """What a strategy says of them."""
    table, step, strategy = candles_of(code), interval(code), registry.get(name)
    columns = {one: table[one].to_numpy().astype(np.float64) for one in CANDLE_COLUMNS}
    numbers = np.array([step.index(one) for one in table["t"].to_list()])
    columns |= compute(numbers, columns["high"], columns["low"], columns["close"], decimals=1)
    codes = run_history(strategy, columns, numbers)
    key = SeriesKey("sim", BTC, code)
    found = findings(key, strategy, Calculation(PERIODS, 1), columns, codes, numbers, np.flatnonzero(codes).tolist())
    return [
        SignalView(
            id=one.id,
            symbol=BTC,
            interval=code,
            strategy=name,
            kind=one.kind,
            side=one.side,
            at=one.at,
            price=Decimal(repr(one.price)),
            atr=Decimal(repr(one.indicators["atr"])) if "atr" in one.indicators else None,
            confirmed=True,
            fresh_until=one.at + FRESH,
        )
        for one in found
    ]


@cache
def question(code: str, name: str, product: Product = UM) -> Asked:
    """All of what was recorded."""
    return asked(minutes_of(code), signals_of(code, name), product=product)


@cache
def outcome(code: str, name: str) -> Outcome:
    """By the compiled rules."""
    return run(question(code, name)).outcome


def row(code: str, name: str) -> list[str]:
    """As the page has it."""
    found = outcome(code, name).summary
    return [
        f"`{name}`", code, f"{found.signals:,}", f"{found.trades:,}", f"{found.won_pct:.1f} %",
        f"{found.mean_pct:+.3f} %", f"{found.return_pct:+.2f} %", f"{found.max_drawdown_pct:.2f} %",
        f"{found.on_an_assumption}",
    ]  # fmt: skip


@needs_realdata
@pytest.mark.parametrize("code", ["1h", "1m"])
def test_what_each_shipped_strategy_brings_is_in_the_table_of_the_page(code: str) -> None:
    assert written(*(row(code, name) for name in registry.SHIPPED)) in PAGE.read_text()


@needs_realdata
@pytest.mark.parametrize("product", [UM, SPOT], ids=repr)
def test_the_executor_itself_comes_to_the_same_on_the_recorded_hours(product: Product) -> None:
    asked_for = question("1h", "ma_order_golden", product)
    require_equal(run(asked_for).outcome, run(asked_for, exact=True).outcome, asked_for)
