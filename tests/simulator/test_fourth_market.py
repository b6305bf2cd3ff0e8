"""A market that there is nowhere, made by a table alone: contracts of seven florins of gold, on paths of its own."""

import asyncio
import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp

from pipeline.simulator.clock import Clock
from pipeline.simulator.exchange import Exchange, Floor, Request
from pipeline.simulator.market.synthetic import SyntheticMarket
from pipeline.simulator.products.product import Product
from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue.account_desk import AccountDesk
from pipeline.simulator.venue.coin_report_desk import CoinReportDesk
from pipeline.simulator.venue.desks import Routes
from pipeline.simulator.venue.engine import Engine
from pipeline.simulator.venue.order_desk import OrderDesk
from pipeline.simulator.venue.terms import Terms
from pipeline.simulator.venue.trading import futures
from pipeline.simulator.wire import coin_market_data, market_data
from pipeline.simulator.wire.archive import ArchiveRules
from pipeline.simulator.wire.market_data import KlineRules
from pipeline.simulator.wire.routes import ONE, public, read, trade
from pipeline.simulator.wire.security import ApiKey
from pipeline.simulator.wire.server import Server, serving
from pipeline.simulator.wire.streams import StreamRules
from pipeline.simulator.wire.weights import Limits, Meter
from pipeline.simulator.worth import Inverse
from pipeline.timeline import HOUR

D = Decimal
GOLD = SymbolSpec(
    "AUFLO", "AU", "FLO", D("0.5"), D(1), 1_600_000_000_000, price_precision=1, quantity_precision=0,
    min_notional=D(0), max_quantity=D(10_000), market_max_quantity=D(10_000), worth=Inverse("AU", D(7)), coins=10,
)  # fmt: skip
ROOT = "/gapi/v7"


def contracts(n: int, epoch: int) -> dict[str, SymbolSpec]:
    del n, epoch
    return {GOLD.symbol: GOLD}


def desks(engine: Engine) -> Routes:
    orders, settings, reports = OrderDesk(engine), AccountDesk(engine), CoinReportDesk(engine)
    return {
        ("POST", f"{ROOT}/bargain"): orders.place,
        ("GET", f"{ROOT}/bargain"): orders.query,
        ("GET", f"{ROOT}/purse"): reports.coin_balance,
        ("POST", f"{ROOT}/leverage"): settings.set_leverage,
    }


GUILD = Product(
    name="guild",
    title="the guild of goldsmiths",
    pool="guild",
    contracts=contracts,
    limits=Limits(weight=77, orders={HOUR: 5}),
    endpoints={
        ("GET", f"{ROOT}/listing"): public(3, coin_market_data.information),
        ("GET", f"{ROOT}/candles"): public(2, market_data.klines),
        ("POST", f"{ROOT}/bargain"): trade(1, ONE),
        ("GET", f"{ROOT}/bargain"): read(1),
        ("GET", f"{ROOT}/purse"): read(1),
        ("POST", f"{ROOT}/leverage"): trade(1),
    },
    klines=KlineRules(most=10, clamps=True, longest=100 * HOUR),
    streams=StreamRules(routed=False, marks={"st": 9}, period=50),
    archive=ArchiveRules("/data/guild"),
    opens=futures(desks, Terms(taker=D("0.01"), assets=("AU",))),
)


def exchange_of(product: Product, now: int) -> Exchange:
    market = SyntheticMarket(0, product.contracts(0, now))
    exchange = Exchange(Clock(), [Floor.of(product, market, Meter(product.limits), 0, now)])
    exchange.open_account("main", ApiKey("key", "main", "secret"), {product.name: {"AU": D(3)}})
    return exchange


def asked(exchange: Exchange, method: str, path: str, **params: object) -> Any:
    """A signed request, and what is answered."""
    query = urlencode({**params, "timestamp": exchange.clock.now()})
    signature = hmac.new(b"secret", query.encode(), hashlib.sha256).hexdigest()
    request = Request(method, f"{ROOT}/{path}", f"{query}&signature={signature}", "", "key", "here", "guild")
    answer = exchange.handle(request)
    return json.loads(answer.body) | {"headers": answer.headers} if method == "POST" else json.loads(answer.body)


def test_it_is_read_traded_and_counted() -> None:
    exchange = exchange_of(GUILD, Clock().now())
    (listed,) = asked(exchange, "GET", "listing")["symbols"]
    assert (listed["symbol"], listed["contractSize"], listed["marginAsset"]) == ("AUFLO", 7, "AU")
    rows = asked(exchange, "GET", "candles", symbol="AUFLO", interval="1h", limit=50)
    assert len(rows) == 10
    assert all(float(row[3]) <= 7 * int(row[5]) / float(row[7]) <= float(row[2]) * 1.000_001 for row in rows[:-1])
    order = asked(exchange, "POST", "bargain", symbol="AUFLO", side="BUY", type="MARKET", quantity=5,
                  newOrderRespType="RESULT")  # fmt: skip
    assert order["status"] == "FILLED"
    assert order["headers"]["X-MBX-ORDER-COUNT-1H"] == "1"
    found = asked(exchange, "GET", "bargain", symbol="AUFLO", orderId=order["orderId"])
    fee = (35 / D(found["avgPrice"]) * D("0.01")).quantize(D("1e-8"))
    (purse,) = asked(exchange, "GET", "purse")
    assert (purse["asset"], D(purse["balance"])) == ("AU", 3 - fee)
    (fill,) = [entry for entry in exchange.ledger() if entry["kind"] == "Fill"]
    assert (fill["market"], fill["asset"]) == ("guild", "AU")
    for _ in range(4):
        asked(exchange, "POST", "bargain", symbol="AUFLO", side="BUY", type="MARKET", quantity=1)
    assert asked(exchange, "POST", "bargain", symbol="AUFLO", side="BUY", type="MARKET", quantity=1)["code"] == -1015


async def test_it_streams_at_an_address_of_its_own() -> None:
    exchange = exchange_of(GUILD, Clock().now())
    server = Server(exchange, exchange.floors["guild"])
    async with serving(server, "127.0.0.1", 0) as port, aiohttp.ClientSession() as session:
        async with session.get(f"http://127.0.0.1:{port}{ROOT}/candles?symbol=AUFLO&interval=1h&limit=2") as answer:
            assert len(await answer.json()) == 2
        async with session.ws_connect(f"http://127.0.0.1:{port}/ws/auflo@markPrice@1s") as socket:
            frame = json.loads((await asyncio.wait_for(socket.receive(), 20)).data)
    assert (frame["s"], frame["st"]) == ("AUFLO", 9)
