"""What somebody meant who named a symbol, or a length of candles, at an exchange of another market. Asks nothing."""

from collections.abc import Iterable

from pipeline.errors import UsageError
from pipeline.exchange.environments import ENVIRONMENTS
from pipeline.exchange_names import beside
from pipeline.nearest import hint
from pipeline.timeline import Interval


def meant(symbol: str, exchange: str, known: Iterable[str]) -> str:
    """What a symbol that is not known there may have been meant for, as the next sentence of an error: one that is a
    slip away, or the market whose symbols are written so."""
    return hint(symbol, known) or _elsewhere(symbol, exchange)


def require_offered(exchange: str, step: Interval) -> None:
    """Refuse candles of a length that the market does not have; the markets for the same money that do."""
    here = ENVIRONMENTS.get(exchange)
    if here is None or here.product.offers(step):
        return
    others = [name for name in beside(exchange) if ENVIRONMENTS[name].product.offers(step)]
    raise UsageError(f"{exchange} has no {step} candles: --exchange {' or '.join(others)}")


def _elsewhere(symbol: str, exchange: str) -> str:
    here = ENVIRONMENTS.get(exchange)
    if here is None or here.product.written.fullmatch(symbol):
        return ""
    others = [ENVIRONMENTS[name] for name in beside(exchange)]
    found = [one for one in others if one.product.written.fullmatch(symbol)]
    if not found:
        return ""
    markets = " or ".join(dict.fromkeys(one.product.short for one in found))
    return f" {symbol} is {markets}: --exchange {' or '.join(one.name for one in found)}."
