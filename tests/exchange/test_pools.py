"""Two markets of one pool, each asked as fast as it can be by a client that knows nothing of the other: the exchange's
own count, which is that of the pool, keeps both below it. So it is between two processes as well."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.exchange.environments import ENVIRONMENTS, at
from pipeline.exchange.errors import RateLimitedError
from pipeline.exchange.products.product import Ask
from pipeline.exchange.rest import RestClient
from pipeline.simulator.handle import Simulator
from pipeline.timeline import MINUTE, SECOND

LIMIT = 600
THREADS = 8
SOON = 20 * SECOND
"""A minute that ends before the test would begin the count anew."""


def use_up(client: RestClient, symbol: str) -> tuple[int, str]:
    """Ask for candles until no more is to be had: how often it was answered, and who said so."""
    for answered in range(LIMIT):
        try:
            client.ask(Ask.KLINES, {"symbol": symbol, "interval": "1m", "limit": 10}, weight=1)
        except RateLimitedError as error:
            return answered, str(error)
    raise AssertionError("there is no limit")


@pytest.mark.parametrize(("first", "second"), [("um", "cm"), ("cm", "um")])
def test_two_markets_of_a_pool_use_its_weight_up_together(first: str, second: str) -> None:
    symbols = {"um": "BTCUSDT", "cm": "BTCUSD_PERP"}
    names = {"um": "sim", "cm": "sim-cm"}
    with Simulator.start(markets=("um", "cm"), weight_limit=LIMIT) as running:
        left = MINUTE - running.now() % MINUTE
        if left < SOON:
            time.sleep(left / SECOND)
        clients = []
        for market in (first, second):
            place = replace(at(ENVIRONMENTS[names[market]], running.at(market).url), weight_limit=LIMIT, retries=0)
            clients.append((RestClient(place, patience_ms=0), symbols[market]))
        for client, _ in clients:
            client.sync_clock()
        with ThreadPoolExecutor(2 * THREADS) as pool:
            asked = [pool.submit(use_up, client, symbol) for client, symbol in clients for _ in range(THREADS)]
            found = [one.result(60) for one in asked]
        for client, _ in clients:
            client.close()
    assert all("nothing was sent" in said for _, said in found), "the exchange itself never has to say it"
    spent_on_time = 6
    assert 0.8 * LIMIT - 2 * THREADS <= spent_on_time + sum(answered for answered, _ in found) <= LIMIT
