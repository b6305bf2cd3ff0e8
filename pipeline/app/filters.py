"""What a person asks about, checked against what there is: a name that nothing can match is refused, and what there is
instead is named. It must not look like no data."""

from typing import TYPE_CHECKING

from pipeline.app.wiring import strategies_of
from pipeline.errors import UsageError
from pipeline.exchange.markets import meant
from pipeline.nearest import folded, hint
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.strategies import registry
from pipeline.timeline import UnknownIntervalError, interval
from schemas.signals import SIGNALS

if TYPE_CHECKING:
    from pipeline.app.opened import Opened


def code_of(text: str) -> str:
    """The candle length as the exchange writes it."""
    try:
        return interval(text).code
    except UnknownIntervalError as error:
        raise UsageError(str(error)) from error


def symbol_filter(tm: "Opened", text: str) -> str:
    """A symbol that is stored, in the settings, or listed by the exchange."""
    name = folded(text).upper()
    stored = {one.symbol for one in SeriesStore(tm.db).list(tm.environment) if one.stored}
    known = stored | {*tm.settings.symbols, *SymbolStore(tm.db).ticks(tm.environment)}
    if name in known or _signalled(tm, "symbol", name):
        return name
    raise UsageError(
        f"{tm.environment} has no symbol {name!r}, neither stored nor listed.{meant(name, tm.environment, known)} "
        f"Stored are {', '.join(sorted(stored)) or 'none yet'}"
    )


def strategy_filter(tm: "Opened", text: str) -> str:
    """A strategy that there is, or whose signals are stored."""
    name = folded(text)
    known = {*registry.names(), *(one.name for one in strategies_of(tm.settings))}
    if name in known or _signalled(tm, "strategy", name):
        return name
    raise UsageError(f"there is no strategy {name!r}.{hint(name, known)} There are: {', '.join(sorted(known))}")


def interval_filter(tm: "Opened", text: str, symbol: str | None = None) -> str:
    """An interval that is stored, of that symbol where one is named, or in the settings."""
    code = code_of(text)
    stored = {one.interval for one in SeriesStore(tm.db).list(tm.environment, symbol) if one.stored}
    if code in stored or code in tm.settings.intervals:
        return code
    listed = ", ".join(sorted(stored, key=lambda one: interval(one).after(0))) or "none yet"
    of = f" of {symbol}" if symbol else ""
    raise UsageError(f"no {code} candles are stored{of}; stored are {listed}")


def _signalled(tm: "Opened", field: str, name: str) -> bool:
    """Whether some signal has it: of a symbol that is not listed any more, of a strategy that was renamed."""
    wanted = {field: {"$eq": name}, "exchange": tm.environment}
    return tm.db[SIGNALS.name].find_one(wanted, {"_id": 1}) is not None
