"""From what the exchange did to trades: a position from its first fill until nothing is held, whatever came between.

Nothing is worked out anew: prices, fees, funding and profits are those of the ledger, so that the trades sum up to what
the wallet changed by, to the last digit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final, Literal, Protocol

from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine.state import ENTERING, OrderRecord, SignalView, side_of
from pipeline.research.backtest.by_book import Whose, by_book
from pipeline.research.backtest.minutes import Minutes
from pipeline.simulator.venue.ledger import Fill, Funding, Insured, LedgerEntry
from pipeline.simulator.venue.liquidation import Force
from pipeline.simulator.venue.orders import Side as OrderSide
from schemas.orders import Leg
from schemas.signals import Side

Reason = Literal["signal", "stop", "take-profit", "liquidation", "flatten", "open", "settlement"]
"""Why a position ended. `open`: it did not; `settlement`: trading of its symbol did."""
DecidedBy = Literal["signal", "candle", "gap", "assumption"]
"""What settled the moment and the price of an end. `candle`: its minute can have had no other; `gap`: it opened beyond
what waited for it; `assumption`: stop and target lie in one minute, and it does not tell which came first."""

ZERO: Final = Decimal(0)
_REASONS: Final[Mapping[Leg, Reason]] = {
    "stop": "stop", "take_profit": "take-profit", "exit": "signal", "flatten": "flatten",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """One position. Money is in the asset of the account. `profit` is what the wallet gained by it, fees and funding
    included; of one that is still open, what it has gained so far."""

    symbol: str
    side: Side
    strategy: str
    interval: str
    signal: str
    opened_at: int
    closed_at: int | None
    quantity: Decimal
    """The most that was held."""
    entry_price: Decimal
    exit_price: Decimal | None
    entries: int
    """Orders that opened it or added to it."""
    gross: Decimal
    """What the prices brought; of one that was liquidated, without what its margin did not cover: the insurance fund
    bears that."""
    fees: Decimal
    funding: Decimal
    reason: Reason
    decided_by: DecidedBy
    orders: tuple[str, ...]

    @property
    def profit(self) -> Decimal:
        """What is left of it."""
        return self.gross - self.fees + self.funding


class Filled(Protocol):
    """A fill, as far as it says what ended a position."""

    @property
    def time(self) -> int:
        """When it was."""
        ...

    @property
    def client_id(self) -> str:
        """Of which order."""
        ...

    @property
    def side(self) -> str:
        """Whether it bought or sold."""
        ...


@dataclass(slots=True)
class _Position:
    """What has been filled of a position, and paid for it, until now."""

    fills: list[Fill] = field(default_factory=list)
    funding: Decimal = ZERO
    held: Decimal = ZERO
    most: Decimal = ZERO

    def add(self, fill: Fill) -> None:
        self.fills.append(fill)
        self.held += fill.quantity if fill.side == OrderSide.BUY else -fill.quantity
        self.most = max(self.most, abs(self.held))


def trades_of(
    ledger: Iterable[LedgerEntry],
    orders: Mapping[str, OrderRecord],
    signals: Mapping[str, SignalView],
    minutes: Mapping[str, Minutes],
    instruments: Mapping[str, Instrument],
    *,
    books: bool = False,
) -> list[Trade]:
    """In the order in which they were opened; those that are still open have no end. `books`: each strategy's own,
    where several held a contract together."""

    def told(position: _Position, symbol: str) -> Trade:
        return _trade(position, orders, signals, minutes[symbol], instruments[symbol])

    held: dict[Whose, _Position] = {}
    found: list[Trade] = []
    for whose, entry in by_book(ledger, orders, instruments) if books else map(_nobodys, ledger):
        match entry:
            case Fill():
                position = held.setdefault(whose, _Position())
                position.add(entry)
                if not position.held:
                    found.append(told(held.pop(whose), entry.symbol))
            case Funding() if whose in held:
                held[whose].funding += entry.amount
            case Insured():
                found[-1] = replace(found[-1], gross=found[-1].gross + entry.amount)
    found += (told(one, whose[0]) for whose, one in held.items())
    return sorted(found, key=lambda one: (one.opened_at, one.symbol))


def _nobodys(entry: LedgerEntry) -> tuple[Whose, LedgerEntry]:
    """There is one position a symbol."""
    return (entry.symbol if isinstance(entry, Fill | Funding) else "", None, None), entry


def _trade(
    position: _Position,
    orders: Mapping[str, OrderRecord],
    signals: Mapping[str, SignalView],
    minutes: Minutes,
    instrument: Instrument,
) -> Trade:
    first, last = position.fills[0], position.fills[-1]
    opening = [one for one in position.fills if one.side == first.side]
    closing = [one for one in position.fills if one.side != first.side]
    named = dict.fromkeys(one.client_id for one in position.fills)
    opened_by = orders[first.client_id]
    signal = signals[str(opened_by.signal)]
    is_over = not position.held
    reason = reason_of(last, orders) if is_over else "open"
    return Trade(
        symbol=first.symbol,
        side=side_of(Decimal(1 if first.side == OrderSide.BUY else -1)),
        strategy=signal.strategy,
        interval=signal.interval,
        signal=signal.id,
        opened_at=first.time,
        closed_at=last.time if is_over else None,
        quantity=position.most,
        entry_price=_average(opening, instrument),
        exit_price=_average(closing, instrument) if closing else None,
        entries=sum(1 for one in named if one in orders and orders[one].leg in ENTERING),
        gross=sum((one.realised for one in position.fills), ZERO),
        fees=sum((one.fee for one in position.fills), ZERO),
        funding=position.funding,
        reason=reason,
        decided_by=decided_by(reason, last, [one for one in orders.values() if one.signal == signal.id], minutes),
        orders=tuple(named),
    )


def reason_of(fill: Filled, orders: Mapping[str, OrderRecord]) -> Reason:
    """Why the position ended, of which it was the last."""
    if fill.client_id.startswith(Force.LIQUIDATION):
        return "liquidation"
    if fill.client_id.startswith(Force.SETTLEMENT):
        return "settlement"
    return _REASONS[orders[fill.client_id].leg]


def decided_by(reason: Reason, fill: Filled, of_it: Iterable[OrderRecord], minutes: Minutes) -> DecidedBy:
    """What settled that. `of_it`: the orders of the position."""
    if reason not in {"stop", "take-profit"}:
        return "signal" if reason in {"signal", "flatten", "open"} else "candle"
    place = minutes.at(fill.time)
    low, high = minutes.low[place] * minutes.tick, minutes.high[place] * minutes.tick
    fired = next((one.trigger_price for one in of_it if one.id == fill.client_id), None)
    opened = minutes.open[place] * minutes.tick
    if fired is not None and (opened >= fired if _rises(reason, fill) else opened <= fired):
        return "gap"
    other: Leg = "take_profit" if reason == "stop" else "stop"
    rivals = (one.trigger_price for one in of_it if one.leg == other and one.trigger_price is not None)
    return "assumption" if any(low <= one <= high for one in rivals) else "candle"


def _rises(reason: Reason, fill: Filled) -> bool:
    """Whether the price had to rise to it."""
    return (reason == "stop") is (fill.side == OrderSide.BUY)


def _average(fills: Iterable[Fill], instrument: Instrument) -> Decimal:
    return instrument.average_entry((one.quantity, one.price) for one in fills)
