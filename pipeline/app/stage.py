"""What trials of a search share, from what is stored: minutes, rules and candles. Refused beforehand if it would not
fit into memory."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final, NamedTuple

from pipeline.app.backtest import DAYS, Read, candles_from, stretch
from pipeline.app.filters import interval_filter, symbol_filter
from pipeline.app.opened import Opened
from pipeline.app.past import symbol_of
from pipeline.app.room import free_bytes
from pipeline.app.sound import in_the_dark, require_affordable
from pipeline.app.trading_access import require_backtested
from pipeline.app.wiring import periods_of
from pipeline.errors import UsageError
from pipeline.periods import LONGEST_AVERAGE, TAIL
from pipeline.research.search.candles import KEPT, Candles
from pipeline.research.search.evaluate import Stage
from pipeline.research.search.space import INTERVAL, Space
from pipeline.store.series import SeriesStore
from pipeline.store.signals.write import fresh_for
from pipeline.timeline import DAY, MINUTE, SECOND, interval, to_ms
from schemas.series import SeriesKey

MINUTE_BYTES: Final = 144
"""A minute of a symbol and its mark price: as they are read, kept, and on the grid of the rules."""
CANDLE_BYTES: Final = 8 * (KEPT + 24)
"""A candle of a symbol: its prices, its indicators, and as many averages as are kept."""


class Set(NamedTuple):
    """A stage that is ready, what is to be said of it, and the candles that it read."""

    stage: Stage
    notes: Sequence[str]
    read: Mapping[SeriesKey, Read]


def set_up(
    tm: Opened,
    space: Space,
    *,
    symbols: Sequence[str] = (),
    interval_code: str | None = None,
    days: float | None = None,
    start: int | None = None,
    end: int | None = None,
    equity: Decimal | None = None,
    through_holes: bool = False,
) -> Set:
    """Load it. The interval: the first of the settings, where none is named or searched."""
    require_backtested(tm.settings)
    chosen = [symbol_filter(tm, one) for one in symbols] or list(tm.settings.symbols)
    searched = next((axis.values for axis in space.axes if axis.name == INTERVAL), None)
    if searched and interval_code is not None:
        raise UsageError("--interval and --space interval=... exclude each other; choose one")
    codes = [str(one) for one in searched or ()] or [interval_filter(tm, interval_code or tm.settings.intervals[0])]
    asked_for = DAYS if days is None else days
    _require_room(tm, chosen, codes, asked_for, start, end)
    read: dict[SeriesKey, Read] = {}
    asked, notes = stretch(tm, chosen, asked_for, start, end, equity, read)
    notes[:0] = in_the_dark(tm, asked, through_holes=through_holes)
    periods = periods_of(tm.settings, ())
    widest = periods.including([f"sma{LONGEST_AVERAGE}"])
    candles = []
    for symbol in asked.minutes:
        for code in codes:
            key = SeriesKey(tm.environment, symbol, code)
            numbers, prices, said = candles_from(tm, key, widest, TAIL, asked.start, asked.end, read)
            notes += said if numbers[0] > periods.first_needed(interval(code).index(asked.start) - TAIL) else []
            fresh = fresh_for(interval(code), tm.settings.fresh_seconds * SECOND)
            decimals = symbol_of(tm, symbol).decimals
            candles.append(Candles(symbol, code, numbers, prices, periods, decimals, fresh))
    stage = Stage(asked, candles, space)
    require_affordable(stage.parts())
    return Set(stage, notes, read)


def _require_room(
    tm: Opened, symbols: Sequence[str], codes: Sequence[str], days: float, start: int | None, end: int | None
) -> None:
    """Refuse what would not fit into the memory that is free, with both figures."""
    needed = 0
    for symbol in symbols:
        known = SeriesStore(tm.db).get(SeriesKey(tm.environment, symbol, "1m"))
        if known is None or known.first is None or known.last_closed is None:
            continue
        last = min(to_ms(known.last_closed), end or 2**62)
        first = max(to_ms(known.first), last - int(days * DAY) if start is None else start)
        span = max(0, last - first)
        needed += span // MINUTE * MINUTE_BYTES
        needed += sum(span // (interval(code).milliseconds or 30 * DAY) * CANDLE_BYTES for code in codes)
    free = free_bytes()
    if needed > free:
        raise UsageError(
            f"this needs about {needed / 1e6:,.0f} MB of memory, and {free / 1e6:,.0f} MB are free: take fewer days "
            "(--days), fewer symbols, or longer candles"
        )
