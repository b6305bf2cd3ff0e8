"""The compiled rules, asked and answered in the same words as the exact engine.

`Prepared` holds what does not change from run to run: the minutes on one grid, the rules of the symbols, and the caps
of all positions together. A search prepares once and runs a thousand times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.execution.engine import risk as settings_of_risk
from pipeline.execution.engine.state import SignalView, SymbolState, TradingView
from pipeline.portfolio.allocation import share_of
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.assumptions import Inside
from pipeline.research.backtest.compiled import rules, tables
from pipeline.research.backtest.compiled.marking import marked
from pipeline.research.backtest.contracts import spec_of
from pipeline.research.backtest.curve import Curve, Flow, Worth, curve_of_flows
from pipeline.research.backtest.ends import DecidedBy, Reason
from pipeline.research.backtest.exchange import assumed_fee
from pipeline.research.backtest.likeness import alike_at
from pipeline.research.backtest.minutes import Flags, Floats, Integers, Minutes
from pipeline.research.backtest.summary import Results
from pipeline.research.backtest.trades import Trade
from pipeline.simulator.venue.brackets import brackets_of
from pipeline.timeline import DAY, MINUTE
from schemas.symbols import Symbol

Table = npt.NDArray[Any]

_KINDS: Final = {"trial": tables.TRIAL, "entry": tables.ENTRY, "add": tables.ADD, "exit": tables.EXIT}
_INSIDE: Final = {
    Inside.PESSIMISTIC: tables.PESSIMISTIC,
    Inside.RESOLVED: tables.RESOLVED,
    Inside.OPTIMISTIC: tables.OPTIMISTIC,
}
_REASONS: Final[tuple[Reason, ...]] = ("signal", "stop", "take-profit", "liquidation", "open", "settlement")
_CAPPED: Final = (
    (tables.BEYOND_GROSS, "everything held", "gross_percent"),
    (tables.BEYOND_NET, "longs less shorts", "net_percent"),
    (tables.BEYOND_LONGS, "all longs", "side_percent"),
    (tables.BEYOND_SHORTS, "all shorts", "side_percent"),
    (tables.BEYOND_MARGIN, "the margin used", "margin_percent"),
    (tables.BEYOND_OPEN_RISK, "what is lost where every stop is reached", "open_risk_percent"),
    (tables.BEYOND_GROUP, "longs less shorts of what moves alike", "group_percent"),
)
LEFT_OUT: Final = {
    tables.HELD_AGAIN: "a position is held again",
    tables.NOTHING_HELD: "no position to add to or to close",
    tables.HELD_BY_ANOTHER: "held by another strategy or interval",
    tables.NO_STEP: "no step up from what is held",
    tables.DAY_IS_OVER: "the day's loss or profit was reached",
    tables.SLIPPED: "a fill of the day was much worse than its signal",
    tables.NO_ATR: "the signal has no ATR to size by",
    tables.PRICE_MOVED: "the price moved too far since the signal",
    tables.OUTSIDE_BAND: "the signal's price is outside the exchange's band",
    tables.TOO_MANY: "as many positions are open as may be",
    tables.ENOUGH_HELD: "as many units are held as the signal asks for",
    tables.TOO_SOON: "an add comes an ATR after the one before",
    tables.NO_STOP: "there is no room for its stop or target",
    tables.TOO_SMALL: "less than the exchange takes, or more",
    tables.NO_ROOM: "a limit of the position leaves no room",
    tables.NO_MARGIN: "too little margin is free",
    tables.LIQUIDATED_BEFORE: "the stop would lie beyond the liquidation price",
    tables.HOLE: "the minute after it is not stored",
    tables.ENDED: "trading of its symbol has ended",
    tables.NO_SHARE: "no share of the equity is allocated to its strategy",
    **{code: f"{called} would come to more than {setting} allows" for code, called, setting in _CAPPED},
    tables.LIKENESS_UNKNOWN: "what moves like it is not known",
    tables.NO_SHORT: "nothing is sold short: coins can only be bought and sold again",
}
_EIGHT: Final = 10**8


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run left: `trades`, `verdicts` (one a signal, in the order in which they are heard) and `flows`."""

    trades: Table
    verdicts: Table
    flows: Table
    untold: int
    odd: int
    """How often something was met that only the exact engine can do."""


