"""What the gateway makes of answers: which call counts as failed, and what a symbol that is gone answers."""

from dataclasses import replace
from decimal import Decimal as D
from types import SimpleNamespace

import pytest

from pipeline.exchange.errors import (
    CircuitOpenError,
    ExchangeError,
    NotDoneError,
    RateLimitedError,
    RefusedError,
    StoppedError,
)
from pipeline.exchange.products.cm import CM
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.execution.engine.events import CallCounted, SymbolGone
from pipeline.execution.engine.state import OrderRecord, PlanRecord
from pipeline.execution.gateway.orders_out import Gateway
from pipeline.execution.gateway.position_desk import PositionDesk
from pipeline.execution.gateway.reports_in import Market

T = 1_760_000_000_123


def gateway_of(trading, tell) -> Gateway:
    desk = PositionDesk(trading, trading, lambda account, asof: {}, dict, None, Market(UM))
    return Gateway(trading.client, desk, tell)


def counted(error: ExchangeError) -> list[bool]:
    told = []

    def positions(symbol):
        raise error

    clock = SimpleNamespace(now=lambda: 0, surely=0)
    asking = SimpleNamespace(client=SimpleNamespace(clock=clock), positions=positions)
    gateway_of(asking, told.append).query_positions("BTCUSDT")
    return [one.ok for one in told if isinstance(one, CallCounted)]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RateLimitedError("the request limit is used up; nothing was sent", 1), []),
        (CircuitOpenError("too many calls failed", 1), []),
        (StoppedError("told to stop"), []),
        (RateLimitedError("too many requests", 1, status=429), [False]),
        (NotDoneError("overloaded", status=503), [False]),
    ],
)
def test_what_never_left_is_no_failed_call(error, said):
    assert counted(error) == said


@pytest.mark.parametrize(("code", "gone"), [(-1121, True), (-1100, False)])
def test_a_symbol_that_is_gone_is_told_to_whoever_asks_about_its_orders_and_trades(code, gone):
    told = []

    def refuses(*_):
        raise RefusedError("no", status=400, code=code)

    clock = SimpleNamespace(now=lambda: 9, surely=7)
    client = SimpleNamespace(clock=clock)
    asking = SimpleNamespace(client=client, query_order=refuses, trades=refuses)
    gateway = gateway_of(asking, told.append)
    gateway.query(SimpleNamespace(id="tm-1", symbol="BTCUSDT", algo=False))
    gateway.query_fills("BTCUSDT", 0)
    found = [one for one in told if isinstance(one, SymbolGone)]
    assert found == ([SymbolGone("BTCUSDT", 7, "tm-1"), SymbolGone("BTCUSDT", 7)] if gone else [])


def sent_by(product, order):
    """The parameters that the exchange gets."""
    found = []

    def place_order(new):
        found.append(new.parameters())
        raise NotDoneError("enough", status=503)

    place = SimpleNamespace(product=product, recv_window=5_000)
    client = SimpleNamespace(clock=SimpleNamespace(now=lambda: T), environment=place)
    sending = SimpleNamespace(client=client, place_order=place_order)
    gateway_of(sending, lambda event: None).place(order)
    return found[0]


def limit_order(**changes):
    plan = PlanRecord("turtle", D(60_000), D(600), D("0.1"), D(59_000), None, T + 60_000, T + 20_000)
    order = OrderRecord("tm-1", "BTCUSDT", "s1", "entry", "BUY", "LIMIT", D("0.2"), T, T, price=D(60_000), plan=plan)
    return replace(order, **changes)


def test_a_limit_order_ends_by_itself_as_soon_as_the_market_allows():
    sent = sent_by(UM, limit_order())
    assert sent["timeInForce"] == "GTD"
    assert T + 605_000 < sent["goodTillDate"] <= T + 606_000, "it may arrive a receive window later"
    assert sent["goodTillDate"] % 1_000 == 0, "the exchange reads whole seconds"


def test_it_does_not_end_before_we_would_cancel_it():
    plan = replace(limit_order().plan, cancel_at=T + 3_600_000)
    assert sent_by(UM, limit_order(plan=plan))["goodTillDate"] > T + 3_600_000


@pytest.mark.parametrize("product", [CM, SPOT])
def test_where_no_order_ends_by_itself_it_is_cancelled_by_us_alone(product):
    sent = sent_by(product, limit_order())
    assert (sent["timeInForce"], sent["goodTillDate"]) == ("GTC", None)


def test_a_market_order_has_no_end():
    assert "goodTillDate" not in sent_by(UM, limit_order(type="MARKET", price=None))
