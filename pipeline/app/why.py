"""Why did these months earn, and those not? Of a backtest, or of what was traded; the stored candles say what the
market was like. Asks the database only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from pipeline.app.opened import Opened
from pipeline.exchange.environments import PRODUCTS
from pipeline.exchange.products.instrument import ONE, Instrument
from pipeline.exchange.products.product import Product
from pipeline.exchange_names import EXCHANGES, decimals_of_asset
from pipeline.research.backtest.funding import Due, schedule_of
from pipeline.research.why.answer import MonthTold, Why, why
from pipeline.research.why.journal import Traded, symbols_of, traded
from pipeline.research.why.market import History, Hours
from pipeline.research.why.matrix import BY, Cell, Part, parts_of
from pipeline.store.account import AccountStore
from pipeline.store.candles.store import CandleStore
from pipeline.store.funding import FundingStore
from pipeline.store.orders import OrderJournal
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import DAY, HOUR, interval, to_ms
from schemas.accounts import Snapshot
from schemas.orders import Order
from schemas.series import Series, SeriesKey
from schemas.symbols import Symbol

if TYPE_CHECKING:
    from pipeline.app.backtest import Result
    from pipeline.app.runs import Kept

__all__ = ["BY", "Answer", "Cell", "MonthTold", "Why", "of_account", "of_backtest", "of_run"]

_COLUMNS: Final = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class Answer:
    """`asset`: what its money is counted in. `notes`: what whoever reads it has to know besides."""

    why: Why
    asset: str
    notes: Sequence[str]

    @property
    def decimals(self) -> int:
        """Of its money."""
        return decimals_of_asset(self.asset)


@dataclass(frozen=True, slots=True)
class _Ended:
    """A trade of a kept run, as the matrix looks at it."""

    symbol: str
    side: str
    strategy: str
    opened_at: int
    closed_at: int | None
    profit: Decimal

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Self:
        """As it lies in its run."""
        return cls(**{name: kept[name] for name in cls.__slots__} | {"profit": Decimal(kept["profit"])})


def of_backtest(tm: Opened, found: "Result") -> Answer:
    """Of a run, in its pessimistic reading."""
    history, notes = _history(tm, found.symbols)
    outcome = found.backtest.outcome
    said = why(parts_of(*outcome.curve.daily()), outcome.trades, history)
    return Answer(said, found.summary.asset, notes)


def of_run(tm: Opened, found: "Kept") -> Answer:
    """Of a run that was kept: what `of_backtest` said of it, as long as nothing else is stored."""
    run = found.run
    history, notes = _history(tm, run.inputs.symbols)
    times = np.array([to_ms(one) for one in run.days])
    said = why(parts_of(times, np.array(run.equity)), [_Ended.of(one) for one in found.trades], history)
    return Answer(said, found.asset, notes)


def of_account(tm: Opened) -> list[Answer]:
    """Of what the account earned, as snapshots and the journal have it: in each asset that it is counted in."""
    journal = OrderJournal(tm.db, tm.environment).since(datetime.fromtimestamp(0, UTC))
    margins = {one: _margin(tm, one) for one in {order.symbol for order in journal}}
    lost = [
        f"{one} is not known any more, nor what it was counted in: its trades are left out"
        for one, asset in sorted(margins.items())
        if asset is None
    ]
    common = _product(tm).margin
    counted = {*AccountStore(tm.db, tm.environment).assets(), *margins.values(), common}
    return [
        _of_asset(tm, asset, [one for one in journal if margins[one.symbol] == asset], lost)
        for asset in sorted(one for one in counted if one is not None)
    ]


def _product(tm: Opened) -> Product:
    return PRODUCTS[EXCHANGES[tm.environment].market]


def _margin(tm: Opened, symbol: str) -> str | None:
    """What its trades are counted in."""
    if (common := _product(tm).margin) is not None:
        return common
    known = SymbolStore(tm.db).get(tm.environment, symbol)
    return None if known is None else known.margin_asset


def _of_asset(tm: Opened, asset: str, journal: Iterable[Order], lost: Sequence[str]) -> Answer:
    traces = traded(journal)
    history, notes = _history(tm, symbols_of(traces.traded))
    notes[:0] = lost
    deals = _settled(tm, traces.traded, notes)
    parts = _parts(AccountStore(tm.db, tm.environment).of(asset).daily())
    if parts:
        notes.append("months go by the account's snapshots; trades by the journal, and by the settlements stored")
    if traces.unseen:
        notes.append(
            f"{traces.unseen} positions ended without an order of the journal, liquidated or closed by hand: what "
            "their end brought is not in the trades"
        )
    return Answer(why(parts, deals, history), asset, notes)


def _settled(tm: Opened, found: Sequence[Traded], notes: list[str]) -> list[Traded]:
    """Each with its funding; what is not known of it is said."""
    done, now = [], to_ms(datetime.now(UTC))
    product = _product(tm)
    for symbol in symbols_of(found):
        of_it = [one for one in found if one.symbol == symbol]
        known = SymbolStore(tm.db).get(tm.environment, symbol)
        dues = _dues(tm, symbol, known, of_it[0].opened_at, now)
        worth = partial(Instrument.of(product, known).notional, ONE) if known is not None else _nothing
        settled = [one.settled(dues, worth, now) for one in of_it]
        done += [one for one, _ in settled]
        if unknown := sum(count for _, count in settled):
            notes.append(
                f"{unknown} settlements of {symbol} while it was held are not stored, or not with their price: what "
                f"they brought is not in its trades. Fetch them: tidemark backfill {symbol} --interval 1m"
            )
    return sorted(done, key=lambda one: (one.opened_at, one.symbol))


def _dues(tm: Opened, symbol: str, known: Symbol | None, start: int, end: int) -> list[Due]:
    """Those of a perpetual contract; what is not stored of them stands as unknown."""
    if known is not None and "PERPETUAL" not in known.contract_type:
        return []
    stored = FundingStore(tm.db, tm.environment).load(symbol, start, end) if known is not None else []
    return schedule_of(stored, start, end)


def _nothing(price: Decimal) -> Decimal:
    del price
    return Decimal(0)


def _parts(days: Iterable[Snapshot]) -> list[Part]:
    """Months of days that are known; a day that nobody watched brought nothing that is known."""
    found = []
    for month, listed in groupby(days, lambda one: f"{one.at:%Y-%m}"):
        of_it = list(listed)
        start, end = (to_ms(one.at) // DAY * DAY for one in (of_it[0], of_it[-1]))
        first = of_it[0]
        begun = float(first.equity - first.transfers_today) / (1 + (first.day_return_pct or 0) / 100)
        daily = np.array([(one.day_return_pct or 0) / 100 for one in of_it])
        if begun > 0:
            found.append(Part(month, start, end + DAY, begun, daily))
    return found


def _history(tm: Opened, symbols: Iterable[str]) -> tuple[History, list[str]]:
    """All that is stored of them."""
    notes, found = [], {}
    for symbol in symbols:
        series = _series(tm, symbol)
        if series is None:
            notes.append(f"no candles of {symbol} of an hour or less are stored: nothing is known of its market")
            continue
        found[symbol] = _hours(tm, series)
    return History(found), notes


def _series(tm: Opened, symbol: str) -> Series | None:
    """That which reaches furthest back; of those alike, the coarsest that tells hours apart."""
    fine = [
        (one.first, -length, one)
        for one in SeriesStore(tm.db).list(tm.environment, symbol)
        if one.first is not None and one.last_closed is not None
        if (length := interval(one.interval).milliseconds or DAY) <= HOUR
    ]
    return min(fine, key=lambda one: one[:2])[2] if fine else None


def _hours(tm: Opened, series: Series) -> Hours:
    first, last = (to_ms(one) for one in (series.first, series.last_closed) if one is not None)
    key = SeriesKey(tm.environment, series.symbol, series.interval)
    columns = CandleStore(tm.db).columns(key, first, last, ("t", "closed", *_COLUMNS))
    closed = columns["closed"].astype(bool)
    candles = {name: columns[name][closed] for name in _COLUMNS}
    return Hours.of(columns["t"][closed], candles, _funding(tm, key.symbol, first, last))


def _funding(tm: Opened, symbol: str, start: int, end: int) -> Mapping[int, float]:
    stored = FundingStore(tm.db, tm.environment).load(symbol, start, end)
    return {to_ms(one.t): float(one.rate) for one in stored}
