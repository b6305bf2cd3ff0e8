"""The load of three markets is one market's, dealt out, and each gets frames as its exchange sends them."""

from array import array
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench.feed_server import COINS, CONTRACTS, Stream
from bench.ingesting import CONTRACT_SIZE, Ages, Outcome
from bench.live_markets import INTERVALS, SYMBOLS, Stretches, rows, shares
from pipeline.exchange.environments import ENVIRONMENTS
from pipeline.exchange.frames import decode, kline_stream
from pipeline.exchange.market import MarketData
from pipeline.timeline import interval


@pytest.mark.parametrize(("symbols", "rate"), [(500, 10_000), (30, 1_000)])
def test_every_symbol_is_in_one_market_and_every_frame_is_somebodys(symbols: int, rate: int) -> None:
    found = shares(symbols, rate)
    keys = [key for one in found for key in one.keys]
    assert len(set(keys)) == len(keys) == symbols * len(INTERVALS)
    assert [{key.exchange for key in one.keys} for one in found] == [{name} for name in SYMBOLS]
    assert rate - len(found) < sum(one.rate for one in found) <= rate
    assert max(len(one.keys) / one.rate for one in found) == pytest.approx(symbols * len(INTERVALS) / rate, rel=0.01)


@pytest.mark.parametrize(
    ("exchange", "volumes", "told"),
    [
        ("sim", COINS, (1.25, 9_000_000.5, 60.1, 3_600_000.25)),
        ("sim-spot", COINS, (1.25, 9_000_000.5, 60.1, 3_600_000.25)),
        ("sim-cm", CONTRACTS, (150.25, 10.0, 60.1, 600.0)),
    ],
)
def test_a_frame_is_read_as_its_market_writes_it(exchange: str, volumes: bytes, told: tuple[float, ...]) -> None:
    symbol = SYMBOLS[exchange].format(7)
    assert ENVIRONMENTS[exchange].product.written.fullmatch(symbol)
    stream: Any = Stream(kline_stream(symbol, "1m"), interval("1m"), None, 1_767_225_540_000, volumes)  # type: ignore[arg-type]
    incoming = decode(stream.message(1_767_225_541_000, closed=False)[4:])
    assert incoming is not None
    assert incoming.data is not None
    client: Any = SimpleNamespace(environment=ENVIRONMENTS[exchange])
    assert MarketData(client, _sizes={symbol: CONTRACT_SIZE}).volumes(symbol, incoming.data.k) == told
    assert Decimal(10) == CONTRACT_SIZE


def outcome(old: list[int], *, at: list[int] | None = None, lost: int = 0) -> Outcome:
    return Outcome(1.0, lost=lost, written=Ages(array("q", at or range(len(old))), array("q", old)))


def test_three_markets_are_judged_as_one_beside_the_same_seconds_of_one() -> None:
    one = outcome([500, 100, 900, 200, 300], at=[0, 5, 10, 20, 30])
    stretches = Stretches(begins=0, hour_has_ended=10, ordinary_from=20, ends=30)
    p50, p99, worst, lost = rows(
        [outcome([100]), outcome([200]), outcome([900])],
        [outcome([10] * 98), outcome([20]), outcome([400], lost=1)],
        500, 10_000, stretches, one,
    )  # fmt: skip
    assert (p50.ours, p50.peer) == (10, 200)
    assert p99.ours == pytest.approx(np.quantile([10] * 98 + [20, 400], 0.99))
    assert (p99.peer, p99.met) == (200, True)
    assert (worst.ours, worst.peer) == (pytest.approx(886), pytest.approx(496))
    assert (lost.ours, lost.met) == (1, False)
