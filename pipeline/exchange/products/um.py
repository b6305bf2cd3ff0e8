"""USD-M futures: contracts of a coin, priced, margined and paid in a stablecoin."""

import re
from types import MappingProxyType
from typing import Final

from pipeline.exchange.products.arithmetic import LINEAR
from pipeline.exchange.products.product import Ask, Endpoint, Klines, Listing, Named, Product, Site, Streams
from pipeline.timeline import MINUTE

UM: Final = Product(
    name="um",
    title="USD-M futures",
    sites=MappingProxyType(
        {
            "production": Site(
                "https://fapi.binance.com", "wss://fstream.binance.com", 2400, "https://data.binance.vision"
            ),
            "demo": Site("https://demo-fapi.binance.com", "wss://demo-fstream.binance.com", 6000),
        }
    ),
    endpoints=MappingProxyType(
        {
            Ask.TIME: Endpoint("GET", "/fapi/v1/time"),
            Ask.EXCHANGE_INFO: Endpoint("GET", "/fapi/v1/exchangeInfo"),
            Ask.KLINES: Endpoint("GET", "/fapi/v1/klines"),
            Ask.MARK_KLINES: Endpoint("GET", "/fapi/v1/markPriceKlines"),
            Ask.PRICES: Endpoint("GET", "/fapi/v2/ticker/price", weight=2),
            Ask.FUNDING: Endpoint("GET", "/fapi/v1/fundingRate"),
            Ask.PLACE_ORDER: Endpoint("POST", "/fapi/v1/order", weight=0, orders=1),
            Ask.QUERY_ORDER: Endpoint("GET", "/fapi/v1/order"),
            Ask.CANCEL_ORDER: Endpoint("DELETE", "/fapi/v1/order"),
            Ask.OPEN_ORDERS: Endpoint("GET", "/fapi/v1/openOrders", weight=40),
            Ask.ALL_ORDERS: Endpoint("GET", "/fapi/v1/allOrders", weight=5),
            Ask.PLACE_ALGO: Endpoint("POST", "/fapi/v1/algoOrder", weight=0, orders=1),
            Ask.QUERY_ALGO: Endpoint("GET", "/fapi/v1/algoOrder"),
            Ask.CANCEL_ALGO: Endpoint("DELETE", "/fapi/v1/algoOrder"),
            Ask.OPEN_ALGOS: Endpoint("GET", "/fapi/v1/openAlgoOrders", weight=40),
            Ask.OPEN_ALGOS_OF: Endpoint("GET", "/fapi/v1/openAlgoOrders"),
            Ask.ALL_ALGOS: Endpoint("GET", "/fapi/v1/allAlgoOrders", weight=5),
            Ask.TRADES: Endpoint("GET", "/fapi/v1/userTrades", weight=5),
            Ask.POSITIONS: Endpoint("GET", "/fapi/v3/positionRisk", weight=5),
            Ask.ACCOUNT: Endpoint("GET", "/fapi/v3/account", weight=5),
            Ask.INCOMES: Endpoint("GET", "/fapi/v1/income", weight=30),
            Ask.MAY_TRADE: Endpoint("GET", "/fapi/v1/accountConfig", weight=5),
            Ask.SYMBOL_CONFIG: Endpoint("GET", "/fapi/v1/symbolConfig", weight=5),
            Ask.BRACKETS: Endpoint("GET", "/fapi/v1/leverageBracket"),
            Ask.FEE: Endpoint("GET", "/fapi/v1/commissionRate", weight=20),
            Ask.SET_LEVERAGE: Endpoint("POST", "/fapi/v1/leverage"),
            Ask.SET_MARGIN_TYPE: Endpoint("POST", "/fapi/v1/marginType"),
            Ask.HEDGE_MODE: Endpoint("GET", "/fapi/v1/positionSide/dual", weight=30),
            Ask.MULTI_ASSETS_MODE: Endpoint("GET", "/fapi/v1/multiAssetsMargin", weight=30),
            Ask.OPEN_LISTEN_KEY: Endpoint("POST", "/fapi/v1/listenKey"),
            Ask.PROLONG_LISTEN_KEY: Endpoint("PUT", "/fapi/v1/listenKey"),
        }
    ),
    pool="futures",
    orders=MappingProxyType({"10s": 300, "1m": 1200}),
    listing=Listing(
        status="status",
        max_orders=Named("MAX_NUM_ORDERS", "limit"),
        required=frozenset({"MIN_NOTIONAL", "PERCENT_PRICE"}),
        min_notional=(Named("MIN_NOTIONAL", "notional"),),
        multiplier_up=(Named("PERCENT_PRICE", "multiplierUp"),),
        multiplier_down=(Named("PERCENT_PRICE", "multiplierDown"),),
    ),
    klines=Klines(page=499, costs=((99, 1), (499, 2), (1_000, 5), (1_500, 10))),
    streams=Streams(
        market="/market/stream",
        user="/private/ws?listenKey={key}&events={events}",
        command_every=0.2,
        silence=60.0,
        continuous=frozenset({"PERPETUAL", "TRADIFI_PERPETUAL"}),
    ),
    arithmetic=LINEAR,
    margin="USDT",
    archive="/data/futures/um",
    written=re.compile(r"\w+(USD[TC]|BTC)(_\d{6})?"),
    right="enable_futures",
    is_traded=True,
    is_backtested=True,
    good_till=10 * MINUTE,
)
