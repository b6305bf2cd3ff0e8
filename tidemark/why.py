"""Why these months, as polars tables."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import polars as pl

from tidemark.frames import MONEY

if TYPE_CHECKING:
    from pipeline.app.why import Answer


def why_frame(answer: "Answer") -> pl.DataFrame:
    """A row a month."""
    rows = [
        {
            "month": one.month,
            "return_pct": one.return_pct,
            "low_pct": one.low_pct,
            "high_pct": one.high_pct,
            "trades": one.trades,
            **{_name(each.condition.name): each.value for each in one.conditions},
            **{f"{_name(each.condition.name)}_rank": each.higher_than for each in one.conditions},
            "because": one.because,
        }
        for one in answer.why.months
    ]
    texts = {"month": pl.String, "because": pl.String}
    schema: dict[str, Any] = {name: texts.get(name, pl.Float64) for name in (rows[0] if rows else texts)}
    return pl.DataFrame(rows, schema=schema | ({"trades": pl.Int64} if rows else {}))


def matrix_frame(answer: "Answer") -> pl.DataFrame:
    """A row a cell; profit is exact."""
    schema: dict[str, Any] = {
        "month": pl.String, "by": pl.String, "name": pl.String, "trades": pl.Int64, "profit": MONEY,
        "return_pct": pl.Float64, "low_pct": pl.Float64, "high_pct": pl.Float64,
    }  # fmt: skip
    return pl.DataFrame([asdict(one) for one in answer.why.cells], schema=schema)


def _name(condition: str) -> str:
    return condition.replace(" ", "_")
