"""Would it have earned? A strategy over stored candles, traded by the executor itself against a simulated exchange.

Asks the database only: filters, candles and settings that are stored are all it needs. It sends nothing anywhere.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from pipeline.app.filters import interval_filter, symbol_filter
from pipeline.app.opened import Opened
from pipeline.app.past import (
    Read,
    endings_of,
    funding_of,
    marks_of,
    minutes_of,
    parts_told,
    rules_of,
    stored_minutes,
    symbol_of,
)
from pipeline.app.slippage import adopted
from pipeline.app.sound import held_in_the_dark, in_dollars, require_affordable, require_one_account, usual_equity
from pipeline.app.strategies import strategies_named
from pipeline.app.trading_access import policy_of, require_backtested
from pipeline.app.wiring import exchange_of, intervals_of, periods_of
from pipeline.errors import UsageError
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.state import SignalView, TradingView
from pipeline.execution.runtime import documents
from pipeline.finding import Finding
from pipeline.indicators import compute
from pipeline.periods import Columns, Integers, Periods
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.assumptions import Assumptions, Inside
from pipeline.research.backtest.contribution import FEWEST, Contribution, contributions
from pipeline.research.backtest.groups import By, Group, groups_of
from pipeline.research.backtest.run import Backtest, Outcome, run
from pipeline.research.backtest.summary import Summary
from pipeline.research.backtest.trades import Trade
from pipeline.research.report.page import page_of, part_of
from pipeline.research.report.words import FIGURES, number, share
from pipeline.research.why.answer import Why
from pipeline.signals import Calculation, findings
from pipeline.store.candles.frame import indices
from pipeline.store.candles.store import CandleStore
from pipeline.store.control import ControlStore
from pipeline.store.series import SeriesStore
from pipeline.store.signals.write import fresh_for
from pipeline.strategies.base import CANDLE_COLUMNS, Strategy
from pipeline.strategies.runner import run_history
from pipeline.timeline import DAY, MINUTE, SECOND, interval, to_datetime, to_ms
from schemas.series import SeriesKey

__all__ = [
    "FEWEST", "FIGURES", "ROW", "Assumptions", "Backtest", "By", "Contribution", "Group", "Inside", "Outcome", "Read",
    "Result", "Summary", "Trade", "apart", "backtest", "number", "page", "part", "report", "row_of", "share",
]  # fmt: skip

DAYS: Final = 300
_IDENTITY: Final = "backte"
_FAR: Final = 2**62


@dataclass(frozen=True, slots=True)
class Result:
    """A run, with what it was of. `notes`: what whoever reads the figures has to know besides the assumptions."""

    strategies: Sequence[str]
    symbols: Sequence[str]
    intervals: Sequence[str]
    start: int
    end: int
    backtest: Backtest
    notes: Sequence[str]
    spoke: Sequence[Strategy]
    read: Mapping[SeriesKey, Read]

    @property
    def summary(self) -> Summary:
        """The figures that do not flatter."""
        return self.backtest.outcome.summary

    @property
    def trades(self) -> Sequence[Trade]:
        """Those behind them."""
        return self.backtest.outcome.trades

    @property
    def parts(self) -> list[dict[str, Any]]:
        """From when to when each symbol took part; `settled`: its trading ended there."""
        asked = self.backtest.asked
        return [
            {
                "symbol": symbol,
                "start": to_datetime(max(one.start, asked.start)),
                "end": to_datetime(min(one.end, asked.end)),
                "settled": symbol in asked.endings,
            }
            for symbol, one in asked.minutes.items()
        ]

    @property
    def title(self) -> str:
        """What was run over what."""
        span = f"{to_datetime(self.start):%Y-%m-%d %H:%M} to {to_datetime(self.end):%Y-%m-%d %H:%M}"
        return f"{', '.join(self.strategies)} on {', '.join(self.symbols)} {', '.join(self.intervals)}, {span}"

    def by(self, by: By) -> Sequence[Group]:
        """The trades apart."""
        return groups_of(self.trades, by, self.backtest.outcome.curve.begun)


ROW: Final = (
    "symbol", "side", "strategy", "interval", "opened_at", "closed_at", "quantity", "entries", "entry_price",
    "exit_price", "gross", "fees", "funding", "profit", "ended_by", "decided_by", "signal", "orders",
)  # fmt: skip


def row_of(trade: Trade) -> dict[str, Any]:
    """A trade as programs read it; what the account paid is negative."""
    told = {name: getattr(trade, name, None) for name in ROW}
    return told | {
        "opened_at": to_datetime(trade.opened_at),
        "closed_at": None if trade.closed_at is None else to_datetime(trade.closed_at),
        "fees": -trade.fees,
        "ended_by": trade.reason,
        "orders": list(trade.orders),
    }


def apart(found: Result, progress: Callable[[str], None] = lambda _: None) -> list[Contribution]:
    """What each of its strategies adds to it."""
    ran = found.backtest
    return contributions(ran, found.strategies, progress, exact=ran.outcome.engine == "exact" and ran.beyond is None)


def page(found: Result, answer: Why | None = None) -> str:
    """The report, as one file of HTML that asks nobody for anything."""
    return page_of(found.backtest, found.title, found.notes, answer)


def part(found: Result) -> str:
    """Its beginning, to stand in a page of others."""
    return part_of(found.backtest, found.title)


def report(found: Result, file: Path, answer: Why | None = None) -> None:
    """Write it. `answer`: why these months."""
    write_report(page(found, answer), file)


def write_report(text: str, file: Path) -> None:
    """The whole of it, or nothing."""
    try:
        with NamedTemporaryFile("w", encoding="utf-8", dir=file.absolute().parent, delete=False) as beside:
            beside.write(text)
        Path(beside.name).chmod(0o644)
        Path(beside.name).replace(file)
    except OSError as error:
        raise UsageError(f"the report cannot be written to {file}: {error.strerror}; name another file") from None


def backtest(
    tm: Opened,
    strategies: Iterable[str] = (),
    *,
    symbols: Iterable[str] = (),
    everything: bool = False,
    intervals: Iterable[str] = (),
    parameters: Mapping[str, Any] | None = None,
    days: float | None = None,
    start: int | None = None,
    end: int | None = None,
    ends: Mapping[str, int] | None = None,
    equity: Decimal | None = None,
    exact: bool = False,
    through_holes: bool = False,
    progress: Callable[[str, int, int], None] = lambda _, __, ___: None,
) -> Result:
    """The strategies of the settings, or these, over symbols and intervals of the settings, or these; until the newest
    stored minute, unless told otherwise, and over as many of the 300 days before it as are stored. `ends`: the last
    minutes of symbols that end earlier. `everything`: all symbols that traded then, also those that do not any more, as
    far as they are stored. `equity`: what the account begins with, or what is usual. `exact`: by the
    executor itself, also where the compiled rules would do. `through_holes`: also where a position was held over
    minutes that are not stored.
    `progress` hears what is being run, and how many days of how many are done."""
    require_backtested(tm.settings)
    if equity is not None and equity <= 0:
        raise UsageError(f"an account begins with more than {equity:f}: name a larger equity")
    chosen = strategies_named(tm.settings, list(strategies), parameters or {})
    named = [symbol_filter(tm, one) for one in symbols] or list(tm.settings.symbols)
    lengths = [interval_filter(tm, one) for one in intervals] or _intervals(tm, chosen)
    if everything:
        named = _universe(tm, lengths, DAYS if days is None else days, start, end)
    read: dict[SeriesKey, Read] = {}
    silent, notes = stretch(tm, named, DAYS if days is None else days, start, end, equity, read, ends or {})
    allowed = intervals_of(tm.settings)
    signals: list[SignalView] = []
    for symbol in silent.minutes:
        for code in lengths:
            speaking = [one for one in chosen if intervals or code in allowed.get(one.name, (code,))]
            key = SeriesKey(tm.environment, symbol, code)
            found, said = _signals(tm, key, speaking, silent.start, silent.end, read)
            signals += found
            notes += said
    asked = replace(silent, signals=signals, shares=_shares(tm, notes))
    require_affordable([asked])
    whole = (asked.end - asked.start) // DAY
    progress("backtest (the first one compiles its rules)", 0, whole)
    ran = run(
        asked, lambda inside, now: progress(f"backtest ({inside})", (now - asked.start) // DAY, whole), exact=exact
    )
    notes[:0] = held_in_the_dark(tm, ran, through_holes=through_holes)
    notes += in_dollars(ran)
    named = list(asked.minutes)
    return Result([one.name for one in chosen], named, lengths, asked.start, asked.end, ran, notes, chosen, read)


def stretch(
    tm: Opened,
    symbols: Iterable[str],
    days: float,
    start: int | None,
    end: int | None,
    equity: Decimal | None,
    read: dict[SeriesKey, Read],
    ends: Mapping[str, int] = MappingProxyType({}),
) -> tuple[Asked, list[str]]:
    """All that a run goes by but its signals, and what is to be said of it. It begins at once for all symbols; `ends`:
    the last minutes of those that end earlier than what is stored."""
    spans = {one: stored_minutes(tm, one) for one in symbols}
    untils = {one: min(span.last, ends.get(one, _FAR), (end or _FAR) - MINUTE) for one, span in spans.items()}
    begin = max(untils.values()) - int(days * DAY) if start is None else start
    wanted = {
        one: Read(begin if start is not None else max(span.first, begin), untils[one], span.changes)
        for one, span in spans.items()
    }
    minutes, notes = minutes_of(tm, spans, wanted)
    require_one_account(tm, minutes)
    read |= {SeriesKey(tm.environment, one, "1m"): wanted[one] for one in minutes}
    first = max(min(one.start for one in minutes.values()), start or 0)
    last = min(max(one.end for one in minutes.values()), end or _FAR)
    endings, marks = endings_of(tm, minutes, last), marks_of(tm, minutes, read, notes)
    rules = [rules_of(tm, symbol, first, last, notes) for symbol in minutes]
    policy = policy_of(tm.settings, exchange_of(tm.settings))
    asked = Asked(
        policy=replace(policy, production=False, look_at_stops_every=None),
        assumptions=Assumptions(slippage=adopted(tm)),
        product=exchange_of(tm.settings).product,
        identity=Identity(tm.environment, _IDENTITY),
        symbols=[begun for begun, _ in rules],
        changes=sorted((change for _, changes in rules for change in changes), key=lambda one: one.at),
        minutes=minutes,
        trading=_trading(tm, minutes),
        funding={
            name: funding_of(tm, name, max(first, one.start), endings.get(name, last), notes)
            for name, one in minutes.items()
        },
        endings=endings,
        signals=[],
        marks=marks,
        start=first,
        end=last,
    )
    notes += parts_told(tm, asked, start)
    begun = usual_equity(asked) if equity is None else equity
    return replace(asked, assumptions=replace(asked.assumptions, equity=begun)), notes


def _universe(tm: Opened, lengths: Iterable[str], days: float, start: int | None, end: int | None) -> list[str]:
    """The symbols that traded at any time of that, of which minutes and candles of these lengths are stored."""
    spans = {
        (one.symbol, one.interval): (to_ms(one.first), to_ms(one.last_closed))
        for one in SeriesStore(tm.db).list(tm.environment)
        if one.first is not None and one.last_closed is not None
    }
    minutes = {symbol: span for (symbol, code), span in spans.items() if code == "1m"}
    until = min(max((last for _, last in minutes.values()), default=0), _FAR if end is None else end)
    begin = until - int(days * DAY) if start is None else start
    found = [one for one, (first, last) in minutes.items() if first <= until and last >= begin]
    if not (whole := [one for one in found if all((one, code) in spans for code in lengths)]):
        raise UsageError(
            f"of no symbol both 1m candles of that time and those of {', '.join(lengths)} are stored. Fetch them: "
            "tidemark backfill SYMBOL --interval 1m"
        )
    return whole


def _intervals(tm: Opened, strategies: Iterable[Strategy]) -> list[str]:
    """Those on which any of them runs."""
    allowed = intervals_of(tm.settings)
    wanted = {code for one in strategies for code in allowed.get(one.name, tm.settings.intervals)}
    return [code for code in tm.settings.intervals if code in wanted]


def _trading(tm: Opened, symbols: Iterable[str]) -> dict[str, TradingView]:
    """The symbols' own settings, as they are now; traded is what is asked for."""
    stored = ControlStore(tm.db, tm.environment).read().trading
    views = {symbol: documents.trading_view(stored.get(symbol)) for symbol in symbols}
    return {symbol: replace(view, enabled=True, close_asked=None) for symbol, view in views.items()}


