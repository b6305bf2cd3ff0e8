"""Which series somebody asked for, checked against what the exchange lists before anything is fetched."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pymongo.database import Database

from pipeline.errors import UsageError
from pipeline.store.series import SeriesStore
from pipeline.timeline import Interval, UnknownIntervalError, interval, to_ms
from schemas.series import SeriesKey
from schemas.symbols import Symbol


@dataclass(frozen=True, slots=True)
class Wanted:
    """One series that somebody asked for, and when its contract began and ends."""

    key: SeriesKey
    listed: int
    delivered: int

    @property
    def step(self) -> Interval:
        """The length of its candles."""
        return interval(self.key.interval)


def wanted_series(
    symbols: Sequence[str], intervals: Sequence[str], listed: Iterable[Symbol], exchange: str
) -> list[Wanted]:
    """Every symbol with every interval, or a usage error that names the unknown and the nearest known."""
    by_name = {one.symbol: one for one in listed}
    known = [_known(symbol, by_name) for symbol in dict.fromkeys(symbols)]
    codes = [_known_code(code) for code in dict.fromkeys(intervals)]
    return [
        Wanted(SeriesKey(exchange, one.symbol, code), to_ms(one.onboarded), to_ms(one.delivery))
        for one in known
        for code in codes
    ]


def listed_in(listed: Iterable[Symbol], exchange: str) -> Callable[[str, str], Wanted]:
    """Looks a series up by symbol and interval, as often as needed."""
    known = list(listed)

    def find(symbol: str, code: str) -> Wanted:
        (found,) = wanted_series([symbol], [code], known, exchange)
        return found

    return find


def stored_series(
    database: Database[dict[str, Any]], exchange: str, symbols: Sequence[str], intervals: Sequence[str]
) -> list[SeriesKey]:
    """The series that are stored, of these symbols and intervals (none named: of all)."""
    stored = [one for one in SeriesStore(database).list(exchange) if one.stored]
    names, codes = {one.symbol for one in stored}, {_known_code(code) for code in intervals}
    for symbol in symbols:
        if symbol.upper() not in names:
            near = get_close_matches(symbol.upper(), names, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(f"no candles of {symbol!r} are stored.{hint}")
    chosen = {symbol.upper() for symbol in symbols}
    return [
        SeriesKey(one.exchange, one.symbol, one.interval)
        for one in stored
        if (not chosen or one.symbol in chosen) and (not codes or one.interval in codes)
    ]


def _known(symbol: str, by_name: Mapping[str, Symbol]) -> Symbol:
    found = by_name.get(symbol) or by_name.get(symbol.upper())
    if found is None:
        near = get_close_matches(symbol.upper(), by_name, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"the exchange lists no symbol {symbol!r}.{hint}")
    return found


def _known_code(code: str) -> str:
    try:
        return interval(code).code
    except UnknownIntervalError as error:
        raise UsageError(str(error)) from error
