"""Brings indicators and signals of a series up to date with its candles: what is new, and what a correction reaches.

Where it left off is noted in `series`, with the settings; under other settings everything is computed anew. Killed at
any moment it leaves the notes as they were, and the next run does the same work again, writing only what differs. It
leaves to the live side what could still be acted on: the signals of candles that closed a moment ago.
"""

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipeline.errors import TidemarkError
from pipeline.history import indicators, signals
from pipeline.history.indicators import FinerPricesError, Stretch, stretches
from pipeline.periods import Periods
from pipeline.signals import Calculation, named_in, settings_of
from pipeline.store.candles.stale import is_forsaken, is_settled, new_mark
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.store.signals.corrections import send_back
from pipeline.store.signals.returns import ReturnStore
from pipeline.store.signals.write import FRESH_FOR, Reconciled, SignalStore, fresh_for
from pipeline.store.symbols import SymbolStore
from pipeline.strategies.base import Strategy
from pipeline.strategies.chosen import Intervals, on_interval
from pipeline.timeline import Interval, Window, interval, to_datetime, to_ms
from schemas.series import Series, SeriesKey, Stale, Watermark

log = logging.getLogger(__name__)

SERIES_AT_ONCE: Final = 2
_ATTEMPTS: Final = 3


class UnknownScaleError(TidemarkError):
    """Nobody has said how many decimals the prices of this symbol have."""


class StillChangingError(TidemarkError):
    """Candles change faster than what depends on them can be computed. Run it again when that is over."""


class StoreFailedError(TidemarkError):
    """MongoDB went away or refused. Mend it and run it again."""


