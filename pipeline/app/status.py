"""What is current, what is behind, and which processes live. Reads the database only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pipeline.app.opened import Opened
from pipeline.exchange.environments import environment
from pipeline.store.deployments import DeploymentStore, is_overdue
from pipeline.store.goals import Target
from pipeline.store.series import SeriesStore
from pipeline.store.targets import targets
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import interval, to_ms
from schemas.control import ALIVE_FOR, Deployment
from schemas.series import Series, SeriesKey

Document = dict[str, Any]
Work = tuple[str, str | None, str | None]
"""What a process does: its role, its exchange, and its share of that."""


@dataclass(frozen=True, slots=True)
class Process:
    """One that lives or should. Of those that do the same work the first does it, and the others stand by."""

    role: str
    exchange: str | None
    host: str
    pid: int
    detail: str | None
    started_at: datetime
    figures: Mapping[str, float]
    calls: Mapping[str, Mapping[str, int]]
    alive: bool
    heartbeat_age: float
    stands_by: bool = False

    @property
    def what(self) -> str:
        """Its exchange, and its share of the work there."""
        return " ".join(dict.fromkeys(one for one in (self.exchange, self.detail) if one))


@dataclass(frozen=True, slots=True)
class SeriesNow:
    """How current a watched series is. None: nothing is stored yet. `gone`: why nothing more is to be expected."""

    symbol: str
    interval: str
    last_closed: datetime | None
    last_frame: datetime | None
    frame_age: float | None
    behind: int | None
    stored: int
    holes: int
    gone: str | None


@dataclass(frozen=True, slots=True)
class DeploymentNow:
    """A deployment, and whether it should have succeeded since."""

    name: str
    every_seconds: int
    paused: bool
    served_since: datetime | None
    completed_at: datetime | None
    overdue: bool

    @property
    def lateness(self) -> str:
        """Since when it has not succeeded, in words."""
        since = "yet" if self.completed_at is None else f"since {self.completed_at:%Y-%m-%d %H:%M} UTC"
        return f"{self.name} has not succeeded {since} (it is due every {self.every_seconds:,} s)"


@dataclass(frozen=True, slots=True)
class TargetNow:
    """How well something goes, beside what it should be."""

    key: str
    name: str
    unit: str
    target: str
    measured: float | None
    met: bool | None


@dataclass(frozen=True, slots=True)
class Status:
    """Everything `tidemark status` knows."""

    processes: Sequence[Process]
    series: Sequence[SeriesNow]
    deployments: Sequence[DeploymentNow]
    targets: Sequence[TargetNow]

    @property
    def overdue(self) -> list[DeploymentNow]:
        """The deployments that should have succeeded since."""
        return [one for one in self.deployments if one.overdue]


def status(tm: Opened) -> Status:
    """How it stands at this moment."""
    db, exchange, now = tm.db, tm.environment, datetime.now(UTC)
    known = {(one.symbol, one.interval): one for one in SeriesStore(db).list(exchange)}
    watched = sorted(Watchlist(db, exchange).wanted())
    weight_percent = 100 * environment(exchange).weight_buffer
    return Status(
        _processes(db["control"].find({"kind": "heartbeat"}).sort("_id"), now),
        [_series(key, known.get((key.symbol, key.interval)), now) for key in watched],
        [_deployment(one, now) for one in DeploymentStore(db, exchange).list()],
        [_target(one) for one in targets(db, exchange, weight_percent, now)],
    )


def _processes(beats: Iterable[Document], now: datetime) -> list[Process]:
    found = [_process(beat, now) for beat in beats]
    first: dict[Work, datetime] = {}
    for one in sorted((one for one in found if one.alive), key=lambda one: one.started_at):
        first.setdefault(_work(one), one.started_at)
    return [replace(one, stands_by=_stands_by(one, first)) for one in found]


def _stands_by(one: Process, first: Mapping[Work, datetime]) -> bool:
    if one.role == "executor":
        return not one.figures.get("acts")
    return one.alive and one.started_at > first[_work(one)]


def _work(one: Process) -> Work:
    return one.role, one.exchange, one.detail


def _process(beat: Document, now: datetime) -> Process:
    return Process(
        role=beat["role"],
        exchange=beat.get("exchange"),
        host=beat["host"],
        pid=beat["pid"],
        detail=beat["detail"],
        started_at=beat["started_at"],
        figures=beat["figures"],
        calls=beat.get("calls", {}),
        alive=now - beat["at"] < ALIVE_FOR,
        heartbeat_age=round((now - beat["at"]).total_seconds(), 1),
    )


def _series(key: SeriesKey, known: Series | None, now: datetime) -> SeriesNow:
    step = interval(key.interval)
    last_closed = known.last_closed if known else None
    last_frame = known.last_frame if known else None
    forming = step.index(to_ms(now))
    return SeriesNow(
        symbol=key.symbol,
        interval=key.interval,
        last_closed=last_closed,
        last_frame=last_frame,
        frame_age=None if last_frame is None else round((now - last_frame).total_seconds(), 1),
        behind=None if last_closed is None else max(0, forming - 1 - step.index(to_ms(last_closed))),
        stored=known.stored if known else 0,
        holes=len(known.holes) if known else 0,
        gone=known.gone.why if known and known.gone else None,
    )


def _deployment(one: Deployment, now: datetime) -> DeploymentNow:
    return DeploymentNow(
        one.name, one.every_seconds, one.paused, one.served_since, one.completed_at, is_overdue(one, now)
    )


def _target(one: Target) -> TargetNow:
    goal = one.goal
    measured = None if one.measured is None else round(one.measured, 3)
    return TargetNow(goal.key, goal.name, goal.unit, goal.text, measured, one.met)
