"""The code that a result is of, as a hash: whether another would have come of it is seen by that."""

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

import pipeline

_ENGINES: Final = (
    "research/figures.py", "research/backtest", "execution/engine", "execution/gateway", "execution/account/coins.py",
    "exchange/products", "simulator/venue", "simulator/spot", "simulator/worth.py", "simulator/products",
    "simulator/market/coin_contracts.py", "periods.py", "indicators.py", "signals.py", "strategies/runner.py",
)  # fmt: skip
_BACKFILL: Final = ("app/outpost.py", "history", "exchange", "store", "timeline.py")
_SEARCH: Final = ("research/search", "research/walk_forward.py", "research/significance.py")


def backtest_code() -> str:
    """All that makes a backtest what it is, but for the strategies and the settings."""
    return _hash_of(*_ENGINES)


def trial_code() -> str:
    """All that makes a trial of a search what it is, but for the strategy and the settings."""
    return _hash_of(*_ENGINES, *_SEARCH)


def backfill_code() -> str:
    """All that makes what a backfill stores what it is."""
    return _hash_of(*_BACKFILL)


def hash_of(text: str) -> str:
    """A name for a text that no other has."""
    return sha256(text.encode()).hexdigest()


@cache
def _hash_of(*parts: str) -> str:
    root = Path(pipeline.__file__).parent
    files = sorted(
        file for part in parts for file in ((root / part).rglob("*.py") if (root / part).is_dir() else [root / part])
    )
    return hash_of("".join(file.read_text() for file in files))
