"""Coins that were traded live are explained to the last digit; and a short that the ingester heard closes a long, live
as in the backtest."""

import time
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.exchange.clock import ServerClock
from pipeline.exchange.coin_trading import CoinTrading
from pipeline.exchange.environments import ENVIRONMENTS, at
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.execution.runtime import executor as runtime
from pipeline.finding import Finding
from pipeline.settings import Portfolio, Risk
from pipeline.simulator.handle import Simulator
from pipeline.store.prepare import prepare
from pipeline.store.signals.write import live_document
from pipeline.timeline import MINUTE
from schemas.series import SeriesKey
from schemas.signals import Kind, Side
from tests.execution.service import test_live_equals_backtest as day
from tests.execution.service.explained import explained
from tests.execution.service.spot import EXCHANGE, RISK, SYMBOL, SpotHouse

SLOW = {"max_slippage_percent": "5", "unprotected_seconds": 3_600, "stale_feed_seconds": 3_600}
"""A busy machine is slow, and its clocks are fast."""
ATR = 0.01
"""Of the price: no stop is reached."""


@pytest.fixture
def house(db: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Iterator[SpotHouse]:
    """An exchange and an executor whose clocks are fast."""
    prepare(db)
    hurried = day.Hurried()
    monkeypatch.setattr(runtime, "ServerClock", partial(ServerClock, hurried.local, hurried.steady))
    offset = day.begin() - 2 * MINUTE - time.time_ns() // 1_000_000
    credentials = Credentials(day.ACCOUNT.key, signer_for(day.ACCOUNT.secret))
    options: dict[str, Any] = {"seed": day.SEED, "speed": day.SPEED, "clock_offset": offset}
    with Simulator.start(accounts=(day.ACCOUNT,), lifted_limits=True, markets=("spot",), **options) as simulator:
        place = replace(at(ENVIRONMENTS[EXCHANGE], simulator.url), weight_limit=1_000_000, recv_window=60_000)
        with RestClient(place, credentials, clock=ServerClock(hurried.local, hurried.steady)) as client:
            client.sync_clock()
            yield SpotHouse(db, simulator, day.ACCOUNT, place, credentials, CoinTrading(client))


async def said(house: SpotHouse, number: int, kind: Kind, side: Side, strategy: str = "turtle") -> str:
    """At the close of that minute a strategy speaks, and the ingester writes it down; the verdict."""
    close = day.begin() + number * MINUTE
    await house.until(lambda: house.simulator.now() > close)
    paid = float(house.simulator.truth_klines(SYMBOL, "1m", close - MINUTE, close - 1)[0][4])
    key, seen = SeriesKey(EXCHANGE, SYMBOL, "1m"), {"atr": round(paid * ATR, 2)}
    finding = Finding(key, strategy, kind, side, close - MINUTE, paid, 0.5, seen, "x")
    house.db.signals.insert_one(live_document(finding, house.simulator.now()))
    await house.until(lambda: house.verdict(finding.id) != "fresh")
    return house.verdict(finding.id)


async def test_coins_are_explained_and_an_opposite_signal_sells_them(
    house: SpotHouse, mongo_uri: str, home: Path
) -> None:
    async with house.executor(recv_window=60_000, **SLOW):
        assert await said(house, 1, "entry", "long") == "taken"
        await house.until(lambda: (found := house.position()) and found.stop_order)
        assert await said(house, 2, "entry", "short") == "taken"
        await house.closed()
        assert await said(house, 3, "trial", "short") == "skipped"
        assert await said(house, 4, "entry", "long") == "taken"
        await house.until(lambda: (found := house.position()) and found.stop_order)
        await house.until(lambda: house.simulator.now() > day.begin() + 5 * MINUTE)
        await house.calm()
    risk = Risk(**(RISK | SLOW))
    found = explained(house, mongo_uri, home, risk, day.begin() - MINUTE, day.begin() + 5 * MINUTE)
    assert (found.asset, found.signals, found.alike) == ("USDT", 4, 4)
    sold, kept = found.rows
    assert (sold.closed_at is None, kept.closed_at is None) == (False, True)
    assert None not in {sold.live, sold.paper, kept.live, kept.paper}
    assert (sold.rest, kept.rest) == (Decimal(0), Decimal(0))
    assert found.live - found.paper == sum(found.by_cause.values())


async def test_coins_that_two_strategies_hold_are_explained_for_each_of_them(
    house: SpotHouse, mongo_uri: str, home: Path
) -> None:
    books = Portfolio(books=True)
    async with house.executor(recv_window=60_000, portfolio=books, **SLOW):
        assert await said(house, 1, "entry", "long") == "taken"
        assert await said(house, 1, "trial", "long", "rsi") == "taken"
        await house.calm()
        assert await said(house, 2, "exit", "long") == "taken"
        await house.until(lambda: (found := house.position()) and len(found.books) == 1)
        await house.until(lambda: house.simulator.now() > day.begin() + 3 * MINUTE)
        await house.calm()
    risk = Risk(**(RISK | SLOW))
    found = explained(house, mongo_uri, home, risk, day.begin() - MINUTE, day.begin() + 3 * MINUTE, portfolio=books)
    assert (found.asset, found.signals, found.alike) == ("USDT", 3, 3)
    assert {(one.strategy, one.closed_at is None) for one in found.rows} == {("turtle", False), ("rsi", True)}
    assert [one.rest for one in found.rows] == [Decimal(0), Decimal(0)]
