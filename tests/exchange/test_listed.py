"""The directory asks once, and again only for what is not there."""

from types import SimpleNamespace

import pytest

from pipeline.errors import UsageError
from pipeline.exchange.environments import SIM
from pipeline.exchange.listed import AGAIN_AFTER, Listed


class Exchange:
    def __init__(self, *names):
        self.names = list(names)
        self.asked = 0
        self.client = SimpleNamespace(environment=SIM)

    def symbols(self):
        self.asked += 1
        return [SimpleNamespace(symbol=name) for name in self.names]


def test_it_asks_once_and_again_for_a_stranger_but_not_all_the_time():
    exchange, now = Exchange("BTCUSDT", "ETHUSDT"), [100.0]
    listed = Listed(exchange, monotonic=lambda: now[0])
    assert listed.at_hand("BTCUSDT") is None
    assert [one.symbol for one in listed.all()] == ["BTCUSDT", "ETHUSDT"]
    assert listed.symbol("BTCUSDT").symbol == "BTCUSDT"
    assert exchange.asked == 1
    exchange.names.append("NEWUSDT")
    with pytest.raises(UsageError, match="lists no symbol 'NEWUSDT'"):
        listed.symbol("NEWUSDT")
    now[0] += AGAIN_AFTER + 1
    assert listed.symbol("NEWUSDT").symbol == "NEWUSDT"
    with pytest.raises(UsageError, match="Did you mean BTCUSDT"):
        listed.symbol("BTCUSDTT")
    assert exchange.asked == 2
