"""What an account earned, day by day or month by month, from the last snapshot of each day. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from math import prod
from typing import Literal

from schemas.accounts import Snapshot

By = Literal["day", "month"]
_NAMES = {"day": "%Y-%m-%d", "month": "%Y-%m"}


@dataclass(frozen=True, slots=True)
class Period:
    """A day or a month (UTC): what it ended with, what it brought, and how many of its days are known."""

    name: str
    asset: str
    days: int
    equity: Decimal
    return_pct: float | None
    realized: Decimal
    fees: Decimal
    funding: Decimal
    transfers: Decimal


def periods(days: Iterable[Snapshot], by: By) -> list[Period]:
    """The periods of these days, which are in their order. Days that nobody watched are in no period."""
    return [_period(name, list(part)) for name, part in groupby(days, lambda one: f"{one.at:{_NAMES[by]}}")]


def compounded(returns: Iterable[float | None]) -> float | None:
    """One return after the other, in percent, so that what was paid in or out on the way does not count; None while
    none is known."""
    known = [one for one in returns if one is not None]
    return (prod(1 + one / 100 for one in known) - 1) * 100 if known else None


def _period(name: str, days: Sequence[Snapshot]) -> Period:
    def total(field: str) -> Decimal:
        return sum((getattr(one, field) for one in days), Decimal(0))

    return Period(
        name=name,
        asset=days[-1].asset,
        days=len(days),
        equity=days[-1].equity,
        return_pct=compounded(one.day_return_pct for one in days),
        realized=total("realized_today"),
        fees=total("fees_today"),
        funding=total("funding_today"),
        transfers=total("transfers_today"),
    )
