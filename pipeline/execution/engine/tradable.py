"""Which symbols a stage of production is too small for: not even an entry within its cap is an order that the exchange
takes. Pure."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from pipeline.exchange.products.instrument import ONE, Instrument
from pipeline.execution.engine import sizing
from pipeline.settings import Risk

Listed = Mapping[str, tuple[Instrument, Decimal]]
"""What each symbol is, and its price."""

_NO_END: Final = Decimal("Infinity")
_ANY: Final = sizing.Limits({}, _NO_END, 1, Decimal(0))


def too_small(stage: int, settings: Risk, listed: Listed) -> dict[str, str]:
    """Those symbols, and what the exchange would have against an entry."""
    cap = sizing.stage_cap(stage)
    if cap is None:
        return {}
    name = f"production stage {stage}"
    reasons: dict[str, str] = {}
    for symbol, (one, price) in listed.items():
        unit = sizing.fitting(_NO_END, one.quoted(ONE, price), {name: cap}, one.rules, settings.max_units)
        found = sizing.sized(unit.quantity * settings.entry_units, unit.bound, price, one, _ANY)
        if isinstance(found, str):
            reasons[symbol] = found
    return reasons


def said(reasons: Mapping[str, str]) -> str:
    """The symbols with their reasons, in a sentence."""
    return "; ".join(f"{symbol}: {reason}" for symbol, reason in sorted(reasons.items()))


def refusal(stage: int, settings: Risk, chosen: Iterable[str], listed: Listed) -> str | None:
    """Why it is of no use to begin: none of the chosen symbols can be traded."""
    symbols = sorted(chosen)
    reasons = too_small(stage, settings, {one: listed[one] for one in symbols if one in listed})
    if not symbols or set(reasons) != set(symbols):
        return None
    return (
        f"no chosen symbol can be traded in stage {stage}: a position is at most {sizing.stage_cap(stage)} USDT, in "
        f"{settings.max_units} units. {said(reasons)}. Choose symbols whose least order is smaller"
    )
