"""Two markets of one pool, each asked as fast as it can be by a client that knows nothing of the other: the exchange's
own count, which is that of the pool, keeps both below it. So it is between two processes as well."""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

import pytest

from pipeline.exchange.environments import ENVIRONMENTS, at
from pipeline.exchange.errors import RateLimitedError
from pipeline.exchange.limits import Need
from pipeline.exchange.products.product import Ask
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import NewOrder, Trading
from pipeline.simulator.handle import Simulator
from pipeline.simulator.options import READY_KEY, READY_SECRET

T = TypeVar("T")

LIMIT = 300
THREADS = 4
SYMBOLS = {"um": "BTCUSDT", "cm": "BTCUSD_PERP"}
NAMES = {"um": "sim", "cm": "sim-cm"}
LEAST = {"um": Decimal("0.002"), "cm": Decimal(1)}
ORDERS = 60
BOTH_WAYS = pytest.mark.parametrize("markets", [("um", "cm"), ("cm", "um")])


@contextmanager
def clients_of(
    running: Simulator, markets: tuple[str, ...], *, weight_limit: int = 2400, orders: int = 300
) -> Iterator[dict[str, RestClient]]:
    """A client of each market that never waits, and knows nothing of the other."""
    account = Credentials(READY_KEY, signer_for(READY_SECRET))
    made = {}
    for market in markets:
        place = at(ENVIRONMENTS[NAMES[market]], running.at(market).url)
        product = replace(place.product, orders={"10s": orders, "1m": 1200})
        made[market] = RestClient(
            replace(place, retries=0, weight_limit=weight_limit, product=product), account, patience_ms=0
        )
    for client in made.values():
        client.sync_clock()
    yield made
    for client in made.values():
        client.close()


def use_up(client: RestClient, market: str) -> tuple[int, str]:
    """Ask for candles until no more is to be had: the highest count that was told, and who said that it is enough."""
    asked, highest = {"symbol": SYMBOLS[market], "interval": "1m", "limit": 10}, 0
    for _ in range(2 * LIMIT):
        try:
            highest = max(highest, client.ask(Ask.KLINES, asked, weight=1).used_weight or 0)
        except RateLimitedError as error:
            return highest, str(error)
    raise AssertionError("there is no limit")


def open_all(client: RestClient, market: str) -> tuple[int, str]:
    """Open until no more may be opened: the highest count of orders that was told, and who said that it is enough."""
    highest = 0
    for number in itertools.count():
        order = NewOrder(
            symbol=SYMBOLS[market], side="BUY", quantity=LEAST[market],
            client_id=f"{market}-{threading.get_ident()}-{number}",
        )  # fmt: skip
        try:
            answer = client.ask_signed(Ask.PLACE_ORDER, order.parameters(), need=Need.OPENING)
        except RateLimitedError as error:
            return highest, str(error)
        highest = max(highest, answer.order_counts["10s"])
    raise AssertionError("there is no limit")


def all_at_once(work: Callable[[RestClient, str], T], clients: Mapping[str, RestClient], threads: int) -> list[T]:
    """In so many threads a client."""
    with ThreadPoolExecutor(len(clients) * threads) as pool:
        begun = [pool.submit(work, client, market) for market, client in clients.items() for _ in range(threads)]
        return [one.result(60) for one in begun]


@BOTH_WAYS
def test_two_markets_of_a_pool_use_its_weight_up_together(markets: tuple[str, ...]) -> None:
    with (
        Simulator.start(markets=markets, weight_limit=LIMIT) as running,
        clients_of(running, markets, weight_limit=LIMIT) as clients,
    ):
        found = all_at_once(use_up, clients, THREADS)
        for client in clients.values():
            client.ask_signed(Ask.ACCOUNT)  # what protects still has its fifth
    assert all("nothing was sent" in said for _, said in found), "the exchange itself never has to say it"
    assert 0.8 * LIMIT - 2 * THREADS <= max(highest for highest, _ in found) <= 0.8 * LIMIT + 2 * THREADS
    assert all(highest for highest, _ in found), "both went on"


def test_two_markets_of_a_pool_use_its_orders_up_together() -> None:
    with (
        Simulator.start(markets=tuple(SYMBOLS), orders_10s=ORDERS) as running,
        clients_of(running, tuple(SYMBOLS), orders=ORDERS) as clients,
    ):
        found = all_at_once(open_all, clients, 2)
        for market, client in clients.items():
            held = Trading(client).positions()
            (quantity,) = (one.position_amt for one in held if one.symbol == SYMBOLS[market] and one.position_amt)
            close = NewOrder(
                symbol=SYMBOLS[market], side="SELL", quantity=quantity, client_id=f"{market}-close", reduce_only=True
            )
            Trading(client).place_order(close)  # a tenth is left for what closes
    assert all("nothing was sent" in said for _, said in found), "the exchange itself never has to say it"
    assert max(highest for highest, _ in found) <= 0.9 * ORDERS + 4
    assert all(highest for highest, _ in found), "both went on"
