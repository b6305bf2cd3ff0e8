"""What Python programs give and get: times and names understood, answers made into polars tables."""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, get_args

import polars as pl

from pipeline.app.backfill import Backfilled, SeriesReport, lacks
from pipeline.app.moments import moment, since
from pipeline.app.signals import Performance
from pipeline.errors import TidemarkError, UsageError
from pipeline.timeline import DAY, SECOND, in_utc, to_ms
from schemas.signals import Signal

if TYPE_CHECKING:
    from pipeline.app.account import Period, Position
    from pipeline.app.allocation import Allocation
    from pipeline.app.portfolio import Portfolio
    from pipeline.app.rebalancing import Rebalancing
    from pipeline.app.series import Series, SeriesKey

TIME: Final = pl.Datetime("ms", "UTC")
MONEY: Final = pl.Decimal(38, 12)
SIGNAL_COLUMNS: Final = (
    *("at", "symbol", "interval", "strategy", "kind", "side", "price", "strength", "confirmed", "source"),
    *("verdict", "reason", "current_price", "return_pct", "return_at", "best_pct", "worst_pct"),
    *("return_1h", "return_4h", "return_1d", "return_7d", "candle", "fresh_until"),
)
GROUPINGS: Final = ("strategy", "symbol", "interval", "month")
FIGURES: Final = ("count", "hit_rate", "mean", "median")
HORIZONS: Final = ("return_1h", "return_4h", "return_1d", "return_7d")
_PERIOD: Final = ("equity", "realized", "fees", "funding", "transfers")
_HELD: Final = ("quantity", "entry_price", "mark_price", "unrealized", "units", "stop_price", "take_profit_price")
_REPORT: Final = ("symbol", "interval", "wanted", "stored", "fetched", "holes", "known_holes", "source", "seconds")


def to_sum(value: float | None) -> Decimal | None:
    """The sum that a program means, to the digits that it wrote."""
    return None if value is None else Decimal(repr(value))


def to_moment(name: str, given: datetime | str | None) -> int | None:
    """A time in milliseconds."""
    if isinstance(given, datetime):
        return to_ms(in_utc(given))
    return moment(name, given)


def to_since(name: str, given: datetime | str | None) -> int | None:
    """The same, or how long ago."""
    return since(name, given) if isinstance(given, str) else to_moment(name, given)


def since_days(days: float | None, other: str, start: int | None) -> int | None:
    """The beginning, from either."""
    if days is None:
        return start
    if start is not None:
        raise UsageError(f"days and {other} exclude each other: say how far back, or from when on")
    if not days > 0:
        raise UsageError(f"days must be more than 0, not {days!r}")
    return max(0, int(time.time() * SECOND - days * DAY))


def to_names(given: str | Sequence[str]) -> list[str]:
    """One name, or several, as a list."""
    return [given] if isinstance(given, str) else list(given)


def to_some(name: str, given: str | Sequence[str]) -> list[str]:
    """The same, and at least one."""
    found = to_names(given)
    if not found:
        raise UsageError(f"{name} is empty; name at least one")
    return found


def to_grouping(by: str | Sequence[str]) -> list[str]:
    """What signals are put together by."""
    found = to_some("by", by)
    for one in found:
        if one not in GROUPINGS:
            raise UsageError(f"signals cannot be put together by {one!r}; there are {', '.join(GROUPINGS)}")
    return found


