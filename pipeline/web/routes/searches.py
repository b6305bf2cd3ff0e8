"""Which parameters would have earned? Searches begun, watched, cancelled; those that were kept; and a trial adopted."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request

from pipeline.app import adopting, searched
from pipeline.errors import UsageError
from pipeline.web import results, work
from pipeline.web.jobs import Jobs
from pipeline.web.places import At, by

router = APIRouter(tags=["searches"])

MOST: Final = 500
MOST_TRIALS: Final = 10_000
_LATER: Final = {"resume", "trials"}

Most = Annotated[int, Query(ge=1, le=MOST_TRIALS, description="so many trials, the best first")]


@router.post("/searching")
def begin(request: Request, at: At, wanted: results.SearchWanted) -> results.JobNow:
    """Begin one, or go on with one; refused while another runs."""
    if (wanted.strategy is None) == (wanted.resume is None):
        raise UsageError("name a strategy to search, or the search to go on with, and not both")
    if wanted.resume is not None:
        asked = work.Search(resume=wanted.resume, trials=wanted.trials)
    else:
        asked = work.Search({name: value for name, value in wanted if name not in _LATER} | _trials(wanted))
    return results.JobNow.model_validate(_jobs(request).begin(at.tm.environment, asked))


@router.get("/searching/{job}")
def progress(request: Request, job: str) -> results.JobNow:
    """How far it is, and under which name it is kept."""
    return results.JobNow.model_validate(_jobs(request).named(job))


@router.delete("/searching/{job}")
def cancel(request: Request, job: str) -> results.JobNow:
    """End it. What it tried is kept, and it can go on."""
    return results.JobNow.model_validate(_jobs(request).cancel(job))


@router.get("/searches")
def kept(at: At, limit: Annotated[int, Query(ge=1, le=MOST)] = 50) -> list[results.SearchListed]:
    """Those that were kept, the newest first."""
    return [
        results.SearchListed.model_validate(_listed(searched.Searched(one.search, one.tried, (), ())))
        for one in searched.searches(at.tm, limit)
    ]


@router.get("/searches/{search}")
def one(at: At, search: str, limit: Most = 200) -> results.SearchWhole:
    """One of them: trials, folds, what was best in sample and out of it, and the verdict."""
    found = searched.searched(at.tm, search, limit)
    document, best, forward = found.search, found.best, found.forward
    return results.SearchWhole.model_validate(
        _listed(found)
        | {name: getattr(document, name) for name in ("sampler", "seed", "folds", "notes", "sealed")}
        | {"fixed": results.plain(document.fixed), "space": results.plain(document.space)}
        | {
            "verdict": found.verdict,
            "forward": None if forward is None else results.plain(forward | {"days": forward["times"]}),
            "best": (document.result or {}).get("best", []),
            "days": found.days,
            "equity": [] if best is None else best.equity,
            "trials": [results.plain(each.model_dump()) for each in found.trials],
        }
    )


@router.post("/searches/{search}/open")
def open_sealed(request: Request, at: At, search: str, wanted: results.Opening) -> results.SealedNow:
    """What the sealed days say of a trial. They open once: whoever comes later gets what they said then."""
    jobs: Jobs = request.app.state.opening
    known = searched.searched(at.tm, search, 1).search
    jobs.carry_out(at.tm.environment, work.Opening(known.id, wanted.trial))
    return results.SealedNow.model_validate(searched.searched(at.tm, search, 1).search.sealed)


@router.post("/adopt")
def adopt(at: At, wanted: results.Adopting) -> results.Adopted:
    """Trade a symbol as a trial did. Of real money only what is not likely luck: the command line may say otherwise."""
    found = adopting.adopt(at.tm, wanted.trial, wanted.symbol, by=by(), reason=wanted.reason)
    return results.Adopted(symbol=found.symbol, changes=results.plain(found.changes), reason=found.reason)


def _jobs(request: Request) -> Jobs:
    found: Jobs = request.app.state.searching
    return found


def _trials(wanted: results.SearchWanted) -> dict[str, int]:
    return {} if wanted.trials is None else {"trials": wanted.trials}


def _listed(found: searched.Searched) -> dict[str, Any]:
    one, verdict = found.search, found.verdict
    names = ("id", "at", "strategy", "symbols", "intervals", "start", "end", "objectives")
    return {name: getattr(one, name) for name in names} | {
        "tried": found.tried,
        "wanted": one.trials,
        "ended": one.ended_at is not None,
        "word": None if verdict is None else verdict["word"],
    }
