"""The order to bring the returns of signals up to the newest stored prices."""

from collections.abc import Sequence

from pipeline.app.audit_trail import note
from pipeline.app.opened import Opened
from pipeline.store.signals.returns import Refreshed, ReturnStore

__all__ = ["Refreshed", "refresh_returns"]


def refresh_returns(
    tm: Opened,
    symbols: Sequence[str] | None = None,
    *,
    anew: bool = False,
    budget: int | None = None,
    by: str,
    reason: str | None = None,
) -> Refreshed:
    """Of these symbols, or of all; `anew`: worked out again from the candles; `budget`: of so many at most, the rest
    comes first the next time."""
    chosen = None if symbols is None else [one.upper() for one in symbols]
    if anew:
        note(tm.settings.home, f"returns of {', '.join(chosen or ('all',))} anew", by=by, reason=reason)
    store = ReturnStore(tm.db)
    if anew:
        store.forget(tm.environment, chosen)
    return store.refresh(tm.environment, chosen, budget=budget)
