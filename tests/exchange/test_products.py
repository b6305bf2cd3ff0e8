"""A market is data: what differs between markets stands in their tables, and one more is one more table."""

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.exchange.environments import SIM, Environment, at
from pipeline.exchange.errors import RateLimitedError
from pipeline.exchange.limits import period_of
from pipeline.exchange.market import MarketData
from pipeline.exchange.products.arithmetic import Arithmetic
from pipeline.exchange.products.cm import CM
from pipeline.exchange.products.instrument import Instrument
from pipeline.exchange.products.product import (
    Ask,
    Endpoint,
    Klines,
    Listing,
    Named,
    NotOfferedError,
    Product,
    Site,
    Streams,
)
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import NewOrder, Trading
from pipeline.timeline import MINUTE, Window, interval
from tests.exchange.standing import standing

ROOT = Path(__file__).parents[2]
PRODUCTS = (UM, CM, SPOT)
KEYS = Credentials("key", signer_for("secret"))

MOON = Product(
    name="moon",
    title="futures on the moon",
    sites={"production": Site("https://moon.invalid", "wss://moon.invalid", 50)},
    endpoints={
        Ask.TIME: Endpoint("GET", "/moon/v9/clock", weight=3),
        Ask.EXCHANGE_INFO: Endpoint("GET", "/moon/v9/wares"),
        Ask.KLINES: Endpoint("GET", "/moon/v9/phases"),
        Ask.PRICES: Endpoint("GET", "/moon/v9/quotes", weight=7),
        Ask.PLACE_ORDER: Endpoint("PUT", "/moon/v9/deal", weight=2, orders=4),
        Ask.OPEN_LISTEN_KEY: Endpoint("PUT", "/moon/v9/ear"),
    },
    pool="moon",
    orders={"5m": 10},
    listing=Listing(
        status="phase",
        max_orders=Named("CROWD", "most"),
        multiplier_up=(Named("BAND", "up"),),
        multiplier_down=(Named("BAND", "down"),),
        assumed={"contractType": "CHEESE", "onboardDate": 0, "deliveryDate": 4_133_404_800_000},
    ),
    klines=Klines(page=7, costs=((3, 1), (7, 5))),
    arithmetic=Arithmetic(
        lambda price, size: price * size / 1_000, lambda value, size: value * 1_000 / size, "contracts", True
    ),
    streams=Streams(market="/waves", user="/ear/{key}", command_every=1.0, silence=9.0),
    archive="/moon",
)
"""A market that nobody has heard of, made of data alone."""


@pytest.fixture
def moon(place: Environment) -> Environment:
    return replace(place, product=MOON, weight_limit=MOON.sites["production"].weight)


def test_no_path_of_a_market_stands_outside_the_tables() -> None:
    """The simulator is the exchange's side, and has paths of its own."""
    found = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for folder in ("pipeline", "flows", "tidemark")
        for file in sorted((ROOT / folder).rglob("*.py"))
        if not file.is_relative_to(ROOT / "pipeline" / "simulator") and file.parent.name != "products"
        for line in file.read_text().splitlines()
        if re.search(r"/[fd]?api/v\d|/market/stream|/private/ws|/data/(futures|spot)", line)
    ]
    assert found == []