class Prepared:
    """Minutes, rules and caps as numbers."""

    def __init__(self, asked: Asked) -> None:
        self._symbols = sorted(asked.symbols, key=lambda one: one.symbol)
        self.names = [one.symbol for one in self._symbols]
        self._start, self._end = asked.start, asked.end
        self.market = _on_one_grid(asked, self.names)
        self._fundings = _fundings(asked, self.names)
        self._rules = np.array([_rules(asked, one) for one in self._symbols], tables.RULES)
        self._changes = _changes(asked, self.names)
        self._brackets = np.array([_brackets(asked, one) for one in self._symbols])
        self._caps, self._alike = _caps(asked), _alike(asked, self.names)

    def run(self, asked: Asked, signals: Table | None = None) -> Ran:
        """Run it: with other signals, settings and assumptions than it was prepared for, but the same stretch."""
        rows = signals_table(asked, self.names) if signals is None else signals
        most = len(rows) + 1
        books, held = np.zeros(1, tables.BOOK), np.zeros(len(self.names), tables.POSITION)
        trades, verdicts = np.zeros(most, tables.TRADE), np.zeros(len(rows), np.int8)
        flows = np.zeros(6 * most + len(self._fundings), tables.FLOW)
        assumed = asked.assumptions
        frees = 0 if asked.product.arithmetic.is_borrowed else 2 * assumed.one_way
        rules.run(
            self.market,
            rows,
            self._fundings,
            np.array([_risk(asked, asked.trading.get(one, TradingView())) for one in self.names], tables.RISK),
            self._rules.copy(),
            self._changes,
            self._brackets,
            self._caps,
            self._alike,
            _INSIDE[assumed.inside],
            float(assumed.equity),
            np.array([assumed.signal_delay + assumed.one_way, 4 * assumed.one_way, frees]),
            tables.room_for(len(self.names), len(rows)),
            books,
            held,
            trades,
            verdicts,
            flows,
        )
        book = books[0]
        return Ran(trades[: book["done"]], verdicts, flows[: book["flows"]], int(book["untold"]), int(book["odd"]))

    def worth(self, ran: Ran, begun: float) -> Worth:
        """What the account was worth in that run, day by day, and how deep it fell."""
        return marked(ran.flows, begun, self.market, self._rules["tick"], self._rules["size"])


def beyond(asked: Asked) -> str | None:
    """What is asked for that the compiled rules do not know, if anything."""
    risk, own, is_borrowed = asked.policy.risk, asked.trading.values(), asked.product.arithmetic.is_borrowed
    speakers = {(one.strategy, one.interval) for one in asked.signals} if asked.policy.books else ()
    asks = {
        "books of several strategies": len(speakers) > 1,
        "limit entries": is_borrowed and risk.entry_order != "market",
        "crossed margin": is_borrowed and risk.margin_type != "isolated",
        "daily target of a symbol": any(one.daily_profit_percent is not None for one in own),
        "strategies or intervals of a symbol": any((one.strategies, one.intervals) != (None, None) for one in own),
    }
    return ", ".join(what for what, is_asked in asks.items() if is_asked) or None


def heard(asked: Asked) -> list[SignalView]:
    """The signals in the order in which they are: by time, and those of one moment by their names."""
    found = sorted(asked.signals, key=attrgetter("id"))
    found.sort(key=attrgetter("at"))
    return found


def signals_table(asked: Asked, names: Sequence[str]) -> Table:
    """The same as numbers."""
    places = {name: place for place, name in enumerate(names)}
    speakers: dict[tuple[str, str], int] = {}
    rows = (
        (
            places[one.symbol],
            (one.at - asked.start) // MINUTE,
            _KINDS[one.kind],
            1 if one.side == "long" else -1,
            speakers.setdefault((one.strategy, one.interval), len(speakers)),
            float(one.price),
            np.nan if one.atr is None else float(one.atr),
            float(share_of(one.strategy, asked.shares)),
        )
        for one in heard(asked)
    )
    return np.fromiter(rows, tables.SIGNAL, len(asked.signals))


