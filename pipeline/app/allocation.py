"""How much of the equity each strategy goes by: what is set, and how a person changes it. A running executor takes it
up within a second; what is held keeps the size that it has."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from pipeline.app.opened import Opened
from pipeline.app.runs import run
from pipeline.app.trading_settings import require_strategies
from pipeline.errors import UsageError
from pipeline.portfolio.allocation import complaint, equal_risk
from pipeline.research.backtest.contribution import Ended, daily
from pipeline.store.control import ControlStore
from pipeline.timeline import to_ms

__all__ = ["allocate", "allocation", "equal_risk_of", "shares_in"]


def allocation(tm: Opened) -> Mapping[str, Decimal] | None:
    """In percent, by strategy; None: each goes by all of it."""
    found = ControlStore(tm.db, tm.environment).read().allocation
    return found.shares if found else None


def allocate(tm: Opened, shares: Mapping[str, Decimal] | None, *, by: str, reason: str | None = None) -> None:
    """From now on these; None: each strategy goes by all of it again."""
    if shares is not None:
        if (why := complaint(shares)) is not None:
            raise UsageError(why)
        require_strategies(tm.settings, shares)
    ControlStore(tm.db, tm.environment).set_allocation(shares, by=by, now=datetime.now(UTC), reason=reason)


def equal_risk_of(tm: Opened, name: str) -> dict[str, Decimal]:
    """Shares by which each strategy of a kept backtest brings as much unrest as the others: its days, as it was run."""
    kept = run(tm, name)
    start, end = to_ms(kept.run.inputs.start), to_ms(kept.run.inputs.end)
    ended = [Ended(one["strategy"], one["closed_at"], float(one["profit"])) for one in kept.trades]
    shares = equal_risk(daily(ended, sorted({one.strategy for one in ended}), start, end))
    if not shares:
        raise UsageError(f"run {name} has no trades to tell a risk by: give shares by hand, or name another run")
    return shares


def shares_in(given: Sequence[str]) -> dict[str, Decimal]:
    """What a person means who writes NAME=PERCENT, of each strategy once."""
    found: dict[str, Decimal] = {}
    for one in given:
        name, _, text = one.partition("=")
        if name in found:
            raise UsageError(f"{name} is named twice: give it one share")
        try:
            found[name] = Decimal(text.removesuffix("%"))
        except InvalidOperation as error:
            raise UsageError(f"{one!r} is no share: write NAME=PERCENT, for example macd_cross=40") from error
    return found
