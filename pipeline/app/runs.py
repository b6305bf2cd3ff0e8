"""The backtests that were kept: listed, shown, run again. What a run went by is kept with it as hashes, so that it can
be said what is not as it was then: candles, settings, a strategy, the engines' own code."""

import inspect
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from pipeline.app.opened import Opened
from pipeline.app.sources import backtest_code, hash_of
from pipeline.errors import UsageError
from pipeline.store.candles.store import CandleStore
from pipeline.store.runs import RunStore
from pipeline.store.series import SeriesStore
from pipeline.strategies.base import CANDLE_COLUMNS
from pipeline.timeline import to_datetime, to_ms
from schemas.runs import Reading, Run, RunInputs, RunSeries
from schemas.series import SeriesKey

if TYPE_CHECKING:
    from pipeline.app.backtest import Outcome, Read, Result
    from pipeline.research.backtest.asked import Asked

__all__ = ["AskedFor", "Kept", "Rerun", "keep", "mark", "named", "rerun", "run", "runs"]

_COUNTED: Final = ("reasons", "skipped")


@dataclass(frozen=True, slots=True)
class AskedFor:
    """What was asked for; empty: what the settings have."""

    strategies: Sequence[str] = ()
    symbols: Sequence[str] = ()
    intervals: Sequence[str] = ()
    parameters: Mapping[str, Any] | None = None
    exact: bool = False
    through_holes: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """A run, and the series whose candles are not what it went by any more: with any, it is stale."""

    run: Run
    changed: Sequence[str]
    trades: Sequence[Mapping[str, Any]] = ()

    @property
    def figures(self) -> Mapping[str, Any]:
        """Those that do not flatter."""
        return self.run.readings[0].figures

    @property
    def asset(self) -> str:
        """What its money is counted in."""
        return str(self.figures.get("asset", "USDT"))


@dataclass(frozen=True, slots=True)
class Rerun:
    """A run that was run again. `differs`: what it goes by that is not as it was then."""

    before: Run
    found: "Result"
    differs: Sequence[str]
    is_same: bool
    """To the bit: every trade, and the equity in every minute, in each reading."""


def keep(tm: Opened, found: "Result", asked: AskedFor) -> str:
    """Keep it; its name."""
    now = datetime.now(UTC)
    outcome = found.backtest.outcome
    times, equity = outcome.curve.daily()
    kept = Run(
        id=f"{now:%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}",
        environment=tm.environment,
        at=now,
        title=found.title,
        inputs=RunInputs(
            strategies=list(asked.strategies),
            symbols=list(found.symbols),
            intervals=list(asked.intervals),
            parameters=dict(asked.parameters or {}),
            start=to_datetime(found.start),
            end=to_datetime(found.end),
            equity=found.backtest.asked.assumptions.equity,
            exact=asked.exact,
            through_holes=asked.through_holes,
        ),
        strategies=_strategies(found),
        settings=settings_hash(found.backtest.asked),
        code=backtest_code(),
        candles=[series_as_read(tm, key, read) for key, read in found.read.items()],
        readings=[_reading(one) for one in found.backtest.outcomes],
        assumptions=dict(found.backtest.assumed),
        notes=list(found.notes),
        days=[to_datetime(int(one)) for one in times],
        equity=equity.tolist(),
    )
    RunStore(tm.db, tm.environment).add(kept, [_trade(one) for one in found.trades])
    return kept.id


def runs(tm: Opened, most: int) -> list[Kept]:
    """The newest first. Candles are only read where their series changed since."""
    return [Kept(one, changed(tm, one.candles)) for one in RunStore(tm.db, tm.environment).newest(most)]


def run(tm: Opened, name: str) -> Kept:
    """One of them, with its trades."""
    one = named(tm, name)
    return Kept(one, changed(tm, one.candles), RunStore(tm.db, tm.environment).trades(name))


def mark(tm: Opened, name: str, *, kept: bool) -> None:
    """Whether it stays, whatever retention forgets."""
    if not RunStore(tm.db, tm.environment).mark(name, kept=kept):
        named(tm, name)


