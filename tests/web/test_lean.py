"""What the page's server loads: it looks things up. What computes is loaded by the processes that it begins."""

import subprocess
import sys
from typing import Final

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


def test_the_server_is_there_without_what_computes() -> None:
    program = f"""
import sys
from pipeline.web.server import application
from pipeline.strategies import registry
registry.make(registry.find("macd_cross"), {{}})
print(*[name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
