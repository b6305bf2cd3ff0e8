"""Why did live not earn what a backtest says? A window of what the executor really did, run again by the exact backtest
on the same signals, with a cause and a cost for each difference. Asks the database only; sends and writes nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from pipeline.app.backtest import stretch
from pipeline.app.filters import strategy_filter, symbol_filter
from pipeline.app.opened import Opened
from pipeline.app.past import ASSUMED, Read, symbol_of
from pipeline.app.sound import usual_equity
from pipeline.app.trading_access import require_backtested
from pipeline.app.wiring import exchange_of
from pipeline.errors import UsageError
from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine.state import DECIDED, SignalView
from pipeline.execution.runtime import documents
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.exact import ExactRun
from pipeline.research.explain.answer import Explained, Row, rows_of
from pipeline.research.explain.causes import means
from pipeline.research.explain.each_own import each_own
from pipeline.research.explain.heard import Away, Candle, Decided, Heard, Judged, Stored
from pipeline.research.explain.live import Known, deals, held_at
from pipeline.research.explain.paper import paper_of, price_at
from pipeline.research.explain.slippage import Slippage, fills_of, slippages
from pipeline.store.account import AccountStore, PositionStore
from pipeline.store.candles.store import CandleStore
from pipeline.store.control import ControlStore
from pipeline.store.orders import OrderJournal
from pipeline.store.processes import first_lived, outages
from pipeline.store.series import SeriesStore
from pipeline.store.signals.queries import named, said_between
from pipeline.store.signals.write import fresh_for
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import DAY, MINUTE, SECOND, interval, iso, to_datetime, to_ms
from schemas.orders import Order
from schemas.series import SeriesKey
from schemas.signals import Signal

__all__ = ["ROW", "Explained", "Row", "Slippage", "explain", "means", "row_of", "told"]

DAYS: Final = 7
_LOOKED_BACK: Final = 50
"""So many orders of a symbol before the window tell whether it held something when the window began."""
_FAR: Final = 2**62
ROW: Final = (
    "symbol", "side", "strategy", "interval", "signal", "opened_at", "closed_at", "entered", "live", "backtest",
    "difference", "causes", "rest", "rest_points",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Live:
    """What is stored of a window: by symbol, from when on it counts, and its orders since then."""

    begins: Mapping[str, int]
    orders: Mapping[str, Sequence[Order]]
    signals: Mapping[str, Signal]
    notes: Sequence[str]


def explain(
    tm: Opened,
    *,
    since: int | None = None,
    until: int | None = None,
    days: float = DAYS,
    symbol: str | None = None,
    strategy: str | None = None,
    progress: Callable[[str, int, int], None] = lambda _, __, ___: None,
) -> list[Explained]:
    """What was traded since then, or in so many days, until the newest stored minute or an earlier moment, and
    not before an executor first lived; an account of several coins is one of each. None where nobody has traded.
    `symbol`, `strategy`: only the positions of one are shown; all are run."""
    require_backtested(tm.settings)
    only = (
        None if symbol is None else symbol_filter(tm, symbol),
        None if strategy is None else strategy_filter(tm, strategy),
    )
    lived = first_lived(tm.db, "executor", tm.environment)
    if lived is None and not PositionStore(tm.db, tm.environment).list():
        return []
    end = min(until or _FAR, _newest_minute(tm))
    start = max(end - int(days * DAY) if since is None else since, to_ms(lived) if lived is not None else 0)
    start = start // MINUTE * MINUTE
    if start >= end:
        return []
    found = _live(tm, start, end, 0 if lived is None else to_ms(lived))
    product = exchange_of(tm.settings).product
    assets: dict[str, list[str]] = {}
    for name in found.begins:
        assets.setdefault(symbol_of(tm, name).margin_asset if product.margin is None else product.margin, []).append(
            name
        )
    return [_explained(tm, asset, names, found, (start, end), only, progress) for asset, names in assets.items()]


def row_of(row: Row) -> dict[str, Any]:
    """A position as programs read it."""
    told = {name: getattr(row, name, None) for name in ROW}
    return told | {
        "opened_at": to_datetime(row.opened_at),
        "closed_at": None if row.closed_at is None else to_datetime(row.closed_at),
        "backtest": row.paper,
        "orders": list(row.orders),
        "causes": [
            {"cause": one.cause, "money": one.money, "points": row.points(one.money), "order": one.order,
             "words": one.words}
            for one in row.costs
        ],
        "rest_points": row.points(row.rest),
    }  # fmt: skip


def told(found: Explained) -> dict[str, Any]:
    """All of it, for a program."""
    return {
        "asset": found.asset,
        "start": to_datetime(found.start),
        "end": to_datetime(found.end),
        "signals": found.signals,
        "alike": found.alike,
        "live": found.live,
        "backtest": found.paper,
        "difference": found.live - found.paper,
        "causes": {
            name: {"money": money, "points": found.points(money), "means": means(name)}
            for name, money in found.by_cause.items()
        },
        "rest": found.rest,
        "rest_points": found.points(found.rest),
        "trades": [row_of(one) for one in found.rows],
        "slippage": list(found.slippage),
        "notes": list(found.notes),
    }


def _newest_minute(tm: Opened) -> int:
    """When the newest stored minute of any symbol is over."""
    stored = [one for one in SeriesStore(tm.db).list(tm.environment) if one.interval == "1m"]
    last = max((to_ms(one.last_closed) for one in stored if one.last_closed is not None), default=None)
    if last is None:
        raise UsageError(
            "no 1m candles are stored, and fills are decided on them. Fetch them: tidemark backfill SYMBOL "
            "--interval 1m"
        )
    return last // MINUTE * MINUTE + MINUTE


def _live(tm: Opened, start: int, end: int, lived: int) -> _Live:
    """Each symbol from the window's beginning on; or from where what it held then was opened, or where that was said
    which was acted on in it."""
    journal = OrderJournal(tm.db, tm.environment)
    said = said_between(tm.db, tm.environment, to_datetime(start), to_datetime(end))
    begins: dict[str, int] = {}
    orders: dict[str, list[Order]] = {}
    spoken, touched = {one.symbol for one in said}, journal.symbols_since(to_datetime(start)) | _held(tm)
    symbols, notes = _with_minutes(tm, spoken | touched, start)
    for symbol in symbols:
        before = journal.before(symbol, to_datetime(start), _LOOKED_BACK)
        within = journal.of_symbol(symbol, to_datetime(start), to_datetime(end))
        one = Instrument.of(exchange_of(tm.settings).product, symbol_of(tm, symbol))
        opened = _first_held(before, start, one, books=tm.settings.portfolio.books)
        if opened is None and not within and symbol not in spoken:
            continue
        acted_on = _acted_on(tm, within, said)
        first = min((at // MINUTE * MINUTE for at in acted_on.values()), default=start)
        begins[symbol] = min(first, start if opened is None else _minute_before(opened))
        within = [one for one in within if acted_on.get(one.signal or "", start) < end]
        orders[symbol] = [one for one in before[::-1] if to_ms(one.created_at) >= begins[symbol]] + within
    earliest = min(begins.values(), default=start)
    if earliest < start:
        said = said_between(tm.db, tm.environment, to_datetime(earliest), to_datetime(end))
    watched = {key: to_ms(one) for key, one in Watchlist(tm.db, tm.environment).asked().items()}
    heard = {one.id: one for one in said if _could_hear(one, begins, watched, lived)}
    return _Live(begins, orders, heard, notes)


def _own(orders: Sequence[Order], one: Instrument, *, books: bool) -> list[Sequence[Order]]:
    """Each strategy's, where each has a book."""
    return list(each_own(orders, one).values()) if books else [orders]


