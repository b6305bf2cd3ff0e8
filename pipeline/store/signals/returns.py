"""Keeps the stored returns of signals: at four horizons, and the best and the worst until then, once each as they fall
due; and for a week, of the newest signals, the return against the current price where that has moved.

It costs what is new, never what is stored: a signal is written when one of its returns falls due, and by a budget in
between. No clock is asked: a return is as of the newest stored price. Who reads signals values them at that moment
(`current`) and does not depend on how far this has come.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from pymongo import DESCENDING, UpdateMany, UpdateOne
from pymongo.database import Database

from pipeline.store.candles.store import CandleStore
from pipeline.store.signals.corrections import again
from pipeline.store.signals.current import Price, gain
from pipeline.store.signals.outcomes import FIRST, HORIZONS, LAST, SIGN, percent, reach, signals_of, work_out
from pipeline.store.signals.prices import PricedSymbol, priced_symbols
from pipeline.store.upgrade import META
from pipeline.timeline import to_datetime, to_ms
from schemas.signals import SIGNALS

PER_BULK: Final = 5_000
BUDGET: Final = 20_000
MOVED: Final = 0.01
"""A return that has moved by less, in percent, is not written again."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did: of how many symbols, signals worked out from candles, signals moved to the newest price; and
    since when all signals have been compared with it."""

    symbols: int = 0
    worked_out: int = 0
    moved: int = 0
    compared_since: datetime | None = None


class ReturnStore:
    """The returns in `signals`, through PyMongo's synchronous driver."""

    def __init__(self, database: Database[Document]) -> None:
        self._database = database
        self._signals = database[SIGNALS.name]
        self._meta = database[META]
        self._candles = CandleStore(database)

    def refresh(self, exchange: str, symbols: Collection[str] | None = None, *, budget: int | None = None) -> Refreshed:
        """Bring the signals of an exchange up to the newest stored candles; only those of `symbols` if given, and of
        each the newest first, until `budget` of them have been looked at. What is left over is first the next time."""
        found = priced_symbols(self._database, exchange, symbols)
        worked_out = 0
        for number, priced in enumerate(found):
            share = None if budget is None else -(-(budget - worked_out) // (len(found) - number))
            worked_out += self._work_out(exchange, priced, share)
        news = self._repriced(exchange, found)
        if not news and not worked_out:
            return Refreshed(len(found))
        latest = max(one.now.at for one in found)
        since = self._newest(latest - timedelta(milliseconds=LAST), None if budget is None else budget - worked_out)
        return Refreshed(len(found), worked_out, self._move(exchange, news, since), since)

    def forget(self, exchange: str, symbols: Collection[str] | None = None) -> int:
        """Have the signals of these symbols, or of all, worked out anew at the next refresh; how many."""
        matches: Document = {"exchange": exchange, "confirmed": True}
        if symbols is not None:
            matches["symbol"] = {"$in": sorted(symbols)}
        return self._signals.update_many(matches, [{"$set": {"returns_due": again()}}]).modified_count

    def of_new(self, exchange: str, symbol: str, told: Sequence[tuple[int, float, str]]) -> list[Document]:
        """The returns that new signals of the history are stored with: from the moment, the price and the side of
        each."""
        found = priced_symbols(self._database, exchange, [symbol])
        if not found or not told:
            return [returns_at_birth(at, price) for at, price, _ in told]
        return [
            {name: value for name, value in values.items() if value is not None}
            for values in self._values(found[0], told)
        ]

    def _work_out(self, exchange: str, priced: PricedSymbol, most: int | None) -> int:
        """Work out the signals of a symbol that have a return due; how many."""
        if most is not None and most <= 0:
            return 0
        due = {"exchange": exchange, "symbol": priced.symbol, "returns_due": {"$lte": to_datetime(priced.through)}}
        fields = dict.fromkeys(("at", "price", "side", "returns_due"), 1)
        found = list(self._signals.find(due, fields).sort("returns_due", DESCENDING).limit(most or 0))
        if not found:
            return 0
        told = [(to_ms(one["at"]), one["price"], one["side"]) for one in found]
        updates = [
            UpdateOne({"_id": one["_id"], "returns_due": one["returns_due"]}, _change(values))
            for one, values in zip(found, self._values(priced, told), strict=True)
        ]
        return sum(
            self._signals.bulk_write(updates[first : first + PER_BULK], ordered=False).matched_count
            for first in range(0, len(updates), PER_BULK)
        )

    def _values(self, priced: PricedSymbol, told: Sequence[tuple[int, float, str]]) -> Iterator[Document]:
        """What to store with each signal; None: nothing is known, or due."""
        signals = signals_of(told)
        start, end = int(signals.at.min()), int(signals.at.max()) + reach(LAST)
        outcomes = work_out(signals, priced.paths(self._candles, start, end), priced.through)
        names = ("best_pct", "worst_pct", *(f"return_{name}" for name in HORIZONS))
        columns = (outcomes.best, outcomes.worst, *outcomes.horizons.values())
        rows = zip(*(column.tolist() for column in columns), strict=True)
        for (_, price, side), due, row in zip(told, outcomes.due.tolist(), rows, strict=True):
            yield {
                **_worth(priced.now, price, side),
                **{name: value if value - value == 0 else None for name, value in zip(names, row, strict=True)},
                "returns_due": to_datetime(due) if due else None,
            }

    def _repriced(self, exchange: str, found: Sequence[PricedSymbol]) -> list[PricedSymbol]:
        """The symbols whose price is another than the last time."""
        seen = (self._meta.find_one({"_id": _noted(exchange)}) or {}).get("prices", {})
        return [one for one in found if seen.get(one.symbol) != one.now.price]

    def _move(self, exchange: str, news: Sequence[PricedSymbol], since: datetime) -> int:
        """Value the signals of these symbols at their newest prices; how many have moved."""
        if not news:
            return 0
        moves = [_moving(exchange, one.symbol, one.now, since) for one in news]
        moved = self._signals.bulk_write(moves, ordered=False).modified_count
        told = {f"prices.{one.symbol}": one.now.price for one in news}
        self._meta.update_one({"_id": _noted(exchange)}, {"$set": told}, upsert=True)
        return moved

    def _newest(self, since: datetime, most: int | None) -> datetime:
        """Since when, and no earlier than `since`, no more than `most` signals are stored."""
        if most is None:
            return since
        newer = {"at": {"$gt": since}}
        beyond = self._signals.find(newer, {"_id": 0, "at": 1}).sort("at", DESCENDING).skip(max(0, most)).limit(1)
        moment: datetime = next((one["at"] for one in beyond), since)
        return moment


def returns_at_birth(at: int, price: float) -> Document:
    """The returns that a signal begins with, at its own price and moment."""
    moment = to_datetime(at)
    return {"current_price": price, "return_pct": 0.0, "return_at": moment, "returns_due": to_datetime(at + FIRST)}


def _worth(now: Price, price: float, side: str) -> Document:
    return {"current_price": now.price, "return_pct": percent(now.price, price, SIGN[side]), "return_at": now.at}


def _change(values: Mapping[str, Any]) -> Document:
    gone = {name: 1 for name, value in values.items() if value is None}
    kept = {name: value for name, value in values.items() if value is not None}
    return {"$set": kept} | ({"$unset": gone} if gone else {})


def _moving(exchange: str, symbol: str, now: Price, since: datetime) -> UpdateMany:
    """Value the signals of a symbol at its newest price, those whose return has moved."""
    far = {"$abs": {"$subtract": [gain(now.price), {"$ifNull": ["$return_pct", float("inf")]}]}}
    signals = {"exchange": exchange, "symbol": symbol, "at": {"$gt": since, "$lte": now.at}, "confirmed": True}
    change = {"current_price": now.price, "return_pct": gain(now.price), "return_at": now.at}
    return UpdateMany(signals | {"$expr": {"$gte": [far, MOVED]}}, [{"$set": change}])


def _noted(exchange: str) -> str:
    return f"returns:{exchange}"
