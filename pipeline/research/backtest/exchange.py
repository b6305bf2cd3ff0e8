"""The simulator's venue asked without a socket: the client that `Trading` wants, in virtual time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final

import msgspec

from pipeline.exchange.answers import Call, Raw, failure
from pipeline.exchange.limits import Need
from pipeline.exchange.products.product import Ask, Product
from pipeline.exchange.rest import Answer
from pipeline.exchange.signing import as_sent
from pipeline.simulator.errors import ApiError
from pipeline.simulator.spot.engine import FEE
from pipeline.simulator.spot.venue import SpotVenue
from pipeline.simulator.types import Prices
from pipeline.simulator.venue.coin_terms import COIN_TERMS
from pipeline.simulator.venue.desks import Desks, coin_desks, usd_desks
from pipeline.simulator.venue.terms import USD_TERMS, Terms
from pipeline.simulator.venue.venue import Venue

ACCOUNT: Final = "backtest"
_MARKETS: Final[Mapping[str, tuple[Desks, Terms]]] = {
    "um": (usd_desks, USD_TERMS), "cm": (coin_desks, replace(COIN_TERMS, taker=USD_TERMS.taker, maker=USD_TERMS.maker)),
}  # fmt: skip
"""Who answers in each market, and how it trades: what is assumed to be paid is the same in all."""
_NOBODY_THERE: Final = b'{"code": -1001, "msg": "Internal error; unable to process your request. Please try again."}'


def assumed_fee(product: Product) -> Decimal:
    """The share of its worth that is paid for an order where nothing is recorded."""
    return USD_TERMS.taker if product.arithmetic.is_borrowed else FEE


_AT_ONCE: Final = frozenset({"MARKET", "LIMIT"})


def venue_of(product: Product, asset: str, market: Prices, **more: Any) -> Venue:
    """The exchange of a run, whose account is counted in that asset."""
    desks, terms = _MARKETS[product.name]
    return Venue(market, desks, replace(terms, assets=(asset,)), **more)


@dataclass(slots=True)
class VirtualClock:
    """The time of the run; it is never wrong."""

    time: int

    def now(self) -> int:
        """The exchange's time."""
        return self.time

    @property
    def surely(self) -> int:
        """The latest moment that has come for certain."""
        return self.time


class VenueClient:
    """Answers as the exchange would. Where the market has a hole, orders are not carried out."""

    def __init__(
        self, venue: Venue | SpotVenue, product: Product, clock: VirtualClock, trades_now: Callable[[str], bool]
    ) -> None:
        self.environment = SimpleNamespace(product=product, recv_window=0)
        self.clock = clock
        self._venue = venue
        self._trades_now = trades_now

    def sync_clock(self) -> None:
        """It is right."""

    def ask_signed(
        self,
        ask: Ask,
        parameters: Mapping[str, Any] | None = None,
        *,
        need: Need = Need.PROTECTION,  # noqa: ARG002 - nobody else uses up the limits
    ) -> Answer:
        """The payload of the answer, or the error that the real client raises."""
        where = self.environment.product.endpoint(ask)
        call = Call(where.method, where.path)
        sent = {name: as_sent(value) for name, value in (parameters or {}).items() if value is not None}
        at_once = ask is Ask.PLACE_ORDER and sent["type"] in _AT_ONCE
        if at_once and not self._trades_now(sent["symbol"]):
            raise failure(call, Raw(503, {}, _NOBODY_THERE), self.clock.now())
        try:
            payload = self._venue.call(ACCOUNT, where.method, where.path, sent, self.clock.now())
        except ApiError as refusal:
            body = msgspec.json.encode(refusal.body())
            raise failure(call, Raw(refusal.status, {}, body), self.clock.now()) from None
        return Answer(payload, 200, {}, None, {}, self.clock.now(), 0)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
