"""Reads signals: a list of them by what a trader asks, and how well they did. Never writes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final, Literal

import polars as pl
from pymongo import ASCENDING, DESCENDING
from pymongo.database import Database

from pipeline.store.signals.current import at_newest_prices, newest_prices, valuing
from pipeline.timeline import to_datetime
from schemas.signals import SIGNALS, TO_ACT_ON, Signal

Sort = Literal["at", "return"]

HORIZONS: Final = ("return_1h", "return_4h", "return_1d", "return_7d")
_ORDERS: Final[Mapping[Sort, dict[str, int]]] = {
    "at": {"at": DESCENDING},
    "return": {"return_pct": DESCENDING, "_id": ASCENDING},
}
"""That of `at` is an index's own: only what is listed is read."""
_VALUED_BY: Final = ("exchange", "symbol", "at", "price", "side")


_TYPES: Final[Mapping[str, pl.DataType]] = {"month": pl.Datetime("ms", "UTC")}
_PORTION: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which signals. None: whatever it is. Those on an open candle are only shown to who asks for them."""

    exchange: str
    fresh_at: int | None = None
    symbol: str | None = None
    strategy: str | None = None
    interval: str | None = None
    since: int | None = None
    include_open: bool = False
    only_live: bool = False

    def matches(self) -> dict[str, Any]:
        """The filter. Every value is compared as the text it is; none can become an operator."""
        wanted: dict[str, Any] = {"exchange": {"$eq": self.exchange}}
        for name in ("symbol", "strategy", "interval"):
            value = getattr(self, name)
            if value is not None:
                wanted[name] = {"$eq": value}
        if self.since is not None:
            wanted["at"] = {"$gte": to_datetime(self.since)}
        if self.only_live:
            wanted["source"] = "live"
        if self.fresh_at is not None:
            timely = {"confirmed": True, "fresh_until": {"$gt": to_datetime(self.fresh_at)}}
            wanted["$or"] = [{"verdict": verdict} | timely for verdict in TO_ACT_ON]
        if not self.include_open or self.fresh_at is not None:
            wanted["confirmed"] = True
        return wanted


@dataclass(frozen=True, slots=True)
class Outcome:
    """How signals did at one horizon, in percent after fees. None where no signal is that old."""

    count: int
    hit_rate: float | None
    mean: float | None
    median: float | None


@dataclass(frozen=True, slots=True)
class Fees:
    """What an order costs, in percent of its worth: `own`, what the account pays, symbol by symbol, and what counts in
    a symbol of which it was not asked."""

    own: Mapping[str, Decimal]
    otherwise: Decimal

    @property
    def alike(self) -> bool:
        """Whether it is the same in every symbol."""
        return set(self.own.values()) <= {self.otherwise}

    def each_way(self) -> pl.Expr:
        """Of each row, by its `symbol` where that makes a difference."""
        if self.alike:
            return pl.lit(float(self.otherwise))
        own = {symbol: float(rate) for symbol, rate in self.own.items()}
        return pl.col("symbol").replace_strict(own, default=float(self.otherwise), return_dtype=pl.Float64())


@dataclass(frozen=True, slots=True)
class Performance:
    """How the signals of one strategy, symbol, interval or month did."""

    name: str
    signals: int
    horizons: dict[str, Outcome]


def find_signals(database: Database[dict[str, Any]], asked: Asked, sort: Sort, limit: int) -> list[Signal]:
    """The newest first, or the best first, those without a return last: with their returns as they are at this moment.

    The newest cost what is asked for. The best cost as much as all that match: each is valued before they are sorted.
    """
    return [Signal.from_mongo(one) for one in find_documents(database, asked, sort, limit)]


def find_documents(
    database: Database[dict[str, Any]], asked: Asked, sort: Sort, limit: int, fields: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The same as they are stored; only these fields, where some are named."""
    stages: list[dict[str, Any]] = [{"$match": asked.matches()}]
    if sort == "return":
        symbols = None if asked.symbol is None else [asked.symbol]
        stages.append(valuing(newest_prices(database, asked.exchange, symbols)))
    stages += [{"$sort": _ORDERS[sort]}, {"$limit": limit}]
    if fields:
        stages.append({"$project": dict.fromkeys((*_VALUED_BY, *fields), 1)})
    found = list(database[SIGNALS.name].aggregate(stages, allowDiskUse=True))
    return at_newest_prices(database, found if sort == "return" else sorted(found, key=_newest_first))


def said_between(database: Database[dict[str, Any]], exchange: str, since: datetime, until: datetime) -> list[Signal]:
    """Confirmed signals that were said in [since, until), oldest first, as they are stored. It costs what was said
    then."""
    wanted = {"at": {"$gte": since, "$lt": until}, "exchange": exchange, "confirmed": True}
    found = database[SIGNALS.name].find(wanted).sort("at", ASCENDING)
    return [Signal.from_mongo(one) for one in found]


def named(database: Database[dict[str, Any]], ids: Collection[str]) -> list[Signal]:
    """Signals by their names."""
    return [Signal.from_mongo(one) for one in database[SIGNALS.name].find({"_id": {"$in": sorted(ids)}})] if ids else []


def _newest_first(signal: Mapping[str, Any]) -> tuple[float, str]:
    return -signal["at"].timestamp(), signal["_id"]


def performance(database: Database[dict[str, Any]], asked: Asked, by: Sequence[str], fees: Fees) -> list[Performance]:
    """How confirmed signals did, the best median after a day first. A fee is paid on the way in and on the way out.

    `by`: any of strategy, symbol, interval and month. Exits are left out: they end a position and have no return of
    their own.
    """
    schema: dict[str, pl.DataType] = {"at" if one == "month" else one: _TYPES.get(one, pl.String()) for one in by}
    schema |= dict.fromkeys(HORIZONS, pl.Float64()) | ({} if fees.alike else {"symbol": pl.String()})
    matches = asked.matches() | {"kind": {"$ne": "exit"}}
    found = database[SIGNALS.name].find(matches, dict.fromkeys(schema, 1) | {"_id": 0}, batch_size=20_000)
    table = _table(found, schema)
    after_fees = pl.col(HORIZONS) - 2 * fees.each_way()
    named = {"month": pl.col("at").dt.strftime("%Y-%m")}
    name = pl.concat_str([named.get(one, pl.col(one)) for one in by], separator=" ").alias("name")
    grouped = table.select(name, after_fees).group_by("name").agg(pl.len().alias("signals"), *_figures())
    ordered = grouped.sort("return_1d median", "name", descending=[True, False], nulls_last=True)
    return [_performance(row) for row in ordered.iter_rows(named=True)]


def _table(found: Iterator[dict[str, Any]], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """A column a field, from portions: of a million documents none but the newest portion is held."""
    parts = [pl.DataFrame(schema=schema)]
    while portion := list(islice(found, _PORTION)):
        columns = {name: [one.get(name) for one in portion] for name in schema}
        parts.append(pl.DataFrame(columns, schema=schema))
    return pl.concat(parts)


def _figures() -> list[pl.Expr]:
    return [
        expression.alias(f"{name} {figure}")
        for name in HORIZONS
        for figure, expression in (
            ("count", pl.col(name).count()),
            ("hit_rate", (pl.col(name) > 0).mean()),
            ("mean", pl.col(name).mean()),
            ("median", pl.col(name).median()),
        )
    ]


def _performance(row: dict[str, Any]) -> Performance:
    horizons = {
        name: Outcome(*(row[f"{name} {figure}"] for figure in ("count", "hit_rate", "mean", "median")))
        for name in HORIZONS
    }
    return Performance(row["name"], row["signals"], horizons)
