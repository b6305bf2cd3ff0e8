"""COIN-M futures: contracts of so many dollars of a coin, margined and paid in that coin.

Streams have no routes, a window of candles has at most 200 days and its last rows are answered.
"""

from types import MappingProxyType
from typing import Final

from pipeline.simulator.market.coin_contracts import coin_contracts
from pipeline.simulator.products.product import Product
from pipeline.simulator.wire import coin_market_data, market_data
from pipeline.simulator.wire.archive import ArchiveRules
from pipeline.simulator.wire.market_data import KlineRules
from pipeline.simulator.wire.routes import Endpoint, by_symbol, depth_weight, keyed, klines_weight, listen_key, public
from pipeline.simulator.wire.streams import StreamRules
from pipeline.simulator.wire.weights import Limits
from pipeline.timeline import DAY

LISTEN_KEY: Final = "/dapi/v1/listenKey"

ENDPOINTS: Final[dict[tuple[str, str], Endpoint]] = {
    ("GET", "/dapi/v1/ping"): public(1, market_data.ping),
    ("GET", "/dapi/v1/time"): public(1, market_data.server_time),
    ("GET", "/dapi/v1/exchangeInfo"): public(1, coin_market_data.information),
    ("GET", "/dapi/v1/klines"): public(klines_weight, market_data.klines),
    ("GET", "/dapi/v1/continuousKlines"): public(klines_weight, market_data.continuous_klines),
    ("GET", "/dapi/v1/markPriceKlines"): public(klines_weight, market_data.mark_price_klines),
    ("GET", "/dapi/v1/indexPriceKlines"): public(klines_weight, market_data.index_price_klines),
    ("GET", "/dapi/v1/ticker/price"): public(by_symbol(1, 2), coin_market_data.ticker_price),
    ("GET", "/dapi/v1/ticker/24hr"): public(by_symbol(1, 40), coin_market_data.ticker_24h),
    ("GET", "/dapi/v1/ticker/bookTicker"): public(by_symbol(2, 5), coin_market_data.book_ticker),
    ("GET", "/dapi/v1/premiumIndex"): public(10, coin_market_data.premium_index),
    ("GET", "/dapi/v1/fundingRate"): public(1, market_data.funding_rates),
    ("GET", "/dapi/v1/fundingInfo"): public(0, market_data.funding_info),
    ("GET", "/dapi/v1/trades"): public(5, coin_market_data.trades),
    ("GET", "/dapi/v1/historicalTrades"): keyed(200, coin_market_data.historical_trades),
    ("GET", "/dapi/v1/aggTrades"): public(20, market_data.aggregate_trades),
    ("GET", "/dapi/v1/depth"): public(depth_weight, coin_market_data.depth),
    ("GET", "/dapi/v1/openInterest"): public(1, coin_market_data.open_interest),
    **listen_key(LISTEN_KEY),
}

CM: Final = Product(
    name="cm",
    title="COIN-M futures",
    pool="futures",
    contracts=coin_contracts,
    limits=Limits(),
    endpoints=MappingProxyType(ENDPOINTS),
    klines=KlineRules(longest=200 * DAY),
    streams=StreamRules(routed=False, marks={"st": 2}),
    archive=ArchiveRules("/data/futures/cm"),
    listen_key=LISTEN_KEY,
)
