"""How far the stored prices of each symbol of an exchange reach, and its candles. Reads; asks no clock."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from pymongo.database import Database

from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.store.signals.current import Price, newest, prices_of_series
from pipeline.store.signals.outcomes import COLUMNS, Path, length_of, path_of
from pipeline.timeline import MINUTE, Interval, interval, to_ms
from schemas.series import Series, SeriesKey

CURRENT: Final = 5 * MINUTE
"""A series whose newest price is this much older than that of another series is not followed now."""


class Reached(NamedTuple):
    """How far a series has come: the moment of its newest price, and the end of its last closed candle."""

    step: Interval
    known: int
    closed: int


@dataclass(frozen=True, slots=True)
class PricedSymbol:
    """Where a symbol stands: its newest price, and until when its candles are all there, but for holes."""

    symbol: str
    now: Price
    through: int
    series: Sequence[Series]

    def paths(self, candles: CandleStore, start: int, end: int) -> list[Path]:
        """The closed candles that open in [start, end], of every series."""
        return [
            path_of(
                interval(one.interval),
                candles.load(SeriesKey(one.exchange, one.symbol, one.interval), start, end, COLUMNS),
            )
            for one in self.series
        ]


def priced_symbols(
    database: Database[dict[str, Any]], exchange: str, symbols: Collection[str] | None = None
) -> list[PricedSymbol]:
    """Of every symbol that has a closed candle, by name."""
    store = SeriesStore(database)
    stored = defaultdict(list)
    for one in store.list(exchange) if symbols is None else store.of(exchange, symbols):
        stored[one.symbol].append(one)
    priced: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in prices_of_series(database, exchange, symbols):
        priced[row["symbol"]][row["interval"]] = row
    found = []
    for symbol, series in sorted(stored.items()):
        rows = priced[symbol]
        through = settled_through(
            [
                Reached(interval(one.interval), to_ms(rows[one.interval]["at"]), _end(one, one.last_closed))
                for one in series
                if one.last_closed is not None and one.interval in rows
            ]
        )
        if through is not None:
            found.append(PricedSymbol(symbol, newest(rows.values()), through, series))
    return found


def settled_through(reached: Sequence[Reached]) -> int | None:
    """Until when every candle of the symbol is closed, or will never come unless it is filled in and marked: the end of
    the last closed one of the finest series that is current. None if there is none.

    The close of a coarser candle may be late by a moment: before it is there, what ends with it does not count yet.
    """
    latest = max((one.known for one in reached), default=0)
    current = [one for one in reached if one.known >= latest - CURRENT - length_of(one.step)]
    if not current:
        return None
    finest = min(current, key=lambda one: length_of(one.step))
    return min(finest.closed, *(one.step.after(one.closed) - 1 for one in current))


def _end(one: Series, opened: datetime) -> int:
    return interval(one.interval).after(to_ms(opened))
