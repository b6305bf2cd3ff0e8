"""What the page's server loads: it looks things up. What computes is loaded by the processes that it begins."""

import asyncio
import subprocess
import sys
from typing import Final

import psutil
import pytest

from pipeline.web import memory

HEAVY: Final = (
    "numba",
    "optuna",
    "pandas",
    "scipy",
    "talib",
    "distributed",
    "vectorbt",
    "pipeline.research.backtest.run",
)
"""What backtests and searches need, and whatever else takes much memory."""
ASKED_SELDOM: Final = ("pipeline.app.why", "pipeline.simulator.venue")
"""Loaded by the first who asks: 4 MB."""


def test_the_server_is_there_without_what_computes() -> None:
    program = f"""
import sys
from pipeline.web.server import application
from pipeline.strategies import registry
registry.make(registry.find("macd_cross"), {{}})
print(*[name for name in {HEAVY + ASKED_SELDOM} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


async def test_what_was_freed_goes_back_to_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a piece that is still needed glibc would keep it."""
    monkeypatch.setattr(memory, "EVERY", 0.01)
    pieces = [bytearray(b"x") * 100_000 for _ in range(1_000)]
    last, held = pieces[-1], psutil.Process().memory_info().rss
    pieces.clear()
    giving = asyncio.create_task(memory.give_back_for_ever())
    async with asyncio.timeout(60):
        while psutil.Process().memory_info().rss > held - 50_000_000:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.01)
    giving.cancel()
    assert last
