"""Whether all is well: do the processes live that must, are the series current, does every deployment run?"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from pipeline.app.opened import Opened
from pipeline.app.status import SeriesNow, Status, status
from pipeline.app.trading_access import is_traded
from pipeline.settings import Settings
from pipeline.store.deployments import DeploymentStore
from pipeline.store.lease import LeaseStore

__all__ = ["Health", "Status", "health", "is_behind", "late_by"]


@dataclass(frozen=True, slots=True)
class Health:
    """What was found, which executor acts, and what is wrong, in words."""

    found: Status
    acting: str | None
    problems: Sequence[str]


def health(tm: Opened, *, paused: Iterable[str], processes: Collection[str], behind: int) -> Health:
    """`paused`: the deployments that a person paused, which nobody misses; `processes`: the roles that must live, none:
    those the settings need; `behind`: so many candles late, and a series counts as behind."""
    DeploymentStore(tm.db, tm.environment).pause(paused)
    found = status(tm)
    acting = LeaseStore(tm.db, f"executor:{tm.environment}", "nobody").holder()
    there = [one for one in found.processes if one.exchange in {tm.environment, None}]
    living = {one.role for one in there if one.alive} | ({"executor"} if acting else set())
    missing = [f"no {role} lives" for role in processes or _expected(tm.settings) if role not in living]
    others = [one for one in found.overdue if not one.name.startswith("health/")]  # or one failure would bring the next
    return Health(found, acting, [*missing, *_behind(found, behind), *(one.lateness for one in others)])


def is_behind(series: SeriesNow, most: int) -> bool:
    """Whether a series is more than so many candles late, or not stored at all."""
    return series.behind is None or series.behind > most


def late_by(behind: int | None) -> str:
    """How late, in words."""
    return "not stored at all" if behind is None else f"{behind:,} candles behind"


def _expected(settings: Settings) -> list[str]:
    sends = settings.mode == "auto-execute" and is_traded(settings)
    return ["ingester", "executor"] if sends else ["ingester"]


def _behind(found: Status, most: int) -> list[str]:
    late = [one for one in found.series if one.gone is None and is_behind(one, most)]
    return [f"{one.symbol} {one.interval} is {late_by(one.behind)}" for one in late]
