"""`exchangeInfo` of USD-M futures: every contract with its filters, and the limits, in the exchange's own field names.
What the other markets write alike is here too."""

from collections.abc import Iterable

from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.wire.weights import Limits, Period

STALE = 7_000  # the answer's own clock is cached: late by this much

ORDER_TYPES = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
TIME_IN_FORCE = ["GTC", "IOC", "FOK", "GTX", "GTD"]


def exchange_info(specs: Iterable[SymbolSpec], limits: Limits, now: int) -> dict[str, object]:
    """The whole answer."""
    listed = list(specs)
    quotes = sorted({spec.quote for spec in listed})
    return {
        "timezone": "UTC",
        "serverTime": now - STALE,
        "futuresType": "U_MARGINED",
        "rateLimits": rate_limits(limits),
        "exchangeFilters": [],
        "assets": [{"asset": quote, "marginAvailable": True, "autoAssetExchange": "-10000"} for quote in quotes],
        "symbols": [_symbol(spec) for spec in listed],
    }


def rate_limits(limits: Limits) -> list[dict[str, object]]:
    """The weight of a minute, then the orders of each period."""
    orders = [rate_limit("ORDERS", *Period.of(length), limit) for length, limit in limits.orders.items()]
    return [rate_limit("REQUEST_WEIGHT", "MINUTE", 1, limits.weight), *orders]


def rate_limit(kind: str, interval: str, number: int, limit: int) -> dict[str, object]:
    """One limit."""
    return {"rateLimitType": kind, "interval": interval, "intervalNum": number, "limit": limit}


def _symbol(spec: SymbolSpec) -> dict[str, object]:
    return {
        "symbol": spec.symbol,
        "pair": spec.symbol,
        "contractType": "" if spec.status == "PENDING_TRADING" else "PERPETUAL",
        "deliveryDate": spec.delivery,
        "onboardDate": spec.onboard,
        "status": spec.status,
        "maintMarginPercent": f"{spec.maintenance_rate * 100:.4f}",
        "requiredMarginPercent": "5.0000",
        "baseAsset": spec.base,
        "quoteAsset": spec.quote,
        "marginAsset": spec.quote,
        "pricePrecision": spec.price_precision,
        "quantityPrecision": spec.quantity_precision,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": ["PoW"] if spec.base == "BTC" else ["Layer-1"],
        "triggerProtect": "0.0500",
        "liquidationFee": f"{spec.liquidation_fee:.6f}",
        "marketTakeBound": f"{spec.multiplier_up - 1:.2f}",
        "maxMoveOrderLimit": 10000,
        "filters": filters(spec),
        "orderTypes": ORDER_TYPES,
        "timeInForce": TIME_IN_FORCE,
        "permissionSets": ["GRID", "COPY"],
    }


def filters(spec: SymbolSpec) -> list[dict[str, object]]:
    """The filters of a USD-M contract."""
    return [
        *grid_filters(spec),
        {"filterType": "MIN_NOTIONAL", "notional": f"{spec.min_notional:f}"},
        percent_price(spec),
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
    ]


def grid_filters(spec: SymbolSpec) -> list[dict[str, object]]:
    """The filters of prices, quantities and numbers of orders that all contracts have."""
    step = f"{spec.step.normalize():f}"
    tick = f"{spec.tick:f}" if spec.tick else "0"
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": tick,
            "maxPrice": f"{spec.tick * 10**8:f}" if spec.tick else "0",
            "tickSize": tick,
        },
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": f"{spec.max_quantity:f}", "stepSize": step},
        {"filterType": "MARKET_LOT_SIZE", "minQty": step, "maxQty": f"{spec.market_max_quantity:f}", "stepSize": step},
        {"filterType": "MAX_NUM_ORDERS", "limit": spec.max_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": spec.max_algo_orders},
    ]


def percent_price(spec: SymbolSpec) -> dict[str, object]:
    """How far a limit price may be from the mark price."""
    return {
        "filterType": "PERCENT_PRICE",
        "multiplierUp": f"{spec.multiplier_up:.4f}",
        "multiplierDown": f"{spec.multiplier_down:.4f}",
        "multiplierDecimal": "4",
    }
