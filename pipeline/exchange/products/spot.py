"""Spot: coins themselves, paid at once. Nothing is borrowed, so there is no position, no margin and no short.

Its account is followed by a websocket that is asked with a signature, not by a listen key; stops are ordinary orders.
"""

import re
from types import MappingProxyType
from typing import Final

from pipeline.exchange.products.arithmetic import SPOT_COINS
from pipeline.exchange.products.product import Ask, Endpoint, Klines, Listing, Named, Product, Site, Streams

_OPENED: Final = 1_499_990_400_000  # 2017-07-14: no candle of the market is older
_NEVER: Final = 4_133_404_800_000
_MESSAGES: Final = "/ws-api/v3"

SPOT: Final = Product(
    name="spot",
    title="spot",
    sites=MappingProxyType(
        {
            "production": Site(
                "https://api.binance.com",
                "wss://stream.binance.com:9443",
                6000,
                "https://data.binance.vision",
                messages=f"wss://ws-api.binance.com{_MESSAGES}",
            ),
            "demo": Site(
                "https://demo-api.binance.com",
                "wss://demo-stream.binance.com",
                6000,
                messages=f"wss://demo-ws-api.binance.com{_MESSAGES}",
            ),
            "testnet": Site(
                "https://testnet.binance.vision",
                "wss://stream.testnet.binance.vision",
                6000,
                messages=f"wss://ws-api.testnet.binance.vision{_MESSAGES}",
            ),
        }
    ),
    endpoints=MappingProxyType(
        {
            Ask.TIME: Endpoint("GET", "/api/v3/time"),
            Ask.EXCHANGE_INFO: Endpoint("GET", "/api/v3/exchangeInfo", weight=20),
            Ask.KLINES: Endpoint("GET", "/api/v3/klines"),
            Ask.PRICES: Endpoint("GET", "/api/v3/ticker/price", weight=4),
            Ask.PLACE_ORDER: Endpoint("POST", "/api/v3/order", orders=1),
            Ask.PLACE_PAIR: Endpoint("POST", "/api/v3/orderList/oco", orders=2),
            Ask.REPLACE_ORDER: Endpoint("POST", "/api/v3/order/cancelReplace", orders=1),
            Ask.QUERY_ORDER: Endpoint("GET", "/api/v3/order", weight=4),
            Ask.CANCEL_ORDER: Endpoint("DELETE", "/api/v3/order"),
            Ask.OPEN_ORDERS: Endpoint("GET", "/api/v3/openOrders", weight=80),
            Ask.ALL_ORDERS: Endpoint("GET", "/api/v3/allOrders", weight=20),
            Ask.TRADES: Endpoint("GET", "/api/v3/myTrades", weight=20),
            Ask.ACCOUNT: Endpoint("GET", "/api/v3/account", weight=20),
            Ask.MAY_TRADE: Endpoint("GET", "/api/v3/account", weight=20),
            Ask.FEE: Endpoint("GET", "/api/v3/account/commission", weight=20),
        }
    ),
    pool="spot",
    orders=MappingProxyType({"10s": 100, "1d": 200_000}),
    listing=Listing(
        status="status",
        max_orders=Named("MAX_NUM_ORDERS", "maxNumOrders"),
        min_notional=(Named("NOTIONAL", "minNotional"), Named("MIN_NOTIONAL", "minNotional")),
        max_notional=(Named("NOTIONAL", "maxNotional"),),
        multiplier_up=(Named("PERCENT_PRICE_BY_SIDE", "bidMultiplierUp"), Named("PERCENT_PRICE", "multiplierUp")),
        multiplier_down=(Named("PERCENT_PRICE_BY_SIDE", "bidMultiplierDown"), Named("PERCENT_PRICE", "multiplierDown")),
        sell_multiplier_up=(Named("PERCENT_PRICE_BY_SIDE", "askMultiplierUp"),),
        sell_multiplier_down=(Named("PERCENT_PRICE_BY_SIDE", "askMultiplierDown"),),
        assumed={"contractType": "SPOT", "onboardDate": _OPENED, "deliveryDate": _NEVER},
    ),
    klines=Klines(page=1_000, costs=((1_000, 2),), crooked=True),
    streams=Streams(
        market="/stream",
        user=None,
        command_every=0.5,  # 5 messages a second, our pongs among them
        silence=60.0,
        close_within=4.5,  # its frames come every 2 s
    ),
    arithmetic=SPOT_COINS,
    archive="/data/spot",
    written=re.compile(r"\w+(USD[TC]|[FT]USD|BTC|ETH|BNB|EUR|TRY|BRL|JPY)"),
    right="enable_spot_and_margin_trading",
    says_not_done=False,
    is_traded=True,
    is_backtested=True,
    intervals=frozenset({"1s"}),
)
