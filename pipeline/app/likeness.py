"""Which symbols move alike: measured from the stored candles, and kept for the executor. Asks the database only."""

from datetime import UTC, datetime
from typing import Final

import numpy as np
import numpy.typing as npt

from pipeline.app.opened import Opened
from pipeline.portfolio.alike import DAYS, correlations
from pipeline.store.candles.store import CandleStore
from pipeline.store.likeness import LikenessStore
from pipeline.store.series import SeriesStore
from pipeline.timeline import DAY, HOUR, interval, to_datetime, to_ms
from schemas.likeness import Likeness
from schemas.series import Series, SeriesKey

__all__ = ["Likeness", "measure"]

_HOURS: Final = DAYS * DAY // HOUR


def measure(tm: Opened) -> list[Likeness]:
    """Of the last thirty days of every symbol of which candles of an hour or less are stored; and keep it."""
    chosen = _longest_within_an_hour(SeriesStore(tm.db).list(tm.environment))
    if not chosen:
        return []
    end = max(_closed_to(one) for one in chosen) // HOUR * HOUR
    store = CandleStore(tm.db)
    found = correlations({one.symbol: _closes(store, one, end) for one in chosen})
    measured = [
        Likeness(
            id=f"{tm.environment}:{symbol}",
            exchange=tm.environment,
            symbol=symbol,
            at=to_datetime(end),
            correlations=of_it,
        )
        for symbol, of_it in found.items()
    ]
    LikenessStore(tm.db, tm.environment).save(measured, datetime.now(UTC))
    return measured


def _longest_within_an_hour(stored: list[Series]) -> list[Series]:
    """One series of each symbol: the fewer candles, the less is read."""
    found: dict[str, Series] = {}
    for one in sorted(stored, key=_length):
        if one.last_closed is not None and _length(one) <= HOUR:
            found[one.symbol] = one
    return list(found.values())


def _length(one: Series) -> int:
    """Of its candles; months are not equally long."""
    return interval(one.interval).milliseconds or 28 * DAY


def _closed_to(one: Series) -> int:
    return to_ms(one.last_closed) + _length(one) if one.last_closed else 0


def _closes(store: CandleStore, one: Series, end: int) -> npt.NDArray[np.float64]:
    """Its price at the end of each hour; NaN where none is stored."""
    length, start = _length(one), end - _HOURS * HOUR
    closes = np.full(_HOURS + 1, np.nan)
    stored = store.closes(SeriesKey(one.exchange, one.symbol, one.interval), start - length, end - length)
    for opened, close in stored.items():
        hour, rest = divmod(opened + length - start, HOUR)
        if not rest:
            closes[hour] = close
    return closes
