"""Indicators and signals of what is stored, brought up to date by a person's order."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.history.derive import Derived


def as_row(one: "Derived") -> dict[str, Any]:
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
