"""Spot: coins themselves. Its market is here, and nobody trades on it yet.

An address and an account are counted apart from the futures; a connection is pinged every 20 seconds, and what a client
sends is counted with its pongs.
"""

from datetime import date
from types import MappingProxyType
from typing import Final

from pipeline.simulator.market.spot_pairs import spot_pairs
from pipeline.simulator.products.product import Product
from pipeline.simulator.wire import market_data, spot_market_data
from pipeline.simulator.wire.archive import ArchiveRules
from pipeline.simulator.wire.market_data import KlineRules
from pipeline.simulator.wire.routes import Endpoint, Params, by_symbol, keyed, public, stairs
from pipeline.simulator.wire.streams import StreamRules, Topic
from pipeline.simulator.wire.weights import TEN_SECONDS, Limits
from pipeline.timeline import DAY


def _depth_weight(params: Params) -> int:
    return stairs(params.get("limit", "100"), ((100, 5), (500, 25), (1000, 50)), 250)


ENDPOINTS: Final[dict[tuple[str, str], Endpoint]] = {
    ("GET", "/api/v3/ping"): public(1, market_data.ping),
    ("GET", "/api/v3/time"): public(1, market_data.server_time),
    ("GET", "/api/v3/exchangeInfo"): public(20, spot_market_data.information),
    ("GET", "/api/v3/klines"): public(2, market_data.klines),
    ("GET", "/api/v3/uiKlines"): public(2, market_data.klines),
    ("GET", "/api/v3/ticker/price"): public(by_symbol(2, 4), spot_market_data.ticker_price),
    ("GET", "/api/v3/ticker/24hr"): public(by_symbol(2, 80), spot_market_data.ticker_24h),
    ("GET", "/api/v3/ticker/bookTicker"): public(by_symbol(2, 4), spot_market_data.book_ticker),
    ("GET", "/api/v3/avgPrice"): public(2, spot_market_data.average_price),
    ("GET", "/api/v3/trades"): public(25, spot_market_data.trades),
    ("GET", "/api/v3/historicalTrades"): public(25, spot_market_data.historical_trades),
    ("GET", "/api/v3/aggTrades"): public(4, spot_market_data.aggregate_trades),
    ("GET", "/api/v3/depth"): public(_depth_weight, spot_market_data.depth),
    ("GET", "/sapi/v1/margin/allPairs"): keyed(1, spot_market_data.nothing),
    ("GET", "/sapi/v1/margin/isolated/allPairs"): keyed(1, spot_market_data.nothing),
}

SPOT: Final = Product(
    name="spot",
    title="spot",
    pool="spot",
    contracts=spot_pairs,
    limits=Limits(weight=6_000, orders={TEN_SECONDS: 100, DAY: 200_000}),
    endpoints=MappingProxyType(ENDPOINTS),
    klines=KlineRules(most=1_000, clamps=True),
    streams=StreamRules(
        routed=False,
        topics=frozenset((Topic.KLINE, Topic.AGGREGATE_TRADE, Topic.BOOK_TICKER)),
        omits=frozenset(("e", "E", "T", "ps")),
        period=2_000,
        ping_every=20,
        patience=60,
        most_messages=5,
        counts_pongs=True,
        null_id=True,
        flat_errors=True,
    ),
    archive=ArchiveRules("/data/spot", micro_since=date(2025, 1, 1)),
)
