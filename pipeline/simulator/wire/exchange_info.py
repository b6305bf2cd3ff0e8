"""`GET /fapi/v1/exchangeInfo`: every contract with its filters, and the limits, in the exchange's own field names."""

from collections.abc import Iterable

from pipeline.simulator.types import UNLISTED, SymbolSpec
from pipeline.simulator.wire.weights import Limits

STALE = 7_000  # the answer's own clock is cached: late by this much

ORDER_TYPES = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
TIME_IN_FORCE = ["GTC", "IOC", "FOK", "GTX", "GTD"]


def exchange_info(specs: Iterable[SymbolSpec], limits: Limits, now: int) -> dict[str, object]:
    """The whole answer."""
    listed = [spec for spec in specs if spec.status != UNLISTED]
    quotes = sorted({spec.quote for spec in listed})
    return {
        "timezone": "UTC",
        "serverTime": now - STALE,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            _rate_limit("REQUEST_WEIGHT", "MINUTE", 1, limits.weight),
            _rate_limit("ORDERS", "MINUTE", 1, limits.orders_1m),
            _rate_limit("ORDERS", "SECOND", 10, limits.orders_10s),
        ],
        "exchangeFilters": [],
        "assets": [{"asset": quote, "marginAvailable": True, "autoAssetExchange": "-10000"} for quote in quotes],
        "symbols": [_symbol(spec) for spec in listed],
    }


def _rate_limit(kind: str, interval: str, number: int, limit: int) -> dict[str, object]:
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
        "filters": _filters(spec),
        "orderTypes": ORDER_TYPES,
        "timeInForce": TIME_IN_FORCE,
        "permissionSets": ["GRID", "COPY"],
    }


def _filters(spec: SymbolSpec) -> list[dict[str, object]]:
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
        {"filterType": "MIN_NOTIONAL", "notional": f"{spec.min_notional:f}"},
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": f"{spec.multiplier_up:.4f}",
            "multiplierDown": f"{spec.multiplier_down:.4f}",
            "multiplierDecimal": "4",
        },
        {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
    ]