def test_nobody_asks_which_market_it_is() -> None:
    found = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in sorted((ROOT / "pipeline").rglob("*.py"))
        if file.parent.name != "products"
        for line in file.read_text().splitlines()
        if re.search(r"product(\.name)? (==|is|in|!=) |isinstance\([^)]*Product\)", line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("product", "ask", "told"),
    [
        (UM, Ask.KLINES, ("GET", "/fapi/v1/klines", 1, 0)),
        (UM, Ask.ACCOUNT, ("GET", "/fapi/v3/account", 5, 0)),
        (UM, Ask.INCOMES, ("GET", "/fapi/v1/income", 30, 0)),
        (CM, Ask.PRICES, ("GET", "/dapi/v1/ticker/price", 2, 0)),
        (CM, Ask.ACCOUNT, ("GET", "/dapi/v1/account", 5, 0)),
        (CM, Ask.INCOMES, ("GET", "/dapi/v1/income", 20, 0)),
        (CM, Ask.PLACE_ALGO, ("POST", "/dapi/v1/algoOrder", 0, 1)),
        (SPOT, Ask.EXCHANGE_INFO, ("GET", "/api/v3/exchangeInfo", 20, 0)),
        (SPOT, Ask.PLACE_ORDER, ("POST", "/api/v3/order", 1, 1)),
        (SPOT, Ask.TRADES, ("GET", "/api/v3/myTrades", 20, 0)),
    ],
)
def test_where_questions_go_and_what_they_cost(product: Product, ask: Ask, told: tuple[Any, ...]) -> None:
    found = product.endpoint(ask)
    assert (found.method, found.path, found.weight, found.orders) == told


def test_coin_m_shares_the_limits_of_usd_m_and_spot_has_its_own() -> None:
    assert CM.pool == UM.pool != SPOT.pool
    assert CM.orders == UM.orders == {"10s": 300, "1m": 1200}
    assert SPOT.orders == {"10s": 100, "1d": 200_000}
    assert [one.sites["production"].weight for one in PRODUCTS] == [2400, 2400, 6000]


@pytest.mark.parametrize(
    ("product", "ask"),
    [(SPOT, Ask.POSITIONS), (SPOT, Ask.PLACE_ALGO), (SPOT, Ask.SET_LEVERAGE), (CM, Ask.SYMBOL_CONFIG)],
)
def test_what_a_market_does_not_have_is_refused_by_name_before_anything_is_sent(
    product: Product, ask: Ask, place: Environment, exchange: Any
) -> None:
    with (
        RestClient(replace(place, product=product), KEYS) as client,
        pytest.raises(NotOfferedError, match=f"{product.title} has no call for '{ask.replace('_', ' ')}'"),
    ):
        client.ask_signed(ask)
    assert exchange.seen == []


def test_no_stream_of_user_data_by_listen_key_on_spot() -> None:
    assert CM.user_stream("KEY", "A/B") == "/ws/KEY"
    assert UM.user_stream("KEY", "A/B") == "/private/ws?listenKey=KEY&events=A/B"
    with pytest.raises(NotOfferedError, match="spot has no stream of user data"):
        SPOT.user_stream("KEY", "A/B")


def test_spot_leaves_room_for_its_pongs_among_five_messages_a_second() -> None:
    assert 1 / SPOT.streams.command_every <= 2
    assert 1 / UM.streams.command_every <= 5


def test_a_fourth_market_is_asked_where_it_lies_at_its_weight(moon: Environment, exchange: Any, reply: Any) -> None:
    answers = {
        "/moon/v9/clock": {"serverTime": 1_700_000_000_000},
        "/moon/v9/quotes": [{"symbol": "CHEESE", "price": "3.5", "time": 1_700_000_000_001}],
    }
    exchange.otherwise = lambda seen: reply(msgspec.json.encode(answers[seen.path]))
    with RestClient(moon, clock=standing()) as client:
        assert client.server_time() == 1_700_000_000_000
        assert client.weight.used == 3
        assert MarketData(client).prices() == {"CHEESE": (Decimal("3.5"), 1_700_000_000_001)}
        assert client.weight.used == 10


