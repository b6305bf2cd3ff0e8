"""The order to bring indicators and signals of what is stored up to date."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.app.audit_trail import named, note
from pipeline.app.opened import Opened
from pipeline.app.wiring import derivation_of
from pipeline.history.derive import Derived, StoreFailedError, withdrawals
from pipeline.history.listing import stored_series
from pipeline.timeline import to_ms
from schemas.series import SeriesKey

__all__ = ["Derived", "Deriving", "StoreFailedError", "as_row", "derive", "not_chosen", "stored", "withdrawals"]


def stored(tm: Opened, symbols: Sequence[str] = (), intervals: Sequence[str] = ()) -> list[SeriesKey]:
    """The series that are stored, of these symbols and intervals (none named: of all)."""
    return stored_series(tm.candle_db, tm.environment, symbols, intervals)


def not_chosen(tm: Opened, keys: Sequence[SeriesKey]) -> dict[str, int]:
    """How many stored signals would be withdrawn because the settings do not name their strategy any more."""
    return derivation_of(tm.settings, tm.candle_db).not_chosen(keys)


class Deriving:
    """The order to compute what is new in stored candles, and what a corrected one changes; `anew`: everything. Done
    for a group of series after the other, from any thread."""

    def __init__(
        self, tm: Opened, keys: Sequence[SeriesKey], *, anew: bool = False, by: str, reason: str | None = None
    ) -> None:
        note(tm.settings.home, f"derive {named(keys)}{' anew' if anew else ''}", by=by, reason=reason)
        self._derivation = derivation_of(tm.settings, tm.candle_db)
        self._anew = anew
        self._keys = keys

    def withdrawals(self) -> list[str]:
        """What is going to be withdrawn because its strategy is not chosen any more, in words."""
        return withdrawals(self._derivation.not_chosen(self._keys))

    def bring_up(
        self,
        keys: Sequence[SeriesKey],
        *,
        told: Callable[[Derived], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Derived]:
        """These of them. `told`: of each series; `stop`: whether to leave out the rest; `progress`: how many candles of
        how many are done."""
        now = to_ms(datetime.now(UTC))
        return self._derivation.bring_up_all(keys, now, anew=self._anew, told=told, stop=stop, progress=progress)


def derive(
    tm: Opened,
    keys: Sequence[SeriesKey],
    *,
    anew: bool = False,
    by: str,
    reason: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Derived]:
    """All of it at once. `progress`: how many candles of how many are done."""
    return Deriving(tm, keys, anew=anew, by=by, reason=reason).bring_up(keys, progress=progress)


def as_row(one: Derived) -> dict[str, Any]:
    """What a person or a script wants to know of one series."""
    return {
        "symbol": one.symbol,
        "interval": one.interval,
        "candles": one.candles,
        "written": one.written,
        "signals": one.signals.found,
        "new": one.signals.added,
        "changed": one.signals.changed,
        "withdrawn": one.signals.withdrawn,
        "kept": list(one.signals.kept),
        "seconds": one.seconds,
        "failure": one.failure,
    }
