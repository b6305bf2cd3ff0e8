"""Shares that follow what they are worked out from: what is newest is looked at, and they are changed where one is off
by more than the band that a person has set. What a person gave by hand is never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from pipeline.app.opened import Opened
from pipeline.app.shares import WorkedOut, by_equal_risk, by_walk_forward, newer
from pipeline.app.trading_settings import require_strategies
from pipeline.errors import UsageError
from pipeline.portfolio.allocation import off_by
from pipeline.store.control import ControlStore
from schemas.control import Allocation, AllocationRule

__all__ = ["Coming", "Rebalancing", "coming", "rebalance", "rebalancing"]


@dataclass(frozen=True, slots=True)
class Rebalancing:
    """What the newest says. `off_by`: points of a percent, by strategy; `band`: None where it is not switched on."""

    wanted: WorkedOut
    off_by: Mapping[str, Decimal]
    band: Decimal | None

    @property
    def is_due(self) -> bool:
        """Whether a share is off by more than the band."""
        return self.band is not None and any(abs(one) > self.band for one in self.off_by.values())

    @property
    def why(self) -> str:
        """In a sentence."""
        name, most = max(self.off_by.items(), key=lambda one: abs(one[1]))
        return f"{name} was off by {most:+f} points, and the band is {self.band or 0:f}; {self.wanted.why}"

    @property
    def will(self) -> str:
        """What the next rebalancing does, in a sentence."""
        source = ", ".join(self.wanted.rule.by)
        if self.band is None:
            return f"by the newest, {source}; nobody has switched rebalancing on (--rebalance)"
        does = "changes them" if self.is_due else "leaves them: none is off by more than the band"
        return f"by the newest, {source}; the next rebalancing {does}"


@dataclass(frozen=True, slots=True)
class Coming:
    """What would become of shares. `to`: None where nothing is newer than what they come from, or where it cannot be
    told; `refused`: why not; `words`: None where nothing is to be said."""

    to: Rebalancing | None
    refused: str | None
    words: str | None


def coming(tm: Opened, found: Allocation | None) -> Coming:
    """What the next rebalancing would do to these."""
    try:
        to = rebalancing(tm, found)
    except UsageError as error:
        return Coming(None, str(error), f"what would become of them cannot be told: {error}")
    if to is not None:
        return Coming(to, None, to.will)
    is_followed = found is not None and found.rule is not None and found.rule.band is not None
    return Coming(None, None, "nothing is newer than that: the next rebalancing leaves them" if is_followed else None)


def rebalancing(tm: Opened, found: Allocation | None) -> Rebalancing | None:
    """What would become of these shares; None where they are given by hand, or where nothing is newer than what they
    come from: then no more is read."""
    if found is None or found.shares is None or found.rule is None:
        return None
    sources = newer(tm, found.rule)
    if sources is None:
        return None
    wanted = _worked_out(tm, found.rule.model_copy(update={"by": sources}))
    return Rebalancing(wanted, off_by(found.shares, wanted.shares), found.rule.band)


def rebalance(tm: Opened, *, by: str) -> Rebalancing | None:
    """Change the shares where that is due, unless somebody changes them meanwhile; None where nothing had to be worked
    out."""
    store = ControlStore(tm.db, tm.environment)
    before = store.allocation()
    if before is None or before.rule is None or before.rule.band is None:
        return None
    found = rebalancing(tm, before)
    if found is not None and found.is_due:
        require_strategies(tm.settings, found.wanted.shares)
        store.set_allocation(
            found.wanted.shares,
            by=by,
            now=datetime.now(UTC),
            reason=found.why,
            rule=found.wanted.rule.model_copy(update={"band": found.band}),
            revision=len(before.changes),
        )
    return found


def _worked_out(tm: Opened, rule: AllocationRule) -> WorkedOut:
    if rule.kind == "equal-risk":
        return by_equal_risk(tm, rule.by[0])
    return by_walk_forward(tm, rule.by, rule.least, rule.most)
