"""Stored candles of one series, with their indicators."""

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from pipeline.app.filters import code_of
from pipeline.app.opened import Opened
from pipeline.errors import UsageError
from pipeline.exchange.markets import meant
from pipeline.nearest import folded
from pipeline.store.candles.frame import FOR_PEOPLE
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import interval, to_ms
from schemas.series import SeriesKey

__all__ = ["DEFAULT_LAST", "Candles", "SeriesKey", "candles", "code_of", "unknown"]

if TYPE_CHECKING:
    import polars as pl

DEFAULT_LAST: Final = 20


@dataclass(frozen=True, slots=True)
class Candles:
    """The candles, oldest first, a column for each field; `tick`: the least step of their prices, where it is known."""

    key: SeriesKey
    frame: "pl.DataFrame"
    tick: Decimal | None


def candles(
    tm: Opened, symbol: str, code: str, *, first: int | None = None, stop: int | None = None, last: int | None = None
) -> Candles:
    """Those that open from `first` to `stop`, both inclusive, and of these the `last` ones; without a beginning and an
    end the newest 20. The candle that is open now is among them."""
    key = SeriesKey(tm.environment, folded(symbol).upper(), code_of(code))
    ticks = SymbolStore(tm.db).ticks(tm.environment)
    span = _span(SeriesStore(tm.db), ticks, key, first, stop, last)
    found = CandleStore(tm.db).load(key, *span, FOR_PEOPLE)
    if last is not None or (first is None and stop is None):
        found = found.tail(last or DEFAULT_LAST)
    return Candles(key, found, ticks.get(key.symbol))


def _span(
    store: SeriesStore, listed: Collection[str], key: SeriesKey, first: int | None, stop: int | None, last: int | None
) -> tuple[int, int]:
    """The opening times to load: what was asked for, cut to what is stored (and the candle that is open now)."""
    known = store.get(key)
    if known is None or known.first is None or known.last_closed is None:
        raise UsageError(unknown(store, listed, key))
    step = interval(key.interval)
    forming = step.after(to_ms(known.last_closed))
    stop = forming if stop is None else min(stop, forming)
    if first is None:
        count = last or DEFAULT_LAST
        spare = count + sum(step.count(to_ms(hole.start), to_ms(hole.end)) for hole in known.holes)
        first = step.after(stop, -spare)
    return max(first, to_ms(known.first)), stop


def unknown(store: SeriesStore, listed: Collection[str], key: SeriesKey) -> str:
    """What to say of a series of which nothing is stored."""
    stored = store.list(key.exchange)
    of_symbol = [one.interval for one in stored if one.symbol == key.symbol and one.stored]
    if of_symbol:
        return f"no {key.interval} candles of {key.symbol} are stored; stored are {', '.join(of_symbol)}"
    known = {*listed, *(one.symbol for one in stored)}
    near = "" if key.symbol in known else meant(key.symbol, key.exchange, known)
    there = key.symbol in known or not listed
    fetch = f" Fetch them: tidemark backfill {key.symbol} --interval {key.interval}" if there and not near else ""
    return f"no candles of {key.symbol} are stored.{near}{fetch}"
