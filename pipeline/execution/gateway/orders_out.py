"""Carries the core's requests to the exchange and brings back what the answers mean, as events.

Each method blocks for one request and runs in a worker thread. Nothing is sent twice here: the core decides whether an
order is sent again. What only reads may be asked again by the client. What is asked, and how, its desk knows.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from pipeline.exchange.errors import (
    BadAnswerError,
    BannedError,
    BlockedError,
    CircuitOpenError,
    ClockSkewError,
    ExchangeError,
    KeyProblemError,
    NotDoneError,
    RateLimitedError,
    RefusedError,
    StoppedError,
    UnknownOutcomeError,
)
from pipeline.exchange.outcomes import Outcome, outcome_of
from pipeline.exchange.rest import RestClient
from pipeline.execution.engine.events import (
    CallCounted,
    CancelFailed,
    Event,
    FillsSeen,
    MarginNotSet,
    MarginSet,
    NumberNotFound,
    OrderFailed,
    OrderNotFound,
    OrderRejected,
    OrderSeen,
    OrderUnknown,
    PositionsSeen,
    ReconcileFailed,
    SymbolGone,
)
from pipeline.execution.engine.state import Margin, OrderRecord
from pipeline.execution.gateway.desk import Desk, Past
from pipeline.timeline import MINUTE

log = logging.getLogger(__name__)

Tell = Callable[[Event], None]

_KEY_REFUSED = -2015
_BLOCKED_FOR = MINUTE


@dataclass(slots=True)
class Gateway:
    """One account. `client` measures the clock."""

    client: RestClient
    desk: Desk
    tell: Tell

    def place(self, order: OrderRecord, beside: OrderRecord | None = None, instead: OrderRecord | None = None) -> bool:
        """Send it once, with what goes in the same request; whether the exchange took it for sure."""
        refusal: ExchangeError | None = None
        try:
            if instead is None:
                seen = self.desk.send(order, beside)
            else:
                seen, refusal = self.desk.replace(order, instead)
        except ExchangeError as error:
            self._count(error)
            self.tell(self._unplaced(order, error))
            return False
        self.tell(CallCounted(True))
        for told in seen:
            self.tell(OrderSeen(told, "answer"))
        if refusal is not None and instead is not None and not seen:
            self.tell(CancelFailed(instead.id, str(refusal)))
            self.tell(OrderFailed(order.id, f"{instead.id} was not cancelled, so it was not tried"))
        elif refusal is not None:
            self.tell(self._unplaced(order, refusal))
        return refusal is None

    def cancel(self, order: OrderRecord) -> None:
        """Cancel it."""
        try:
            seen = self.desk.cancel(order)
        except ExchangeError as error:
            self._count(error)
            self._mend(error)
            self.tell(CancelFailed(order.id, str(error)))
            return
        self.tell(CallCounted(True))
        for told in seen:
            self.tell(OrderSeen(told, "answer"))
        if not seen:
            self.tell(CancelFailed(order.id, "the exchange has no such open order (-2011)"))

    def query(self, order: OrderRecord) -> None:
        """Ask how it stands; a question that fails is not answered, and asked again by the core."""
        asof = self.client.clock.surely
        found = self._ask(
            lambda: _if_listed(lambda: self.desk.query(order)), f"the order {order.id} could not be asked for"
        )
        if found is _GONE:
            self.tell(SymbolGone(order.symbol, asof, order.id))
        elif found is not _FAILED:
            self.tell(OrderNotFound(order.id, asof) if found is None else OrderSeen(found, "query"))

    def query_number(self, symbol: str, number: int) -> None:
        """Ask whose order it is that the exchange has under that number."""
        found = self._ask(
            lambda: self.desk.query_number(symbol, number), f"order {number} of {symbol} could not be asked for"
        )
        if found is not _FAILED:
            self.tell(NumberNotFound(number) if found is None else OrderSeen(found, "query"))

    def query_fills(self, symbol: str, since: int) -> None:
        """Ask for the trades of a symbol."""
        asof = self.client.clock.surely
        found = self._ask(
            lambda: _if_listed(lambda: self.desk.trades(symbol, since)), f"trades of {symbol} could not be asked for"
        )
        if found is _GONE:
            self.tell(SymbolGone(symbol, asof))
        elif found is not _FAILED:
            self.tell(FillsSeen(symbol, found, since, asof))

    def query_positions(self, symbol: str) -> None:
        """Ask for the position of a symbol."""
        asof = self.client.clock.surely
        found = self._ask(lambda: self.desk.positions(symbol), f"the position of {symbol} could not be asked for")
        if found is not _FAILED:
            self.tell(PositionsSeen(found, asof, "query"))

    def past(self, symbol: str, since: int) -> Past | None:
        """Every order of a symbol since then, conditional ones first, and its trades; None where it cannot be had."""
        found = self._ask(lambda: self.desk.past(symbol, since), f"the past of {symbol} could not be asked for")
        return None if found is _FAILED else found

    def reconcile(self) -> None:
        """Read everything that is open."""
        asof = self.client.clock.surely
        try:
            snapshot = self.desk.snapshot(asof)
        except ExchangeError as error:
            self._count(error)
            self._mend(error)
            self.tell(ReconcileFailed(str(error)))
        else:
            self.tell(CallCounted(True))
            self.tell(snapshot)

    def set_margin(self, symbol: str, margin: Margin) -> None:
        """Set it. Once more does no harm, but that is for the core to say."""
        try:
            self.desk.set_margin(symbol, margin)
        except ExchangeError as error:
            self._count(error)
            self._mend(error)
            self.tell(MarginNotSet(symbol, margin, str(error), outcome_of(error) is Outcome.REFUSED))
            return
        self.tell(CallCounted(True))
        self.tell(MarginSet(symbol, margin, self._now()))

    def costs(self, order: OrderRecord) -> dict[str, Decimal] | None:
        """What a filled order cost and brought, from its trades; None where they cannot be had now."""
        try:
            return self.desk.costs(order)
        except ExchangeError as error:
            log.warning("the costs of order %s could not be asked for: %s", order.id, error)
            return None

    def _unplaced(self, order: OrderRecord, error: ExchangeError) -> Event:
        self._mend(error)
        if isinstance(error, BannedError | BlockedError):
            banned = error.until if isinstance(error, BannedError) else self._now() + _BLOCKED_FOR
            return OrderFailed(order.id, str(error), banned)
        match outcome_of(error):
            case Outcome.UNKNOWN:
                return OrderUnknown(order.id, str(error))
            case Outcome.NOT_DONE:
                until = error.until if isinstance(error, RateLimitedError | CircuitOpenError) else None
                return OrderFailed(order.id, str(error), until)
            case Outcome.REFUSED:
                return OrderRejected(order.id, error.code or _KEY_REFUSED, str(error))

    def _ask(self, ask: Callable[[], Any], what: str) -> Any:
        try:
            found = ask()
        except ExchangeError as error:
            self._count(error)
            self._mend(error)
            log.warning("%s: %s", what, error)
            return _FAILED
        self.tell(CallCounted(True))
        return found

    def _mend(self, error: ExchangeError) -> None:
        """A clock that is off is measured again before anything else is signed."""
        if not isinstance(error, ClockSkewError):
            return
        try:
            self.client.sync_clock()
        except ExchangeError as failure:
            log.warning("the exchange's clock could not be measured: %s", failure)

    def _count(self, error: ExchangeError) -> None:
        held_back = isinstance(error, RateLimitedError) and error.status is None
        if held_back or isinstance(error, StoppedError | CircuitOpenError):
            return  # it never left: that says nothing about the exchange
        silent = isinstance(error, UnknownOutcomeError | NotDoneError | BadAnswerError | BlockedError)
        self.tell(CallCounted(not silent or isinstance(error, KeyProblemError)))

    def _now(self) -> int:
        return self.client.clock.now()


_FAILED, _GONE = object(), object()
_NO_SUCH_SYMBOL: Final = -1121


def _if_listed(ask: Callable[[], Any]) -> Any:
    """What the question answers, or `_GONE` where the exchange knows no such symbol."""
    try:
        return ask()
    except RefusedError as error:
        if error.code != _NO_SUCH_SYMBOL:
            raise
        return _GONE
