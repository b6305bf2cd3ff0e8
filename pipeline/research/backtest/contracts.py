"""A symbol as the simulator's exchange knows it: its grid, its filters, and how its contracts are counted. Pure."""

from decimal import Decimal
from typing import Any

from pipeline.exchange.products.product import Product
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.minutes import Minutes
from pipeline.simulator.market.coin_contracts import BRACKET_UNITS, LIQUIDATION_FEE
from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.worth import Inverse
from schemas.symbols import Symbol


def spec_of(asked: Asked, symbol: Symbol) -> SymbolSpec:
    """The contract as the venue knows it, under these rules of it."""
    filters, minutes = symbol.filters, asked.minutes[symbol.symbol]
    if filters is None:
        raise ValueError(f"{symbol.symbol} has no filters")
    return SymbolSpec(
        symbol=symbol.symbol,
        base=symbol.base_asset,
        quote=symbol.quote_asset,
        tick=minutes.tick,
        step=filters.step_size,
        onboard=minutes.start,
        min_notional=filters.min_notional,
        max_quantity=filters.max_quantity,
        market_max_quantity=filters.market_max_quantity,
        price_precision=symbol.decimals,
        quantity_precision=symbol.quantity_precision,
        multiplier_up=filters.multiplier_up,
        multiplier_down=filters.multiplier_down,
        max_orders=filters.max_orders,
        taker=symbol.taker_fee,
        half_spread=asked.assumptions.half_spread(symbol.symbol),
        **_counted(asked.product, symbol, minutes),
    )


def _counted(product: Product, symbol: Symbol, minutes: Minutes) -> dict[str, Any]:
    """What one that is paid in a coin has otherwise. Where the steps of its brackets are not known, they are those of
    dollars, in coins of the first price."""
    if product.arithmetic.counts != "contracts":
        return {}
    unit = BRACKET_UNITS.get(symbol.base_asset) or 1 / (int(minutes.open[0]) * minutes.tick)
    worth = Inverse(symbol.margin_asset, symbol.contract_size or Decimal(1))
    return {"worth": worth, "bracket_unit": unit, "liquidation_fee": LIQUIDATION_FEE}
