"""How much of the equity each strategy goes by: what is set, and how a person changes it. A running executor takes it
up within a second; what is held keeps the size that it has."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from pipeline.app.opened import Opened
from pipeline.app.trading_settings import require_strategies
from pipeline.errors import UsageError
from pipeline.portfolio.allocation import band_complaint, complaint
from pipeline.store.control import ControlStore
from schemas.control import Allocation, AllocationRule

__all__ = ["BAND", "Allocation", "AllocationRule", "allocate", "allocation", "follow", "in_words", "shares_in"]

BAND: Final = Decimal(5)
"""Points of a percent that a share may be off by where nobody says otherwise."""


def allocation(tm: Opened) -> Allocation | None:
    """What was set last; None: nobody has ever set anything, and each strategy goes by all of the equity."""
    return ControlStore(tm.db, tm.environment).allocation()


def in_words(found: Allocation | None) -> str:
    """What the shares come from, and whether they follow it."""
    if found is None or found.shares is None:
        return "each strategy goes by all of the equity"
    rule = found.rule
    if rule is None:
        return "shares by hand, never changed by a flow"
    bounds = "" if rule.least is None or rule.most is None else f", {rule.least:f} to {rule.most:f} percent each"
    beyond = f"rebalanced each night where one is off by more than {rule.band or 0:f} points"
    follows = "not rebalanced" if rule.band is None else beyond
    return f"shares by {rule.kind} ({', '.join(rule.by)}{bounds}), {follows}"


def allocate(
    tm: Opened,
    shares: Mapping[str, Decimal] | None,
    *,
    by: str,
    reason: str | None = None,
    rule: AllocationRule | None = None,
    band: Decimal | None = None,
) -> None:
    """From now on these; None: each strategy goes by all of it again. With a band they follow their rule."""
    if shares is not None:
        if (why := complaint(shares)) is not None:
            raise UsageError(why)
        require_strategies(tm.settings, shares)
    followed = _followed(shares, rule, band)
    store = ControlStore(tm.db, tm.environment)
    store.set_allocation(shares, by=by, now=datetime.now(UTC), reason=reason, rule=followed)


def follow(tm: Opened, band: Decimal | None, *, by: str, reason: str | None = None) -> None:
    """The shares stay, and follow from now on what they come from; None: they do not."""
    store = ControlStore(tm.db, tm.environment)
    before = store.allocation()
    rule = None if before is None else before.rule
    if rule is None and band is None:
        return
    shares = None if before is None else before.shares
    store.set_allocation(
        shares,
        by=by,
        now=datetime.now(UTC),
        reason=reason,
        rule=_followed(shares, rule, band),
        revision=None if before is None else len(before.changes),
    )


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


def _followed(
    shares: Mapping[str, Decimal] | None, rule: AllocationRule | None, band: Decimal | None
) -> AllocationRule | None:
    """The rule with that band; refused of shares that have none."""
    if band is None:
        return None if rule is None else rule.model_copy(update={"band": None})
    if (why := band_complaint(band)) is not None:
        raise UsageError(why)
    if rule is None:
        why = "shares that are given by hand are never changed"
        if shares is None:
            why = "nothing is allocated, and each strategy goes by all of the equity"
        raise UsageError(f"{why}: --rebalance is of --equal-risk RUN and of --walk-forward SEARCH")
    return rule.model_copy(update={"band": band})