def _first_held(orders: Sequence[Order], moment: int, one: Instrument, *, books: bool) -> Order | None:
    """The order that opened what was held then; of several the oldest."""
    opened = [first for own in _own(orders, one, books=books) if (first := held_at(own, moment, one)) is not None]
    return min(opened, key=lambda each: each.created_at, default=None)


def _held(tm: Opened) -> set[str]:
    """Where something of ours is held now."""
    return {
        one.symbol for one in PositionStore(tm.db, tm.environment).list() if one.ours and (one.quantity or one.books)
    }


def _with_minutes(tm: Opened, symbols: Iterable[str], start: int) -> tuple[list[str], list[str]]:
    """Those whose minutes are stored, by name, and what is to be said of the others."""
    stored = {one.symbol: one for one in SeriesStore(tm.db).list(tm.environment) if one.interval == "1m"}
    found, notes = [], []
    for symbol in sorted(symbols):
        one = stored.get(symbol)
        if one is None or one.last_closed is None or to_ms(one.last_closed) < start:
            notes.append(f"no 1m candles of {symbol} are stored of then: left out. tidemark backfill {symbol} -i 1m")
        else:
            found.append(symbol)
    return found, notes


def _acted_on(tm: Opened, orders: Iterable[Order], said: Iterable[Signal]) -> dict[str, int]:
    """When the signals were said that these orders act on, of those that were not said in the window: before it, and
    still fresh when it began; or at its end, by a clock that was behind."""
    ids = {one.signal for one in orders if one.leg in DECIDED and one.signal} - {one.id for one in said}
    return {one.id: to_ms(one.at) for one in named(tm.db, ids)}


