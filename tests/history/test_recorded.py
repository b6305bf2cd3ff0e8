"""Real recorded candles through the replay market: stored and loaded back equal."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pymongo.database import Database

from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.history.backfill import Backfill
from pipeline.history.listing import wanted_series
from pipeline.simulator.handle import Simulator
from pipeline.store.candles.store import CandleStore
from pipeline.timeline import DAY, interval
from schemas.series import SeriesKey

RECORDED = Path(__file__).parents[3] / "shared" / "realdata"
COLUMNS = ("open", "high", "low", "close", "volume")


@pytest.mark.parametrize(
    ("file", "code", "days"),
    [
        ("btcusdt_perp_1m_2025.feather", "1m", 60),
        ("btcusdt_perp_15m_2025.feather", "15m", 60),
        ("btcusdt_perp_1h_2023-12_2024-12.feather", "1h", 400),
    ],
)
def test_what_was_recorded_is_stored_and_loaded_back_equal(
    prepared: Database[Any],
    start_simulator: Callable[..., Simulator],
    connect_to: Callable[[Simulator], RestClient],
    file: str,
    code: str,
    days: int,
) -> None:
    path = RECORDED / file
    if not path.exists():
        pytest.skip(f"the recorded candles are not here: {path}")
    simulator = start_simulator(replay=str(path), replay_symbol="BTCUSDT", lifted_limits=True)
    market = MarketData(connect_to(simulator))
    (series,) = wanted_series(["BTCUSDT"], [code], market.symbols(), "sim")
    with Backfill(prepared, market) as work:
        before, report, after = simulator.now(), work.fill(series, days), simulator.now()
    assert report.is_complete
    assert report.wanted > 1_000

    key = SeriesKey("sim", "BTCUSDT", code)
    step = interval(code)
    stored = CandleStore(prepared).load(key, series.listed, series.listed + days * DAY).filter(pl.col("closed"))
    recorded = pl.read_ipc(path.read_bytes()).head(stored.height)
    fewest, most = (step.index(now) - step.index(series.listed) for now in (before, after))
    assert fewest <= report.stored <= stored.height <= most, "one that closes meanwhile may be stored and not counted"
    opened = stored["t"].cast(pl.Int64).to_numpy()
    assert (np.diff(opened) == step.milliseconds).all()
    for column in COLUMNS:
        np.testing.assert_array_equal(stored[column].to_numpy(), recorded[column].cast(pl.Float64).to_numpy(), column)
