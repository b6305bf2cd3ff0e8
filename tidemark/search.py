"""A search as Python programs read it: polars tables of its trials and of the walk through the folds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline.timeline import to_datetime
from tidemark.frames import TIME

if TYPE_CHECKING:
    from pipeline.app.search import Found
    from schemas.searches import Trial


class FoundSearch:
    """What came of a search. `name` is what `tm.trials` and `tidemark trials` know it by."""

    def __init__(self, found: "Found") -> None:
        self._found = found

    @property
    def name(self) -> str:
        """What it is called."""
        return self._found.search.id

    @property
    def trials(self) -> pl.DataFrame:
        """A row a trial, the best by the first objective first."""
        from pipeline.app.search import ranked  # noqa: PLC0415

        return trials_frame(ranked(self._found))

    @property
    def best(self) -> dict[str, Any]:
        """The parameters of the best trial by the first objective; of several objectives, of the first on the front."""
        return dict(self._found.best[0].parameters) if self._found.best else {}

    @property
    def folds(self) -> pl.DataFrame:
        """A row a fold: what was chosen, on which stretch, and what it brought on the one behind it."""
        first = self._found.search.objectives[0]
        steps = self._found.forward.steps if self._found.forward else ()
        rows = [
            {
                "trained_from": to_datetime(one.train[0]), "tested_from": to_datetime(one.test[0]),
                "tested_to": to_datetime(one.test[1]), "chosen": one.chosen, f"{first}_trained": one.trained.get(first),
                f"{first}_tested": one.brought.get(first), "return_pct": one.brought["return_pct"],
                "trades": one.brought["trades"],
            }
            for one in steps
        ]  # fmt: skip
        return pl.DataFrame(rows, infer_schema_length=None)

    @property
    def out_of_sample(self) -> dict[str, Any]:
        """The figures of the stretches behind, one after the other; empty without folds."""
        return dict(self._found.forward.figures) if self._found.forward else {}

    @property
    def verdict(self) -> str:
        """Of the best trial: "likely luck", "fragile" or "holds up"."""
        return self._found.verdict.word

    @property
    def evidence(self) -> dict[str, Any]:
        """What the verdict rests on, in words and figures, and what would change it."""
        return self._found.verdict.told()

    @property
    def equity(self) -> pl.DataFrame:
        """The equity of these stretches, by day."""
        forward = self._found.forward
        data = {"at": list(forward.times), "equity": list(forward.equity)} if forward else {"at": [], "equity": []}
        return pl.DataFrame(data, schema={"at": pl.Int64, "equity": pl.Float64}).with_columns(pl.col("at").cast(TIME))

    def report(self, file: "str | Path") -> None:
        """Write a report: one file of HTML that any browser shows, without a network."""
        from pipeline.app.search import report  # noqa: PLC0415

        report(self._found, Path(file))

    def __repr__(self) -> str:
        one = self._found.search
        return f"<Search {one.id}: {len(self._found.trials)} trials of {one.strategy} on {', '.join(one.symbols)}>"


def trials_frame(trials: "Sequence[Trial]") -> pl.DataFrame:
    """A row a trial: its name and state, its parameters, its figures."""
    rows = [{"id": one.id, "state": one.state, "reason": one.reason} | one.parameters | one.figures for one in trials]
    return pl.DataFrame(rows, infer_schema_length=None)
