"""How trading stands: the first thing a person has to know before reading anything else of an account. Reads only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipeline.store.account import AccountStore, PositionStore
from pipeline.store.control import Controls, ControlStore
from pipeline.store.processes import living

if TYPE_CHECKING:
    from pymongo.database import Database

    from schemas.accounts import Snapshot
    from schemas.control import Change, Halt
    from schemas.positions import Position


@dataclass(frozen=True, slots=True)
class Halting:
    """Since when nothing is opened any more, who wanted that, and why."""

    since: datetime
    by: str
    reason: str | None
    flatten: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """Where, in which mode, whether halted, which symbols are held, and what today has brought, in percent: in
    all, where the account counts in one asset, and in each that it counts in."""

    environment: str
    mode: str
    halted: Halting | None
    held: Sequence[str]
    today_pct: float | None
    today: Mapping[str, float | None]


def standing(db: "Database[dict[str, Any]]", environment: str, default_mode: str, now: datetime) -> Standing:
    """How it stands now."""
    newest, positions = newest_of(db, environment), PositionStore(db, environment).list()
    return stands(
        environment,
        ControlStore(db, environment).read(),
        living(db, environment, now),
        newest,
        positions,
        default_mode,
        now,
    )


def newest_of(db: "Database[dict[str, Any]]", environment: str) -> "list[Snapshot]":
    """What the account was last worth, in each asset that it counts in."""
    found = (one.latest() for one in AccountStore(db, environment).each())
    return [one for one in found if one is not None]


def stands(
    environment: str,
    controls: Controls,
    beats: Iterable[Mapping[str, Any]],
    newest: "Sequence[Snapshot]",
    positions: "Iterable[Position]",
    default_mode: str,
    now: datetime,
) -> Standing:
    """The same of what was read already. A snapshot of yesterday says nothing about today."""
    today = {one.asset: one.day_return_pct for one in newest if one.at.date() == now.date()}
    return Standing(
        environment=environment,
        mode=controls.mode.mode if controls.mode else _mode_of_executor(beats, environment) or default_mode,
        halted=_halting(controls.halt),
        held=[one.symbol for one in positions if one.quantity],
        today_pct=next(iter(today.values())) if len(today) == 1 else None,
        today=today,
    )


def _mode_of_executor(beats: Iterable[Mapping[str, Any]], environment: str) -> str | None:
    """What the executor that acts goes by where nobody has switched: its settings may be others than those here."""
    for beat in beats:
        if beat["role"] == "executor" and beat["detail"] == environment and beat["figures"].get("acts"):
            return "auto-execute" if beat["figures"].get("sends") else "signal-only"
    return None


def _halting(halt: "Halt | None") -> Halting | None:
    if halt is None or not halt.halted:
        return None
    began = _began(halt.changes)
    newest = halt.changes[-1]
    return Halting(began.at, newest.by, newest.reason or began.reason, halt.flatten)


def _began(changes: "Sequence[Change]") -> "Change":
    """The change that began the halt: a second one, perhaps to close everything, goes on with it."""
    began = changes[-1]
    for change in reversed(changes):
        if not change.new.startswith("halted"):
            break
        began = change
    return began
