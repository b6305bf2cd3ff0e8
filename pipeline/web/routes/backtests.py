"""Would it have earned? Backtests begun, watched, cancelled; and those that were kept."""

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Query, Request

from pipeline.app import runs, slippage
from pipeline.exchange_names import decimals_of_asset
from pipeline.web import answers, results, work
from pipeline.web.jobs import Jobs
from pipeline.web.places import At

if TYPE_CHECKING:
    from pipeline.app.why import Answer

router = APIRouter(tags=["backtests"])

MOST: Final = 500


@router.post("/backtests")
def begin(request: Request, at: At, wanted: results.BacktestWanted) -> results.JobNow:
    """Begin one; refused while another runs."""
    asked = work.Backtest(
        tuple(wanted.strategies),
        tuple(wanted.symbols),
        tuple(wanted.intervals),
        wanted.parameters,
        wanted.days,
        wanted.exact,
        wanted.through_holes,
    )
    return results.JobNow.model_validate(_jobs(request).begin(at.tm.environment, asked))


@router.get("/backtests/{job}")
def progress(request: Request, job: str) -> results.JobNow:
    """How far it is, and under which name its run is kept."""
    return results.JobNow.model_validate(_jobs(request).named(job))


@router.delete("/backtests/{job}")
def cancel(request: Request, job: str) -> results.JobNow:
    """End it; nothing of it is kept."""
    return results.JobNow.model_validate(_jobs(request).cancel(job))


@router.get("/slippage")
def assumed(at: At) -> answers.SlippageNow:
    """What a backtest that is begun now assumes of the slippage, and where that comes from."""
    found, changes = slippage.adopted(at.tm), slippage.changes(at.tm)
    return answers.SlippageNow.model_validate(
        {
            "words": slippage.in_words(found),
            "points": None if found is None else found.points,
            "symbols": {} if found is None else found.symbols,
            **answers.last_change(changes),
        }
    )


@router.get("/runs")
def kept(at: At, limit: Annotated[int, Query(ge=1, le=MOST)] = 50) -> list[results.RunListed]:
    """Those that were kept, the newest first."""
    return [_listed(one) for one in runs.runs(at.tm, limit)]


@router.get("/runs/{run}")
def one(at: At, run: str) -> results.RunWhole:
    """One of them: figures in each reading, equity day by day, every trade, and what was assumed."""
    found = runs.run(at.tm, run)
    return results.RunWhole(
        **_listed(found).model_dump(),
        readings=[
            results.RunReading(inside=each.inside, engine=each.engine, figures=results.plain(each.figures))
            for each in found.run.readings
        ],
        inputs=results.plain(found.run.inputs.model_dump()),
        assumptions=found.run.assumptions,
        notes=found.run.notes,
        changed=list(found.changed),
        decimals=decimals_of_asset(found.asset),
        days=found.run.days,
        equity=found.run.equity,
        trades=[results.plain(dict(trade)) for trade in found.trades],
    )


@router.get("/runs/{run}/why")
def why_of_run(at: At, run: str) -> results.WhyNow:
    """Why did its months earn, and those not? The stored candles say what the market was like."""
    from pipeline.app.why import of_run  # noqa: PLC0415

    return _why(of_run(at.tm, runs.run(at.tm, run)))


@router.get("/account/why")
def why_of_account(at: At) -> list[results.WhyNow]:
    """The same of what the account earned, as its snapshots and the journal of orders have it: in each asset that it is
    counted in."""
    from pipeline.app.why import of_account  # noqa: PLC0415

    return [_why(one) for one in of_account(at.tm)]


def _why(found: "Answer") -> results.WhyNow:
    told = {name: getattr(found.why, name) for name in ("verdict", "months", "cells")}
    return results.WhyNow.model_validate(
        told | {"asset": found.asset, "decimals": found.decimals, "notes": found.notes}
    )


def _jobs(request: Request) -> Jobs:
    found: Jobs = request.app.state.backtests
    return found


def _listed(found: runs.Kept) -> results.RunListed:
    figures = found.figures
    return results.RunListed(
        id=found.run.id,
        at=found.run.at,
        title=found.run.title,
        stale=bool(found.changed),
        return_pct=figures.get("return_pct"),
        max_drawdown_pct=figures.get("max_drawdown_pct"),
        sharpe=figures.get("sharpe"),
        ended=figures.get("trades"),
    )
