"""`exchangeInfo` into symbols with exact filters. A symbol that the exchange has not finished setting up has none; one
that cannot be read is left out and named in the log. Neither spoils the rest."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from pipeline.exchange.errors import BadAnswerError
from pipeline.exchange.products.product import Listing, Named
from pipeline.timeline import to_datetime
from schemas.symbols import Filters, Symbol

log = logging.getLogger(__name__)

Rules = Mapping[str, Mapping[str, Any]]

_LAST_MOMENT: Final = (
    253_402_300_799_000  # the year 9999: the exchange writes 4133404800000 for "never", others may not
)
_ANY_PRICE: Final = Decimal(10**6)
"""Times its reference: no price is that far from it."""


def symbols(answer: object, exchange: str, now: int, listing: Listing) -> list[Symbol]:
    """Every symbol that can be read, in the exchange's order. `listing`: how its market writes them."""
    listed = answer.get("symbols") if isinstance(answer, Mapping) else None
    if not isinstance(listed, list):
        raise BadAnswerError("exchangeInfo: the answer has no list of symbols")
    updated_at = to_datetime(now)
    return [found for one in listed if (found := _readable(one, exchange, updated_at, listing)) is not None]


def _readable(one: Any, exchange: str, updated_at: datetime, listing: Listing) -> Symbol | None:
    try:
        return _symbol({**listing.assumed, **one}, exchange, updated_at, listing)
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        name = one.get("symbol") if isinstance(one, Mapping) else one
        log.warning("exchangeInfo: %.40r is left out: %s: %s", name, type(error).__name__, error)
        return None


def _symbol(one: Mapping[str, Any], exchange: str, updated_at: datetime, listing: Listing) -> Symbol:
    """Coins that are paid at once have no pair, margin or precision of their own: they follow from the rest."""
    rules = {each["filterType"]: each for each in one["filters"]}
    if missing := listing.required - rules.keys():
        raise KeyError(*sorted(missing))
    size = one.get("contractSize")
    return Symbol(
        id=f"{exchange}:{one['symbol']}",
        exchange=exchange,
        symbol=one["symbol"],
        pair=one.get("pair", one["symbol"]),
        contract_type=one["contractType"],
        status=one[listing.status],
        base_asset=one["baseAsset"],
        quote_asset=one["quoteAsset"],
        margin_asset=one.get("marginAsset", one["quoteAsset"]),
        price_precision=one.get("pricePrecision", _decimals(rules["PRICE_FILTER"]["tickSize"])),
        quantity_precision=one.get("quantityPrecision", _decimals(rules["LOT_SIZE"]["stepSize"])),
        contract_size=None if size is None else Decimal(str(size)),
        onboarded=to_datetime(one["onboardDate"]),
        delivery=to_datetime(min(one["deliveryDate"], _LAST_MOMENT)),
        filters=_filters(rules, listing),
        updated_at=updated_at,
    )


def _filters(rules: Rules, listing: Listing) -> Filters | None:
    """None where tick or step is still zero: such a symbol cannot be traded yet."""
    price, lot, market = rules["PRICE_FILTER"], rules["LOT_SIZE"], rules["MARKET_LOT_SIZE"]
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
        min_notional=_named(rules, listing.min_notional) or Decimal(),
        max_notional=_named(rules, listing.max_notional),
        multiplier_up=_named(rules, listing.multiplier_up) or _ANY_PRICE,
        multiplier_down=_named(rules, listing.multiplier_down) or Decimal(),
        sell_multiplier_up=_named(rules, listing.sell_multiplier_up),
        sell_multiplier_down=_named(rules, listing.sell_multiplier_down),
        max_orders=int(rules[listing.max_orders.filter][listing.max_orders.field]),
    )
    return found if found.tick_size > 0 and found.step_size > 0 else None


def _named(rules: Rules, names: Sequence[Named]) -> Decimal | None:
    """The first of these that the symbol has."""
    return next((Decimal(rules[one.filter][one.field]) for one in names if one.filter in rules), None)


def _decimals(text: str) -> int:
    exponent = Decimal(text).normalize().as_tuple().exponent
    return max(0, -int(exponent))
