"""The stored prices of one symbol, whichever of its series knows them. Reads candles; asks no clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pipeline.store.candles.store import CandleStore
from pipeline.store.signals.outcomes import COLUMNS, PATIENCE, Path, followed, newest, path_of
from pipeline.timeline import interval, to_ms
from schemas.series import Series, SeriesKey
from schemas.shared import SLOTS_PER_BUCKET

_AHEAD: Final = 2 * SLOTS_PER_BUCKET
"""A series document may be a few seconds behind its candles: look for newer ones this many candles further."""


@dataclass(frozen=True, slots=True)
class SymbolPrices:
    """Where a symbol stands. `path` is the newest part of the series to follow, `begins` its first stored candle."""

    candles: CandleStore
    stored: Sequence[Series]
    followed: Series
    path: Path
    latest: Path

    @property
    def of_symbol(self) -> dict[str, Any]:
        """Matches what belongs to this symbol."""
        return {"exchange": self.followed.exchange, "symbol": self.followed.symbol}

    @property
    def known(self) -> int:
        """The moment of the newest price."""
        return self.latest.known

    def opened_since(self, at: int) -> bool:
        """Whether a candle opened at that moment or later."""
        return at <= int(self.path.opens[-1])

    def tell_all_since(self, through: int) -> bool:
        """Whether the followed series alone tells what came since, from the beginning of a candle on."""
        begins = self.followed.first
        return begins is not None and to_ms(begins) <= through == self.path.step.floor(through)

    def begins_after(self, start: int) -> int:
        """The first opening time from `start` on that the followed series can have."""
        begins = self.followed.first
        return max(self.path.step.ceil(start), to_ms(begins) if begins is not None else start)

    def since(self, start: int) -> Path:
        """The followed series from `start` on."""
        return _load(self.candles, self.followed, start) or self.path

    def every_path_since(self, start: int) -> list[Path]:
        """Every series of the symbol from `start` on, and at least as far back as candles may still be missing."""
        start = min(start, self.known - PATIENCE)
        return [path for one in self.stored if (path := _load(self.candles, one, start)) is not None]


def prices_of(candles: CandleStore, stored: Sequence[Series]) -> SymbolPrices | None:
    """Where the symbol of these series stands, or None if no candle of it is closed yet."""
    tails = {}
    for one in stored:
        tail = _load(candles, one, to_ms(one.last_closed)) if one.last_closed is not None else None
        if tail is not None:
            tails[one.id] = tail
    if not tails:
        return None
    path = followed(list(tails.values()))
    series = next(one for one in stored if tails.get(one.id) is path)
    return SymbolPrices(candles, stored, series, path, newest(list(tails.values())))


def _load(candles: CandleStore, one: Series, start: int) -> Path | None:
    if one.last_closed is None:
        return None
    step = interval(one.interval)
    end = step.after(max(to_ms(one.last_closed), start), _AHEAD)
    return path_of(step, candles.load(SeriesKey(one.exchange, one.symbol, one.interval), start, end, COLUMNS))
