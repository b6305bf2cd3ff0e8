"""Why live did not earn what a backtest says: worked out when it is asked for, in a process of its own, not kept."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import TypeAdapter

from pipeline.web import work
from pipeline.web.explained import ExplainedNow
from pipeline.web.jobs import Jobs
from pipeline.web.places import At

router = APIRouter(tags=["explaining"])

_ANSWER = TypeAdapter(list[ExplainedNow])


@router.get("/explain")
def explain(
    request: Request,
    at: At,
    days: Annotated[int, Query(ge=1, le=31, description="so many until the newest stored minute")] = 1,
) -> list[ExplainedNow]:
    """Each position of live and of a backtest of the same signals, its causes with their costs, and the rest. It takes
    seconds; refused while another is worked out."""
    jobs: Jobs = request.app.state.explaining
    return _ANSWER.validate_json(jobs.carry_out(at.tm.environment, work.Explaining(days)))
