"""The slippage that a backtest assumes: as usual, or as it was fitted on live's fills where a person adopted that."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipeline.app.opened import Opened
from pipeline.errors import UsageError
from pipeline.research.backtest.assumptions import USUAL_SLIPPAGE, Fitted
from pipeline.store.control import ControlStore
from pipeline.timeline import to_datetime, to_ms
from schemas.control import Change, SlippageFit

if TYPE_CHECKING:
    from pipeline.research.explain.answer import Explained

__all__ = ["adopt", "adopted", "changes", "forget", "in_words"]


def adopted(tm: Opened) -> Fitted | None:
    """What is adopted at this exchange; None: nothing, and a backtest assumes what is usual."""
    found = ControlStore(tm.db, tm.environment).read().slippage
    return None if found is None or found.fit is None else _fitted(found.fit)


def changes(tm: Opened) -> Sequence[Change]:
    """Who adopted or forgot it, and why, the last of them last."""
    found = ControlStore(tm.db, tm.environment).read().slippage
    return () if found is None else found.changes


def in_words(found: Fitted | None) -> str:
    """As a report says it."""
    return f"slippage {USUAL_SLIPPAGE:f} bp, as usual: nobody adopted what fills cost" if found is None else str(found)


def adopt(tm: Opened, found: "Sequence[Explained]", *, by: str, reason: str | None = None) -> Fitted:
    """From now on every backtest and search at this exchange assumes what this window's fills had."""
    from pipeline.research.explain.slippage import ENOUGH, fit  # noqa: PLC0415 - whoever only looks needs none of it

    fills = [each for one in found for each in one.fills]
    fitted = fit(fills)
    if fitted is None:
        raise UsageError(
            f"{len(fills)} orders of that window have a fill and a price they were decided at, and slippage is fitted "
            f"on {ENOUGH} at least: name an earlier --since, or let it trade longer. Nothing was changed"
        )
    points, symbols = fitted
    adopts = SlippageFit(
        points=points,
        symbols=symbols,
        orders=len(fills),
        since=to_datetime(min(one.start for one in found)),
        until=to_datetime(max(one.end for one in found)),
        by=by,
    )
    ControlStore(tm.db, tm.environment).set_slippage(adopts, by=by, now=datetime.now(UTC), reason=reason)
    return _fitted(adopts)


def forget(tm: Opened, *, by: str, reason: str | None = None) -> None:
    """From now on they assume what is usual again."""
    ControlStore(tm.db, tm.environment).set_slippage(None, by=by, now=datetime.now(UTC), reason=reason)


def _fitted(one: SlippageFit) -> Fitted:
    return Fitted(
        points=one.points,
        symbols=one.symbols,
        orders=one.orders,
        since=to_ms(one.since),
        until=to_ms(one.until),
        by=one.by,
    )
