"""Backtests and searches as they are kept, of figures that a test gives them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from pymongo.database import Database

from pipeline.store.runs import RunStore
from pipeline.store.searches import SearchStore
from schemas.runs import Run, RunInputs
from schemas.searches import Search

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)
STRETCH = 20
"""Days of each that was traded on out of sample."""


def keep_search(db: Database[Any], name: str, of: str, means: list[float], **changes: Any) -> None:
    """A search whose choices brought so much a day on each stretch behind."""
    dice = np.random.default_rng(7)
    daily = np.concatenate([mean + dice.normal(0, 0.01, STRETCH) for mean in means]) if means else np.zeros(0)
    times = [BEGIN + timedelta(days=day) for day in range(len(daily) + 1)]
    steps = [{"test": [times[place * STRETCH], times[(place + 1) * STRETCH]]} for place in range(len(means))]
    forward = {"steps": steps, "times": times, "equity": [10_000.0, *(10_000 * np.cumprod(1 + daily)).tolist()]}
    fields: dict[str, Any] = {
        "environment": "sim", "at": BEGIN, "strategy": of, "fixed": {}, "space": {}, "symbols": ["BTCUSDT"],
        "intervals": ["1h"], "start": times[0], "end": times[-1], "equity": Decimal(10_000), "trials": 9,
        "sampler": "random", "seed": 1, "objectives": ["sharpe"], "folds": len(means), "anchored": False,
        "prune": False, "sealed": None, "code": "", "candles": [], "notes": [], "ended_at": times[-1],
        "result": {
            "forward": forward if means else None,
            "verdict": {"word": "holds up", "evidence": {"trade_low": 9.0, "trade_high": 11.0}},
        },
    }  # fmt: skip
    assert SearchStore(db, "sim").add(Search(id=name, **fields | changes))


def keep_run(db: Database[Any], name: str, profits: dict[str, list[float]], at: datetime = BEGIN) -> None:
    """A backtest in which a trade of each strategy ended on each day, and brought that."""
    trades = [
        {
            "strategy": strategy,
            "closed_at": int((BEGIN + timedelta(days=day, hours=1)).timestamp() * 1_000),
            "profit": str(one),
        }
        for strategy, of_it in profits.items()
        for day, one in enumerate(of_it)
    ]
    days = max(map(len, profits.values()))
    inputs = RunInputs(
        strategies=sorted(profits), symbols=["BTCUSDT"], intervals=["1h"], parameters={}, start=BEGIN,
        end=BEGIN + timedelta(days=days), equity=Decimal(10_000), exact=False,
    )  # fmt: skip
    kept = Run(
        id=name, environment="sim", at=at, title="", inputs=inputs, strategies={}, settings="", code="", candles=[],
        readings=[], assumptions={}, notes=[], days=[], equity=[],
    )  # fmt: skip
    RunStore(db, "sim").add(kept, trades)