def signals_frame(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """A row a signal."""
    schema = {name: _type_of(Signal.model_fields[name].annotation) for name in SIGNAL_COLUMNS}
    return pl.DataFrame([{name: one.get(name) for name in SIGNAL_COLUMNS} for one in rows], schema=schema)


def performance_frame(by: Sequence[str], found: Iterable[Performance]) -> pl.DataFrame:
    """A row a group: its names, how many signals, and the figures of each horizon."""
    schema: dict[str, pl.DataType] = {**dict.fromkeys(by, pl.String()), "signals": pl.Int64()}
    schema |= {name: pl.Int64() if figure == "count" else pl.Float64() for name, _, figure in _figures()}
    rows = [
        (
            *_names(by, one.name),
            one.signals,
            *(getattr(one.horizons[horizon], figure) for _, horizon, figure in _figures()),
        )
        for one in found
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _names(by: Sequence[str], name: str) -> list[str]:
    """The names a group was put together of; only that of a strategy may have spaces."""
    parts = name.split(" ")
    spare = len(parts) - len(by)
    first = by.index("strategy") if spare else 0
    last = first + spare + 1
    return [*parts[:first], " ".join(parts[first:last]), *parts[last:]]


def _figures() -> Iterator[tuple[str, str, str]]:
    """A column each: its name, its horizon, its figure."""
    return ((f"{horizon}_{figure}", horizon, figure) for horizon in HORIZONS for figure in FIGURES)


def periods_frame(periods: "Iterable[Period]") -> pl.DataFrame:
    """A row a day or a month."""
    schema: dict[str, pl.DataType] = {"period": pl.String(), "asset": pl.String(), "days": pl.Int64()}
    schema["return_pct"] = pl.Float64()
    rows = [
        {"period": one.name} | {name: getattr(one, name) for name in ("asset", "days", "return_pct", *_PERIOD)}
        for one in periods
    ]
    return pl.DataFrame(rows, schema=schema | dict.fromkeys(_PERIOD, MONEY))


def positions_frame(positions: "Iterable[Position]") -> pl.DataFrame:
    """A row a position."""
    schema: dict[str, pl.DataType] = {"symbol": pl.String(), "ours": pl.Boolean()}
    schema |= {"strategy": pl.String(), "interval": pl.String(), **dict.fromkeys(_HELD, MONEY)}
    rows = [{name: getattr(one, name) for name in schema} for one in positions]
    return pl.DataFrame(rows, schema=schema)


def portfolio_frame(found: "Iterable[Portfolio]") -> pl.DataFrame:
    """A row a cap."""
    schema = {"asset": pl.String(), "counts": pl.String(), "setting": pl.String(), "now_pct": pl.Float64(),
              "most_pct": pl.Float64(), "is_over": pl.Boolean(), "refuses": pl.String()}  # fmt: skip
    rows = [
        (
            one.asset,
            use.cap.called,
            use.cap.setting,
            float(use.now),
            None if use.most is None else float(use.most),
            use.is_over,
            one.refuses(use),
        )
        for one in found
        for use in one.uses
    ]
    return pl.DataFrame(rows, schema=schema, orient="row")


def allocation_frame(found: "Allocation | None", coming: "Rebalancing | None") -> pl.DataFrame:
    """A row a strategy. Where nothing is newer than what the shares come from, that says what they are."""
    now = (found and found.shares) or {}
    newest = now if coming is None else coming.wanted.shares
    rows = [(name, now.get(name, Decimal(0)), newest.get(name, Decimal(0))) for name in {**now, **newest}]
    schema = {"strategy": pl.String(), "percent": MONEY, "by_newest": MONEY}
    return pl.DataFrame(rows, schema=schema, orient="row")


def series_frame(found: "Iterable[Series]") -> pl.DataFrame:
    """A row a series."""
    schema = {"symbol": pl.String(), "interval": pl.String(), "first": TIME, "last_closed": TIME, "stored": pl.Int64(),
              "holes": pl.Int64()}  # fmt: skip
    rows = [(one.symbol, one.interval, one.first, one.last_closed, one.stored, len(one.holes)) for one in found]
    return pl.DataFrame(rows, schema=schema, orient="row")


def keys_frame(keys: "Iterable[SeriesKey]") -> pl.DataFrame:
    """A row a series."""
    rows = [(key.symbol, key.interval) for key in sorted(keys)]
    return pl.DataFrame(rows, schema={"symbol": pl.String(), "interval": pl.String()}, orient="row")


def reports_frame(reports: Iterable[SeriesReport]) -> pl.DataFrame:
    """A row a series."""
    texts, seconds = ("symbol", "interval", "source"), ("seconds",)
    schema = {
        name: pl.String() if name in texts else pl.Float64() if name in seconds else pl.Int64() for name in _REPORT
    }
    return pl.DataFrame([{name: getattr(one, name) for name in _REPORT} for one in reports], schema=schema)


def require_whole(done: Backfilled) -> None:
    """Say what is missing, and what could not be computed."""
    wrong = [f"{one.symbol} {one.interval}: {lacks(one)}" for one in done.reports if not one.is_complete]
    wrong += [f"{one.symbol} {one.interval}: {one.failure}" for one in done.derived if one.failure is not None]
    if wrong:
        raise TidemarkError("\n".join(wrong))


def _type_of(annotation: Any) -> pl.DataType:
    kinds = {float: pl.Float64(), bool: pl.Boolean(), datetime: TIME, Decimal: MONEY}
    return next((kinds[one] for one in (annotation, *get_args(annotation)) if one in kinds), pl.String())
