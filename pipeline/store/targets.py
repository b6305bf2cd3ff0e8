"""How well it goes, beside what it should be: the targets of the operations page, measured from what is stored.

Reads the heartbeats, the journal of orders with their signals, and the notes of backups; judges nothing but
"met or not", and leaves open what nothing is known of.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo.database import Database

from pipeline.quantiles import quantile
from pipeline.store.goals import Target, goals
from pipeline.store.processes import living, uptimes
from schemas.orders import State

Document = dict[str, Any]
Figures = Mapping[str, float]

PERIOD: Final = timedelta(days=7)
_MOST_ORDERS: Final = 10_000
_FAILED: Final[frozenset[State]] = frozenset({"rejected", "abandoned"})
_JUDGED: Final[frozenset[State]] = _FAILED | {"accepted", "partially_filled", "filled", "cancelled", "expired"}
"""States in which it is known whether the exchange took the order."""
_OURSELVES: Final = frozenset({"executor", "command"})
_IN_DOUBT: Final[frozenset[State]] = frozenset({"intended", "sent", "unknown"})

MARKET_REFUSES: Final = frozenset({-2021, -4142, -2022, -4118, -4016, -4024, -4131, -5021, -5022})
"""Refusals of a sound order, because the market had moved on: it would trigger at once, there is nothing left to
reduce, its price is out of the band, it cannot be filled whole or passively. What follows: docs/execution.md."""


def targets(db: Database[Document], environment: str, weight_percent: float, now: datetime) -> list[Target]:
    """All of them: orders over the last seven days, the rest as the living processes say it."""
    orders = _orders(db, environment, now - PERIOD)
    slipped = [order["slippage_pct"] for order in orders if order.get("slippage_pct") is not None]
    beats = living(db, environment, now)
    ingesters, executors = _figures(beats, "ingester"), _figures(beats, "executor")
    everybody = [*ingesters, *executors]
    measured = {
        "api_mean": _scaled(_most(everybody, "api_mean"), 1_000),
        "api_latency": _scaled(_most(everybody, "api_p99"), 1_000),
        "uptime": _scaled(min(uptimes(db, environment, now).values(), default=None), 100),
        "stream_uptime": _scaled(_least(ingesters, "uptime_day"), 100),
        "order_success": success(orders),
        "decision": quantile(_delays(db, orders), 0.99),
        "slippage": sum(slipped) / len(slipped) if slipped else None,
        "naked": _sum(executors, "naked_seconds"),
        "state": equality(executors),
        "mismatches": float(sum(map(_is_corrected, orders))) if orders else None,
        "stored_within": _scaled(_most(ingesters, "stored_after_p99"), 1_000),
        "missing": _sum(ingesters, "missing"),
        "weight": _scaled(_most(everybody, "weight_most"), 100),
        "backup": _backup_age(db, now),
    }
    return [Target(goal, measured[goal.key]) for goal in goals(weight_percent)]


def success(orders: Sequence[Document]) -> float | None:
    """Of the orders that were sent and whose outcome is known, the percentage that the exchange took. A refusal that
    the market made (see `MARKET_REFUSES`) counts neither way: nothing was done wrong, and nothing came of it."""
    judged = [one for one in orders if one["state"] in _JUDGED and one.get("error_code") not in MARKET_REFUSES]
    sent = [one for one in judged if one["state"] != "abandoned" or one["attempts"]]
    return _share(sum(one["state"] not in _FAILED for one in sent), len(sent))


def equality(executors: Sequence[Figures]) -> float | None:
    """The percentage of comparisons with the exchange that found nothing to set right."""
    compared = sum(one.get("comparisons", 0.0) for one in executors)
    return _share(compared - sum(one.get("unequal", 0.0) for one in executors), compared)


def _orders(db: Database[Document], environment: str, since: datetime) -> list[Document]:
    """The orders of signals, newest first."""
    wanted = {"environment": environment, "created_at": {"$gte": since}, "signal": {"$ne": None}}
    fields = dict.fromkeys(
        (
            "signal",
            "state",
            "history.by",
            "history.state",
            "history.at",
            "slippage_pct",
            "created_at",
            "leg",
            "error_code",
            "attempts",
        ),
        1,
    )
    return list(db["orders"].find(wanted, fields, sort=[("created_at", -1)], limit=_MOST_ORDERS))


def _delays(db: Database[Document], orders: Sequence[Document]) -> list[float]:
    """Milliseconds from each signal's being stored to the exchange's first word on an order that it led to."""
    first: dict[str, datetime] = {}
    for order in orders:
        word = _first_word(order)
        if word is not None and order["leg"] not in ("stop", "take_profit"):
            first[order["signal"]] = min(word, first.get(order["signal"], word))
    signals = db["signals"].find({"_id": {"$in": list(first)}}, {"created_at": 1})
    return [(first[one["_id"]] - one["created_at"]) / timedelta(milliseconds=1) for one in signals]


def _first_word(order: Document) -> datetime | None:
    """When the exchange was first known to have taken or refused it."""
    words = (step for step in order["history"] if step["by"] not in _OURSELVES and step["state"] not in _IN_DOUBT)
    return next((step["at"] for step in words), None)


def _is_corrected(order: Document) -> bool:
    """Whether a comparison found it to be otherwise than the journal had it. Out of doubt is not out of a mistake."""
    steps = order["history"]
    before = [None, *(step["state"] for step in steps)]
    return any(step["by"] == "reconcile" and old not in _IN_DOUBT for old, step in zip(before, steps, strict=False))


def _figures(beats: Sequence[Document], role: str) -> list[Figures]:
    """What the processes of that role say of themselves."""
    return [beat["figures"] for beat in beats if beat["role"] == role]


def _known(processes: Sequence[Figures], name: str) -> list[float]:
    return [figures[name] for figures in processes if name in figures]


def _most(processes: Sequence[Figures], name: str) -> float | None:
    return max(_known(processes, name), default=None)


def _least(processes: Sequence[Figures], name: str) -> float | None:
    return min(_known(processes, name), default=None)


def _sum(processes: Sequence[Figures], name: str) -> float | None:
    known = _known(processes, name)
    return sum(known) if known else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _backup_age(db: Database[Document], now: datetime) -> float | None:
    last = db["backups"].find_one({"finished_at": {"$type": "date"}}, sort=[("finished_at", -1)])
    return None if last is None else (now - last["finished_at"]) / timedelta(hours=1)


def _share(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole else None
