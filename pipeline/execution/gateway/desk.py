"""What an account at the exchange is asked, whatever is traded there: one method a request, in the engine's words.

It sends once and decides nothing; what fails raises an error of `exchange.errors`.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Protocol

from pipeline.exchange.errors import ExchangeError
from pipeline.exchange.reports import Account, PositionReport
from pipeline.execution.engine.events import Snapshot
from pipeline.execution.engine.state import Margin, OrderRecord, OrderTold, PositionTold, TradeTold

DayStarts = Callable[[Account, int], Mapping[str, Decimal]]
"""The equity in each asset at 00:00 UTC, moved by deposits and withdrawals since, by an account that was asked for
then; none while it cannot be said."""

Replaced = tuple[tuple[OrderTold, ...], ExchangeError | None]
"""What has ended and what stands; and why the new order does not, if it does not. Where nothing has ended either, it
was not tried."""

Past = tuple[tuple[OrderTold, ...], tuple[TradeTold, ...]]
"""Every order of a symbol, open or not, conditional ones first; and its trades."""


class Desk(Protocol):
    """An account."""

    @property
    def account(self) -> Account | None:
        """What the last comparison said that it is worth."""

    @property
    def worth(self) -> Mapping[str, PositionReport]:
        """What it said about each position, for whoever shows it."""

    def send(self, order: OrderRecord, beside: OrderRecord | None) -> tuple[OrderTold, ...]:
        """Send it once, with what goes in the same request."""

    def replace(self, order: OrderRecord, instead: OrderRecord) -> Replaced:
        """Cancel what stands and send the order, in one request."""

    def cancel(self, order: OrderRecord) -> tuple[OrderTold, ...]:
        """Cancel it; what has ended thereby, or nothing where it was not open."""

    def query(self, order: OrderRecord) -> OrderTold | None:
        """How it stands; None where the exchange knows no such one."""

    def query_number(self, symbol: str, number: int) -> OrderTold | None:
        """The order that the exchange has under that number."""

    def trades(self, symbol: str, since: int) -> tuple[TradeTold, ...]:
        """Our fills since then."""

    def positions(self, symbol: str) -> tuple[PositionTold, ...]:
        """What is held in the symbol."""

    def past(self, symbol: str, since: int) -> Past:
        """What happened in the symbol since then."""

    def snapshot(self, asof: int) -> Snapshot:
        """Everything that is open, and the account."""

    def open_orders(self) -> tuple[OrderTold, ...]:
        """Every order that is open on the account, conditional ones too."""

    def set_margin(self, symbol: str, margin: Margin) -> None:
        """Set how a symbol that holds nothing is margined."""

    def costs(self, order: OrderRecord) -> dict[str, Decimal] | None:
        """What a filled order cost and brought, from its trades; None where it has none."""
