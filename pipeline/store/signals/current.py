"""What signals are worth at this moment: the newest stored price of their symbols, looked up when somebody asks.

First which signals, then their prices: a price is looked up once a symbol, however many signals are stored. It never
writes, and asks no clock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from pymongo.database import Database

from pipeline.store.signals.outcomes import SIGN, percent
from pipeline.timeline import in_utc
from schemas.candles import CANDLES
from schemas.series import SERIES

Stage = dict[str, Any]
Document = dict[str, Any]

_IDENTITY: Final = ("exchange", "symbol", "interval")


def _newest_candle() -> Stage:
    """The last candle of the newest bucket of a series: one document, found by its index."""
    same = [{"$eq": [f"${name}", f"$${name}"]} for name in _IDENTITY]
    last = {"$last": {"$filter": {"input": "$candles", "cond": {"$ne": ["$$this", None]}}}}
    stages: list[Stage] = [
        {"$match": {"$expr": {"$and": same}}},
        {"$sort": {"exchange": -1, "symbol": -1, "interval": -1, "start": -1}},
        {"$limit": 1},
        {"$replaceWith": last},
    ]
    named = {name: f"${name}" for name in _IDENTITY}
    return {"$lookup": {"from": CANDLES.name, "let": named, "pipeline": stages, "as": "candle"}}


def _moment() -> Stage:
    """When the newest price was: where a candle is closed, its end; where it is open, its newest frame."""
    end = {"$add": ["$candle.te", 1]}
    return {"$cond": ["$candle.closed", end, {"$max": ["$candle.t", {"$min": ["$candle.u", end]}]}]}


NEWEST_PRICES: Final[tuple[Stage, ...]] = (
    _newest_candle(),
    {"$unwind": "$candle"},
    {
        "$project": {
            "_id": 0,
            **dict.fromkeys(_IDENTITY, 1),
            "price": "$candle.close",
            "at": _moment(),
            "seconds": {"$divide": [{"$add": [{"$subtract": ["$candle.te", "$candle.t"]}, 1]}, 1000]},
        }
    },
)
"""From `series` to the newest price of each, its moment, and how long a candle is."""


class Price(NamedTuple):
    """The newest stored price of a symbol, from whichever of its series knows it latest; of several the finest."""

    price: float
    at: datetime


def newest_prices(
    database: Database[Document], exchange: str, symbols: Collection[str] | None = None
) -> dict[str, Price]:
    """By symbol. One that has no candle is not in it."""
    rows: dict[str, list[Document]] = {}
    for row in prices_of_series(database, exchange, symbols):
        rows.setdefault(row["symbol"], []).append(row)
    return {symbol: newest(found) for symbol, found in rows.items()}


def prices_of_series(
    database: Database[Document], exchange: str, symbols: Collection[str] | None = None
) -> list[Document]:
    """What the view `prices` says of these symbols: a document a series."""
    matches: Document = {"exchange": exchange}
    if symbols is not None:
        matches["symbol"] = {"$in": sorted(symbols)}
    found = database[SERIES.name].aggregate([{"$match": matches}, *NEWEST_PRICES])
    return [row | {"at": in_utc(row["at"])} for row in found]


def newest(rows: Iterable[Document]) -> Price:
    """The one price of a symbol whose series say these."""
    latest = max(rows, key=lambda row: (row["at"], -row["seconds"]))
    return Price(latest["price"], latest["at"])


def at_newest_prices(database: Database[Document], signals: Sequence[Document]) -> list[Document]:
    """The same signals with `current_price`, `return_pct` and `return_at` as they are now. What is stored stays where
    no price is known that is as late as the signal."""
    asked: dict[str, set[str]] = {}
    for one in signals:
        asked.setdefault(one["exchange"], set()).add(one["symbol"])
    prices = {exchange: newest_prices(database, exchange, symbols) for exchange, symbols in asked.items()}
    return [_valued(one, prices[one["exchange"]].get(one["symbol"])) for one in signals]


def valuing(prices: Mapping[str, Price]) -> Stage:
    """The stage that sets the same in the server, for signals of one exchange that are too many to carry here."""
    names = list(prices)
    place = {"$indexOfArray": [{"$literal": names}, "$symbol"]}
    known = {
        name: {"$arrayElemAt": [{"$literal": [getattr(prices[symbol], name) for symbol in names]}, "$$place"]}
        for name in Price._fields
    }
    is_late = {"$and": [{"$gte": ["$$place", 0]}, {"$gte": [known["at"], "$at"]}]}
    worth = {"$let": {"vars": {"price": known["price"]}, "in": gain("$$price")}}
    valued = {"$let": {"vars": {"place": place}, "in": {"$cond": [is_late, worth, "$return_pct"]}}}
    return {"$set": {"return_pct": valued}}


def gain(price: Any) -> Stage:
    """What `percent` computes, in the server."""
    raw = {"$multiply": [{"$subtract": [{"$divide": [price, "$price"]}, 1.0]}, 100.0]}
    return {"$multiply": [raw, {"$cond": [{"$eq": ["$side", "long"]}, 1.0, -1.0]}]}


def _valued(signal: Document, now: Price | None) -> Document:
    if now is None or now.at < in_utc(signal["at"]):
        return signal
    worth = percent(now.price, signal["price"], SIGN[signal["side"]])
    return signal | {"current_price": now.price, "return_pct": worth, "return_at": now.at}
