"""Keeps every signal's returns true: against the current price, the best and the worst since, and at four horizons.

A signal is worked out from the candles once when it is new, and again when one of its horizons falls due. In between
the server moves all signals of a symbol along by one update: the newest price, and the extremes of the candles that
came since. How far a signal is stands in the signal itself (`returns_through`), so a refresh may be interrupted,
repeated, or run twice at once. No clock is asked: a return is as of the newest stored price.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from pymongo import UpdateMany, UpdateOne
from pymongo.database import Database

from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.store.signals.outcomes import HORIZONS, PATIENCE, Outcomes, Signals, settled, work_out
from pipeline.store.signals.prices import SymbolPrices, prices_of
from pipeline.timeline import to_datetime, to_ms
from schemas.series import Series
from schemas.signals import SIGNALS

PER_BULK: Final = 5_000

WRITERS: Final = 2
"""The server computes one bulk beside the other."""

Matches = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did: of how many symbols, signals worked out from candles, signals moved along in the server."""

    symbols: int = 0
    worked_out: int = 0
    moved: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """The signals of a symbol that are equally far: all candles that open before `through` are in them."""

    symbol: str
    through: int | None
    first: int
    due: int | None
    asof: int | None


@dataclass(frozen=True, slots=True)
class _Step:
    worked_out: int = 0
    moves: tuple[UpdateMany, ...] = ()