def rerun(tm: Opened, name: str, progress: Any = lambda _, __, ___: None) -> Rerun:
    """The same again, with the settings, code and candles of now."""
    from pipeline.app.backtest import backtest  # noqa: PLC0415 - who only looks at runs needs no engine

    before = named(tm, name)
    inputs = before.inputs
    found = backtest(
        tm,
        inputs.strategies,
        symbols=inputs.symbols,
        intervals=inputs.intervals,
        parameters=inputs.parameters,
        start=to_ms(inputs.start),
        end=to_ms(inputs.end),
        ends={one.symbol: to_ms(one.last) for one in before.candles if _is_filled_on(one, before)},
        equity=inputs.equity,
        exact=inputs.exact,
        through_holes=inputs.through_holes,
        progress=progress,
    )
    now = {"strategies": _strategies(found), "settings": settings_hash(found.backtest.asked), "code": backtest_code()}
    differs = [f"the {what} changed" for what, one in now.items() if one != getattr(before, what)]
    differs += [f"candles of {one} changed" for one in changed(tm, before.candles)]
    readings = [_reading(one).hash for one in found.backtest.outcomes]
    return Rerun(before, found, differs, readings == [one.hash for one in before.readings])


def _is_filled_on(candles: RunSeries, run: Run) -> bool:
    return candles.interval == "1m" and candles.exchange == run.environment


def named(tm: Opened, name: str) -> Run:
    """One of them, without its trades; nothing else is read."""
    found = RunStore(tm.db, tm.environment).get(name)
    if found is None:
        raise UsageError(f"no run {name!r} is kept at {tm.environment}; `tidemark runs` lists them")
    return found


def _reading(one: "Outcome") -> Reading:
    figures = {name: value for name, value in asdict(one.summary).items() if name not in _COUNTED}
    told = repr(one.trades).encode() + one.curve.close.tobytes() + one.curve.worst.tobytes()
    return Reading(inside=str(one.inside), engine=one.engine, figures=figures, hash=sha256(told).hexdigest())


def _trade(one: Any) -> dict[str, Any]:
    """Money as text: exact, and never reckoned with where it lies."""
    return {
        name: str(value) if isinstance(value, Decimal) else list(value) if isinstance(value, tuple) else value
        for name, value in asdict(one).items()
    } | {"profit": str(one.profit)}


def _strategies(found: "Result") -> dict[str, str]:
    return {
        one.name: hash_of(f"{inspect.getsource(inspect.getmodule(type(one)) or type(one))}{one!r}")
        for one in found.spoke
    }


def settings_hash(asked: "Asked") -> str:
    """Of risk, rules, settings of the symbols and funding."""
    changes = [(asked.start, one) for one in asked.symbols] + list(asked.changes)
    of_symbols = [(at, one.symbol, one.filters, one.taker_fee) for at, one in changes]
    return hash_of(
        repr(
            (
                asked.policy,
                asked.assumptions,
                sorted(asked.trading.items(), key=str),
                of_symbols,
                sorted(asked.funding.items()),
                *([sorted(asked.endings.items())] if asked.endings else []),
            )
        )
    )


def series_as_read(tm: Opened, key: SeriesKey, read: "Read") -> RunSeries:
    """Where the series changed since the run read it, its candles are known to be others: their hash fits nothing."""
    is_same = _changes(tm, key) == read.changes
    return RunSeries(
        exchange=key.exchange,
        symbol=key.symbol,
        interval=key.interval,
        first=to_datetime(read.first),
        last=to_datetime(read.last),
        changes=read.changes,
        hash=_candles(tm, key, read.first, read.last) if is_same else "",
    )


def _changes(tm: Opened, key: SeriesKey) -> int:
    known = SeriesStore(tm.db).get(key)
    return 0 if known is None else known.changes


def _candles(tm: Opened, key: SeriesKey, first: int, last: int) -> str:
    columns = CandleStore(tm.db).columns(key, first, last, ("t", "closed", *CANDLE_COLUMNS))
    closed = columns["closed"].astype(bool)
    told = sha256()
    for name in ("t", *CANDLE_COLUMNS):
        told.update(columns[name][closed].tobytes())
    return told.hexdigest()


def changed(tm: Opened, candles: Sequence[RunSeries]) -> list[str]:
    """Those that are not what was read. They are only read where their series changed since."""
    found = []
    for each in candles:
        key = SeriesKey(each.exchange, each.symbol, each.interval)
        if _changes(tm, key) == each.changes:
            continue
        if _candles(tm, key, to_ms(each.first), to_ms(each.last)) != each.hash:
            found.append(f"{each.symbol} {each.interval}{' mark prices' if key.is_mark else ''}")
    return found
