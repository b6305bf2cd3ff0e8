"""What the gateway makes of answers: which call counts as failed, and what a symbol that is gone answers."""

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
from pipeline.execution.engine.events import CallCounted, SymbolGone
from pipeline.execution.gateway.orders_out import Gateway


def counted(error: ExchangeError) -> list[bool]:
    told = []

    def positions(symbol):
        raise error

    clock = SimpleNamespace(now=lambda: 0, uncertainty=0)
    asking = SimpleNamespace(client=SimpleNamespace(clock=clock), positions=positions)
    Gateway(asking, asking, told.append, lambda account, asof: None, dict, None).query_positions("BTCUSDT")
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

    clock = SimpleNamespace(now=lambda: 9, uncertainty=2)
    client = SimpleNamespace(clock=clock)
    asking = SimpleNamespace(client=client, query_order=refuses, trades=refuses)
    gateway = Gateway(asking, asking, told.append, lambda account, asof: None, dict, None)
    gateway.query(SimpleNamespace(id="tm-1", symbol="BTCUSDT", algo=False))
    gateway.query_fills("BTCUSDT", 0)
    found = [one for one in told if isinstance(one, SymbolGone)]
    assert found == ([SymbolGone("BTCUSDT", 7, "tm-1"), SymbolGone("BTCUSDT", 7)] if gone else [])
