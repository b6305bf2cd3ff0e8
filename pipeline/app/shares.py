"""Shares of the equity as they follow from what is kept: by equal risk from a backtest, by walk-forward from searches.
Reads only."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from math import sqrt
from typing import Any, Final

import numpy as np

from pipeline.app import runs, searched
from pipeline.app.opened import Opened
from pipeline.errors import UsageError
from pipeline.portfolio.allocation import equal_risk
from pipeline.portfolio.out_of_sample import LEAST, MOST, Record, bounds_complaint, by_records, record_of
from pipeline.research.backtest.contribution import Ended, daily
from pipeline.research.figures import DAYS_A_YEAR, returns_of
from pipeline.store.runs import RunStore
from pipeline.store.searches import SearchStore
from pipeline.strategies import registry
from pipeline.timeline import to_ms
from schemas.control import AllocationRule
from schemas.searches import Search

__all__ = ["WorkedOut", "by_equal_risk", "by_walk_forward", "newer"]

_LUCK: Final = "likely luck"


@dataclass(frozen=True, slots=True)
class WorkedOut:
    """`why`: from what, with its figures, in a sentence."""

    shares: Mapping[str, Decimal]
    rule: AllocationRule
    why: str


def by_equal_risk(tm: Opened, name: str) -> WorkedOut:
    """Shares by which each strategy of a kept backtest brings as much unrest as the others: its days, as it was run."""
    kept = runs.named(tm, name).inputs
    ended = [
        Ended(one["strategy"], one["closed_at"], float(one["profit"]))
        for one in RunStore(tm.db, tm.environment).trades(name)
    ]
    days = daily(ended, sorted({one.strategy for one in ended}), to_ms(kept.start), to_ms(kept.end))
    shares = equal_risk(days)
    if not shares:
        raise UsageError(f"run {name} has no trades to tell a risk by: give shares by hand, or name another run")
    told = ", ".join(f"{one} {share:f} % (its days vary by {days[one].std():.2f})" for one, share in shares.items())
    return WorkedOut(shares, AllocationRule(kind="equal-risk", by=[name]), f"equal risk by run {name}: {told}")


def by_walk_forward(
    tm: Opened, names: Sequence[str], least: Decimal | None = None, most: Decimal | None = None
) -> WorkedOut:
    """Shares by what each search's choices brought out of sample; one a strategy. None: the usual bounds."""
    least, most = LEAST if least is None else least, MOST if most is None else most
    found: dict[str, Search] = {}
    for one in (_search(tm, name) for name in names):
        strategy = registry.find(one.strategy).name
        if strategy in found:
            raise UsageError(
                f"{strategy} is named twice, by the searches {found[strategy].id} and {one.id}: leave one of them out"
            )
        found[strategy] = one
    if (why := bounds_complaint(len(found), least, most)) is not None:
        raise UsageError(why)
    records = {strategy: _record(one) for strategy, one in found.items()}
    shares = by_records(records, least, most)
    if not shares:
        raise UsageError(
            f"nothing speaks for {', '.join(records)} out of sample, and a floor of 0 leaves them nothing: "
            "give --least, or shares by hand"
        )
    searches = list(found.values())
    rule = AllocationRule(
        kind="walk-forward", by=[one.id for one in searches], as_of=_as_of(searches), least=least, most=most
    )
    told = ", ".join(f"{name} {shares.get(name, 0):f} % ({_in_words(one)})" for name, one in records.items())
    return WorkedOut(shares, rule, f"walk-forward by {', '.join(rule.by)}: {told}")


def newer(tm: Opened, rule: AllocationRule) -> list[str] | None:
    """The newest run, or searches, that asked the same as those that the shares come from; None where nothing is newer
    than those: no other one, and none of them went on."""
    if rule.kind == "equal-risk":
        store = RunStore(tm.db, tm.environment)
        of_runs = [(store.newer_like(one) or one).id for one in (runs.named(tm, name) for name in rule.by)]
        return None if of_runs == rule.by else of_runs
    store_of = SearchStore(tm.db, tm.environment)
    found = [store_of.newer_like(one) or one for one in (_search(tm, name) for name in rule.by)]
    names = [one.id for one in found]
    return None if names == rule.by and rule.as_of in {None, _as_of(found)} else names


def _as_of(searches: Sequence[Search]) -> datetime | None:
    """When the last of them had ended."""
    return max((one.ended_at for one in searches if one.ended_at is not None), default=None)


def _search(tm: Opened, name: str) -> Search:
    """One that says something out of sample."""
    found = searched.named(SearchStore(tm.db, tm.environment), name)
    if found.result is None:
        raise UsageError(f"search {name!r} has not ended: `tidemark search --resume {name}` goes on with it")
    if not found.folds:
        raise UsageError(
            f"search {name!r} has no folds, and says nothing out of sample: search {found.strategy} with "
            "--walk-forward 6"
        )
    if found.result["forward"] is None:
        raise UsageError(
            f"search {name!r} has a fold in which no trial has a figure, and says nothing out of sample: search "
            f"{found.strategy} over more days, or with fewer folds"
        )
    return found


def _record(search: Search) -> Record:
    """Of one that has a walk-forward."""
    result: dict[str, Any] = search.result or {}
    forward, verdict = result["forward"], result["verdict"]
    times, equity = forward["times"], np.array(forward["equity"], float)
    places = [[bisect_left(times, at) for at in step["test"]] for step in forward["steps"]]
    stretches = [returns_of(equity[first : last + 1]) for first, last in places]
    low, high = verdict["evidence"]["trade_low"], verdict["evidence"]["trade_high"]
    between = None if low is None or high is None else (low, high)
    return record_of(stretches, between, is_luck=verdict["word"] == _LUCK)


def _in_words(one: Record) -> str:
    """Its figures of a year, as everywhere else, and why it has the floor where it has."""
    if one.figure is None:
        return "nothing traded"
    year = sqrt(DAYS_A_YEAR)
    told = f"Sharpe {one.figure * year:.2f}" + ("" if one.error is None else f" +- {one.error * year:.2f}")
    if one.is_luck:
        return f"{told}, {_LUCK}"
    if one.error is None and one.figure > 0:
        return f"{told}, of too little to tell"
    return told
