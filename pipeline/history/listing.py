"""Which series somebody asked for, checked against what the exchange lists before anything is fetched."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from pipeline.errors import UsageError, sentence
from pipeline.exchange.listed import TRADING, ending, unlisted
from pipeline.exchange.markets import meant, require_offered
from pipeline.nearest import folded
from pipeline.store.series import SeriesStore
from pipeline.timeline import Interval, UnknownIntervalError, interval, to_ms
from schemas.series import Series, SeriesKey
from schemas.symbols import Symbol

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One series that somebody asked for, and when its contract began and ends."""

    key: SeriesKey
    listed: int
    delivered: int
    status: str = TRADING

    @property
    def step(self) -> Interval:
        """The length of its candles."""
        return interval(self.key.interval)

    def ending(self, now: int) -> str | None:
        """Why no candles of it are to be expected any more; None while some are."""
        return ending(self.key.symbol, self.status, self.delivered, now)

    def over(self, now: int) -> str | None:
        """The same once its last candle is past, so that what there is of it now is all there will ever be."""
        last = self.step.floor(self.delivered - 1)
        return self.ending(now) if self.step.after(last) <= now or self.delivered > now else None


def wanted_series(
    symbols: Sequence[str], intervals: Sequence[str], listed: Iterable[Symbol], exchange: str
) -> list[Wanted]:
    """What a person named: every symbol with every interval, or a usage error that names the unknown and the nearest
    known."""
    by_name = {one.symbol: one for one in listed}
    known = [_known(symbol, by_name, exchange) for symbol in dict.fromkeys(symbols)]
    codes = dict.fromkeys(_known_code(code, exchange) for code in intervals)
    return [_wanted(one, SeriesKey(exchange, one.symbol, code)) for one in known for code in codes]


def kept_series(keys: Iterable[SeriesKey], listed: Iterable[Symbol], store: SeriesStore, now: int) -> list[Wanted]:
    """What stands in the settings or in the store: those of these series that have candles to come, or an end that was
    not reached yet. The others stop nothing: they are passed over, which is said once, and noted."""
    by_name = {one.symbol: one for one in listed}
    listed_keys = dict.fromkeys(keys)
    gone = {key_of(one) for one in store.among(listed_keys) if one.gone is not None}
    found: list[Wanted] = []
    for key in listed_keys:
        symbol = by_name.get(key.symbol)
        if symbol is None:
            say_gone(store, key, str(unlisted(key.symbol, by_name, key.exchange)), now)
            continue
        wanted = _wanted(symbol, key)
        has_ended = wanted.ending(now) is not None
        if key in gone and not has_ended:
            log.info("%s %s: the exchange trades it again", key.symbol, key.interval)
            store.note_back([key])
        if key not in gone or not has_ended:
            found.append(wanted)
    return found


def listed_in(listed: Iterable[Symbol], exchange: str) -> Callable[[str, str], Wanted]:
    """Looks a series up by symbol and interval, as often as needed."""
    known = list(listed)

    def find(symbol: str, code: str) -> Wanted:
        (found,) = wanted_series([symbol], [code], known, exchange)
        return found

    return find


def say_gone(store: SeriesStore, key: SeriesKey, why: str, now: int, end: int | None = None) -> None:
    """Note that no new candles of it will come, and say so where that is news."""
    if store.note_gone(key, why, now, end):
        log.warning("%s %s is passed over: %s This is not said again", key.symbol, key.interval, sentence(why))


def series_of(exchange: str, symbols: Iterable[str], intervals: Iterable[str]) -> list[SeriesKey]:
    """Every symbol of the settings with every interval."""
    codes = dict.fromkeys(_known_code(code, exchange) for code in intervals)
    return [SeriesKey(exchange, symbol.upper(), code) for symbol in symbols for code in codes]


def audited_series(
    keys: Sequence[SeriesKey], listed: Iterable[Symbol], store: SeriesStore, now: int, *, named: bool
) -> list[SeriesKey]:
    """Those of these stored series that the exchange can be asked about; refused or passed over are the others, as
    somebody named them or not."""
    if named:
        known = list(listed)
        return [wanted_series([key.symbol], [key.interval], known, key.exchange)[0].key for key in keys]
    return [one.key for one in kept_series(keys, listed, store, now)]


def stored_series(
    database: Database[dict[str, Any]], exchange: str, symbols: Sequence[str], intervals: Sequence[str]
) -> list[SeriesKey]:
    """The series that are stored, of these symbols and intervals (none named: of all)."""
    stored = [one for one in SeriesStore(database).list(exchange) if one.stored]
    names, codes = {one.symbol for one in stored}, {_known_code(code, exchange) for code in intervals}
    chosen = {folded(symbol).upper() for symbol in symbols}
    for symbol in sorted(chosen - names):
        raise UsageError(f"no candles of {symbol!r} are stored.{meant(symbol, exchange, names)}")
    return [
        key_of(one) for one in stored if (not chosen or one.symbol in chosen) and (not codes or one.interval in codes)
    ]


def key_of(series: Series) -> SeriesKey:
    """The name of a stored series."""
    return SeriesKey(series.exchange, series.symbol, series.interval)


def _known(name: str, by_name: Mapping[str, Symbol], exchange: str) -> Symbol:
    found = by_name.get(name) or by_name.get(folded(name).upper())
    if found is None:
        raise unlisted(name, by_name, exchange)
    return found


def _wanted(one: Symbol, key: SeriesKey) -> Wanted:
    return Wanted(key, to_ms(one.onboarded), to_ms(one.delivery), one.status)


def _known_code(code: str, exchange: str) -> str:
    try:
        step = interval(code)
    except UnknownIntervalError as error:
        raise UsageError(str(error)) from error
    require_offered(exchange, step)
    return step.code
