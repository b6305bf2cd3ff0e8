"""What runs: processes, series and flows; and which series are kept current."""

from dataclasses import asdict

from fastapi import APIRouter

from pipeline.app import series
from pipeline.web import answers
from pipeline.web.places import At, by

router = APIRouter(tags=["running"])


@router.get("/health")
def health(at: At) -> answers.HealthNow:
    """Processes, watched series, flows and targets."""
    found = at.status()
    targets = [
        answers.TargetNow.model_validate(asdict(one) | {"history": at.measured.of(one.key)}) for one in found.targets
    ]
    return answers.HealthNow(
        processes=[answers.ProcessNow.model_validate(one) for one in found.processes],
        series=[answers.SeriesNow.model_validate(one) for one in found.series],
        deployments=[answers.DeploymentNow.model_validate(one) for one in found.deployments],
        targets=targets,
        measured_at=at.measured.at,
    )


@router.post("/watch")
def watch(at: At, wanted: answers.Watching) -> answers.HealthNow:
    """Keep these series current from now on."""
    series.watch(at.tm, wanted.symbols, wanted.intervals, by=by(), reason=wanted.reason)
    return health(at)


@router.post("/unwatch")
def unwatch(at: At, wanted: answers.Watching) -> answers.HealthNow:
    """Let these go; without symbols, all. What is stored stays."""
    series.unwatch(at.tm, wanted.symbols, wanted.intervals, by=by(), reason=wanted.reason)
    return health(at)
