"""A symbol's own trading settings, and the account's profit target for the day: what they are, and how a person changes
them. Each change keeps who made it and why; a running executor takes it up within a second.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal

from pipeline import timeline
from pipeline.app.known_symbols import known_symbol
from pipeline.app.opened import Opened
from pipeline.app.wiring import exchange_of, strategies_of
from pipeline.errors import UsageError
from pipeline.execution.runtime.documents import trading_view
from pipeline.nearest import hint
from pipeline.settings import Settings
from pipeline.store.control import ControlStore, RevisionError
from pipeline.strategies import registry
from schemas.control import Trading

__all__ = [
    "AS_SETTINGS", "Changes", "Goal", "Listed", "RevisionError", "Trading", "amounts", "changed", "goal",
    "of_symbol", "require_strategies", "set_goal", "set_trading", "trading",
]  # fmt: skip

AS_SETTINGS: Final = "default"
_LEAST: Final = Decimal("0.00000001")
_MOST: Final = {
    "stop_atr": 1_000, "take_profit_atr": 1_000, "stop_percent": 99, "take_profit_percent": 1_000,
    "max_position": 1_000_000_000_000, "daily_profit": 1_000,
}  # fmt: skip
_DISTANCES: Final = ("stop", "take_profit")

Changes = Mapping[str, Any]
"""Which fields of `Trading` get which values; None: as in the settings."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The symbols that have settings of their own; `traded`: those that are traded by them. In production only what is
    switched on is."""

    own: Sequence[Trading]
    traded: frozenset[str]
    production: bool


@dataclass(frozen=True, slots=True)
class Goal:
    """The account's profit target for the day, in percent of what the day began with, and what follows then."""

    daily_profit_percent: Decimal | None
    when_reached: Literal["stop", "close"]


def changed(
    settings: Settings,
    given: Mapping[str, str],
    plain: Changes,
    strategies: Sequence[str] = (),
    intervals: Sequence[str] = (),
) -> dict[str, Any]:
    """The changes that a person means; `given` are amounts as text, `plain` what needs no understanding."""
    changes = amounts(given) | {name: value for name, value in plain.items() if value is not None}
    if strategies:
        changes["strategies"] = None if list(strategies) == [AS_SETTINGS] else list(strategies)
        require_strategies(settings, changes["strategies"] or ())
    if intervals:
        changes["intervals"] = None if list(intervals) == [AS_SETTINGS] else _intervals(intervals)
    return changes


def trading(tm: Opened) -> Listed:
    """What is set for symbols of their own, by symbol."""
    production = exchange_of(tm.settings).is_production
    own = [one for _, one in sorted(ControlStore(tm.db, tm.environment).read().trading.items())]
    traded = frozenset(one.symbol for one in own if trading_view(one).traded(production=production))
    return Listed(own, traded, production)


def set_trading(
    tm: Opened, symbol: str, changes: Changes, *, by: str, reason: str | None = None, revision: int | None = None
) -> str:
    """Change a symbol's own settings: which symbol it was. `revision`: how many changes of it whoever asks has seen;
    `RevisionError` where there are others by now."""
    named = known_symbol(tm.settings, tm.db, symbol)
    if changes:
        store = ControlStore(tm.db, tm.environment)
        store.set_trading(named, changes, by=by, now=datetime.now(UTC), reason=reason, revision=revision)
    return named


def of_symbol(tm: Opened, symbol: str) -> tuple[str, Trading | None, bool]:
    """The symbol as the exchange writes it, its own settings where it has any, and whether it is traded by them."""
    named = known_symbol(tm.settings, tm.db, symbol)
    own = ControlStore(tm.db, tm.environment).read().trading.get(named)
    return named, own, trading_view(own).traded(production=exchange_of(tm.settings).is_production)


def goal(tm: Opened) -> Goal:
    """The one that was set while it runs, else that of the settings."""
    found = ControlStore(tm.db, tm.environment).read().goal
    own = found.daily_profit_percent if found else None
    return Goal(own or tm.settings.risk.daily_profit_percent, found.when_reached if found else "stop")


def set_goal(tm: Opened, changes: Changes, *, by: str, reason: str | None = None) -> None:
    """Change it."""
    ControlStore(tm.db, tm.environment).set_goal(changes, by=by, now=datetime.now(UTC), reason=reason)


def amounts(given: Mapping[str, str]) -> dict[str, Any]:
    """The changes they mean. A distance is in ATR or in percent: one takes the place of the other."""
    changes: dict[str, Any] = {name: _amount(name, text) for name, text in given.items()}
    if "daily_profit" in changes:
        changes["daily_profit_percent"] = changes.pop("daily_profit")
    for what in _DISTANCES:
        in_atr, in_percent = f"{what}_atr", f"{what}_percent"
        if in_atr in changes and in_percent in changes:
            option = f"--{what.replace('_', '-')}"
            raise UsageError(f"give either {option}-atr or {option}-percent: one takes the place of the other")
        for one, other in ((in_atr, in_percent), (in_percent, in_atr)):
            if changes.get(one) is not None:
                changes[other] = None
    return changes


def _intervals(wanted: Iterable[str]) -> list[str]:
    try:
        return [timeline.interval(code).code for code in wanted]
    except timeline.UnknownIntervalError as error:
        raise UsageError(str(error)) from None


def _amount(name: str, text: str) -> Decimal | None:
    if text == AS_SETTINGS:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not (amount.is_finite() and _LEAST <= amount <= _MOST[name]):
        raise UsageError(
            f"{name.replace('_', '-')} must be a number from {_LEAST:f} to {_MOST[name]:,}, or '{AS_SETTINGS}', "
            f"not {text!r}"
        )
    return amount


def require_strategies(settings: Settings, wanted: Iterable[str]) -> None:
    """Refuse a name that is no strategy's."""
    known = {*registry.names(), *(one.name for one in strategies_of(settings))}
    for name in wanted:
        if name not in known:
            raise UsageError(f"there is no strategy {name!r}.{hint(name, known)} There are: {', '.join(sorted(known))}")
