"""How a market trades, as data: its fees, the assets it is margined in, and how it writes what it answers and tells."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue import payloads
from pipeline.simulator.venue.account import MARGIN_ASSET, Account, Income, Trade
from pipeline.simulator.venue.events import Event
from pipeline.simulator.venue.orders import Order, TimeInForce
from pipeline.simulator.venue.payloads import Payload
from pipeline.simulator.venue.positions import Position


def _as_it_is(event: Event, account: Account, positions: Iterable[Position]) -> Event:
    del account, positions
    return event


def _nothing_more(order: Order) -> Event:
    del order
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """How a market writes orders, trades and incomes, and what it adds to its events."""

    placed: Callable[..., Payload] = payloads.placed
    queried: Callable[[SymbolSpec, Order], Payload] = payloads.queried
    trade_row: Callable[[SymbolSpec, Trade], Payload] = payloads.trade_row
    income_row: Callable[[Income], Payload] = payloads.income_row
    of_order: Callable[[Order], Event] = _nothing_more
    of_account: Callable[[Event, Account, Iterable[Position]], Event] = _as_it_is


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a market asks for and allows."""

    taker: Decimal = Decimal("0.0005")
    maker: Decimal = Decimal("0.0002")
    assets: tuple[str, ...] = (MARGIN_ASSET,)
    """What it can be margined in; accounts show these first, also where they hold none."""
    times_in_force: frozenset[TimeInForce] = frozenset(TimeInForce)
    """Of ordinary orders."""
    tells_algos: bool = True
    """Whether listeners are told of conditional orders. Where not, they hear of what those become alone."""
    forms: Forms = field(default_factory=Forms)


USD_TERMS = Terms()
