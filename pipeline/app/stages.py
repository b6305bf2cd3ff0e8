"""Which of the chosen symbols a stage of production is too small for, by what the exchange says now. Only reads."""

from collections.abc import Iterable

from pipeline.app.wiring import exchange_of
from pipeline.exchange.market import MarketData
from pipeline.exchange.products.instrument import Instrument
from pipeline.exchange.products.product import Product
from pipeline.exchange.rest import RestClient
from pipeline.execution.engine.tradable import Listed, too_small
from pipeline.settings import Settings


def too_small_now(settings: Settings, symbols: Iterable[str], stages: Iterable[int]) -> dict[int, dict[str, str]]:
    """The symbols that each stage cannot trade, with the reason. Elsewhere than in production there are no stages."""
    place = exchange_of(settings, patient=False)
    if not place.is_production:
        return {}
    with RestClient(place) as client:
        listed = _listed(MarketData(client), place.product, set(symbols))
    return {stage: too_small(stage, settings.risk, listed) for stage in stages}


def _listed(market: MarketData, product: Product, symbols: set[str]) -> Listed:
    prices = market.prices()
    return {
        one.symbol: (Instrument.of(product, one), prices[one.symbol][0])
        for one in market.symbols()
        if one.symbol in symbols and one.filters is not None and one.symbol in prices
    }
