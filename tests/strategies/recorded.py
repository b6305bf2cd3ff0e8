"""Recorded BTCUSDT candles, which are no part of the project, and how docs/strategies.md writes what comes of them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from pipeline.app.candle_file import read_sample
from pipeline.periods import Floats
from pipeline.strategies.synthetic import Sample

PAGE = Path(__file__).parents[2] / "docs" / "strategies.md"
REALDATA = Path(__file__).parents[3] / "shared" / "realdata"
FILES = {
    "1h": REALDATA / "btcusdt_perp_1h_2023-12_2024-12.feather",
    "15m": REALDATA / "btcusdt_perp_15m_2025.feather",
    "1m": REALDATA / "btcusdt_perp_1m_2025.feather",
}
HOURS_A_MONTH = 365.25 * 24 / 12

needs_realdata = pytest.mark.skipif(
    not REALDATA.is_dir(), reason="the recorded candles (../shared/realdata) are absent"
)


@cache
def market_of(interval: str) -> Sample:
    return read_sample(FILES[interval])


@cache
def columns_of(interval: str) -> dict[str, Floats]:
    return market_of(interval).columns()


def percent(flags: Sequence[bool]) -> str:
    return f"{100 * sum(flags) / len(flags):.0f} %"


def written(*rows: Sequence[str]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