def _fundings(asked: Asked, names: Sequence[str]) -> Table:
    rows = [
        ((due.time - asked.start) // MINUTE, place, float(due.rate), _known(due.mark))
        for place, name in enumerate(names)
        for due in asked.funding.get(name, ())
    ]
    return np.array(sorted(rows), tables.FUNDING)


def _changes(asked: Asked, names: Sequence[str]) -> Table:
    rows = [
        (
            (change.at - asked.start) // MINUTE,
            names.index(change.symbol.symbol),
            _rules(asked, change.symbol),
        )
        for change in asked.changes
    ]
    return np.array(rows, tables.CHANGE)


def trades_from(ran: Ran, asked: Asked, names: Sequence[str]) -> list[Trade]:
    """In the order in which they were opened."""
    signals, rows = heard(asked), _as_opened(ran.trades)
    sizes = _sizes(rows, asked, names)
    exits = np.zeros(len(rows))
    is_over = rows["sold"] > 0
    exits[is_over] = _mean(rows["sold"][is_over], rows["received"][is_over], sizes[is_over])
    columns = (
        *(rows[name].tolist() for name in ("symbol", "signal", "opened_at", "closed_at", "entries")),
        _ends(rows),
        _decided_by(rows),
        *(_exact(one) for one in (rows["quantity"], _mean(rows["bought"], rows["paid"], sizes), exits)),
        *(_exact(rows[name]) for name in ("gross", "fees", "funding")),
    )
    told = [_Told(*row) for row in zip(*columns, strict=True)]
    return [_trade(one, signals[one.signal], names[one.symbol], asked) for one in told]


def _sizes(rows: Table, asked: Asked, names: Sequence[str]) -> Floats:
    """Of the contract of each row."""
    by_symbol: Floats = np.array([asked.sizes[one] for one in names])[rows["symbol"]]
    return by_symbol


def _mean(quantity: Floats, worth: Floats, sizes: Floats) -> Floats:
    """The price at which so much is worth that."""
    price: Floats = np.where(sizes == 0, worth / quantity, quantity * sizes / worth)
    return price


def results_from(ran: Ran, asked: Asked, names: Sequence[str]) -> Results:
    """What the figures want to know of the same, without a trade."""
    rows = _as_opened(ran.trades)
    over = rows[rows["closed_at"] >= 0]
    gross, fees, funding = (_whole(rows[name]) for name in ("gross", "fees", "funding"))
    profits = (gross - fees + funding)[rows["closed_at"] >= 0]
    in_doubt = (over["assumed"] != 0) & _by_order(over) & (over["closed_at"] % MINUTE != 1)
    ends = np.bincount(rows["reason"], minlength=len(_REASONS)).tolist()
    sizes = _sizes(over, asked, names)
    quantity, price = _whole(over["quantity"]) / _EIGHT, _whole(_mean(over["bought"], over["paid"], sizes)) / _EIGHT
    return Results(
        profits=profits / _EIGHT,
        stakes=np.where(sizes == 0, quantity * price, quantity * sizes / price),
        lasted=over["closed_at"] - over["opened_at"],
        still_open=len(rows) - len(over),
        fees=int(fees.sum()) / _EIGHT,
        funding=int(funding.sum()) / _EIGHT,
        on_an_assumption=int(in_doubt.sum()),
        reasons={reason: count for reason, count in zip(_REASONS, ends, strict=True) if count},
    )


def curve_from(ran: Ran, asked: Asked, names: Sequence[str]) -> Curve:
    """What the account was worth in every minute."""
    flows = [Flow(names[symbol], time, change, cash) for time, symbol, change, cash in ran.flows.tolist()]
    return curve_of_flows(float(asked.assumptions.equity), flows, asked.minutes, asked.sizes, asked.start, asked.end)


class _Told(NamedTuple):
    """A row, in the words of a trade."""

    symbol: int
    signal: int
    opened_at: int
    closed_at: int
    entries: int
    reason: Reason
    decided_by: DecidedBy
    quantity: Decimal
    entry: Decimal
    exit: Decimal
    gross: Decimal
    fees: Decimal
    funding: Decimal


def _trade(row: _Told, signal: SignalView, symbol: str, asked: Asked) -> Trade:
    return Trade(
        symbol=symbol,
        side=signal.side,
        strategy=signal.strategy,
        interval=signal.interval,
        signal=signal.id,
        opened_at=row.opened_at,
        closed_at=row.closed_at if row.closed_at >= 0 else None,
        quantity=row.quantity,
        entry_price=row.entry,
        exit_price=row.exit or None,
        entries=row.entries,
        gross=row.gross,
        fees=row.fees,
        funding=row.funding,
        reason=row.reason,
        decided_by=row.decided_by,
        orders=(asked.identity.order_id(signal.id, signal.kind),),
    )


def _as_opened(rows: Table) -> Table:
    opened = rows["opened_at"]
    if (opened[1:] > opened[:-1]).all():
        return rows
    ordered: Table = rows[np.lexsort((rows["symbol"], opened))]
    return ordered


def _ends(rows: Table) -> list[Reason]:
    return [_REASONS[one] for one in rows["reason"].tolist()]


def _decided_by(rows: Table) -> list[DecidedBy]:
    at_open = rows["closed_at"] % MINUTE == 1
    by_force = (rows["reason"] == tables.BY_LIQUIDATION) | (rows["reason"] == tables.BY_SETTLEMENT)
    cases = (by_force, ~_by_order(rows), at_open, rows["assumed"] != 0)
    found: list[DecidedBy] = np.select(cases, ("candle", "signal", "gap", "assumption"), "candle").tolist()
    return found


def _by_order(rows: Table) -> Flags:
    """Which ended by an order that waited."""
    by_order: Flags = (rows["reason"] == tables.BY_STOP) | (rows["reason"] == tables.BY_TARGET)
    return by_order


def _whole(money: Floats) -> Integers:
    """In hundred-millionths: what a sum of doubles is worth telling."""
    whole: Integers = np.rint(money * _EIGHT).astype(np.int64)
    return whole


def _exact(money: Floats) -> list[Decimal]:
    return [Decimal(repr(one)) for one in (_whole(money) / _EIGHT).tolist()]


def _on_one_grid(asked: Asked, names: Sequence[str]) -> tables.MinuteGrid:
    """A symbol at a time: many of them take no more room than their rows."""
    start, length = asked.start, (asked.end - asked.start) // MINUTE
    candles, there = np.empty((len(names), length), tables.CANDLE), np.empty((len(names), length), np.bool_)
    marks = np.empty_like(candles) if asked.marks else candles
    for row, name in enumerate(names):
        minutes = asked.minutes[name]
        wanted = minutes.at(start) + np.arange(length)
        places = np.clip(wanted, 0, len(minutes.close) - 1)
        there[row] = minutes.there[places] & (places == wanted)
        _fill(candles[row], minutes, places, there[row])
        if asked.marks:
            _fill(marks[row], asked.marks.get(name, minutes), places, there[row])
    shift = start // MINUTE % tables.LARGE
    small, large = (tables.extremes(candles, marks, size, shift) for size in (tables.SMALL, tables.LARGE))
    ends = [(asked.endings[one] - start) // MINUTE if one in asked.endings else tables.NEVER for one in names]
    return tables.MinuteGrid(start, shift, np.array(ends, np.int64), candles, marks, there, small, large)


def _fill(row: Table, minutes: Minutes, places: Integers, there: Flags) -> None:
    """What is not there is at the last close."""
    row["close"] = minutes.close[places]
    for name in ("open", "high", "low"):
        row[name] = np.where(there, getattr(minutes, name)[places], row["close"])


def _risk(asked: Asked, trading: TradingView) -> tuple[Any, ...]:
    own = settings_of_risk.settings_of(SymbolState(trading=trading), asked.policy.risk)
    return (
        float(own.unit_percent),
        float(own.leverage) if asked.product.arithmetic.is_borrowed else 1.0,
        float(own.trial_units),
        float(own.entry_units),
        float(own.add_units),
        float(own.max_units),
        float(own.stop_atr),
        _known(trading.stop_percent),
        _known(own.take_profit_atr),
        _known(trading.take_profit_percent),
        own.turn == "entries",
        _known(own.max_position_percent),
        _known(trading.max_position),
        float(own.margin_cushion_percent),
        own.max_open_positions,
        float(own.max_slippage_percent),
        float(own.daily_loss_percent),
        _known(own.daily_profit_percent),
    )


def _caps(asked: Asked) -> Table:
    own = asked.policy.portfolio
    most = (own.gross_percent, own.net_percent, own.side_percent, own.margin_percent, own.open_risk_percent)
    return np.array([(own.is_capped, *map(_known, most), _known(own.group_percent))], tables.CAPS)


def _alike(asked: Asked, names: Sequence[str]) -> Flags:
    """Of each day and symbol what moves like it; itself, where that is known."""
    moments = [asked.start, *range((asked.start // DAY + 1) * DAY, asked.end, DAY)]
    if asked.policy.portfolio.group_percent is None:
        return np.zeros((len(moments), 0, 0), np.bool_)
    return np.array([alike_at(asked, names, one) for one in moments])


def _known(value: Decimal | None) -> float:
    return float("nan") if value is None else float(value)


def _rules(asked: Asked, symbol: Symbol) -> tuple[float, ...]:
    minutes = asked.minutes[symbol.symbol]
    spec, filters = spec_of(asked, symbol), symbol.filters
    if filters is None:
        raise ValueError(f"{symbol.symbol} has no filters")
    return (
        float(minutes.tick),
        float(filters.tick_size),
        float(max(spec.step, filters.market_step_size)),
        float(max(filters.min_quantity, filters.market_min_quantity)),
        float(min(filters.max_quantity, filters.market_max_quantity)),
        float(filters.min_notional),
        float(filters.multiplier_up),
        float(filters.multiplier_down),
        float(filters.min_price),
        float(filters.max_price),
        float(assumed_fee(asked.product) if symbol.taker_fee is None else symbol.taker_fee),
        float(spec.liquidation_fee),
        spec.half_spread,
        asked.sizes[symbol.symbol],
        not asked.product.arithmetic.is_borrowed,
    )


def _brackets(asked: Asked, symbol: Symbol) -> list[tuple[float, ...]]:
    """Of coins that change hands there is one, and nothing has to be kept in it."""
    if not asked.product.arithmetic.is_borrowed:
        return [(np.inf, 0.0, 0.0, np.inf)]
    spec = spec_of(asked, symbol)
    return [(float(b.cap), float(b.rate), float(b.cum), float(b.leverage)) for b in brackets_of(spec)]
