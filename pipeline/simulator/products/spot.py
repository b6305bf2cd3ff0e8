"""Spot: coins themselves. An account is listened to over the websocket API alone; there are no listen keys.

An address and an account are counted apart from the futures; a connection is pinged every 20 seconds, and what a client
sends is counted with its pongs.
"""

from datetime import date
from types import MappingProxyType
from typing import Final

from pipeline.simulator.market.spot_pairs import spot_pairs
from pipeline.simulator.options import Account
from pipeline.simulator.products.product import Product
from pipeline.simulator.spot import open_spot
from pipeline.simulator.wire import market_data, spot_market_data
from pipeline.simulator.wire.api_session import (
    ASKED_BY_MESSAGE,
    LOG_ON,
    SUBSCRIBE,
    SUBSCRIBE_SIGNED,
    ApiRules,
)
from pipeline.simulator.wire.archive import ArchiveRules
from pipeline.simulator.wire.market_data import KlineRules
from pipeline.simulator.wire.routes import (
    Endpoint,
    Params,
    by_symbol,
    keyed,
    public,
    read,
    refunded,
    stairs,
    trade,
)
from pipeline.simulator.wire.streams import StreamRules, Topic
from pipeline.simulator.wire.weights import TEN_SECONDS, Limits
from pipeline.timeline import DAY, EVERY_INTERVAL

ORDER_COUNTS: Final = "/api/v3/rateLimit/order"


def _depth_weight(params: Params) -> int:
    return stairs(params.get("limit", "100"), ((100, 5), (500, 25), (1000, 50)), 250)


def _by_order(params: Params) -> int:
    return 5 if params.get("orderId") else 20


ENDPOINTS: Final[dict[tuple[str, str], Endpoint]] = {
    ("GET", "/api/v3/ping"): public(1, market_data.ping),
    ("GET", "/api/v3/time"): public(1, market_data.server_time),
    ("GET", "/api/v3/exchangeInfo"): public(20, spot_market_data.information),
    ("GET", "/api/v3/klines"): public(2, market_data.klines),
    ("GET", "/api/v3/uiKlines"): public(2, market_data.klines),
    ("GET", "/api/v3/ticker/price"): public(by_symbol(2, 4), spot_market_data.ticker_price),
    ("GET", "/api/v3/ticker/24hr"): public(by_symbol(2, 80), spot_market_data.ticker_24h),
    ("GET", "/api/v3/ticker/bookTicker"): public(by_symbol(2, 4), spot_market_data.book_ticker),
    ("GET", "/api/v3/avgPrice"): public(2, spot_market_data.mean_price),
    ("GET", "/api/v3/trades"): public(25, spot_market_data.trades),
    ("GET", "/api/v3/historicalTrades"): public(25, spot_market_data.historical_trades),
    ("GET", "/api/v3/aggTrades"): public(4, spot_market_data.aggregate_trades),
    ("GET", "/api/v3/depth"): public(_depth_weight, spot_market_data.depth),
    ("POST", "/api/v3/order"): refunded(1, 1),
    ("POST", "/api/v3/order/test"): trade(1),
    ("GET", "/api/v3/order"): read(4),
    ("DELETE", "/api/v3/order"): refunded(1),
    ("POST", "/api/v3/order/cancelReplace"): refunded(1, 1),
    ("GET", "/api/v3/openOrders"): read(by_symbol(6, 80)),
    ("DELETE", "/api/v3/openOrders"): refunded(1),
    ("GET", "/api/v3/allOrders"): read(20),
    ("POST", "/api/v3/orderList/oco"): refunded(1, 2),
    ("POST", "/api/v3/orderList/oto"): refunded(1, 2),
    ("POST", "/api/v3/orderList/otoco"): refunded(1, 3),
    ("GET", "/api/v3/orderList"): read(4),
    ("DELETE", "/api/v3/orderList"): refunded(1),
    ("GET", "/api/v3/openOrderList"): read(6),
    ("GET", "/api/v3/allOrderList"): read(20),
    ("GET", "/api/v3/account"): read(20),
    ("GET", "/api/v3/account/commission"): read(20),
    ("GET", "/api/v3/myTrades"): read(_by_order),
    ("GET", ORDER_COUNTS): read(40),
    ("GET", "/sapi/v1/bnbBurn"): read(1),
    ("POST", "/sapi/v1/bnbBurn"): trade(1),
    **{(method, "/api/v3/userDataStream"): public(2, spot_market_data.gone) for method in ("POST", "PUT", "DELETE")},
    **{(ASKED_BY_MESSAGE, method): read(2) for method in (LOG_ON, SUBSCRIBE, SUBSCRIBE_SIGNED)},
    ("GET", "/sapi/v1/margin/allPairs"): keyed(1, spot_market_data.nothing),
    ("GET", "/sapi/v1/margin/isolated/allPairs"): keyed(1, spot_market_data.nothing),
}

