"""A spot market that trades exactly what a test wrote down, and a desk to trade on it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from pipeline.simulator.errors import ApiError
from pipeline.simulator.market.spot_pairs import spot_pairs
from pipeline.simulator.spot.venue import SpotVenue
from tests.simulator.venue.conftest import START, ScriptedMarket

D = Decimal
PAIRS = {name: replace(spec, onboard=0) for name, spec in spot_pairs(0, START).items()}
BTC, ETH, BNB = (PAIRS[name] for name in ("BTCUSDT", "ETHUSDT", "BNBUSDT"))
MONEY = {"USDT": D(100_000), "BTC": D(1)}


@dataclass
class Desk:
    """One account on spot; times are ms after START, prices in dollars of BTC unless another pair is named."""

    market: ScriptedMarket
    venue: SpotVenue
    name: str = "trader"
    at: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, method: str, path: str, **params: object) -> Any:
        sent = {name: str(value) for name, value in params.items()}
        return self.venue.call(self.name, method, f"/api/v3/{path}", sent, START + self.at)

    def refused(self, method: str, path: str, **params: object) -> tuple[int, str]:
        """The code and the text of a refusal."""
        with pytest.raises(ApiError) as refusal:
            self.ask(method, path, **params)
        return refusal.value.code, refusal.value.message

    def order(self, side: str, quantity: object, price: object = None, **params: object) -> Any:
        """A limit order at a price, or a market order without one."""
        return self.ask("POST", "order", **self.terms(side, quantity, price, **params))

    def terms(self, side: str, quantity: object, price: object = None, **params: object) -> dict[str, object]:
        kind = params.get("type", "MARKET" if price is None else "LIMIT")
        terms: dict[str, object] = {"symbol": "BTCUSDT", "side": side, "type": kind, "newOrderRespType": "FULL"}
        if quantity is not None:
            terms["quantity"] = quantity
        if price is not None:
            terms["price"] = price
        if str(kind).endswith("LIMIT"):
            terms["timeInForce"] = "GTC"
        return terms | params

    def oco(self, side: str, quantity: object, above: tuple[str, object], below: tuple[str, object],
            **params: object) -> Any:  # fmt: skip
        """One of two: each is a type and its price, which is the stop price of a stop."""
        legs: dict[str, object] = {}
        for place, (kind, price) in (("above", above), ("below", below)):
            legs[f"{place}Type"] = kind
            legs[f"{place}{'Price' if kind == 'LIMIT_MAKER' else 'StopPrice'}"] = price
        terms = {"symbol": "BTCUSDT", "side": side, "quantity": quantity, "newOrderRespType": "RESULT"}
        return self.ask("POST", "orderList/oco", **terms, **legs, **params)

    def state(self, order: dict[str, Any]) -> Any:
        return self.ask("GET", "order", symbol=order["symbol"], orderId=order["orderId"])

    def status(self, order: dict[str, Any]) -> str:
        return str(self.state(order)["status"])

    def wait(self, until: int) -> None:
        self.at = until
        self.venue.advance(START + until)

    def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Free and locked, by asset."""
        rows = self.ask("GET", "account")["balances"]
        return {row["asset"]: (D(row["free"]), D(row["locked"])) for row in rows}

    def balance(self, asset: str) -> tuple[Decimal, Decimal]:
        return self.balances()[asset]

    def heard(self) -> list[dict[str, Any]]:
        """The events since the last time."""
        told: list[dict[str, Any]] = self.venue.drain_events(self.name)
        self.events += told
        return told


@pytest.fixture
def open_spot_desk() -> Callable[..., Desk]:
    """Opens an account on a market whose prices are written down: (ms, dollars) of each pair."""

    def build(deposits: dict[str, Decimal] | None = None, **paths: list[tuple[int, float]]) -> Desk:
        written = {"BTCUSDT": [(0, 50_000.0)], **paths}
        ticks = {
            name: [(at, round(price / float(PAIRS[name].tick)), 10_000_000) for at, price in path]
            for name, path in written.items()
        }
        market = ScriptedMarket(ticks, specs={name: PAIRS[name] for name in ticks})
        desk = Desk(market, SpotVenue(market, now=START))
        desk.venue.open_account(desk.name, MONEY if deposits is None else deposits)
        desk.heard()
        return desk

    return build
