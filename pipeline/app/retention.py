"""The order to forget what is older than it is to be kept."""

from datetime import UTC, datetime

from pipeline.app.audit_trail import note
from pipeline.app.opened import Opened
from pipeline.history.retention import Forgotten, Keep, Retention

__all__ = ["Forgotten", "Keep", "forget"]


def forget(tm: Opened, keep: Keep, *, by: str, reason: str | None = None) -> list[Forgotten]:
    """What went, of each kind. Refused where the next backfill would fetch it again."""
    days = {"candles": keep.candles, "signals": keep.signals, "snapshots": keep.snapshots}
    said = ", ".join(f"{what} of {each} days" for what, each in days.items() if each is not None)
    note(tm.settings.home, f"retention, keeps {said or 'everything'}", by=by, reason=reason)
    work = Retention(tm.db, tm.environment, history_days=tm.settings.history_days)
    return work.forget(keep, datetime.now(UTC))
