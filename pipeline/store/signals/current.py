"""What signals are worth at this moment: the newest stored price of their symbols, looked up when somebody asks.

First which signals, then their prices: a price is looked up once a symbol, however many signals are stored. It never
writes, and asks no clock.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from pymongo.database import Database

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
        {"$project": {"last": last}},
        {"$match": {"last": {"$ne": None}}},
        {"$limit": 1},
        {"$replaceWith": "$last"},
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
    database: Database[Document], exchange: str, symbols: Iterable[str] | None = None
) -> dict[str, Price]:
    """By symbol. One that has no candle is not in it."""
    matches: Document = {"exchange": exchange}
    if symbols is not None:
        matches["symbol"] = {"$in": sorted(symbols)}
    latest_last: Stage = {"$sort": {"at": 1, "seconds": -1}}
    found = database[SERIES.name].aggregate([{"$match": matches}, *NEWEST_PRICES, latest_last])
    return {one["symbol"]: Price(one["price"], _aware(one["at"])) for one in found}


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


def percent(price: float, entry: float, side: str) -> float:
    """The return of a price: in percent, positive when the signal was right."""
    return (price / entry - 1.0) * 100.0 * (1.0 if side == "long" else -1.0)


def _valued(signal: Document, now: Price | None) -> Document:
    if now is None or now.at < _aware(signal["at"]):
        return signal
    worth = percent(now.price, signal["price"], signal["side"])
    return signal | {"current_price": now.price, "return_pct": worth, "return_at": now.at}


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