def test_a_fourth_market_has_candles_and_rules_of_its_own(moon: Environment, exchange: Any, reply: Any) -> None:
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.5", "minPrice": "1", "maxPrice": "9"},
        {"filterType": "LOT_SIZE", "stepSize": "1", "minQty": "1", "maxQty": "9"},
        {"filterType": "MARKET_LOT_SIZE", "stepSize": "0", "minQty": "1", "maxQty": "9"},
        {"filterType": "CROWD", "most": 3},
    ]
    cheese = {"symbol": "CHEESE", "phase": "FULL", "baseAsset": "C", "quoteAsset": "USD", "marginAsset": "DUST"}
    row = [0, "2", "3", "1", "2", "40", MINUTE - 1, "0.5", 7, "10", "0.25", "0"]
    answers = {
        "/moon/v9/clock": {"serverTime": 1_700_000_000_000},
        "/moon/v9/wares": {"symbols": [cheese | {"contractSize": 7, "filters": filters}]},
        "/moon/v9/phases": [row],
    }
    exchange.otherwise = lambda seen: reply(msgspec.json.encode(answers[seen.path]))
    with RestClient(moon) as client:
        market = MarketData(client)
        (symbol,) = market.symbols()
        candle = market.klines("CHEESE", interval("1m"), Window(0, 3 * MINUTE)).row(0, named=True)
    traded = Instrument.of(MOON, symbol)
    assert (traded.unit, traded.margin_asset, traded.pnl(Decimal(10), Decimal(1_000), Decimal(1_500))) == (
        "contracts",
        "DUST",
        Decimal(35),
    )
    assert (symbol.status, symbol.filters and symbol.filters.max_orders) == ("FULL", 3)
    assert (candle["volume"], candle["quote_volume"]) == (0.5, 280.0)
    assert (candle["taker_buy_base"], candle["taker_buy_quote"]) == (0.25, 70.0)
    assert [exchange.seen[-1].parameters[name] for name in ("symbol", "limit")] == ["CHEESE", "4"]


def test_a_fourth_market_keeps_its_own_count_of_orders(moon: Environment, exchange: Any, reply: Any) -> None:
    told = {"orderId": 1, "clientOrderId": "a", "symbol": "CHEESE", "status": "NEW", "side": "BUY", "type": "MARKET"}
    exchange.otherwise = lambda _: reply(msgspec.json.encode(told), headers={"X-MBX-ORDER-COUNT-5M": "8"})
    order = NewOrder(symbol="CHEESE", side="BUY", client_id="a", quantity=Decimal(1), reduce_only=True)
    with RestClient(moon, KEYS, patience_ms=0, clock=standing()) as client:
        Trading(client).place_order(order)
        with pytest.raises(RateLimitedError, match="used up"):
            Trading(client).place_order(order)
    assert [(seen.method, seen.path) for seen in exchange.seen] == [("PUT", "/moon/v9/deal")]


def test_the_listen_key_is_asked_for_where_the_market_says(moon: Environment, exchange: Any, reply: Any) -> None:
    exchange.otherwise = lambda _: reply(b'{"listenKey":"EAR"}')
    with RestClient(moon, KEYS) as client:
        assert Trading(client).open_listen_key() == "EAR"
    assert [(seen.method, seen.path) for seen in exchange.seen] == [("PUT", "/moon/v9/ear")]


def test_one_count_holds_both_futures_back(exchange: Any, reply: Any) -> None:
    """The exchange counts what an address asks of USD-M and of COIN-M together, and each answer says the sum."""
    used = 0

    def metered(seen: Any) -> Any:
        nonlocal used
        used += 1_000
        return reply(b'{"serverTime":1700000000000}', headers={"X-MBX-USED-WEIGHT-1M": str(used)})

    exchange.otherwise = metered
    um, cm = (replace(at(SIM, exchange.url), product=one) for one in (UM, CM))
    with RestClient(um, clock=standing()) as first, RestClient(cm, patience_ms=0, clock=standing()) as second:
        first.server_time()
        second.server_time()
        assert second.weight.used == 2_000
        with pytest.raises(RateLimitedError, match="used up"):
            second.call("GET", "/dapi/v1/openOrders", weight=40)
    assert [seen.path for seen in exchange.seen] == ["/fapi/v1/time", "/dapi/v1/time"]


def test_periods_are_read_as_the_exchange_names_them() -> None:
    assert [period_of(name) for name in ("10s", "1m", "5m", "1d")] == [10_000, MINUTE, 5 * MINUTE, 86_400_000]
