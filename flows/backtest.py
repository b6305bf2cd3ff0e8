"""A backtest as a Prefect flow: a form for what is run, its figures as a page, and the run kept."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from pydantic import Field

from flows.reporting import plain, table_of
from flows.running import Chosen, key_of, leave_word
from pipeline.app.moments import moment
from pipeline.app.opened import Opened
from pipeline.errors import UsageError
from pipeline.exchange_names import decimals_of_asset
from pipeline.settings import load

if TYPE_CHECKING:
    from pipeline.app.backtest import Result


class BacktestChoice(Chosen):
    """What is run, over what. The exchange: the one of the settings, where none is named."""

    strategies: list[str] = Field(default_factory=list, description="names, or path/to/file.py:Name; none: what runs")
    parameters: dict[str, bool | int | float | str] = Field(
        default_factory=dict, description="of the one strategy that is named, for example fast: 8"
    )
    days: Annotated[float, Field(gt=0, le=5_000)] | None = Field(
        default=None, description="so many, until the end; none: the last 300 that are stored"
    )
    start: str | None = Field(default=None, description="from here on, ISO 8601, UTC; not together with days")
    end: str | None = Field(default=None, description="up to here; none: the newest stored minute")
    equity: Annotated[Decimal, Field(gt=0)] | None = Field(
        default=None, description="what the account begins with; none: 10,000, or as many coins as that bought"
    )
    exact: bool = Field(default=False, description="by the executor itself, not by its rules compiled")
    through_holes: bool = Field(
        default=False, description="go on although a position was held over minutes that are not stored"
    )


@flow(name="backtest", persist_result=False, on_completion=[leave_word])
def run_backtest(chosen: BacktestChoice = BacktestChoice()) -> dict[str, Any]:  # noqa: B008 - never changed
    """Would it have earned? Over stored candles, with the settings as they are now; nothing is sent anywhere."""
    from pipeline.app.backtest import backtest  # noqa: PLC0415
    from pipeline.app.runs import AskedFor, keep  # noqa: PLC0415

    if chosen.days is not None and chosen.start is not None:
        raise UsageError("days and start exclude each other; choose one")
    settings = load() if chosen.exchange is None else load().at(chosen.exchange)
    asked = AskedFor(
        chosen.strategies, chosen.symbols, chosen.intervals, chosen.parameters, chosen.exact, chosen.through_holes
    )
    with Opened(settings) as tm:
        found = backtest(
            tm,
            chosen.strategies,
            symbols=chosen.symbols,
            intervals=chosen.intervals,
            parameters=chosen.parameters,
            days=chosen.days,
            start=moment("start", chosen.start),
            end=moment("end", chosen.end),
            equity=chosen.equity,
            exact=chosen.exact,
            through_holes=chosen.through_holes,
        )
        name = keep(tm, found, asked)
    create_markdown_artifact(key=key_of(settings, "backtest"), markdown=_page(found, name), description=found.title)
    get_run_logger().info("kept as run %s: %+.2f %%", name, found.summary.return_pct)
    return {"run": name, "return_pct": found.summary.return_pct, "trades": found.summary.trades}


def _page(found: "Result", name: str) -> str:
    from pipeline.app.backtest import FIGURES, number, share  # noqa: PLC0415

    outcomes = found.backtest.outcomes
    figures = [(one.name, *(one.text(each.summary) for each in outcomes)) for one in FIGURES if one.telling]
    months = [
        (one.month, f"{one.return_pct:+,.2f} %", share(one.max_drawdown_pct), str(one.trades))
        for one in found.backtest.outcome.months
    ]
    reasons = [
        (
            one.name,
            str(one.trades + one.still_open),
            f"{one.profit:+,.{decimals_of_asset(found.summary.asset)}f}",
            share(one.won_pct),
            number(one.profit_factor),
        )
        for one in found.by("reason")
    ]
    parts = [
        f"# {plain(found.title)}",
        f"Run `{name}`: `tidemark runs show {name}`.",
        table_of(("figure", *(str(one.inside) for one in outcomes)), figures),
        table_of(("month", "return", "drawdown", "trades"), months),
        table_of(("ended by", "trades", "profit", "won", "profit factor"), reasons),
        table_of(("assumed", "what"), list(found.backtest.assumed.items())),
        *(f"- {plain(one)}" for one in found.notes),
    ]
    return "\n\n".join(parts)
