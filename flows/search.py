"""A search as a Prefect flow: a form for what is tried, its best and its verdict as a page, and each trial kept."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from pydantic import BaseModel, ConfigDict, Field

from flows.reporting import plain, table_of
from flows.running import OF_EXCHANGE, key_of, leave_word
from pipeline.app.moments import moment
from pipeline.app.opened import Opened
from pipeline.errors import UsageError
from pipeline.settings import load

if TYPE_CHECKING:
    from pipeline.app.search import Found
    from pipeline.app.searched import SearchFor

_BEST = 10
_SHOWN = ("return_pct", "max_drawdown_pct", "sharpe", "trades", "profit_factor")


class SearchChoice(BaseModel):
    """What is tried, over what. The exchange: the one of the settings, where none is named."""

    model_config = ConfigDict(extra="forbid")

    exchange: str | None = OF_EXCHANGE
    strategy: str | None = Field(default=None, description="a name, or path/to/file.py:Name; none with resume")
    symbols: list[str] = Field(default_factory=list, description="contracts, for example BTCUSDT; none: the settings'")
    interval: str | None = Field(
        default=None, description="the candles of the signals; none: the first of the settings"
    )
    space: list[str] = Field(
        default_factory=list, description="what is tried: n=5..60:5, stop=1..4:0.5; none: what the strategy declares"
    )
    parameters: dict[str, bool | int | float | str] = Field(
        default_factory=dict, description="those that stay, for example fast: 8"
    )
    days: Annotated[float, Field(gt=0, le=5_000)] | None = Field(
        default=None, description="so many, until the end; none: the last 300 that are stored"
    )
    start: str | None = Field(default=None, description="from here on, ISO 8601, UTC; not together with days")
    end: str | None = Field(default=None, description="up to here; none: the newest stored minute")
    equity: Annotated[Decimal, Field(gt=0)] | None = Field(
        default=None, description="what the account begins with; none: 10,000, or as many coins as that bought"
    )
    trials: Annotated[int, Field(ge=1)] = Field(default=200, description="so many sets")
    sampler: str = Field(default="random", description="random, tpe, qmc or grid")
    seed: int = Field(default=1, description="the same seed tries the same sets")
    objectives: list[str] = Field(default_factory=lambda: ["sharpe"], description="the figures that rank")
    folds: Annotated[int, Field(ge=0)] = Field(default=6, description="of the walk forward; 0: none")
    anchored: bool = Field(default=False, description="train from the first day on in each fold")
    prune: bool = Field(default=False, description="end a set that is below the middle on the first stretch")
    through_holes: bool = Field(
        default=False, description="go on although minutes are not stored over which one may be held"
    )
    sealed: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.15, description="the share of the days, the last, that no set sees"
    )
    name: str | None = Field(default=None, description="what it is called; one of that name goes on")
    resume: str | None = Field(default=None, description="go on with that one, as it was asked for")
    workers: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="so many processes of this machine; none: one a core where it takes long"
    )
    cluster: str | None = Field(default=None, description="the workers of that Dask cluster: tcp://HOST:8786")

    def asked(self, tm: Opened) -> "SearchFor":
        """In the words of a search."""
        from pipeline.app.searched import SearchFor, resumed  # noqa: PLC0415

        if self.resume is not None:
            return resumed(tm, self.resume, self.trials if "trials" in self.model_fields_set else None)
        return SearchFor(
            strategy=self.strategy or "",
            symbols=self.symbols,
            interval=self.interval,
            parameters=self.parameters,
            space=self.space,
            days=self.days,
            start=moment("start", self.start),
            end=moment("end", self.end),
            equity=self.equity,
            trials=self.trials,
            sampler=self.sampler,
            seed=self.seed,
            objectives=self.objectives,
            folds=self.folds,
            anchored=self.anchored,
            prune=self.prune,
            through_holes=self.through_holes,
            sealed=self.sealed,
            name=self.name,
        )


@flow(name="search", persist_result=False, on_completion=[leave_word])
def run_search(chosen: SearchChoice = SearchChoice()) -> dict[str, Any]:  # noqa: B008 - never changed
    """Which parameters would have earned? Sets of them over stored candles; nothing is sent anywhere."""
    from pipeline.app.search import search  # noqa: PLC0415
    from pipeline.app.trying import workers_of  # noqa: PLC0415

    if (chosen.strategy is None) == (chosen.resume is None):
        raise UsageError("name a strategy to search, or a search to resume, and not both")
    if chosen.days is not None and chosen.start is not None:
        raise UsageError("days and start exclude each other; choose one")
    settings = load() if chosen.exchange is None else load().at(chosen.exchange)
    logger = get_run_logger()
    with (
        Opened(settings) as tm,
        workers_of(settings.home / "search", chosen.workers, chosen.cluster) as workers,
    ):
        found = search(
            tm,
            chosen.asked(tm),
            workers=workers,
            begun=lambda name: logger.info("search %s: if it is interrupted, resume it by that name", name),
        )
    one = found.search
    create_markdown_artifact(
        key=key_of(settings, "search"), markdown=_page(found), description=f"{one.strategy}, {' '.join(one.symbols)}"
    )
    logger.info("search %s: %s", one.id, found.verdict.word)
    best = found.best[0].id if found.best else None
    return {"search": one.id, "trials": len(found.trials), "best": best, "verdict": found.verdict.word}


def _page(found: "Found") -> str:
    from pipeline.app.search import ranked  # noqa: PLC0415

    one, verdict = found.search, found.verdict
    names = [*one.objectives, *(each for each in _SHOWN if each not in one.objectives)]
    best = found.best[:_BEST] if len(one.objectives) > 1 else ranked(found)[:_BEST]
    rows = [
        (
            each.id,
            *(_said(each.figures.get(name)) for name in names),
            ", ".join(f"{name}={value}" for name, value in each.parameters.items()),
        )
        for each in best
    ]
    parts = [
        f"# {plain(' '.join([one.strategy, 'on', *one.symbols, *one.intervals]))}",
        f"Search `{one.id}`, {len(found.trials):,} trials: `tidemark trials --search {one.id}`.",
        table_of(("verdict of the best trial", verdict.word), [("because", text) for text in verdict.because]),
        table_of(("trial", *names, "parameters"), rows),
        *_forward(found),
        *(f"- would change the verdict: {plain(text)}" for text in verdict.would_change),
        *(f"- {plain(text)}" for text in one.notes),
    ]
    return "\n\n".join(parts)


def _forward(found: "Found") -> list[str]:
    """What was chosen on a stretch, and what it brought behind it."""
    if found.forward is None:
        return []
    first = found.search.objectives[0]
    rows = [
        (str(place), str(step.chosen), _said(step.trained.get(first)), _said(step.brought.get(first)),
         f"{step.brought['return_pct']:+,.2f} %")
        for place, step in enumerate(found.forward.steps, 1)
    ]  # fmt: skip
    whole = f"All of them: {found.forward.figures['return_pct']:+,.2f} %, {found.forward.figures['trades']} trades."
    return [table_of(("fold", "chosen", f"{first}, chosen by", f"{first}, behind", "return behind"), rows), whole]


def _said(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.2f}" if isinstance(value, float) else str(value)
