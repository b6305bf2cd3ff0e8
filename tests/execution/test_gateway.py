"""What the executor counts as a failed call: one that the exchange left unanswered, not one that never left."""

from types import SimpleNamespace

import pytest

from pipeline.exchange.errors import CircuitOpenError, ExchangeError, NotDoneError, RateLimitedError, StoppedError
from pipeline.execution.engine.events import CallCounted
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
