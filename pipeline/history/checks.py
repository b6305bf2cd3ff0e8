"""What can be wrong with stored candles, one function a question. Pure: tables in, stretches of time out."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipeline.timeline import Interval, Window

SUMS: Final = ("volume", "quote_volume", "taker_buy_base", "taker_buy_quote")
MARKET_COLUMNS: Final = ("open", "high", "low", "close", *SUMS, "trades")
_SUM_TOLERANCE: Final = 1e-9
"""Relative. Sums of the same amounts in another order differ in the last bits; a lost trade differs by far more."""

Flags = npt.NDArray[np.bool_]


def insane(candles: pl.DataFrame, step: Interval) -> list[Window]:
    """Candles whose values no candle can have: high below low, a price that is none, a wrong close time, ..."""
    price = [pl.col(name) for name in ("open", "high", "low", "close")]
    sane = pl.all_horizontal(
        *(one.is_finite() & (one > 0) for one in price),
        pl.col("high") >= pl.max_horizontal("open", "close", "low"),
        pl.col("low") <= pl.min_horizontal("open", "close"),
        *(pl.col(name).is_finite() & (pl.col(name) >= 0) for name in SUMS),
        pl.col("trades") >= 0,
    )
    flags = (~candles.select(sane).to_series()).to_numpy() | _wrong_close(candles, step)
    return runs(candles, flags, step)


def _wrong_close(candles: pl.DataFrame, step: Interval) -> Flags:
    opened = candles["t"].cast(pl.Int64).to_list()
    expected = np.fromiter((step.close_time(time) for time in opened), np.int64, len(opened))
    wrong: Flags = candles["te"].cast(pl.Int64).to_numpy() != expected
    return wrong


def differing(stored: pl.DataFrame, truth: pl.DataFrame, step: Interval) -> list[Window]:
    """Closed candles that are in both tables and not the same in both."""
    both = _joined(stored, truth)
    differs = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_other") for name in MARKET_COLUMNS)
    return runs(both, both.select(differs).to_series().to_numpy(), step)


def disagreeing(small: pl.DataFrame, small_step: Interval, large: pl.DataFrame, step: Interval) -> list[Window]:
    """Large candles that are not what their small candles add up to; only where all the small ones are there."""
    if large.is_empty() or small.is_empty():
        return []
    opened = large.select("t").with_columns(
        need=pl.Series([small_step.count(t, step.close_time(t)) for t in large["t"].cast(pl.Int64)], dtype=pl.UInt32)
    )
    added = (
        small.filter(pl.col("closed"))
        .join_asof(opened.rename({"t": "large"}), left_on="t", right_on="large", strategy="backward")
        .group_by("large", maintain_order=True)
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            *(pl.col(name).sum() for name in (*SUMS, "trades")),
            closed=pl.col("t").len() == pl.col("need").first(),
        )
        .rename({"large": "t"})
        .drop_nulls("t")
    )
    both = _joined(large, added)
    exact = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_other") for name in MARKET_COLUMNS if name not in SUMS)
    sums = pl.any_horizontal(
        (pl.col(name) - pl.col(f"{name}_other")).abs() > _SUM_TOLERANCE * pl.col(name).abs().clip(1e-9) for name in SUMS
    )
    return runs(both, both.select(exact | sums).to_series().to_numpy(), step)


def _joined(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """The candles closed in both, side by side; the other's columns end in `_other`."""
    times = pl.col("t").cast(pl.Int64)
    left, right = (table.filter(pl.col("closed")).with_columns(times) for table in (one, other))
    return left.join(right, on="t", how="inner", suffix="_other", maintain_order="left")


def runs(candles: pl.DataFrame, flags: Flags, step: Interval) -> list[Window]:
    """The flagged candles as stretches; neighbours in time become one."""
    opened = candles["t"].cast(pl.Int64).to_numpy()[flags].tolist()
    return list(_stretches(opened, step))


def _stretches(opened: list[int], step: Interval) -> Iterator[Window]:
    start = previous = None
    for time in opened:
        if previous is not None and time == step.after(previous):
            previous = time
            continue
        if start is not None and previous is not None:
            yield Window(start, previous)
        start = previous = time
    if start is not None and previous is not None:
        yield Window(start, previous)
