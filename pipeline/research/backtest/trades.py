"""From what the exchange did to trades: a position from its first fill until nothing is held, whatever came between.

Nothing is worked out anew: prices, fees, funding and profits are those of the ledger, so that the trades sum up to what
the wallet changed by, to the last digit.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine.state import ENTERING, SignalView, side_of
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.by_book import Whose, by_book
from pipeline.research.backtest.ends import STILL_OPEN, DecidedBy, Reason, end_of
from pipeline.research.backtest.minutes import Minutes
from pipeline.research.backtest.record import Record
from pipeline.simulator.venue.ledger import Fill, Funding, Insured, LedgerEntry
from pipeline.simulator.venue.orders import Side as OrderSide
from schemas.signals import Side

ZERO: Final = Decimal(0)


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


def trades_of(record: Record, asked: Asked) -> list[Trade]:
    """In the order in which they were opened; those that are still open have no end. Where several strategies held a
    contract together, each one's own."""
    instruments, signals = asked.instruments, {one.id: one for one in asked.signals}

    def told(position: _Position, symbol: str) -> Trade:
        return _trade(position, record, signals, asked.minutes[symbol], instruments[symbol])

    held: dict[Whose, _Position] = {}
    found: list[Trade] = []
    apart = by_book(record.ledger, record.orders, instruments) if asked.policy.books else map(_nobodys, record.ledger)
    for whose, entry in apart:
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
    record: Record,
    signals: Mapping[str, SignalView],
    minutes: Minutes,
    instrument: Instrument,
) -> Trade:
    first, last, orders = position.fills[0], position.fills[-1], record.orders
    opening = [one for one in position.fills if one.side == first.side]
    closing = [one for one in position.fills if one.side != first.side]
    named = dict.fromkeys(one.client_id for one in position.fills)
    signal = signals[str(orders[first.client_id].signal)]
    is_over = not position.held
    reason, decided_by = end_of(position.fills, record, minutes) if is_over else STILL_OPEN
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
        decided_by=decided_by,
        orders=tuple(named),
    )


def _average(fills: Iterable[Fill], instrument: Instrument) -> Decimal:
    return instrument.average_entry((one.quantity, one.price) for one in fills)
