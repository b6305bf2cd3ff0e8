"""How well it goes, beside what it should be: the targets of the operations page, measured from what is stored.

Reads the heartbeats, the journal of orders with their signals, and the notes of backups; judges nothing but
"met or not", and leaves open what nothing is known of.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo.database import Database

from schemas.orders import UNSETTLED

Document = dict[str, Any]

PERIOD: Final = timedelta(days=7)
_ALIVE_FOR: Final = timedelta(seconds=15)
_MOST_ORDERS: Final = 10_000
_FAILED: Final = ("rejected", "abandoned")


@dataclass(frozen=True, slots=True)
class Target:
    """One line: what is measured, in which unit, what it should be, and what it is (None: nothing to measure)."""

    name: str
    unit: str
    limit: float
    more_is_better: bool
    measured: float | None

    @property
    def met(self) -> bool | None:
        if self.measured is None:
            return None
        return self.measured > self.limit if self.more_is_better else self.measured < self.limit


def targets(db: Database[Document], environment: str, now: datetime) -> list[Target]:
    """All of them, over the last seven days."""
    orders = _orders(db, environment, now - PERIOD)
    ended = [order for order in orders if order["state"] not in UNSETTLED]
    failed = [order for order in ended if order["state"] in _FAILED]
    corrected = [order for order in ended if any(step["by"] == "reconcile" for step in order["history"])]
    slipped = [order["slippage_pct"] for order in orders if order.get("slippage_pct") is not None]
    return [
        Target("a frame stored within, p99", "ms", 500, False, _stored_after(db, now)),
        Target("orders that succeed", "%", 99.5, True, _share(len(ended) - len(failed), len(ended))),
        Target("from signal to order, p99", "ms", 500, False, _quantile(_delays(db, orders), 0.99)),
        Target("slippage, mean", "%", 0.1, False, sum(slipped) / len(slipped) if slipped else None),
        Target("orders known without reconciling", "%", 99.9, True, _share(len(ended) - len(corrected), len(ended))),
        Target("age of the last backup", "h", 24, False, _backup_age(db, now)),
    ]


def _orders(db: Database[Document], environment: str, since: datetime) -> list[Document]:
    """The orders of signals, newest first."""
    wanted = {"environment": environment, "created_at": {"$gte": since}, "signal": {"$ne": None}}
    fields = dict.fromkeys(("signal", "state", "history.by", "slippage_pct", "created_at", "leg"), 1)
    return list(db["orders"].find(wanted, fields, sort=[("created_at", -1)], limit=_MOST_ORDERS))


def _delays(db: Database[Document], orders: Sequence[Document]) -> list[float]:
    """Milliseconds from each signal's being stored to the first order it led to."""
    first: dict[str, datetime] = {}
    for order in orders:
        if order["leg"] not in ("stop", "take_profit"):
            first[order["signal"]] = min(order["created_at"], first.get(order["signal"], order["created_at"]))
    signals = db["signals"].find({"_id": {"$in": list(first)}}, {"created_at": 1})
    return [(first[one["_id"]] - one["created_at"]) / timedelta(milliseconds=1) for one in signals]


def _stored_after(db: Database[Document], now: datetime) -> float | None:
    """The slowest living ingester's."""
    beats = db["control"].find({"kind": "heartbeat", "role": "ingester", "at": {"$gt": now - _ALIVE_FOR}})
    known = [beat["figures"].get("stored_after_p99") for beat in beats]
    return max((seconds * 1_000 for seconds in known if seconds is not None), default=None)


def _backup_age(db: Database[Document], now: datetime) -> float | None:
    last = db["backups"].find_one({"finished_at": {"$type": "date"}}, sort=[("finished_at", -1)])
    return None if last is None else (now - last["finished_at"]) / timedelta(hours=1)


def _share(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _quantile(values: Sequence[float], share: float) -> float | None:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
