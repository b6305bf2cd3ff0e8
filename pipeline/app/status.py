"""What is current, what is behind, and which processes live. Reads the database only."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymongo.database import Database


def look(db: "Database[dict[str, Any]]", exchange: str, now: datetime) -> dict[str, Any]:
    """Everything `tidemark status` knows."""
    from pipeline.exchange.environments import environment  # noqa: PLC0415
    from pipeline.store.deployments import DeploymentStore  # noqa: PLC0415
    from pipeline.store.series import SeriesStore  # noqa: PLC0415
    from pipeline.store.targets import targets  # noqa: PLC0415
    from pipeline.store.watchlist import Watchlist  # noqa: PLC0415

    known = {(one.symbol, one.interval): one for one in SeriesStore(db).list(exchange)}
    watched = sorted(Watchlist(db, exchange).wanted())
    weight_percent = 100 * environment(exchange).weight_buffer
    return {
        "processes": _processes(db, now),
        "series": [_series(key, known.get((key.symbol, key.interval)), now) for key in watched],
        "deployments": [_deployment(one, now) for one in DeploymentStore(db, exchange).list()],
        "targets": [_target(one) for one in targets(db, exchange, weight_percent, now)],
    }


def overdue(found: dict[str, Any]) -> list[str]:
    """The deployments that should have succeeded since, and for how long they have not."""
    return [
        f"{one['name']} has not succeeded {_since(one['completed_at'])} (it is due every {one['every_seconds']:,} s)"
        for one in found["deployments"]
        if one["overdue"]
    ]


def _since(completed_at: datetime | None) -> str:
    return "yet" if completed_at is None else f"since {completed_at:%Y-%m-%d %H:%M} UTC"


def _deployment(one: Any, now: datetime) -> dict[str, Any]:
    from pipeline.store.deployments import is_overdue  # noqa: PLC0415

    named = ("name", "every_seconds", "paused", "served_since", "completed_at")
    return {name: getattr(one, name) for name in named} | {"overdue": is_overdue(one, now)}


def _target(one: Any) -> dict[str, Any]:
    goal = one.goal
    measured = None if one.measured is None else round(one.measured, 3)
    return {
        "key": goal.key, "name": goal.name, "unit": goal.unit, "target": goal.text, "measured": measured, "met": one.met
    }  # fmt: skip


def _processes(db: "Database[dict[str, Any]]", now: datetime) -> list[dict[str, Any]]:
    """All that live or should. Of those that do the same work, the first does it and the others stand by."""
    found = [_process(beat, now) for beat in db["control"].find({"kind": "heartbeat"}).sort("_id")]
    first: dict[tuple[str, str | None], datetime] = {}
    for one in sorted((one for one in found if one["alive"]), key=lambda one: one["started_at"]):
        first.setdefault((one["role"], one["detail"]), one["started_at"])
    for one in found:
        one["stands_by"] = (
            not one["figures"].get("acts")
            if one["role"] == "executor"
            else one["alive"] and one["started_at"] > first[one["role"], one["detail"]]
        )
    return found


def _process(beat: dict[str, Any], now: datetime) -> dict[str, Any]:
    from schemas.control import ALIVE_FOR  # noqa: PLC0415

    age = (now - beat["at"]).total_seconds()
    named = {name: beat[name] for name in ("role", "host", "pid", "detail", "started_at", "figures")}
    alive = now - beat["at"] < ALIVE_FOR
    return named | {"calls": beat.get("calls", {}), "alive": alive, "heartbeat_age": round(age, 1)}


def _series(key: Any, known: Any, now: datetime) -> dict[str, Any]:
    from pipeline.timeline import interval, to_ms  # noqa: PLC0415

    step = interval(key.interval)
    last_closed = known.last_closed if known else None
    last_frame = known.last_frame if known else None
    forming = step.index(to_ms(now))
    return {
        "symbol": key.symbol,
        "interval": key.interval,
        "last_closed": last_closed,
        "last_frame": last_frame,
        "frame_age": None if last_frame is None else round((now - last_frame).total_seconds(), 1),
        "behind": None if last_closed is None else max(0, forming - 1 - step.index(to_ms(last_closed))),
        "stored": known.stored if known else 0,
        "holes": len(known.holes) if known else 0,
        "gone": known.gone.why if known and known.gone else None,
    }
