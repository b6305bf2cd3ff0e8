"""USD-M futures: contracts of a coin, priced, margined and paid in a stablecoin."""

from types import MappingProxyType
from typing import Final

from pipeline.simulator.market.universe import contracts
from pipeline.simulator.options import Account
from pipeline.simulator.products.product import Product
from pipeline.simulator.venue import usd_desks
from pipeline.simulator.venue.account import MARGIN_ASSET
from pipeline.simulator.venue.trading import futures
from pipeline.simulator.wire import market_data
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

LISTEN_KEY: Final = "/fapi/v1/listenKey"
ORDER_COUNTS: Final = "/fapi/v1/rateLimit/order"

ENDPOINTS: Final[dict[tuple[str, str], Endpoint]] = {
    ("GET", "/fapi/v1/ping"): public(1, market_data.ping),
    ("GET", "/fapi/v1/time"): public(1, market_data.server_time),
    ("GET", "/fapi/v1/exchangeInfo"): public(1, market_data.information),
    ("GET", "/fapi/v1/klines"): public(klines_weight, market_data.klines),
    ("GET", "/fapi/v1/continuousKlines"): public(klines_weight, market_data.continuous_klines),
    ("GET", "/fapi/v1/markPriceKlines"): public(klines_weight, market_data.mark_price_klines),
    ("GET", "/fapi/v1/indexPriceKlines"): public(klines_weight, market_data.index_price_klines),
    ("GET", "/fapi/v1/premiumIndexKlines"): public(klines_weight, market_data.premium_index_klines),
    ("GET", "/fapi/v1/ticker/price"): public(by_symbol(1, 2), market_data.ticker_price),
    ("GET", "/fapi/v2/ticker/price"): public(by_symbol(1, 2), market_data.ticker_price),
    ("GET", "/fapi/v1/ticker/24hr"): public(by_symbol(1, 40), market_data.ticker_24h),
    ("GET", "/fapi/v1/ticker/bookTicker"): public(by_symbol(2, 5), market_data.book_ticker),
    ("GET", "/fapi/v1/premiumIndex"): public(by_symbol(1, 10), market_data.premium_index),
    ("GET", "/fapi/v1/fundingRate"): public(1, market_data.funding_rates),
    ("GET", "/fapi/v1/fundingInfo"): public(1, market_data.funding_info),
    ("GET", "/fapi/v1/aggTrades"): public(20, market_data.aggregate_trades),
    ("GET", "/fapi/v1/depth"): public(depth_weight, market_data.depth),
    ("GET", "/fapi/v1/trades"): public(5, market_data.trades),
    ("GET", "/fapi/v1/historicalTrades"): keyed(20, market_data.historical_trades),
    ("GET", "/fapi/v1/openInterest"): public(1, market_data.open_interest),
    ("POST", "/fapi/v1/order"): trade(0, ONE),
    ("PUT", "/fapi/v1/order"): trade(1, ONE),
    ("GET", "/fapi/v1/order"): read(1),
    ("DELETE", "/fapi/v1/order"): trade(1),
    ("POST", "/fapi/v1/batchOrders"): trade(5, batch_size),
    ("PUT", "/fapi/v1/batchOrders"): trade(5, batch_size),
    ("DELETE", "/fapi/v1/batchOrders"): trade(1),
    ("POST", "/fapi/v1/countdownCancelAll"): trade(10),
    ("POST", "/fapi/v1/positionMargin"): trade(1),
    ("GET", "/fapi/v1/positionMargin/history"): read(1),
    ("GET", "/fapi/v1/forceOrders"): read(by_symbol(20, 50)),
    ("GET", "/fapi/v1/adlQuantile"): read(5),
    ("GET", "/fapi/v1/openOrder"): read(1),
    ("GET", "/fapi/v1/openOrders"): read(by_symbol(1, 40)),
    ("GET", "/fapi/v1/allOrders"): read(5),
    ("DELETE", "/fapi/v1/allOpenOrders"): trade(1),
    ("GET", "/fapi/v1/userTrades"): read(5),
    ("GET", "/fapi/v1/income"): read(30),
    ("GET", "/fapi/v1/commissionRate"): read(20),
    ("GET", "/fapi/v1/leverageBracket"): read(1),
    ("POST", "/fapi/v1/leverage"): trade(1),
    ("POST", "/fapi/v1/marginType"): trade(1),
    ("POST", "/fapi/v1/positionSide/dual"): trade(1),
    ("GET", "/fapi/v1/positionSide/dual"): read(30),
    ("GET", "/fapi/v1/multiAssetsMargin"): read(30),
    ("POST", "/fapi/v1/multiAssetsMargin"): trade(1),
    ("GET", "/fapi/v1/feeBurn"): read(30),
    ("POST", "/fapi/v1/feeBurn"): trade(1),
    ("GET", "/fapi/v1/accountConfig"): read(5),
    ("GET", "/fapi/v1/symbolConfig"): read(5),
    ("GET", "/fapi/v2/balance"): read(5),
    ("GET", "/fapi/v3/balance"): read(5),
    ("GET", "/fapi/v2/account"): read(5),
    ("GET", "/fapi/v3/account"): read(5),
    ("GET", "/fapi/v2/positionRisk"): read(5),
    ("GET", "/fapi/v3/positionRisk"): read(5),
    ("POST", "/fapi/v1/algoOrder"): trade(0, ONE),
    ("GET", "/fapi/v1/algoOrder"): read(1),
    ("DELETE", "/fapi/v1/algoOrder"): trade(1),
    ("GET", "/fapi/v1/openAlgoOrders"): read(by_symbol(1, 40)),
    ("GET", "/fapi/v1/allAlgoOrders"): read(5),
    ("DELETE", "/fapi/v1/algoOpenOrders"): trade(1),
    ("GET", ORDER_COUNTS): read(1),
    **listen_key(LISTEN_KEY),
}


def _deposits(account: Account) -> dict[str, str]:
    return {MARGIN_ASSET: account.deposit, **account.others}


UM: Final = Product(
    name="um",
    title="USD-M futures",
    pool="futures",
    contracts=contracts,
    limits=Limits(),
    endpoints=MappingProxyType(ENDPOINTS),
    klines=KlineRules(),
    streams=StreamRules(marks={"st": 1}),
    archive=ArchiveRules(),
    listen_key=LISTEN_KEY,
    order_counts=ORDER_COUNTS,
    opens=futures(usd_desks),
    deposits=_deposits,
)
