"""The switches of trading: whether orders are sent, which limits have tripped, which stage of production it is. Each
change keeps who made it and why. (The kill switch, which must do without a database, is a module of its own.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pipeline.app.opened import Opened
from pipeline.app.stages import too_small_now
from pipeline.app.trading_access import require_confirmation
from pipeline.errors import AttentionError, UsageError
from pipeline.store.control import ControlStore
from pipeline.store.watchlist import Watchlist
from schemas.control import Breaker, Change
from schemas.shared import Mode

__all__ = [
    "CLEAN_DAYS", "Breaker", "Change", "Mode", "Stage", "breakers", "mode_changes", "reset_breaker", "set_mode",
    "set_stage", "stage", "too_small",
]  # fmt: skip

CLEAN_DAYS: Final = 5
"""So many days without a breaker before a stage of production may be left for the next."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The stage of production, and the clean days in it."""

    stage: int
    clean_days: Sequence[str]


def mode_changes(tm: Opened) -> Sequence[Change]:
    """Who switched the mode, from what to what and why, oldest first."""
    found = _control(tm).read().mode
    return [] if found is None else found.changes


def set_mode(tm: Opened, mode: Mode, *, by: str, reason: str | None = None) -> None:
    """Send orders from now on, or none. Real money only where it is confirmed."""
    if mode == "auto-execute":
        require_confirmation(tm.settings)
    _control(tm).set_mode(mode, by=by, now=datetime.now(UTC), reason=reason)


def breakers(tm: Opened) -> list[Breaker]:
    """Which limits were passed, those that are tripped first."""
    return sorted(_control(tm).read().breakers.values(), key=lambda one: (not one.tripped, one.name))


def reset_breaker(tm: Opened, name: str, *, by: str, reason: str | None = None) -> None:
    """Let it go."""
    told = f"reset by {by}{f': {reason}' if reason else ''}"
    if not _control(tm).reset(name, now=datetime.now(UTC), reason=told):
        tripped = [one.name for one in breakers(tm) if one.tripped]
        raise UsageError(f"no breaker {name!r} is tripped. Tripped: {', '.join(tripped) or 'none'}")


def stage(tm: Opened) -> Stage:
    """How much production may hold in a position."""
    found = _control(tm).read().stage
    return Stage(found.stage, found.clean_days) if found else Stage(1, [])


def set_stage(tm: Opened, wanted: int, *, by: str, reason: str | None = None) -> Stage:
    """Leave the stage for the next one, after clean days in it, or for one before."""
    now = stage(tm)
    if wanted == now.stage:
        return now
    if wanted > now.stage:
        require_confirmation(tm.settings)
        _require_clean_days(now, wanted)
    _control(tm).set_stage(wanted, by=by, now=datetime.now(UTC), reason=reason)
    return Stage(wanted, [])


def too_small(tm: Opened, number: int) -> dict[str, str]:
    """The watched symbols that this stage cannot trade, with the reason, by what the exchange says now."""
    watched = {key.symbol for key in Watchlist(tm.db, tm.environment).wanted()} or set(tm.settings.symbols)
    return too_small_now(tm.settings, watched, [number]).get(number, {})


def _require_clean_days(now: Stage, wanted: int) -> None:
    if wanted > now.stage + 1:
        raise UsageError(f"stage {now.stage} is left for stage {now.stage + 1}, not for {wanted}")
    if len(now.clean_days) < CLEAN_DAYS:
        raise AttentionError(
            f"stage {now.stage} has {len(now.clean_days)} clean days, {CLEAN_DAYS} are needed: days of auto-execute on "
            "which no breaker tripped. Nothing was changed"
        )


def _control(tm: Opened) -> ControlStore:
    return ControlStore(tm.db, tm.environment)