METHODS: Final[dict[str, tuple[str, str]]] = {
    "ping": ("GET", "/api/v3/ping"),
    "time": ("GET", "/api/v3/time"),
    "exchangeInfo": ("GET", "/api/v3/exchangeInfo"),
    "klines": ("GET", "/api/v3/klines"),
    "uiKlines": ("GET", "/api/v3/uiKlines"),
    "depth": ("GET", "/api/v3/depth"),
    "avgPrice": ("GET", "/api/v3/avgPrice"),
    "trades.recent": ("GET", "/api/v3/trades"),
    "trades.historical": ("GET", "/api/v3/historicalTrades"),
    "trades.aggregate": ("GET", "/api/v3/aggTrades"),
    "ticker.price": ("GET", "/api/v3/ticker/price"),
    "ticker.book": ("GET", "/api/v3/ticker/bookTicker"),
    "ticker.24hr": ("GET", "/api/v3/ticker/24hr"),
    "order.place": ("POST", "/api/v3/order"),
    "order.test": ("POST", "/api/v3/order/test"),
    "order.status": ("GET", "/api/v3/order"),
    "order.cancel": ("DELETE", "/api/v3/order"),
    "order.cancelReplace": ("POST", "/api/v3/order/cancelReplace"),
    "openOrders.status": ("GET", "/api/v3/openOrders"),
    "openOrders.cancelAll": ("DELETE", "/api/v3/openOrders"),
    "allOrders": ("GET", "/api/v3/allOrders"),
    "orderList.place.oco": ("POST", "/api/v3/orderList/oco"),
    "orderList.place.oto": ("POST", "/api/v3/orderList/oto"),
    "orderList.place.otoco": ("POST", "/api/v3/orderList/otoco"),
    "orderList.status": ("GET", "/api/v3/orderList"),
    "orderList.cancel": ("DELETE", "/api/v3/orderList"),
    "openOrderLists.status": ("GET", "/api/v3/openOrderList"),
    "allOrderLists": ("GET", "/api/v3/allOrderList"),
    "account.status": ("GET", "/api/v3/account"),
    "account.rateLimits.orders": ("GET", ORDER_COUNTS),
    "account.commission": ("GET", "/api/v3/account/commission"),
    "myTrades": ("GET", "/api/v3/myTrades"),
}
"""What the websocket API calls what REST has too."""


def _deposits(account: Account) -> dict[str, str]:
    return account.spot


SPOT: Final = Product(
    name="spot",
    title="spot",
    pool="spot",
    contracts=spot_pairs,
    limits=Limits(weight=6_000, orders={TEN_SECONDS: 100, DAY: 200_000}),
    endpoints=MappingProxyType(ENDPOINTS),
    klines=KlineRules(most=1_000, clamps=True, intervals=EVERY_INTERVAL),
    streams=StreamRules(
        routed=False,
        topics=frozenset((Topic.KLINE, Topic.AGGREGATE_TRADE, Topic.BOOK_TICKER)),
        omits=frozenset(("e", "E", "T", "ps")),
        intervals=EVERY_INTERVAL,
        period=2_000,
        ping_every=20,
        patience=60,
        most_messages=5,
        counts_pongs=True,
        null_id=True,
        flat_errors=True,
    ),
    archive=ArchiveRules("/data/spot", micro_since=date(2025, 1, 1), intervals=EVERY_INTERVAL),
    order_counts=ORDER_COUNTS,
    ws_api=ApiRules("/ws-api/v3", MappingProxyType(METHODS)),
    opens=open_spot,
    deposits=_deposits,
)
