"""What a chart draws of one series: a stretch of its candles as columns, the newest or older ones. Reads only."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from pymongo import DESCENDING

from pipeline.app.candles import unknown
from pipeline.app.filters import code_of
from pipeline.app.known_symbols import known_symbol
from pipeline.app.opened import Opened
from pipeline.errors import UsageError
from pipeline.nearest import folded
from pipeline.store.candles.store import CandleStore
from pipeline.store.orders import OrderJournal
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import Interval, interval, to_datetime, to_ms
from schemas.orders import Order
from schemas.series import SeriesKey
from schemas.signals import SIGNALS

if TYPE_CHECKING:
    from pipeline.store.candles.frame import Values

COLUMNS: Final = (
    "open", "high", "low", "close", "volume",
    "sma7", "sma20", "sma60", "sma120", "rsi", "macd", "macd_signal", "macd_hist", "atr",
)  # fmt: skip
"""Beside `t`, the opening time in milliseconds."""
MOST: Final = 500_000
"""Candles of one stretch: 300 days of minutes, and some."""


MOST_MARKS: Final = 50_000


class Mark(NamedTuple):
    """A signal where it belongs: at the candle that it was said of."""

    id: str
    candle: int
    side: str
    kind: str
    strategy: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Candles in the order of time, the one that is open now among them; `older`: whether there are any before them."""

    key: SeriesKey
    step: Interval
    columns: "Mapping[str, Values]"
    older: bool
    tick: Decimal | None


def stretch(tm: Opened, symbol: str, code: str, *, before: int | None = None, limit: int = 2_000) -> Stretch:
    """The newest candles, or the newest of those that open before that moment."""
    found = _span(tm, symbol, code, before, limit)
    columns = CandleStore(tm.db).columns(found.key, found.start, found.end, ("t", *COLUMNS))
    tick = SymbolStore(tm.db).ticks(tm.environment).get(found.key.symbol)
    return Stretch(found.key, interval(found.key.interval), columns, found.start > found.first, tick)


@dataclass(frozen=True, slots=True)
class Fill:
    """An order of which something was filled: when and at which price on the average."""

    id: str
    at: datetime
    side: str
    leg: str
    quantity: Decimal
    price: Decimal
    signal: str | None
    realized: Decimal | None


def fills(tm: Opened, symbol: str, limit: int) -> list[Fill]:
    """The newest so many of a symbol, in the order of time."""
    named = folded(symbol).upper()
    found = OrderJournal(tm.db, tm.environment).filled(named, limit)
    if not found and not SeriesStore(tm.db).list(tm.environment, named):
        known_symbol(tm.settings, tm.db, named)
    return sorted((_fill(one) for one in found if one.average_price is not None), key=lambda one: one.at)


def _fill(one: Order) -> Fill:
    at, price = one.filled_at or one.updated_at, one.average_price or Decimal()
    return Fill(one.id, at, one.side, one.leg, one.filled, price, one.signal, one.realized)


class _Span(NamedTuple):
    """Which candles are asked for: those that open in [start, end]. `first`: the oldest that is stored."""

    key: SeriesKey
    first: int
    start: int
    end: int


def _span(tm: Opened, symbol: str, code: str, before: int | None, limit: int) -> _Span:
    if not 1 <= limit <= MOST:
        raise UsageError(f"limit must be from 1 to {MOST:,}, not {limit}")
    key = SeriesKey(tm.environment, folded(symbol).upper(), code_of(code))
    store, step = SeriesStore(tm.db), interval(key.interval)
    known = store.get(key)
    if known is None or known.first is None or known.last_closed is None:
        raise UsageError(unknown(store, SymbolStore(tm.db).ticks(tm.environment), key))
    first, end = to_ms(known.first), step.after(to_ms(known.last_closed))
    if before is not None:
        end = min(end, step.after(step.ceil(before), -1))
    return _Span(key, first, max(first, step.after(end, 1 - limit)), end)


def marks(
    tm: Opened, symbol: str, code: str, *, since: int | None = None, before: int | None = None, limit: int = 2_000
) -> list[Mark]:
    """The confirmed signals of the candles that open from `since` on, and before that moment; without `since`, of those
    that `stretch` has, and of what came after them where nothing is to lie before. In the order of time, and of very
    many the newest."""
    if since is None:
        since = _span(tm, symbol, code, before, limit).start
    step = interval(code_of(code))
    first = to_datetime(step.after(step.ceil(since)))
    span = {"$gte": first} if before is None else {"$gte": first, "$lt": to_datetime(step.after(step.ceil(before)))}
    named = {"exchange": tm.environment, "symbol": folded(symbol).upper(), "interval": step.code}
    found = tm.db[SIGNALS.name].find(named | {"confirmed": True, "at": span}, dict.fromkeys(Mark._fields[1:], 1))
    newest = found.sort("at", DESCENDING).limit(MOST_MARKS)
    rows = [Mark(one["_id"], to_ms(one["candle"]), *(one[name] for name in Mark._fields[2:])) for one in newest]
    return rows[::-1]
