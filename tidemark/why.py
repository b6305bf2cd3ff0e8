"""Why these months, as polars tables."""

from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING, Any

import polars as pl

from tidemark.frames import MONEY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


class AccountWhy:
    """Why the account's months earned, and those not: in each asset that it is counted in, by its snapshots and the
    journal of orders."""

    def __init__(self, answers: "Sequence[Answer]") -> None:
        self._answers = answers

    @property
    def months(self) -> pl.DataFrame:
        """A row a month: what it brought, between what nine of ten draws of it lie, and what was different about the
        market."""
        return self._joined(why_frame)

    @property
    def matrix(self) -> pl.DataFrame:
        """A row for each month with each strategy, symbol, side, hour and market that had trades: `by` says which of
        these `name` is."""
        return self._joined(matrix_frame)

    @property
    def verdict(self) -> dict[str, str]:
        """By asset, in a sentence."""
        return {one.asset: one.why.verdict for one in self._answers}

    @property
    def notes(self) -> list[str]:
        """What else is to be known of it."""
        return [note for one in self._answers for note in one.notes]

    def _joined(self, frame: "Callable[[Answer], pl.DataFrame]") -> pl.DataFrame:
        parts = [frame(one).select(pl.lit(one.asset).alias("asset"), pl.all()) for one in self._answers]
        return pl.concat(parts, how="diagonal") if parts else pl.DataFrame(schema={"asset": pl.String})

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        return f"<p>{escape(repr(self))}</p>{self.months._repr_html_()}"

    def __repr__(self) -> str:
        return f"<AccountWhy {'; '.join(f'{asset}: {said}' for asset, said in self.verdict.items()) or 'no account'}>"


def _name(condition: str) -> str:
    return condition.replace(" ", "_")
