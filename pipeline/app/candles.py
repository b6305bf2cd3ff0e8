"""Stored candles of one series, with their indicators."""

from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from pipeline.app.opened import Opened
from pipeline.errors import UsageError
from pipeline.store.candles.frame import FOR_PEOPLE
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import UnknownIntervalError, interval, to_ms
from schemas.series import SeriesKey

__all__ = ["DEFAULT_LAST", "Candles", "SeriesKey", "candles", "code_of"]

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
    key = SeriesKey(tm.environment, symbol.upper(), code_of(code))
    span = _span(SeriesStore(tm.db), key, first, stop, last)
    found = CandleStore(tm.db).load(key, *span, FOR_PEOPLE)
    if last is not None or (first is None and stop is None):
        found = found.tail(last or DEFAULT_LAST)
    return Candles(key, found, SymbolStore(tm.db).ticks(key.exchange).get(key.symbol))


def code_of(text: str) -> str:
    """The candle length as the exchange writes it."""
    try:
        return interval(text).code
    except UnknownIntervalError as error:
        raise UsageError(str(error)) from error


def _span(store: SeriesStore, key: SeriesKey, first: int | None, stop: int | None, last: int | None) -> tuple[int, int]:
    """The opening times to load: what was asked for, cut to what is stored (and the candle that is open now)."""
    known = store.get(key)
    if known is None or known.first is None or known.last_closed is None:
        raise UsageError(_unknown(store, key))
    step = interval(key.interval)
    forming = step.after(to_ms(known.last_closed))
    stop = forming if stop is None else min(stop, forming)
    if first is None:
        count = last or DEFAULT_LAST
        spare = count + sum(step.count(to_ms(hole.start), to_ms(hole.end)) for hole in known.holes)
        first = step.after(stop, -spare)
    return max(first, to_ms(known.first)), stop


def _unknown(store: SeriesStore, key: SeriesKey) -> str:
    stored = store.list(key.exchange)
    of_symbol = [one.interval for one in stored if one.symbol == key.symbol and one.stored]
    if of_symbol:
        return f"no {key.interval} candles of {key.symbol} are stored; stored are {', '.join(of_symbol)}"
    near = get_close_matches(key.symbol, {one.symbol for one in stored}, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return (
        f"no candles of {key.symbol} are stored.{hint} "
        f"Fetch them: tidemark backfill {key.symbol} --interval {key.interval}"
    )
