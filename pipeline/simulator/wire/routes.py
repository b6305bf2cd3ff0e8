"""Which endpoints exist: what each weighs, who may call it, and who answers.

A table and nothing else. The market's answers are in `market_data`, the account's in `venue`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from pipeline.simulator.wire import market_data
from pipeline.simulator.wire.market_data import Answer
from pipeline.simulator.wire.security import Permission

Params = Mapping[str, str]
Weight = Callable[[Params], int]


class Guard(Enum):
    """What a caller must show."""

    NOTHING = auto()
    KEY = auto()
    SIGNATURE = auto()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method of one path. `answer` is None where the account answers."""

    weight: Weight
    guard: Guard = Guard.NOTHING
    permission: Permission = "read"
    orders: Weight | None = None
    answer: Answer | None = None

    @property
    def executes(self) -> bool:
        """Whether a call may change something, so that its outcome can be unknown."""
        return self.permission == "trade"


def constant(weight: int) -> Weight:
    """The same for every call."""
    return lambda _: weight


def by_symbol(one: int, every: int) -> Weight:
    """Cheaper for one symbol than for all of them."""
    return lambda params: one if params.get("symbol") else every


def klines_weight(params: Params) -> int:
    """Candles weigh by `limit`."""
    return _stairs(params.get("limit", "500"), ((99, 1), (499, 2), (1000, 5)), 10)


def depth_weight(params: Params) -> int:
    """A book weighs by `limit`."""
    return _stairs(params.get("limit", "500"), ((50, 2), (100, 5), (500, 10)), 20)


def _stairs(limit: str, steps: tuple[tuple[int, int], ...], above: int) -> int:
    asked = int(limit) if limit.isdecimal() else 0
    return next((weight for most, weight in steps if asked <= most), above)


def batch_size(params: Params) -> int:
    """How many orders a batch holds; a batch that cannot be read counts as one."""
    try:
        orders = json.loads(params.get("batchOrders", "[]"))
    except ValueError:
        return 1
    return len(orders) if isinstance(orders, list) and orders else 1


def _public(weight: int | Weight, answer: Answer) -> Endpoint:
    return Endpoint(constant(weight) if isinstance(weight, int) else weight, answer=answer)


def _read(weight: int | Weight) -> Endpoint:
    return Endpoint(constant(weight) if isinstance(weight, int) else weight, Guard.SIGNATURE)


def _trade(weight: int, orders: Weight | None = None) -> Endpoint:
    return Endpoint(constant(weight), Guard.SIGNATURE, "trade", orders)


ONE = constant(1)

ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    ("GET", "/fapi/v1/ping"): _public(1, market_data.ping),
    ("GET", "/fapi/v1/time"): _public(1, market_data.server_time),
    ("GET", "/fapi/v1/exchangeInfo"): _public(1, market_data.information),
    ("GET", "/fapi/v1/klines"): _public(klines_weight, market_data.klines),
    ("GET", "/fapi/v1/continuousKlines"): _public(klines_weight, market_data.continuous_klines),
    ("GET", "/fapi/v1/markPriceKlines"): _public(klines_weight, market_data.mark_price_klines),
    ("GET", "/fapi/v1/indexPriceKlines"): _public(klines_weight, market_data.index_price_klines),
    ("GET", "/fapi/v1/ticker/price"): _public(by_symbol(1, 2), market_data.ticker_price),
    ("GET", "/fapi/v2/ticker/price"): _public(by_symbol(1, 2), market_data.ticker_price),
    ("GET", "/fapi/v1/ticker/24hr"): _public(by_symbol(1, 40), market_data.ticker_24h),
    ("GET", "/fapi/v1/ticker/bookTicker"): _public(by_symbol(2, 5), market_data.book_ticker),
    ("GET", "/fapi/v1/premiumIndex"): _public(by_symbol(1, 10), market_data.premium_index),
    ("GET", "/fapi/v1/fundingRate"): _public(1, market_data.funding_rates),
    ("GET", "/fapi/v1/fundingInfo"): _public(1, market_data.funding_info),
    ("GET", "/fapi/v1/aggTrades"): _public(20, market_data.aggregate_trades),
    ("GET", "/fapi/v1/depth"): _public(depth_weight, market_data.depth),
    ("POST", "/fapi/v1/order"): _trade(0, ONE),
    ("PUT", "/fapi/v1/order"): _trade(1, ONE),
    ("GET", "/fapi/v1/order"): _read(1),
    ("DELETE", "/fapi/v1/order"): _trade(1),
    ("POST", "/fapi/v1/batchOrders"): _trade(5, batch_size),
    ("DELETE", "/fapi/v1/batchOrders"): _trade(1),
    ("GET", "/fapi/v1/openOrder"): _read(1),
    ("GET", "/fapi/v1/openOrders"): _read(by_symbol(1, 40)),
    ("GET", "/fapi/v1/allOrders"): _read(5),
    ("DELETE", "/fapi/v1/allOpenOrders"): _trade(1),
    ("GET", "/fapi/v1/userTrades"): _read(5),
    ("GET", "/fapi/v1/income"): _read(30),
    ("GET", "/fapi/v1/commissionRate"): _read(20),
    ("GET", "/fapi/v1/leverageBracket"): _read(1),
    ("POST", "/fapi/v1/leverage"): _trade(1),
    ("POST", "/fapi/v1/marginType"): _trade(1),
    ("POST", "/fapi/v1/positionSide/dual"): _trade(1),
    ("GET", "/fapi/v1/positionSide/dual"): _read(30),
    ("GET", "/fapi/v1/multiAssetsMargin"): _read(30),
    ("POST", "/fapi/v1/multiAssetsMargin"): _trade(1),
    ("GET", "/fapi/v1/feeBurn"): _read(30),
    ("POST", "/fapi/v1/feeBurn"): _trade(1),
    ("GET", "/fapi/v1/accountConfig"): _read(5),
    ("GET", "/fapi/v1/symbolConfig"): _read(5),
    ("GET", "/fapi/v2/balance"): _read(5),
    ("GET", "/fapi/v3/balance"): _read(5),
    ("GET", "/fapi/v2/account"): _read(5),
    ("GET", "/fapi/v3/account"): _read(5),
    ("GET", "/fapi/v2/positionRisk"): _read(5),
    ("GET", "/fapi/v3/positionRisk"): _read(5),
    ("POST", "/fapi/v1/algoOrder"): _trade(0, ONE),
    ("GET", "/fapi/v1/algoOrder"): _read(1),
    ("DELETE", "/fapi/v1/algoOrder"): _trade(1),
    ("GET", "/fapi/v1/openAlgoOrders"): _read(by_symbol(1, 40)),
    ("GET", "/fapi/v1/allAlgoOrders"): _read(5),
    ("DELETE", "/fapi/v1/algoOpenOrders"): _trade(1),
    ("POST", "/fapi/v1/listenKey"): Endpoint(ONE, Guard.KEY),
    ("PUT", "/fapi/v1/listenKey"): Endpoint(ONE, Guard.KEY),
    ("DELETE", "/fapi/v1/listenKey"): Endpoint(ONE, Guard.KEY),
}
