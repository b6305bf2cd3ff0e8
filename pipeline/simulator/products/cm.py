"""COIN-M futures: contracts of so many dollars of a coin, margined and paid in that coin.

Streams have no routes, a window of candles has at most 200 days and its last rows are answered. Listeners are not told
of conditional orders: nothing says that the real ones are.
"""

from dataclasses import replace
from types import MappingProxyType
from typing import Final

from pipeline.simulator.market.coin_contracts import MARGIN_COINS, coin_contracts
from pipeline.simulator.options import Account
from pipeline.simulator.products.product import Product
from pipeline.simulator.venue import coin_desks
from pipeline.simulator.venue.coin_terms import COIN_TERMS
from pipeline.simulator.venue.trading import futures
from pipeline.simulator.wire import coin_market_data, market_data
from pipeline.simulator.wire.archive import ArchiveRules
from pipeline.simulator.wire.market_data import KlineRules
from pipeline.simulator.wire.routes import (
    ONE,
    Endpoint,
    batch_size,
    by_symbol,
    depth_weight,
    keyed,
    klines_weight,
    listen_key,
    public,
    read,
    trade,
)
from pipeline.simulator.wire.streams import StreamRules
from pipeline.simulator.wire.weights import Limits
from pipeline.timeline import DAY

LISTEN_KEY: Final = "/dapi/v1/listenKey"
ORDER_COUNTS: Final = "/dapi/v1/rateLimit/order"

ENDPOINTS: Final[dict[tuple[str, str], Endpoint]] = {
    ("GET", "/dapi/v1/ping"): public(1, market_data.ping),
    ("GET", "/dapi/v1/time"): public(1, market_data.server_time),
    ("GET", "/dapi/v1/exchangeInfo"): public(1, coin_market_data.information),
    ("GET", "/dapi/v1/klines"): public(klines_weight, market_data.klines),
    ("GET", "/dapi/v1/continuousKlines"): public(klines_weight, market_data.continuous_klines),
    ("GET", "/dapi/v1/markPriceKlines"): public(klines_weight, market_data.mark_price_klines),
    ("GET", "/dapi/v1/indexPriceKlines"): public(klines_weight, market_data.index_price_klines),
    ("GET", "/dapi/v1/premiumIndexKlines"): public(klines_weight, market_data.premium_index_klines),
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
    ("POST", "/dapi/v1/order"): trade(0, ONE),
    ("PUT", "/dapi/v1/order"): trade(1, ONE),
    ("GET", "/dapi/v1/order"): read(1),
    ("DELETE", "/dapi/v1/order"): trade(1),
    ("POST", "/dapi/v1/batchOrders"): trade(5, batch_size),
    ("PUT", "/dapi/v1/batchOrders"): trade(5, batch_size),
    ("DELETE", "/dapi/v1/batchOrders"): trade(1),
    ("POST", "/dapi/v1/countdownCancelAll"): trade(10),
    ("POST", "/dapi/v1/positionMargin"): trade(1),
    ("GET", "/dapi/v1/positionMargin/history"): read(1),
    ("GET", "/dapi/v1/forceOrders"): read(by_symbol(20, 50)),
    ("GET", "/dapi/v1/adlQuantile"): read(5),
    ("GET", "/dapi/v1/openOrder"): read(1),
    ("GET", "/dapi/v1/openOrders"): read(by_symbol(1, 40)),
    ("GET", "/dapi/v1/allOrders"): read(5),
    ("DELETE", "/dapi/v1/allOpenOrders"): trade(1),
    ("GET", "/dapi/v1/userTrades"): read(5),
    ("GET", "/dapi/v1/income"): read(20),
    ("GET", "/dapi/v1/commissionRate"): read(20),
    ("GET", "/dapi/v1/leverageBracket"): read(1),
    ("GET", "/dapi/v2/leverageBracket"): read(by_symbol(1, 2)),
    ("POST", "/dapi/v1/leverage"): trade(1),
    ("POST", "/dapi/v1/marginType"): trade(1),
    ("POST", "/dapi/v1/positionSide/dual"): trade(1),
    ("GET", "/dapi/v1/positionSide/dual"): read(30),
    ("GET", "/dapi/v1/balance"): read(1),
    ("GET", "/dapi/v1/account"): read(5),
    ("GET", "/dapi/v1/positionRisk"): read(1),
    ("POST", "/dapi/v1/algoOrder"): trade(0, ONE),
    ("GET", "/dapi/v1/algoOrder"): read(1),
    ("DELETE", "/dapi/v1/algoOrder"): trade(1),
    ("GET", "/dapi/v1/openAlgoOrders"): read(by_symbol(1, 40)),
    ("GET", "/dapi/v1/allAlgoOrders"): read(5),
    ("DELETE", "/dapi/v1/algoOpenOrders"): trade(1),
    ("GET", ORDER_COUNTS): read(1),
    **listen_key(LISTEN_KEY),
}

TERMS: Final = replace(COIN_TERMS, assets=MARGIN_COINS)


def _deposits(account: Account) -> dict[str, str]:
    return account.coins


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
    order_counts=ORDER_COUNTS,
    opens=futures(coin_desks, TERMS),
    deposits=_deposits,
)
