"""What was traded while everything went wrong, as `tidemark explain` tells it: a law of its own, that each difference
between live and the backtest has its cause."""

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.soak.checks import Check, few
from tests.whole import House

NAME = "live is explained"
LAST_DIGIT = Decimal("0.0000000001")
"""Of coins: each cause is rounded by itself."""


def explained(house: House, exchange: str) -> list[dict[str, Any]]:
    """By account, all that was traded there since its executor first lived."""
    done = house.runs("explain", "--exchange", exchange, "--json")
    if done.returncode:
        raise AssertionError(f"tidemark explain ended with {done.returncode}:\n{done.stderr[-3_000:]}")
    return [{"exchange": exchange, **one} for one in json.loads(done.stdout)["accounts"]]


def is_explained(accounts: Sequence[Mapping[str, Any]]) -> Check:
    """Nothing is left that nothing stored explains, of any position."""
    trades = [one for account in accounts for one in account["trades"]]
    differing = sum(bool(one["causes"]) for one in trades)
    seen = f"{len(trades)} positions, {differing} of them otherwise than in the backtest"
    wrong = [*_rests(trades), *_sums(accounts)] if trades else ["there was nothing to look at"]
    return Check(NAME, seen, list(few(wrong)))


def by_cause(account: Mapping[str, Any]) -> Iterator[tuple[str, int, Decimal, float]]:
    """Each cause of an account: in how many positions, its money, its basis points; then the rest."""
    trades = account["trades"]
    for name, one in account["causes"].items():
        count = sum(name in {each["cause"] for each in trade["causes"]} for trade in trades)
        yield name, count, Decimal(one["money"]), float(one["points"])
    left = sum(Decimal(one["rest"]) != 0 for one in trades)
    yield "rest", left, Decimal(account["rest"]), float(account["rest_points"])


def _rests(trades: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in trades:
        if Decimal(one["rest"]):
            yield f"{one['symbol']} of {one['opened_at']}, {one['signal']}: {one['rest']} has no cause"


def _sums(accounts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for one in accounts:
        figures = [Decimal(each["money"]) for each in one["causes"].values()] + [Decimal(one["rest"])]
        told, difference = sum(figures, Decimal(0)), Decimal(one["difference"])
        if abs(told - difference) > LAST_DIGIT * len(figures):
            yield f"the causes come to {told} {one['asset']}, and the difference to {difference}"
