"""What the executor did, a line each, in a trader's words. Pure: what was told and what followed from it in, lines out.
It decides nothing, and nothing depends on it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from pipeline.exchange.products.instrument import Instrument
from pipeline.exchange_names import decimals_of_asset
from pipeline.execution.engine import coins
from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import Effect, JournalOrder, JournalPosition, WriteVerdict
from pipeline.execution.engine.state import (
    ENTERING,
    ZERO,
    DecisionView,
    OrderRecord,
    PositionRecord,
    SignalView,
    flat,
)
from pipeline.timeline import MINUTE
from schemas.shared import Mode

_HOUR: Final = 60 * MINUTE
_REMEMBERED: Final = 10_000
_MODES: Final[dict[Mode, str]] = {
    "auto-execute": "orders are sent",
    "signal-only": "orders are only worked out",
}
_ENDED_BADLY: Final = ("rejected", "abandoned", "expired")
_COUNTED: Final = {"signal": "signals", "entry": "entries", "fill": "fills", "stop": "stops", "close": "closes"}
_CLOSED_BY: Final = {"stop": "its stop", "take_profit": "its take-profit"}


_Whose = tuple[str, str | None, str | None]
"""A symbol, and whose coins of it."""


@dataclass(slots=True)
class _Trade:
    """A position from its opening to its last fill."""

    held: PositionRecord
    most: Decimal = ZERO
    stop: Decimal | None = None
    closing: str | None = None
    left: dict[str, OrderRecord] = field(default_factory=dict)
    """The orders that closed something of it."""
    is_flat: bool = False


class Diary:
    """Writes about one term. `told` gives the lines that an event and its effects are worth."""

    def __init__(self, environment: str, mode: Mode = "auto-execute", *, coins: bool = False) -> None:
        """`coins`: the account is counted in several, and each is named."""
        self._environment = environment
        self._coins = coins
        self._mode = mode
        self._halted = False
        self._is_ready = False
        self._equity: dict[str, Decimal] = {}
        self._hour: int | None = None
        self._counts: Counter[str] = Counter()
        self._known: dict[str, Instrument] = {}
        self._signals: dict[str, SignalView] = {}
        self._trades: dict[_Whose, _Trade] = {}
        self._orders: dict[str, OrderRecord] = {}

    def takes_over(self, orders: Iterable[OrderRecord], positions: Iterable[PositionRecord]) -> None:
        """What another term has left, and told of."""
        self._orders.update((one.id, one) for one in orders)
        for one in positions:
            for whose, held in _apart(one).items() if one.ours and one.quantity else ():
                self._trades[whose] = _Trade(held, abs(held.quantity), held.stop_price)

    def told(self, event: ev.Event, effects: Iterable[Effect], now: int) -> list[str]:
        """What is to be said of that."""
        lines = [*self._hourly(now), *self._heard(event)]
        for effect in effects:
            lines += self._done(effect)
        if isinstance(event, ev.Snapshot) and not self._is_ready:
            self._is_ready = True
            halted = ", HALTED" if self._halted else ""
            lines.append(f"ready: {self._environment}, {self._mode}{halted}; {self._state()}")
        return lines

    def _heard(self, event: ev.Event) -> list[str]:
        match event:
            case ev.Snapshot(accounts=accounts):
                self._equity |= {one.asset: one.equity for one in accounts}
            case ev.AccountSeen(account):
                self._equity[account.asset] = account.equity
            case ev.RulesSeen(symbol, instrument) if instrument is not None:
                self._known[symbol] = instrument
            case ev.SignalSeen(signal) if signal.verdict == "fresh" and signal.confirmed:
                return self._signalled(signal)
            case ev.ModeSeen(mode) if mode != self._mode:
                self._mode = mode
                return [f"mode {mode}: {_MODES[mode]}"]
            case ev.HaltSeen(halted, flatten) if halted:
                self._halted = True
                return [f"halted: nothing is opened; what is held {'is closed' if flatten else 'keeps its stop'}"]
            case ev.HaltSeen() if self._halted:
                self._halted = False
                return ["resumed: what is fresh may be opened again"]
        return []

    def _done(self, effect: Effect) -> list[str]:
        match effect:
            case WriteVerdict():
                return self._judged(effect)
            case JournalOrder(order, _, detail):
                return self._ordered(order, detail)
            case JournalPosition(position):
                return self._all_moved(position)
        return []

    # Signals

    def _signalled(self, signal: SignalView) -> list[str]:
        if signal.id in self._signals:
            return []
        self._signals[signal.id] = signal
        if len(self._signals) > _REMEMBERED:
            del self._signals[next(iter(self._signals))]
        self._counts["signal"] += 1
        price = self._price(signal.symbol, signal.price)
        return [f"signal {signal.symbol} {signal.side} {signal.kind} @ {price} by {signal.strategy} {signal.interval}"]

    def _judged(self, verdict: WriteVerdict) -> list[str]:
        """An order says by itself what was taken."""
        signal = self._signals.get(verdict.signal_id)
        if signal is None or verdict.verdict == "taken":
            return []
        what = f"{signal.symbol} {signal.side} {signal.kind} by {signal.strategy} {signal.interval}"
        if verdict.verdict == "would-take" and verdict.decision is not None:
            return [f"would take {what}: {self._worked_out(signal.symbol, verdict.decision)}"]
        return [f"{verdict.verdict} {what}: {verdict.reason}"]

    def _worked_out(self, symbol: str, decision: DecisionView) -> str:
        if decision.stop_price is None:
            return f"closes {_figure(decision.quantity)}"
        return f"{_figure(decision.quantity)}, stop {self._price(symbol, decision.stop_price)}"

    # Orders

    def _ordered(self, order: OrderRecord, detail: str | None) -> list[str]:
        before = self._orders.get(order.id)
        self._orders[order.id] = order
        if len(self._orders) > _REMEMBERED:
            del self._orders[next(iter(self._orders))]
        lines = []
        if order.leg in ENTERING and order.state == "sent" and order.attempts == 1 and _was(before, "intended"):
            self._counts["entry"] += 1
            by = f", by {order.plan.strategy} {order.interval or ''}".rstrip() if order.plan else ""
            how = "at the market" if order.price is None else f"at {self._price(order.symbol, order.price)} or better"
            lines.append(f"{order.leg} {_what(order)} {how}{by}")
        if order.leg == "stop" and order.state == "accepted" and not _was(before, "accepted"):
            lines += self._stop_stands(order)
        if order.filled > (before.filled if before else ZERO):
            self._counts["fill"] += 1
            new = replace(order, quantity=order.filled - (before.filled if before else ZERO))
            lines.append(f"filled {_what(new)} @ {self._price(order.symbol, order.average_price)}")
            lines += self._left(order)
        elif order.filled and order.average_price and not (before and before.average_price):
            lines += self._left(order)
        elif order.state in _ENDED_BADLY and not order.filled and not _was(before, order.state):
            lines += [f"{order.state} {_what(order)} ({order.leg}): {detail}"] if detail else []
        return lines

    def _stop_stands(self, order: OrderRecord) -> list[str]:
        trade, trigger = self._trade_of(order), order.trigger_price
        before = trade.stop if trade else None
        if trigger is None or before == trigger:
            return []
        if trade:
            trade.stop = trigger
        self._counts["stop"] += 1
        at = self._price(order.symbol, trigger)
        if before is None:
            return [f"stop placed {order.symbol} @ {at}"]
        return [f"stop moved {order.symbol} from {self._price(order.symbol, before)} to {at}"]

    # Positions

    def _all_moved(self, position: PositionRecord) -> list[str]:
        """Where each strategy has coins of its own, what it holds is a position to this."""
        parts = _apart(position)
        gone = [one for one in self._trades if one[0] == position.symbol and one not in parts]
        nothing = flat(position.symbol)
        lines = [line for whose in gone for line in self._moved(whose, nothing)]
        return lines + [line for whose, held in parts.items() for line in self._moved(whose, held)]

    def _trade_of(self, order: OrderRecord) -> _Trade | None:
        """The one that the order is of: its owner's, else the only one of its symbol."""
        of_symbol = {whose: one for whose, one in self._trades.items() if whose[0] == order.symbol}
        return of_symbol.get((order.symbol, *order.owner)) or (
            next(iter(of_symbol.values())) if len(of_symbol) == 1 else None
        )

    def _moved(self, whose: _Whose, position: PositionRecord) -> list[str]:
        trade = self._trades.get(whose)
        if not position.quantity:
            if trade is None:
                return []
            trade.closing, trade.is_flat = position.closing or trade.closing, True
            return self._closed(trade)
        if not position.ours:
            return []
        turned = trade is not None and (trade.is_flat or trade.held.side != position.side)
        if trade is None or turned:
            ended = self._closed(trade, waits=False) if trade is not None else []
            self._trades[whose] = _Trade(position, abs(position.quantity))
            return [*ended, self._opened(position)]
        grown = abs(position.quantity) > abs(trade.held.quantity)
        trade.held, trade.closing = position, position.closing
        trade.most = max(trade.most, abs(position.quantity))
        return [f"more {self._holding(position)}"] if grown else []

    def _opened(self, position: PositionRecord) -> str:
        stop = f", stop {self._price(position.symbol, position.stop_price)}" if position.stop_price else ""
        by = f", by {position.strategy} {position.interval or ''}".rstrip() if position.strategy else ""
        price = self._price(position.symbol, position.entry_price)
        return f"opened {position.symbol} {position.side} {_figure(abs(position.quantity))} @ {price}{stop}{by}"

    def _holding(self, position: PositionRecord) -> str:
        price = self._price(position.symbol, position.entry_price)
        return f"{position.symbol} {position.side} {_figure(abs(position.quantity))} now, entered @ {price} on average"

    def _left(self, order: OrderRecord) -> list[str]:
        """The fill of an order that closes: the stream tells of it before the position, or after."""
        trade = self._trade_of(order)
        if order.leg in ENTERING or trade is None:
            return []
        trade.left[order.id] = order
        return self._closed(trade)

    def _closed(self, trade: _Trade, *, waits: bool = True) -> list[str]:
        """What closed it is known. Where no order of ours did, the executor says by itself how it ended. `waits`: for
        the prices of its fills, which may be told after them."""
        sold = sum((one.filled for one in trade.left.values()), ZERO)
        if not trade.is_flat or sold < self._sellable(trade) or not sold:
            return []
        if waits and any(one.filled and not one.average_price for one in trade.left.values()):
            return []
        held = trade.held
        self._trades = {whose: one for whose, one in self._trades.items() if one is not trade}
        self._counts["close"] += 1
        by = self._closed_by(trade, max(trade.left.values(), key=lambda one: one.seen_at))
        return [f"closed {held.symbol} {held.side} {_figure(sold)} @ {self._gained(trade, sold)}, {by}"]

    def _sellable(self, trade: _Trade) -> Decimal:
        """Of coins only lots can be sold: crumbs stay."""
        one = self._known.get(trade.held.symbol)
        return trade.most if one is None or one.arithmetic.is_borrowed else coins.sellable(trade.most, one.rules)

    def _gained(self, trade: _Trade, sold: Decimal) -> str:
        """The price that it was closed at, and what that brought, as far as both are known."""
        held, fills = trade.held, [(one.filled, one.average_price) for one in trade.left.values() if one.filled]
        one, prices = self._known.get(held.symbol), [(filled, price) for filled, price in fills if price]
        if one is None or len(prices) < len(fills):
            return self._price(held.symbol, None)
        price = one.average_entry(prices)
        gain = one.pnl(sold if held.side == "long" else -sold, held.entry_price, price)
        return f"{self._price(held.symbol, price)}, {'+' if gain >= 0 else ''}{one.amount(gain)} before fees"

    def _closed_by(self, trade: _Trade, order: OrderRecord) -> str:
        if order.leg in _CLOSED_BY:
            return f"by {_CLOSED_BY[order.leg]}"
        signal = self._signals.get(order.signal or "") if order.leg == "exit" else None
        if signal is not None:
            return f"by {signal.strategy} {signal.interval}, {signal.side} {signal.kind}"
        return "by a signal" if order.leg == "exit" else trade.closing or "by an order of ours"

    # The hour

    def _hourly(self, now: int) -> list[str]:
        hour, before = now // _HOUR, self._hour
        self._hour = hour
        if before is None or hour <= before or not self._is_ready:
            return []
        counts, self._counts = self._counts, Counter()
        done = ", ".join(f"{counts[one]} {one if counts[one] == 1 else many}" for one, many in _COUNTED.items())
        return [f"the hour: {done if counts.total() else 'nothing new'}; {self._state()}"]

    def _state(self) -> str:
        trades = [one.held for one in self._trades.values() if not one.is_flat]
        held = ", ".join(f"{one.symbol} {one.side} {_figure(abs(one.quantity))}" for one in trades)
        equity = (
            ", ".join(self._worth(asset, equity) for asset, equity in self._equity.items() if equity) or "not known"
        )
        return f"{f'{held} {_is(len(trades))} held' if held else 'nothing is held'}; equity {equity}"

    def _worth(self, asset: str, equity: Decimal) -> str:
        return f"{equity:.{decimals_of_asset(asset)}f}{f' {asset}' if self._coins else ''}"

    def _price(self, symbol: str, price: Decimal | None) -> str:
        if price is None:
            return "a price not known yet"
        one = self._known.get(symbol)
        return _figure(price) if one is None else f"{price:.{max(0, -_exponent(one.rules.tick_size))}f}"


def _apart(position: PositionRecord) -> dict[_Whose, PositionRecord]:
    """What is told of by itself: the position, or each strategy's coins."""
    if not (position.books and position.parts):
        return {(position.symbol, None, None): position}
    return {(position.symbol, *one.owner): one for one in position.books}


def _what(order: OrderRecord) -> str:
    quantity = "" if order.quantity is None else f" {_figure(order.quantity)}"
    return f"{order.symbol} {order.side.lower()}{quantity}"


def _was(order: OrderRecord | None, state: str) -> bool:
    """Whether it stood so before; an order that is new was intended."""
    return (order.state if order else "intended") == state


def _figure(value: Decimal) -> str:
    return f"{round(value, 10).normalize():f}"


def _exponent(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
