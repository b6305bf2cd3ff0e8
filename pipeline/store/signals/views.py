"""Four ready views, so that the common questions need no pipeline of one's own. They hold no data; reading is all
one can do with them.

- `fresh_signals`: what can be acted on this moment, the newest first
- `signal_performance`: how the signals of each strategy did, by symbol and interval, before fees
- `latest_candles`: the last ten candles of every series, flat, the newest first
- `charts`: the last 500 candles of every series in one document, the oldest first
- `prices`: the newest price of every series, and its moment
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pymongo.database import Database
from pymongo.errors import OperationFailure

from pipeline.errors import AttentionError
from pipeline.store.candles.frame import FOR_PEOPLE
from pipeline.store.signals.current import NEWEST_PRICES
from schemas.candles import CANDLE_FIELDS, CANDLES
from schemas.series import SERIES
from schemas.shared import SLOTS_PER_BUCKET
from schemas.signals import SIGNALS, TO_ACT_ON

Stage = dict[str, Any]

CANDLES_SHOWN: Final = 10
CANDLES_CHARTED: Final = 500
RETURNS: Final = ("return_1h", "return_4h", "return_1d", "return_7d")

_NAMESPACE_EXISTS: Final = 48


@dataclass(frozen=True, slots=True)
class View:
    """A view: its name, the collection it looks at, and how."""

    name: str
    source: str
    pipeline: tuple[Stage, ...]


def _performance() -> tuple[Stage, ...]:
    """Medians by sorting: MongoDB has `$median` only from 7.0 on. A return that is not known yet is left out."""
    gathered = {name: {"$push": f"${name}"} for name in RETURNS}
    known = {name: {"$filter": {"input": f"${name}", "cond": {"$ne": ["$$this", None]}}} for name in RETURNS}
    in_order = {name: {"$sortArray": {"input": f"${name}", "sortBy": 1}} for name in RETURNS}
    figures = {name: _figures(f"${name}") for name in RETURNS}
    return (
        {"$match": {"confirmed": True, "kind": {"$ne": "exit"}}},
        {
            "$group": {
                "_id": {name: f"${name}" for name in ("exchange", "strategy", "symbol", "interval")},
                "signals": {"$sum": 1},
                "last": {"$max": "$at"},
                **gathered,
            }
        },
        {"$set": known},
        {"$set": in_order},
        {"$replaceWith": {"$mergeObjects": ["$_id", {"signals": "$signals", "last": "$last"}, figures]}},
    )


def _figures(values: str) -> Stage:
    """Count, share of those that were right, mean and median of a sorted array."""
    last = {"$subtract": [{"$size": values}, 1]}
    middle = [
        {"$arrayElemAt": [values, {"$toInt": {operator: {"$divide": [last, 2]}}}]} for operator in ("$floor", "$ceil")
    ]
    right = {"$size": {"$filter": {"input": values, "cond": {"$gt": ["$$this", 0]}}}}
    return {
        "count": {"$size": values},
        "hit_rate": {"$cond": [{"$eq": [values, []]}, None, {"$divide": [right, {"$size": values}]}]},
        "mean": {"$avg": values},
        "median": {"$cond": [{"$eq": [values, []]}, None, {"$avg": middle}]},
    }


def _latest() -> tuple[Stage, ...]:
    """A document a candle."""
    names = dict.fromkeys(("exchange", "symbol", "interval"), 1)
    return (
        _newest(CANDLES_SHOWN),
        {"$unwind": "$candles"},
        {"$project": {"_id": 0, **names, **{name: f"$candles.{name}" for name in CANDLE_FIELDS}}},
    )


def _charts() -> tuple[Stage, ...]:
    """A document a series."""
    in_time = {"$sortArray": {"input": "$candles", "sortBy": {"t": 1}}}
    in_order = {"$map": {"input": in_time, "in": {name: f"$$this.{name}" for name in FOR_PEOPLE}}}
    return (
        _newest(CANDLES_CHARTED),
        {"$match": {"candles": {"$ne": []}}},
        {"$project": {"_id": 0, "exchange": 1, "symbol": 1, "interval": 1, "candles": in_order}},
    )


def _newest(count: int) -> Stage:
    """The newest candles of a series as `candles`. They are in its last buckets, the very last of which may have just
    begun; these are found by the index, whatever is stored."""
    identity = ("exchange", "symbol", "interval")
    same = [{"$eq": [f"${name}", f"$${name}"]} for name in identity]
    newest: list[Stage] = [
        {"$match": {"$expr": {"$and": same}}},
        {"$sort": {"exchange": -1, "symbol": -1, "interval": -1, "start": -1}},
        {"$limit": 1 + -(-count // SLOTS_PER_BUCKET)},
        {"$unwind": "$candles"},
        {"$match": {"candles": {"$ne": None}}},
        {"$replaceWith": "$candles"},
        {"$sort": {"t": -1}},
        {"$limit": count},
    ]
    named = {name: f"${name}" for name in identity}
    return {"$lookup": {"from": CANDLES.name, "let": named, "pipeline": newest, "as": "candles"}}


_TIMELY: Final = {"confirmed": True, "$expr": {"$gt": ["$fresh_until", "$$NOW"]}}

VIEWS: Final[tuple[View, ...]] = (
    View(
        "fresh_signals",
        SIGNALS.name,
        (
            {"$match": {"$or": [{"verdict": one} | _TIMELY for one in TO_ACT_ON]}},
            {"$sort": {"at": -1}},
        ),
    ),
    View("signal_performance", SIGNALS.name, _performance()),
    View("latest_candles", SERIES.name, _latest()),
    View("charts", SERIES.name, _charts()),
    View("prices", SERIES.name, NEWEST_PRICES),
)


def prepare_views(db: Database[dict[str, Any]], views: Iterable[View] = VIEWS) -> tuple[list[str], list[str]]:
    """Make the views what they should be: which were created, which were changed, as `source.view`."""
    found = {one["name"]: one.get("options", {}) for one in db.list_collections(filter={"type": "view"})}
    created, changed = [], []
    for view in views:
        if view.name not in found:
            _create(db, view)
            created.append(f"{view.source}.{view.name}")
        elif not _is_as(view, found[view.name]):
            db.command("collMod", view.name, viewOn=view.source, pipeline=list(view.pipeline))
            changed.append(f"{view.source}.{view.name}")
    return created, changed


def _is_as(view: View, options: Mapping[str, Any]) -> bool:
    return options.get("viewOn") == view.source and list(options.get("pipeline", ())) == list(view.pipeline)


def _create(db: Database[dict[str, Any]], view: View) -> None:
    try:
        db.command("create", view.name, viewOn=view.source, pipeline=list(view.pipeline))
    except OperationFailure as error:
        if error.code != _NAMESPACE_EXISTS:
            raise
        if db.list_collections(filter={"name": view.name, "type": "collection"}).to_list():
            raise AttentionError(
                f"the database {db.name!r} has a collection {view.name!r}, the name of a view of Tidemark's. Rename "
                "it, or name another database with TIDEMARK_DATABASE."
            ) from None
        db.command("collMod", view.name, viewOn=view.source, pipeline=list(view.pipeline))