@dataclass(frozen=True, slots=True)
class Derived:
    """What was done for one series. `candles` had their indicators computed, `written` of them had others stored."""

    symbol: str
    interval: str
    candles: int = 0
    written: int = 0
    signals: Reconciled = field(default_factory=Reconciled)
    seconds: float = 0.0
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What there is to do for a series, in candle numbers, and how far the indicators reached before."""

    calculation: Calculation
    changed: tuple[Stretch, ...]
    last: int
    reached: int | None


@dataclass(slots=True)
class _Done:
    """What has been done so far."""

    candles: int = 0
    written: int = 0
    signals: Reconciled = field(default_factory=Reconciled)
    newest: int | None = None
    undertaken: dict[str, Stretch] = field(default_factory=dict)
    told: Callable[[int], None] = lambda _: None
    """Of each stretch that is done: how many candles it has."""


class Derivation:
    """Computes what is derived, for any number of series of one database."""

    def __init__(
        self,
        database: Database[dict[str, Any]],
        strategies: Sequence[Strategy],
        periods: Periods,
        *,
        intervals: Intervals | None = None,
        fresh_at_most: int = FRESH_FOR,
    ) -> None:
        self._database = database
        self._candles = CandleStore(database)
        self._series = SeriesStore(database)
        self._signals = SignalStore(database)
        self._symbols = SymbolStore(database)
        self._returns = ReturnStore(database)
        self._strategies = tuple(strategies)
        self._intervals = intervals or {}
        self._periods = periods
        self._touched: set[tuple[str, str]] = set()
        self._fresh_at_most = fresh_at_most
        self._lookback = max((one.lookback for one in strategies), default=0)

    def not_chosen(self, keys: Iterable[SeriesKey]) -> dict[str, int]:
        """By strategy, how many stored signals of these series will be withdrawn because it does not run there any
        more. Where those run that ran before, no signal is read."""
        gone: dict[SeriesKey, set[str]] = {}
        for seen in self._series.among(keys):
            key = SeriesKey(seen.exchange, seen.symbol, seen.interval)
            ran = named_in(seen.signals.settings) if seen.signals is not None else set()
            if others := ran - {one.name for one in self._on(key)}:
                gone[key] = others
        return self._signals.of_others(gone) if gone else {}

    def bring_up_all(
        self,
        keys: Sequence[SeriesKey],
        now: int,
        *,
        anew: bool = False,
        told: Callable[[Derived], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Derived]:
        """All of them, two at a time; the reports in the same order. One that fails stops no other. Told to `stop`, it
        ends the series at work and leaves the others out. `progress` is told how many candles of how many are done;
        for that everything is looked at once more, at the beginning."""
        advance = self._advancing(keys, now, anew, progress)

        def one(key: SeriesKey) -> Derived | None:
            if stop():
                return None
            derived = self._reported(key, now, anew, advance)
            told(derived)
            return derived

        self._send_back(self._series.among(keys), now)
        with ThreadPoolExecutor(SERIES_AT_ONCE, thread_name_prefix="derive") as pool:
            reports = [(key, derived) for key, derived in zip(keys, pool.map(one, keys), strict=True) if derived]
        self._touched.update((key.exchange, key.symbol) for key, derived in reports if derived.signals.changed)
        self._work_out_returns()
        return [derived for _, derived in reports]

    def _advancing(
        self, keys: Sequence[SeriesKey], now: int, anew: bool, progress: Callable[[int, int], None] | None
    ) -> Callable[[int], None]:
        """What is told of each stretch that is done, from two threads."""
        if progress is None:
            return lambda _: None
        wanted, done, lock = sum(self._due(key, now, anew) for key in keys), 0, threading.Lock()

        def advance(candles: int) -> None:
            nonlocal done
            with lock:
                done += candles
                progress(min(done, wanted), wanted)

        progress(0, wanted)
        return advance

    def _due(self, key: SeriesKey, now: int, anew: bool) -> int:
        """How many candles are to be computed, by what is counted of the series."""
        seen, bounds = self._series.get(key), self._series.bounds(key)
        if seen is None or bounds is None or self._symbols.get(key.exchange, key.symbol) is None:
            return 0
        if seen.first is None or seen.last_closed is None:
            return 0
        step = interval(key.interval)
        first, last = (step.index(to_ms(moment)) for moment in (seen.first, seen.last_closed))
        plan = self._plan(key, seen, bounds, self._last_past(step, seen, now), anew)
        return sum(max(0, min(one.last, last) - max(one.first, first) + 1) for one in self._stretches(plan, ()))

    def _stretches(self, plan: _Plan, undertaken: Iterable[Stretch]) -> list[Stretch]:
        return list(stretches((*plan.changed, *undertaken), self._periods, self._lookback, plan.last))

    def _work_out_returns(self) -> None:
        """What became of signals that are others now, or saw candles that are, is known at once."""
        touched, self._touched = self._touched, set()
        for exchange in sorted({exchange for exchange, _ in touched}):
            symbols = {symbol for place, symbol in touched if place == exchange}
            try:
                self._returns.refresh(exchange, symbols)
            except PyMongoError as error:
                raise StoreFailedError(f"returns of {', '.join(sorted(symbols))} were not computed: {error}") from error

    def bring_up(
        self, key: SeriesKey, now: int, *, anew: bool = False, advance: Callable[[int], None] = lambda _: None
    ) -> Derived:
        """One series. `anew` computes everything again; what comes out the same is not written. `advance` is told how
        many candles each stretch had that is done."""
        began = time.monotonic()
        done = _Done(told=advance)
        try:
            self._until_noted(key, now, anew, done)
        except PyMongoError as error:
            raise StoreFailedError(
                f"{key}: the database failed ({type(error).__name__}: {error}); what is stored stays, run it again"
            ) from error
        if done.signals.kept:
            kept = ", ".join(done.signals.kept)
            log.warning("%s: signals that are not found any more stay, because somebody acted on them: %s", key, kept)
        seconds = round(time.monotonic() - began, 3)
        return Derived(key.symbol, key.interval, done.candles, done.written, done.signals, seconds)

    def _until_noted(self, key: SeriesKey, now: int, anew: bool, done: _Done) -> None:
        for _ in range(_ATTEMPTS):
            seen = self._series.get(key)
            bounds = self._series.bounds(key)
            if seen is None or bounds is None or self._is_up(key, seen, bounds, now, anew, done):
                return
        raise StillChangingError(
            f"{key}: its candles were corrected during each of {_ATTEMPTS} computations; "
            "what was computed is stored, run it again"
        )

    def _is_up(self, key: SeriesKey, seen: Series, bounds: tuple[int, int], now: int, anew: bool, done: _Done) -> bool:
        """The same over prices that turn out to be finer than was known: then everything is computed with their
        decimals, of every series of the symbol."""
        while True:
            try:
                return self._is_noted(key, seen, bounds, now, anew, done)
            except FinerPricesError as finer:
                log.info("%s: there are prices with %d decimals; everything is computed anew", key, finer.decimals)
                self._symbols.note_finest(key.exchange, key.symbol, finer.decimals)

    def _is_noted(
        self, key: SeriesKey, seen: Series, bounds: tuple[int, int], now: int, anew: bool, done: _Done
    ) -> bool:
        """Do what is due, and note it. False where candles changed meanwhile."""
        step = interval(key.interval)
        past = self._last_past(step, seen, now)
        plan = self._plan(key, seen, bounds, past, anew)
        if not plan.changed and not seen.stale and not seen.deriving:
            return True
        due = self._stretches(plan, done.undertaken.values())
        self._undertake(key, due, done)
        self._send_back([seen], now)
        for stretch in due:
            computed = indicators.bring_up(self._candles, key, stretch, plan.calculation, self._lookback)
            if computed is None:
                continue
            done.told(computed.report.offered)
            until = min(stretch.last, past)
            done.signals += signals.bring_up(self._signals, key, computed, until, self._on(key), plan.calculation, now)
            done.candles += computed.report.offered
            done.written += computed.report.written
            done.newest = max(done.newest or 0, computed.newest)
        reached = max((number for number in (done.newest, plan.reached) if number is not None), default=None)
        if reached is None:
            self._series.relinquish(key, done.undertaken)
            return True
        return self._series.derived(
            seen,
            _mark(step, reached, plan.calculation.settings),
            _mark(step, min(reached, past), self._said_with(key, plan.calculation)),
            [
                *(one.id for one in seen.stale if is_settled(one, now)),
                *(one.id for one in seen.deriving if is_forsaken(one, now)),
                *done.undertaken,
            ],
        )

    def _send_back(self, found: Iterable[Series], now: int) -> None:
        """Have the returns worked out again of the signals that saw candles which changed, of a symbol all at once.
        Signals that are found from here on are stored with what came of them by the new ones."""
        news: dict[tuple[str, str], list[tuple[SeriesKey, Stale]]] = defaultdict(list)
        for seen in found:
            key = SeriesKey(seen.exchange, seen.symbol, seen.interval)
            for one in seen.stale:
                if not one.sent_back:
                    news[key.exchange, key.symbol].append((key, one))
        for (exchange, symbol), changed in news.items():
            windows = [(key, Window(to_ms(one.start), to_ms(one.end))) for key, one in changed]
            if send_back(self._database, windows, exchange, symbol):
                self._touched.add((exchange, symbol))
            for key in {key for key, _ in changed}:
                self._series.sent_back(key, [one.id for where, one in changed if where == key and is_settled(one, now)])

    def _undertake(self, key: SeriesKey, due: Sequence[Stretch], done: _Done) -> None:
        """Say what is going to be written. It is taken back only by a note that nothing changed meanwhile: whoever
        computes from candles that are old by then, and writes over a newer result, or dies, leaves word of it."""
        if not due:
            return
        step, whole = interval(key.interval), Stretch(due[0].first, due[-1].last)
        mark = new_mark(key, Window(step.open_time(whole.first), step.open_time(whole.last)))
        self._series.undertake(mark)
        done.undertaken[mark.id] = whole

    def _plan(self, key: SeriesKey, seen: Series, bounds: tuple[int, int], past: int, anew: bool) -> _Plan:
        step = interval(key.interval)
        first, last = map(step.index, bounds)
        calculation = Calculation(self._periods, self._decimals(key))
        indicators_at = _reached(step, seen.indicators, calculation.settings)
        signals_at = _reached(step, seen.signals, self._said_with(key, calculation))
        closed = last if seen.last_closed is None else step.index(to_ms(seen.last_closed))
        if anew or indicators_at is None or signals_at is None:
            new = [Stretch(first, last)]
        else:
            due = [at + 1 for at, newest in ((indicators_at, closed), (signals_at, min(closed, past))) if at < newest]
            new = [Stretch(min(due), last)] if due else []
        spans = [(one.start, one.end) for one in seen.stale] + [(one.start, one.end) for one in seen.deriving]
        changed = (Stretch(*(step.index(to_ms(moment)) for moment in span)) for span in spans)
        return _Plan(calculation, (*new, *changed), last, indicators_at)

    def _last_past(self, step: Interval, seen: Series, now: int) -> int:
        """The last candle whose signals nobody may act on any more. The exchange's clock may be ahead of ours."""
        closed = 0 if seen.last_closed is None else step.after(to_ms(seen.last_closed))
        return step.index(max(now, closed) - fresh_for(step, self._fresh_at_most)) - 1

    def _said_with(self, key: SeriesKey, calculation: Calculation) -> str:
        return "; ".join(settings_of(one, calculation) for one in self._on(key)) or "no strategies"

    def _on(self, key: SeriesKey) -> tuple[Strategy, ...]:
        return on_interval(self._strategies, self._intervals, key.interval)

    def _decimals(self, key: SeriesKey) -> int:
        symbol = self._symbols.get(key.exchange, key.symbol)
        if symbol is None:
            raise UnknownScaleError(
                f"{key}: the exchange's description of {key.symbol} is not stored, which says how many decimals its "
                f"prices have; `tidemark backfill {key.symbol}` fetches it"
            )
        return symbol.decimals

    def _reported(self, key: SeriesKey, now: int, anew: bool, advance: Callable[[int], None]) -> Derived:
        try:
            return self.bring_up(key, now, anew=anew, advance=advance)
        except StoreFailedError:
            raise
        except TidemarkError as error:
            return Derived(key.symbol, key.interval, failure=str(error))


def withdrawals(not_chosen: Mapping[str, int]) -> list[str]:
    """By strategy: that its signals are withdrawn, and how to have them back."""
    return [
        f"{count:,} stored signals of {name} are withdrawn: `strategies` does not name it any more. To have them back, "
        "name it in `strategies` again and run `tidemark indicators`"
        for name, count in not_chosen.items()
    ]


def _mark(step: Interval, number: int, settings: str) -> Watermark:
    return Watermark(at=to_datetime(step.open_time(number)), settings=settings)


def _reached(step: Interval, mark: Watermark | None, settings: str) -> int | None:
    """The number of the candle that was reached with these settings."""
    return None if mark is None or mark.settings != settings else step.index(to_ms(mark.at))
