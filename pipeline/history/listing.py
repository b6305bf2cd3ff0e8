"""Which series somebody asked for, checked against what the exchange lists before anything is fetched."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pipeline.errors import UsageError
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
