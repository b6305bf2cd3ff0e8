"""A backtest as Python programs read it: polars tables, and figures by name."""

from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline.timeline import to_datetime
from tidemark.frames import MONEY, TIME
from tidemark.why import matrix_frame, why_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipeline.app.backtest import By, Result, Summary
    from pipeline.app.runs import Kept
    from pipeline.app.why import Answer

_EXACT = ("quantity", "entry_price", "exit_price", "gross", "fees", "funding", "profit")


class Backtest:
    """What came of a run. `summary` has the figures under the assumption that does not flatter; `bounds` puts those of
    the others beside it, where they differ."""

    def __init__(self, result: "Result", asks: "Callable[[Result], Answer]") -> None:
        self._result = result
        self._asks = asks

    @property
    def summary(self) -> "Summary":
        """The figures, by name."""
        return self._result.summary

    @property
    def contributions(self) -> pl.DataFrame:
        """A row a strategy: the whole run's figures beside those of the run without it, and how what its trades brought
        day by day correlates with what those of each other one did. Runs it once more for each."""
        from pipeline.app.backtest import apart  # noqa: PLC0415

        whole = self.summary
        rows = [
            {"strategy": one.strategy, "profit": one.profit, "return_pct": whole.return_pct}
            | {"return_without_pct": one.without.return_pct, "drawdown_pct": whole.max_drawdown_pct}
            | {"drawdown_without_pct": one.without.max_drawdown_pct, "sharpe": whole.sharpe}
            | {"sharpe_without": one.without.sharpe}
            | {f"with_{other}": value for other, value in one.correlations.items()}
            for one in apart(self._result)
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    @property
    def bounds(self) -> pl.DataFrame:
        """A row for each reading of what a minute does not tell: pessimistic, resolved, optimistic."""
        rows = [
            {"inside": str(one.inside)}
            | {name: value for name, value in asdict(one.summary).items() if not isinstance(value, dict)}
            for one in self._result.backtest.outcomes
        ]
        return pl.DataFrame(rows, infer_schema_length=None)

    @property
    def trades(self) -> pl.DataFrame:
        """A row a position, in the order in which they were opened; money is exact. What is open at the end has no
        `closed_at`."""
        from pipeline.app.backtest import row_of  # noqa: PLC0415

        rows = [row_of(one) for one in self._result.trades]
        schema: dict[str, Any] = {
            "symbol": pl.String, "side": pl.String, "strategy": pl.String, "interval": pl.String, "opened_at": TIME,
            "closed_at": TIME, "entries": pl.Int64, **dict.fromkeys(_EXACT, MONEY), "ended_by": pl.String,
            "decided_by": pl.String, "signal": pl.String, "orders": pl.List(pl.String),
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema)

    @property
    def equity(self) -> pl.DataFrame:
        """What the account was worth at the start, at each midnight (UTC), and at the end."""
        times, worth = self._result.backtest.outcome.curve.daily()
        return pl.DataFrame({"at": times, "equity": worth}).with_columns(pl.col("at").cast(TIME))

    @property
    def months(self) -> pl.DataFrame:
        """What each month brought."""
        return pl.DataFrame([asdict(one) for one in self._result.backtest.outcome.months])

    @cached_property
    def _answer(self) -> "Answer":
        return self._asks(self._result)

    @property
    def why(self) -> pl.DataFrame:
        """What was different in each month: its return and between which two it lies in nine of ten draws, the state of
        the market, and how high that was among all stretches as long (0 to 1, `..._rank`). `because`: the strongest."""
        return why_frame(self._answer)

    @property
    def matrix(self) -> pl.DataFrame:
        """What trades brought by month and by `strategy`, `symbol`, `side`, `hour` (UTC, of their opening) and `regime`
        of the market: a row a cell."""
        return matrix_frame(self._answer)

    @property
    def verdict(self) -> str:
        """What the returns of the months go with, in a sentence."""
        return self._answer.why.verdict

    def by(self, by: "By") -> pl.DataFrame:
        """The trades apart, by `side`, `reason`, `strategy`, `symbol` or `weekday`: a row each, the best first."""
        schema: dict[str, Any] = {
            "name": pl.String, "trades": pl.Int64, "still_open": pl.Int64, "profit": MONEY, "return_pct": pl.Float64,
            "won_pct": pl.Float64, "profit_factor": pl.Float64, "expectancy": pl.Float64, "best": pl.Float64,
            "worst": pl.Float64, "mean_hours": pl.Float64, "fees": MONEY, "funding": MONEY,
        }  # fmt: skip
        return pl.DataFrame([asdict(one) for one in self._result.by(by)], schema=schema)

    def report(self, file: "str | Path") -> None:
        """Write a report: one file of HTML that any browser shows, without a network."""
        from pipeline.app.backtest import report  # noqa: PLC0415

        report(self._result, Path(file), self._answer.why)

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        from pipeline.app.backtest import part  # noqa: PLC0415

        return part(self._result)

    @property
    def assumptions(self) -> dict[str, str]:
        """What the run takes for granted, in words."""
        return dict(self._result.backtest.assumed)

    @property
    def notes(self) -> list[str]:
        """What else is to be known of it."""
        return list(self._result.notes)

    def __repr__(self) -> str:
        found, one = self._result, self.summary
        return (
            f"<Backtest {', '.join(found.strategies)} on {', '.join(found.symbols)} {', '.join(found.intervals)}, "
            f"{to_datetime(found.start):%Y-%m-%d} to {to_datetime(found.end):%Y-%m-%d}: {one.return_pct:+.2f} %, "
            f"deepest drawdown {one.max_drawdown_pct:.2f} %, {one.trades} trades>"
        )


def runs_frame(kept: "Sequence[Kept]") -> pl.DataFrame:
    """A row a run; the figures are those that do not flatter."""
    names = ("return_pct", "max_drawdown_pct", "sharpe", "trades", "profit_factor")
    rows = [
        {"id": one.run.id, "at": one.run.at, "title": one.run.title, "stale": bool(one.changed), "kept": one.run.kept}
        | {name: one.figures.get(name) for name in names}
        for one in kept
    ]
    schema: dict[str, Any] = {
        "id": pl.String, "at": TIME, "title": pl.String, "stale": pl.Boolean, "kept": pl.Boolean,
        **dict.fromkeys(names, pl.Float64),
        "trades": pl.Int64,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema)