def _minute_before(order: Order) -> int:
    return to_ms(order.created_at) // MINUTE * MINUTE - MINUTE


def _could_hear(signal: Signal, begins: Mapping[str, int], watched: Mapping[SeriesKey, int], lived: int) -> bool:
    """Whether live was there for it: not before its series was watched, nor before anybody lived who could decide."""
    at, key = to_ms(signal.at), SeriesKey(signal.exchange, signal.symbol, signal.interval)
    is_too_old = at < lived and signal.verdict in {"expired", "fresh"}
    is_watched = key not in watched or at >= watched[key] or not _is_old(signal)
    return at >= begins.get(signal.symbol, _FAR) and is_watched and not is_too_old


def _is_old(signal: Signal) -> bool:
    return signal.source == "history"


def _explained(
    tm: Opened,
    asset: str,
    symbols: Sequence[str],
    found: _Live,
    window: tuple[int, int],
    only: tuple[str | None, str | None],
    progress: Callable[[str, int, int], None],
) -> Explained:
    """Of one account."""
    start, end = min(found.begins[one] for one in symbols), window[1]
    signals = {name: one for name, one in found.signals.items() if one.symbol in symbols}
    asked, notes = _asked(tm, asset, symbols, signals.values(), (start, end))
    whole = max(1, (asked.end - asked.start) // DAY)
    record = ExactRun(asked, lambda now: progress("replay", (now - asked.start) // DAY, whole)).run()
    heard = _heard(tm, signals.values())
    paper = paper_of(record, asked, heard)
    heard = {name: replace(one, paper=paper.verdicts.get(name)) for name, one in heard.items()}
    orders = [one for name in symbols for one in found.orders[name]]
    stored = Stored(heard, _by_signal(orders), _away(tm, start, end), asked.assumptions.signal_delay)
    instruments = asked.instruments
    traded = [
        deal
        for name in symbols
        for own in _own(found.orders[name], instruments[name], books=asked.policy.books)
        for deal in deals(
            own,
            heard,
            Known(instruments[name], partial(price_at, asked, name), asked.funding.get(name, ()), asked.end),
        )
    ]
    rows = rows_of(traded, paper.deals, instruments, stored)
    wanted_symbol, wanted_strategy = only
    shown = [
        one
        for one in rows
        if wanted_symbol in {None, one.symbol}
        and wanted_strategy in {None, one.strategy}
        and (one.closed_at is None or one.closed_at > window[0])
    ]
    alike = sum(one.paper is not None and one.paper.verdict == one.live.verdict for one in heard.values())
    fills = fills_of(traded, instruments)
    costs = slippages(fills, fills_of(paper.deals, instruments))
    return Explained(asset, window[0], asked.end, shown, len(heard), alike, [*found.notes, *notes], costs, fills)


def _asked(
    tm: Opened, asset: str, symbols: Sequence[str], signals: Iterable[Signal], span: tuple[int, int]
) -> tuple[Asked, list[str]]:
    """The same minutes, signals, rules, settings, settlements and equity."""
    read: dict[SeriesKey, Read] = {}
    silent, notes = stretch(tm, symbols, 0, span[0] - MINUTE, span[1], None, read)
    if missing := [one for one in symbols if one not in silent.minutes]:
        raise UsageError(
            f"no 1m candles of {', '.join(missing)} are stored of that time. Fetch them: "
            f"tidemark backfill {missing[0]} --interval 1m"
        )
    control = ControlStore(tm.db, tm.environment).read()
    listed = sorted(signals, key=lambda one: (one.at, one.id))
    equity = _equity(tm, asset, listed, span[0])
    if equity is None:
        equity = usual_equity(silent)
        notes.append(f"what the account was worth at {iso(span[0])} is not known: the backtest begins with {equity:f}")
    funding = {
        name: [due for due in dues if due.known and due.mark is not None] for name, dues in silent.funding.items()
    }
    lacking = {name: len(dues) - len(funding[name]) for name, dues in silent.funding.items()}
    notes = [one for one in notes if ASSUMED not in one] + [
        f"{count} settlements of {name} are not stored, or not with their price: neither of the two counts them. Fetch "
        f"them: tidemark backfill {name} --interval 1m"
        for name, count in lacking.items()
        if count
    ]
    views = {name: documents.trading_view(control.trading.get(name)) for name in symbols}
    return replace(
        silent,
        assumptions=replace(silent.assumptions, equity=equity),
        identity=documents.identity_of(control.installation, tm.environment),
        trading={name: replace(view, close_asked=None) for name, view in views.items()},
        funding=funding,
        shares=control.allocation.shares if control.allocation else None,
        signals=[_view(tm, one) for one in listed if to_ms(one.at) < silent.end],
    ), notes


def _equity(tm: Opened, asset: str, signals: Iterable[Signal], start: int) -> Decimal | None:
    """What the first order was sized by; else what the account was worth before that."""
    sized = next((one.decision.equity for one in signals if one.decision is not None and one.decision.equity), None)
    if sized is not None:
        return sized
    snapshot = AccountStore(tm.db, tm.environment).of(asset).latest_before(to_datetime(start))
    return None if snapshot is None or snapshot.equity <= 0 else snapshot.equity


def _view(tm: Opened, signal: Signal) -> SignalView:
    """As the executor would have read it in time."""
    view = documents.signal_view(signal)
    fresh = fresh_for(interval(signal.interval), tm.settings.fresh_seconds * SECOND)
    return replace(view, verdict="fresh", fresh_until=view.fresh_until or view.at + fresh)


def _heard(tm: Opened, signals: Iterable[Signal]) -> dict[str, Heard]:
    listed = list(signals)
    candles = _candles(tm, [one for one in listed if one.decision is None and one.verdict in {"expired", "fresh"}])
    return {
        one.id: Heard(
            id=one.id,
            symbol=one.symbol,
            interval=one.interval,
            strategy=one.strategy,
            kind=one.kind,
            side=one.side,
            at=to_ms(one.at),
            price=Decimal(repr(one.price)),
            live=_judged(one),
            from_history=_is_old(one),
            candle=candles.get(one.id),
        )
        for one in listed
    }


def _judged(signal: Signal) -> Judged:
    decision, at = signal.decision, None if signal.decided_at is None else to_ms(signal.decided_at)
    made = None
    if decision is not None:
        made = Decided(to_ms(decision.at), decision.quantity, decision.notional, decision.equity, decision.bound)
    return Judged(signal.verdict, signal.reason, at, made)


def _candles(tm: Opened, signals: Sequence[Signal]) -> dict[str, Candle]:
    """Those of these signals, as they are stored now; a reading a series."""
    by_series: dict[SeriesKey, list[Signal]] = {}
    for one in signals:
        by_series.setdefault(SeriesKey(one.exchange, one.symbol, one.interval), []).append(one)
    found = {}
    for key, listed in by_series.items():
        opened = [to_ms(one.candle) for one in listed]
        columns = CandleStore(tm.db).columns(key, min(opened), max(opened), ("t", "u", "close"))
        stored = dict(zip(columns["t"].tolist(), zip(columns["close"], columns["u"], strict=True), strict=True))
        for one, at in zip(listed, opened, strict=True):
            if at in stored:
                close, written = stored[at]
                found[one.id] = Candle(Decimal(repr(float(close))), int(written))
    return found


def _by_signal(orders: Iterable[Order]) -> dict[str, list[Order]]:
    found: dict[str, list[Order]] = {}
    for one in orders:
        found.setdefault(one.signal or "", []).append(one)
    return found


def _away(tm: Opened, start: int, end: int) -> list[Away]:
    """Who is to hear: the ingester says it, the executor acts on it."""
    known = outages(tm.db, tm.environment, to_datetime(start), datetime.now(UTC))
    return [
        Away(role, to_ms(since), to_ms(until))
        for role, since, until in known
        if role in {"executor", "ingester"} and to_ms(since) < end
    ]