def _shares(tm: Opened, notes: list[str]) -> Mapping[str, Decimal] | None:
    """How much of the equity each strategy goes by, as it is now."""
    found = ControlStore(tm.db, tm.environment).read().allocation
    shares = found.shares if found else None
    if shares is not None:
        notes.append(
            f"sized by what is allocated: {', '.join(f'{name} {share:f} %' for name, share in shares.items())} of the "
            "equity (tidemark allocate --all lets each strategy go by all of it)"
        )
    return shares


def _signals(
    tm: Opened, key: SeriesKey, strategies: Sequence[Strategy], start: int, end: int, read: dict[SeriesKey, Read]
) -> tuple[list[SignalView], list[str]]:
    """What they say at candles that close from `start` to `end`, and what is to be said of that."""
    if not strategies:
        return [], []
    periods = periods_of(tm.settings, strategies)
    numbers, candles, notes = candles_from(tm, key, periods, max(one.lookback for one in strategies), start, end, read)
    calculation = Calculation(periods, symbol_of(tm, key.symbol).decimals)
    found = _findings(key, strategies, calculation, candles, numbers)
    fresh = fresh_for(interval(key.interval), tm.settings.fresh_seconds * SECOND)
    return [_view(one, fresh) for one in found if start <= one.at <= end], notes


