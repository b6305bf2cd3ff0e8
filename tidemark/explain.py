"""Live explained by a backtest, as Python programs read it: polars tables of positions and of causes."""

from collections.abc import Sequence
from dataclasses import asdict
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline.timeline import to_datetime
from tidemark.frames import MONEY, TIME

if TYPE_CHECKING:
    from pipeline.app.explain import Explained


class Explanation:
    """What became of a window, account by account; contracts of a coin are an account each. Money is exact, and in the
    `asset` beside it; basis points are of what was entered."""

    def __init__(self, found: "Sequence[Explained]") -> None:
        self._found = found

    @property
    def accounts(self) -> pl.DataFrame:
        """A row an account: what live brought and what the backtest, and the rest that nothing explains."""
        rows = [
            {
                "asset": one.asset,
                "start": to_datetime(one.start),
                "end": to_datetime(one.end),
                "signals": one.signals,
                "alike": one.alike,
                "positions": len(one.rows),
                "live": one.live,
                "backtest": one.paper,
                "difference": one.live - one.paper,
                "rest": one.rest,
                "rest_points": float(one.points(one.rest)),
            }
            for one in self._found
        ]
        schema: dict[str, Any] = {
            "asset": pl.String, "start": TIME, "end": TIME, "signals": pl.Int64, "alike": pl.Int64,
            "positions": pl.Int64, **dict.fromkeys(("live", "backtest", "difference", "rest"), MONEY),
            "rest_points": pl.Float64,
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema)

    @property
    def causes(self) -> pl.DataFrame:
        """A row a cause, the dearest first."""
        from pipeline.app.explain import means  # noqa: PLC0415

        rows = [
            {"asset": one.asset, "cause": cause, "money": money, "points": float(one.points(money)),
             "positions": sum(cause in each.by_cause for each in one.rows), "means": means(cause)}
            for one in self._found
            for cause, money in one.by_cause.items()
        ]  # fmt: skip
        schema: dict[str, Any] = {
            "asset": pl.String, "cause": pl.String, "money": MONEY, "points": pl.Float64, "positions": pl.Int64,
            "means": pl.String,
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema)

    @property
    def positions(self) -> pl.DataFrame:
        """A row a position, in the order in which they were opened. One that only one of the two had has no `live`, or
        no `backtest`. live - backtest = the costs of its causes + rest."""
        from pipeline.app.explain import row_of  # noqa: PLC0415

        rows = [
            row_of(one) | {"asset": each.asset, "causes": [cost.cause for cost in one.costs],
                           "rest_points": float(one.points(one.rest))}
            for each in self._found
            for one in each.rows
        ]  # fmt: skip
        schema: dict[str, Any] = {
            "asset": pl.String, "symbol": pl.String, "side": pl.String, "strategy": pl.String, "interval": pl.String,
            "signal": pl.String, "opened_at": TIME, "closed_at": TIME,
            **dict.fromkeys(("entered", "live", "backtest", "difference"), MONEY), "causes": pl.List(pl.String),
            "rest": MONEY, "rest_points": pl.Float64, "orders": pl.List(pl.String),
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema)

    @property
    def costs(self) -> pl.DataFrame:
        """A row a cost, with what in the store says so."""
        rows = [
            {"symbol": one.symbol, "opened_at": to_datetime(one.opened_at), "signal": one.signal, "cause": cost.cause,
             "money": cost.money, "points": float(one.points(cost.money)), "order": cost.order, "words": cost.words}
            for each in self._found
            for one in each.rows
            for cost in one.costs
        ]  # fmt: skip
        schema: dict[str, Any] = {
            "symbol": pl.String, "opened_at": TIME, "signal": pl.String, "cause": pl.String, "money": MONEY,
            "points": pl.Float64, "order": pl.String, "words": pl.String,
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema)

    @property
    def slippage(self) -> pl.DataFrame:
        """How far live's fills were from where they were decided or from their triggers, by symbol and size of the
        order: in basis points, positive is worse. `assumed`: the median of the backtest's."""
        schema: dict[str, Any] = {"symbol": pl.String, "size": pl.String, "orders": pl.Int64} | dict.fromkeys(
            ("median", "low", "high", "assumed"), pl.Float64()
        )
        return pl.DataFrame([asdict(each) for one in self._found for each in one.slippage], schema=schema)

    @property
    def rest(self) -> dict[str, Decimal]:
        """By asset, what nothing that is stored explains."""
        return {one.asset: one.rest for one in self._found}

    @property
    def notes(self) -> list[str]:
        """What else is to be known of it."""
        return [note for one in self._found for note in one.notes]

    def _repr_html_(self) -> str:
        """As a notebook shows it."""
        return f"<p>{escape(repr(self))}</p>{self.causes._repr_html_()}{self.positions._repr_html_()}"

    def __repr__(self) -> str:
        told = "; ".join(
            f"{one.live:+.4f} {one.asset} live, {one.paper:+.4f} by the backtest, {one.rest:+.4f} unexplained, "
            f"{len(one.rows)} positions"
            for one in self._found
        )
        return f"<Explanation {told or 'nothing was traded'}>"
