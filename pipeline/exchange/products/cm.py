"""COIN-M futures: contracts of so many dollars of a coin, margined and paid in that coin.

What of its conditional orders is not proven (asking for one, listing all of them, cancelling all) is not here.
"""

import re
from types import MappingProxyType
from typing import Final

from pipeline.exchange.products.arithmetic import INVERSE
from pipeline.exchange.products.product import Ask, Endpoint, Klines, Listing, Named, Product, Site, Streams
from pipeline.timeline import DAY

CM: Final = Product(
    name="cm",
    title="COIN-M futures",
    sites=MappingProxyType(
        {
            "production": Site(
                "https://dapi.binance.com", "wss://dstream.binance.com", 2400, "https://data.binance.vision"
            ),
            "demo": Site("https://demo-dapi.binance.com", "wss://demo-dstream.binance.com", 6000),
        }
    ),
    endpoints=MappingProxyType(
        {
            Ask.TIME: Endpoint("GET", "/dapi/v1/time"),
            Ask.EXCHANGE_INFO: Endpoint("GET", "/dapi/v1/exchangeInfo"),
            Ask.KLINES: Endpoint("GET", "/dapi/v1/klines"),
            Ask.MARK_KLINES: Endpoint("GET", "/dapi/v1/markPriceKlines"),
            Ask.PRICES: Endpoint("GET", "/dapi/v1/ticker/price", weight=2),
            Ask.FUNDING: Endpoint("GET", "/dapi/v1/fundingRate"),
            Ask.PLACE_ORDER: Endpoint("POST", "/dapi/v1/order", weight=0, orders=1),
            Ask.QUERY_ORDER: Endpoint("GET", "/dapi/v1/order"),
            Ask.CANCEL_ORDER: Endpoint("DELETE", "/dapi/v1/order"),
            Ask.OPEN_ORDERS: Endpoint("GET", "/dapi/v1/openOrders", weight=40),
            Ask.ALL_ORDERS: Endpoint("GET", "/dapi/v1/allOrders", weight=5),
            Ask.PLACE_ALGO: Endpoint("POST", "/dapi/v1/algoOrder", weight=0, orders=1),
            Ask.CANCEL_ALGO: Endpoint("DELETE", "/dapi/v1/algoOrder"),
            Ask.OPEN_ALGOS: Endpoint("GET", "/dapi/v1/openAlgoOrders", weight=40),
            Ask.OPEN_ALGOS_OF: Endpoint("GET", "/dapi/v1/openAlgoOrders"),
            Ask.TRADES: Endpoint("GET", "/dapi/v1/userTrades", weight=5),
            Ask.POSITIONS: Endpoint("GET", "/dapi/v1/positionRisk"),
            Ask.ACCOUNT: Endpoint("GET", "/dapi/v1/account", weight=5),
            Ask.INCOMES: Endpoint("GET", "/dapi/v1/income", weight=20),
            Ask.MAY_TRADE: Endpoint("GET", "/dapi/v1/account", weight=5),
            Ask.BRACKETS: Endpoint("GET", "/dapi/v2/leverageBracket", weight=2),
            Ask.FEE: Endpoint("GET", "/dapi/v1/commissionRate", weight=20),
            Ask.SET_LEVERAGE: Endpoint("POST", "/dapi/v1/leverage"),
            Ask.SET_MARGIN_TYPE: Endpoint("POST", "/dapi/v1/marginType"),
            Ask.HEDGE_MODE: Endpoint("GET", "/dapi/v1/positionSide/dual", weight=30),
            Ask.OPEN_LISTEN_KEY: Endpoint("POST", "/dapi/v1/listenKey"),
            Ask.PROLONG_LISTEN_KEY: Endpoint("PUT", "/dapi/v1/listenKey"),
        }
    ),
    pool="futures",
    orders=MappingProxyType({"10s": 300, "1m": 1200}),
    listing=Listing(
        status="contractStatus",
        max_orders=Named("MAX_NUM_ORDERS", "limit"),
        required=frozenset({"PERCENT_PRICE"}),
        multiplier_up=(Named("PERCENT_PRICE", "multiplierUp"),),
        multiplier_down=(Named("PERCENT_PRICE", "multiplierDown"),),
    ),
    klines=Klines(
        page=499,
        costs=((99, 1), (499, 2), (1_000, 5), (1_500, 10)),
        span=199 * DAY,  # 200 days are the most, and whether that is one more or one less is not measured
    ),
    streams=Streams(
        market="/stream",
        user="/ws/{key}",
        command_every=0.2,
        silence=300.0,  # a connection of dated contracts alone says nothing for minutes
        tells_algos=False,
        continuous=frozenset({"PERPETUAL"}),
    ),
    arithmetic=INVERSE,
    archive="/data/futures/cm",
    written=re.compile(r"\w+USD_(PERP|\d{6})"),
    right="enable_futures",
    is_traded=True,
    is_backtested=True,
    positions_of_symbol=False,
)