def candles_from(
    tm: Opened, key: SeriesKey, periods: Periods, lookback: int, start: int, end: int, read: dict[SeriesKey, Read]
) -> tuple[Integers, Columns, list[str]]:
    """The stored candles that signals from `start` to `end` rest on, their numbers first; and what is to be said."""
    step = interval(key.interval)
    root = periods.first_needed(step.index(start) - lookback)
    known = SeriesStore(tm.db).get(key)
    read.setdefault(key, Read(step.open_time(root), end, 0 if known is None else known.changes))
    columns = CandleStore(tm.db).columns(key, step.open_time(root), end, ("t", "closed", *CANDLE_COLUMNS))
    closed = columns["closed"].astype(bool)
    if not closed.any():
        raise UsageError(
            f"no {key.interval} candles of {key.symbol} are stored. Fetch them: tidemark backfill {key.symbol} "
            f"--interval {key.interval}"
        )
    candles = {name: columns[name][closed] for name in ("t", *CANDLE_COLUMNS)}
    numbers = indices(step, candles.pop("t"))
    notes = []
    if numbers[0] > root:
        notes.append(
            f"{key.symbol} {key.interval} begins on {to_datetime(step.open_time(int(numbers[0]))):%Y-%m-%d}: the first "
            "signals rest on indicators that had not settled"
        )
    return numbers, candles, notes


def _findings(
    key: SeriesKey, strategies: Iterable[Strategy], calculation: Calculation, candles: dict[str, Any], numbers: Any
) -> list[Finding]:
    high, low, close = (candles[name] for name in ("high", "low", "close"))
    columns = candles | compute(numbers, high, low, close, decimals=calculation.decimals, periods=calculation.periods)
    found: list[Finding] = []
    for strategy in strategies:
        codes = run_history(strategy, columns, numbers)
        found += findings(key, strategy, calculation, columns, codes, numbers, np.flatnonzero(codes).tolist())
    return found


def _view(finding: Finding, fresh: int) -> SignalView:
    """The signal as the executor would have read it when it was fresh."""
    atr = finding.indicators.get("atr")
    return SignalView(
        id=finding.id,
        symbol=finding.key.symbol,
        interval=finding.key.interval,
        strategy=finding.strategy,
        kind=finding.kind,
        side=finding.side,
        at=finding.at,
        price=Decimal(repr(finding.price)),
        atr=None if atr is None else Decimal(repr(atr)),
        confirmed=True,
        fresh_until=finding.at + fresh,
    )
