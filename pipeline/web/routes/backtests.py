"""Would it have earned? Backtests begun, watched, cancelled; and those that were kept."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request

from pipeline.app import runs
from pipeline.timeline import to_ms
from pipeline.web import answers
from pipeline.web.backtests import Backtests, Wanted
from pipeline.web.places import At

router = APIRouter(tags=["backtests"])

MOST: Final = 500


@router.post("/backtests")
def begin(request: Request, at: At, wanted: answers.BacktestWanted) -> answers.BacktestJob:
    """Begin one; refused while another runs."""
    asked = Wanted(
        tuple(wanted.strategies),
        tuple(wanted.symbols),
        tuple(wanted.intervals),
        wanted.parameters,
        wanted.days,
        wanted.exact,
    )
    return answers.BacktestJob.model_validate(_jobs(request).begin(at.tm.environment, asked))


@router.get("/backtests/{job}")
def progress(request: Request, job: str) -> answers.BacktestJob:
    """How far it is, and under which name its run is kept."""
    return answers.BacktestJob.model_validate(_jobs(request).named(job))


@router.delete("/backtests/{job}")
def cancel(request: Request, job: str) -> answers.BacktestJob:
    """End it; nothing of it is kept."""
    return answers.BacktestJob.model_validate(_jobs(request).cancel(job))


@router.get("/runs")
def kept(at: At, limit: Annotated[int, Query(ge=1, le=MOST)] = 50) -> list[answers.RunListed]:
    """Those that were kept, the newest first."""
    return [_listed(one) for one in runs.runs(at.tm, limit)]


@router.get("/runs/{run}")
def one(at: At, run: str) -> answers.RunWhole:
    """One of them: figures in each reading, equity day by day, every trade, and what was assumed."""
    found = runs.run(at.tm, run)
    return answers.RunWhole(
        **_listed(found).model_dump(),
        readings=[
            answers.RunReading(inside=each.inside, engine=each.engine, figures=_plain(each.figures))
            for each in found.run.readings
        ],
        inputs=_plain(found.run.inputs.model_dump()),
        assumptions=found.run.assumptions,
        notes=found.run.notes,
        changed=list(found.changed),
        days=found.run.days,
        equity=found.run.equity,
        trades=[_plain(dict(trade)) for trade in found.trades],
    )


def _jobs(request: Request) -> Backtests:
    found: Backtests = request.app.state.backtests
    return found


def _listed(found: runs.Kept) -> answers.RunListed:
    figures = found.figures
    return answers.RunListed(
        id=found.run.id,
        at=found.run.at,
        title=found.run.title,
        stale=bool(found.changed),
        return_pct=figures.get("return_pct"),
        max_drawdown_pct=figures.get("max_drawdown_pct"),
        sharpe=figures.get("sharpe"),
        ended=figures.get("trades"),
    )


def _plain(value: Any) -> Any:
    """Moments as milliseconds, exact amounts as text, and no number that JSON does not know."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, datetime):
        return to_ms(value)
    if isinstance(value, float) and value - value != 0:
        return None
    return value if isinstance(value, bool | int | float | str | None) else str(value)
