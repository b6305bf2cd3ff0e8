"""`exchangeInfo` into symbols with exact filters. A symbol that the exchange has not finished setting up has none; one
that cannot be read is left out and named in the log. Neither spoils the rest."""

import logging
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from pipeline.exchange.errors import BadAnswerError
from pipeline.timeline import to_datetime
from schemas.symbols import Filters, Symbol

log = logging.getLogger(__name__)

_LAST_MOMENT = 253_402_300_799_000  # the year 9999: the exchange writes 4133404800000 for "never", others may not


def symbols(answer: object, exchange: str, now: int) -> list[Symbol]:
    """Every symbol that can be read, in the exchange's order."""
    listed = answer.get("symbols") if isinstance(answer, Mapping) else None
    if not isinstance(listed, list):
        raise BadAnswerError("exchangeInfo: the answer has no list of symbols")
    updated_at = to_datetime(now)
    return [found for one in listed if (found := _readable(one, exchange, updated_at)) is not None]


def _readable(one: Any, exchange: str, updated_at: datetime) -> Symbol | None:
    try:
        return _symbol(one, exchange, updated_at)
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        name = one.get("symbol") if isinstance(one, Mapping) else one
        log.warning("exchangeInfo: %.40r is left out: %s: %s", name, type(error).__name__, error)
        return None


def _symbol(one: Mapping[str, Any], exchange: str, updated_at: datetime) -> Symbol:
    return Symbol(
        id=f"{exchange}:{one['symbol']}",
        exchange=exchange,
        symbol=one["symbol"],
        pair=one["pair"],
        contract_type=one["contractType"],
        status=one["status"],
        base_asset=one["baseAsset"],
        quote_asset=one["quoteAsset"],
        margin_asset=one["marginAsset"],
        price_precision=one["pricePrecision"],
        quantity_precision=one["quantityPrecision"],
        onboarded=to_datetime(one["onboardDate"]),
        delivery=to_datetime(min(one["deliveryDate"], _LAST_MOMENT)),
        filters=_filters(one["filters"]),
        updated_at=updated_at,
    )


def _filters(listed: list[Mapping[str, Any]]) -> Filters | None:
    """None where tick or step is still zero: such a symbol cannot be traded yet."""
    by_type = {one["filterType"]: one for one in listed}
    price, lot, market = by_type["PRICE_FILTER"], by_type["LOT_SIZE"], by_type["MARKET_LOT_SIZE"]
    found = Filters(
        tick_size=Decimal(price["tickSize"]),
        min_price=Decimal(price["minPrice"]),
        max_price=Decimal(price["maxPrice"]),
        step_size=Decimal(lot["stepSize"]),
        min_quantity=Decimal(lot["minQty"]),
        max_quantity=Decimal(lot["maxQty"]),
        market_step_size=Decimal(market["stepSize"]),
        market_min_quantity=Decimal(market["minQty"]),
        market_max_quantity=Decimal(market["maxQty"]),
        min_notional=Decimal(by_type["MIN_NOTIONAL"]["notional"]),
        multiplier_up=Decimal(by_type["PERCENT_PRICE"]["multiplierUp"]),
        multiplier_down=Decimal(by_type["PERCENT_PRICE"]["multiplierDown"]),
        max_orders=int(by_type["MAX_NUM_ORDERS"]["limit"]),
    )
    return found if found.tick_size > 0 and found.step_size > 0 else None