class ReturnStore:
    """The returns in `signals`, through PyMongo's synchronous driver."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._signals = database[SIGNALS.name]
        self._candles = CandleStore(database)
        self._series = SeriesStore(database)

    def refresh(self, exchange: str, symbols: Collection[str] | None = None) -> Refreshed:
        """Bring the signals of an exchange up to the newest stored candles; only those of `symbols` if given."""
        stored = defaultdict(list)
        for one in self._series.list(exchange) if symbols is None else self._series.of(exchange, symbols):
            stored[one.symbol].append(one)
        groups = defaultdict(list)
        for group in self._groups(_of(exchange, symbols)):
            groups[group.symbol].append(group)
        with ThreadPoolExecutor(WRITERS) as workers:
            steps = list(workers.map(lambda symbol: self._catch_up(stored[symbol], groups[symbol]), groups))
            moves = [move for step in steps for move in step.moves]
            moved = sum(workers.map(self._send, (moves[first::WRITERS] for first in range(WRITERS))))
        return Refreshed(len(groups), sum(step.worked_out for step in steps), moved)

    def forget(
        self, exchange: str, symbols: Iterable[str] | None = None, since: int | None = None, until: int | None = None
    ) -> int:
        """Have signals worked out anew at the next refresh, because candles that open in [since, until) were corrected;
        how many. Those from later on, and those that have not come so far, saw none of them."""
        matches = _of(exchange, symbols) | {"returns_through": {"$gt": to_datetime(since or 0)}}
        if until is not None:
            matches["at"] = {"$lt": to_datetime(until)}
        return self._signals.update_many(matches, {"$set": {"returns_through": None}}).modified_count

    def _groups(self, matches: Matches) -> Iterator[Group]:
        group = {
            "_id": {"symbol": "$symbol", "through": "$returns_through"},
            "first": {"$min": "$at"},
            "due": {"$min": "$returns_due"},
            "asof": {"$min": "$return_at"},
        }
        for one in self._signals.aggregate([{"$match": matches}, {"$group": group}]):
            through, due, asof = (_ms(time) for time in (one["_id"].get("through"), one["due"], one["asof"]))
            yield Group(one["_id"]["symbol"], through, to_ms(_aware(one["first"])), due, asof)

    def _catch_up(self, stored: Sequence[Series], groups: Sequence[Group]) -> "_Step":
        """Work out the signals of a symbol that need it, and say how the others move along."""
        prices = prices_of(self._candles, stored)
        if prices is None:
            return _Step()
        behind = [group for group in groups if group.asof != prices.known or group.through is None]
        waiting = needs_working_out(behind, prices)
        worked_out = 0 if waiting is None else self._work_out(waiting, prices)
        return _Step(worked_out, tuple(moving_along(behind, prices)))

    def _work_out(self, matches: Matches, prices: SymbolPrices) -> int:
        """Work out the signals that match, from every candle since the first of them; how many."""
        found = list(self._signals.find(matches, {"at": 1, "price": 1, "side": 1, "returns_through": 1}))
        if not found:
            return 0
        signals = Signals(
            np.array([to_ms(_aware(one["at"])) for one in found], np.int64),
            np.array([one["price"] for one in found], np.float64),
            np.array([1.0 if one["side"] == "long" else -1.0 for one in found]),
        )
        paths = prices.every_path_since(int(signals.at.min()))
        documents = _documents(signals, work_out(signals, paths), prices)
        updates = [
            UpdateOne({"_id": one["_id"], "returns_through": one.get("returns_through")}, {"$set": new})
            for one, new in zip(found, documents, strict=True)
        ]
        return sum(self._send(updates[first : first + PER_BULK]) for first in range(0, len(updates), PER_BULK))

    def _send(self, updates: Sequence[UpdateOne | UpdateMany]) -> int:
        return self._signals.bulk_write(updates, ordered=False).matched_count if updates else 0


def _of(exchange: str, symbols: Iterable[str] | None) -> Matches:
    return {"exchange": exchange} | ({} if symbols is None else {"symbol": {"$in": list(symbols)}})


def needs_working_out(groups: Sequence[Group], prices: SymbolPrices) -> Matches | None:
    """Which signals of the symbol are worked out from the candles now, or None.

    - new ones, once a candle has opened after them
    - those with a horizon that falls due
    - those that were moved along by a series that is followed no more
    """
    astray = [group.through for group in groups if group.through and not prices.tell_all_since(group.through)]
    reasons: list[Matches] = [{"returns_through": to_datetime(through)} for through in astray]
    if any(group.through is None and prices.opened_since(group.first) for group in groups):
        reasons.append({"returns_through": None})
    if any(group.due is not None and group.due <= prices.known for group in groups):
        reasons.append({"returns_due": {"$lte": to_datetime(prices.known)}})
    if not reasons:
        return None
    return prices.of_symbol | {"at": {"$lte": to_datetime(int(prices.path.opens[-1]))}, "$or": reasons}


def moving_along(groups: Sequence[Group], prices: SymbolPrices) -> Iterator[UpdateMany]:
    """For each group that the followed series moves along: which signals, and the update in the server."""
    movable = {group.through for group in groups if group.through and prices.tell_all_since(group.through)}
    if not movable:
        return
    path = prices.since(min(movable))
    for through in sorted(movable):
        since = path.opens >= through
        change = _advance(
            prices,
            high=float(path.high[since].max(initial=-np.inf)),
            low=float(path.low[since].min(initial=np.inf)),
            through=settled(path, through),
        )
        yield UpdateMany(prices.of_symbol | {"returns_through": to_datetime(through)}, [{"$set": change}])


def _advance(prices: SymbolPrices, *, high: float, low: float, through: int) -> Matches:
    current = float(prices.latest.close[-1])
    reached = [_percent(price) for price in (current, high, low) if np.isfinite(price)]
    return {
        "current_price": current,
        "return_pct": _percent(current),
        "best_pct": {"$max": ["$best_pct", *reached]},
        "worst_pct": {"$min": ["$worst_pct", *reached]},
        "return_at": to_datetime(prices.known),
        "returns_through": to_datetime(through),
    }


def _percent(price: float) -> Matches:
    """What `outcomes.percent` computes, in the server."""
    gain = {"$multiply": [{"$subtract": [{"$divide": [price, "$price"]}, 1.0]}, 100.0]}
    return {"$multiply": [gain, {"$cond": [{"$eq": ["$side", "long"]}, 1.0, -1.0]}]}


def _documents(signals: Signals, outcomes: Outcomes, prices: SymbolPrices) -> Iterator[Matches]:
    """What to set in each signal."""
    common = {"current_price": float(prices.latest.close[-1]), "return_at": to_datetime(prices.known)}
    start = prices.begins_after(max(prices.known - PATIENCE, int(signals.at.min())))
    path = prices.since(start)
    through = settled(path, start)
    names = ("return_pct", "best_pct", "worst_pct", *(f"return_{name}" for name in HORIZONS))
    columns = (outcomes.current, outcomes.best, outcomes.worst, *outcomes.horizons.values())
    rows = zip(*(column.tolist() for column in columns), strict=True)
    for at, due, row in zip(signals.at.tolist(), outcomes.due.tolist(), rows, strict=True):
        values = {name: value if value - value == 0 else None for name, value in zip(names, row, strict=True)}
        yield (
            common
            | values
            | {
                "returns_through": to_datetime(max(through, path.step.ceil(at))),
                "returns_due": to_datetime(due) if due else None,
            }
        )


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else to_ms(_aware(moment))


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
