"""Which processes live, and how much of the time those lived that were to live. Reads; they note it themselves.

An orderly end is somebody's wish, and no outage. A kill is one, from its last heartbeat on, until the next start.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from pymongo.database import Database

from schemas.control import ALIVE_FOR

PERIOD: Final = timedelta(days=7)


def living(db: Database[dict[str, Any]], exchange: str, now: datetime) -> list[dict[str, Any]]:
    """The heartbeats of the processes that live and work at that exchange, oldest beat first."""
    wanted = {"kind": "heartbeat", "exchange": {"$in": [exchange, None]}, "at": {"$gt": now - ALIVE_FOR}}
    return list(db["control"].find(wanted).sort("at", 1))


def heard_of(db: Database[dict[str, Any]], exchange: str) -> dict[str, datetime]:
    """By role, when one that lives there or was killed was heard of last; who ended in order is not among them."""
    beats = db["control"].find({"kind": "heartbeat", "exchange": {"$in": [exchange, None]}}, {"role": 1, "at": 1})
    newest: dict[str, datetime] = {}
    for beat in beats:
        newest[beat["role"]] = max(beat["at"], newest.get(beat["role"], beat["at"]))
    return newest


def uptimes(db: Database[dict[str, Any]], exchange: str, now: datetime) -> dict[tuple[str, str], float]:
    """By role and detail at that exchange, the share of the last seven days, or of the time since the first start, that
    had no outage."""
    newest: dict[tuple[str, str], datetime] = {}
    there = {"exchange": {"$in": [exchange, None]}}
    for beat in db["control"].find({"kind": "heartbeat", **there}, {"role": 1, "detail": 1, "at": 1}):
        key = beat["role"], beat.get("detail", "")
        newest[key] = max(beat["at"], newest.get(key, beat["at"]))
    found = {}
    for known in db["control"].find({"kind": "uptime", **there}):
        key = known["role"], known["detail"]
        begin = max(known["since"], now - PERIOD)
        outages = [(one["since"], one["until"]) for one in known["outages"]]
        if key in newest and now - newest[key] > ALIVE_FOR:
            outages.append((newest[key], now))
        down = sum((max(until - max(since, begin), timedelta(0)) for since, until in outages), timedelta(0))
        if now > begin:
            found[key] = 1 - down / (now - begin)
    return found


def outages(
    db: Database[dict[str, Any]], exchange: str, since: datetime, now: datetime
) -> list[tuple[str, datetime, datetime]]:
    """By role, from when to when a process that works there was killed and had no successor; the last is not over where
    none has come yet."""
    there = {"exchange": {"$in": [exchange, None]}}
    found = [
        (known["role"], one["since"], one["until"])
        for known in db["control"].find({"kind": "uptime", **there})
        for one in known["outages"]
        if one["until"] > since
    ]
    dead = ((role, at) for role, at in heard_of(db, exchange).items() if now - at > ALIVE_FOR)
    return sorted([*found, *((role, at, now) for role, at in dead)], key=lambda one: one[1])


def first_lived(db: Database[dict[str, Any]], role: str, exchange: str) -> datetime | None:
    """When a process of that role first worked there."""
    found = [one["since"] for one in db["control"].find({"kind": "uptime", "role": role, "exchange": exchange})]
    return min(found, default=None)
