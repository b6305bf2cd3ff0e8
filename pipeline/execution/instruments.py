"""What the exchange allows for each symbol we trade, and what it costs now: asked once, followed from then on."""

from collections.abc import Iterable

from pipeline.exchange.market import Market
from pipeline.exchange.trading import Trading
from pipeline.execution.events import Event, PriceSeen, RulesSeen
from pipeline.execution.sources import Prices


class Instruments:
    """The symbols this executor knows. A signal of any other waits until it is known too."""

    def __init__(self, asking: Trading, market: Market, prices: Prices) -> None:
        self._asking = asking
        self._market = market
        self._prices = prices
        self.known: set[str] = set()

    def rules(self, symbols: Iterable[str]) -> list[Event]:
        """Filters and leverage of these symbols, and their last prices. Blocks; changes nothing."""
        asof = self._asking.client.clock.now()
        filters = {one.symbol: one.filters for one in self._market.symbols() if one.status == "TRADING"}
        leverages = self._asking.leverages()
        prices = self._market.prices()
        news: list[Event] = []
        for symbol in sorted(symbols):
            news.append(RulesSeen(symbol, filters.get(symbol), leverages.get(symbol), asof))
            if symbol in prices:
                news.append(PriceSeen(symbol, *prices[symbol]))
        return news

    def follow(self, symbols: Iterable[str]) -> None:
        """Know these from now on. In the loop's thread."""
        new = set(symbols) - self.known
        self.known |= new
        self._prices.follow(new)
