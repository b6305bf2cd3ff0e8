"""What the exchange allows for each symbol we trade, and what it costs now: asked once, followed from then on."""

from collections import Counter
from collections.abc import Iterable

from pipeline.exchange.market import MarketData
from pipeline.exchange.trading import Trading
from pipeline.execution.engine.events import Event, FeeSeen, PriceSeen, RulesSeen
from pipeline.execution.gateway import reports_in
from pipeline.execution.gateway.reports_in import Market
from pipeline.execution.runtime.inputs import Prices


class Instruments:
    """The symbols this executor knows. A signal of any other waits until it is known too."""

    def __init__(self, asking: Trading, data: MarketData, prices: Prices, market: Market) -> None:
        self._asking = asking
        self._data = data
        self._market = market
        self._prices = prices
        self.known: set[str] = set()
        self._fees_known: set[str] = set()
        self._fees_asked: Counter[str] = Counter()

    def rules(self, symbols: Iterable[str]) -> list[Event]:
        """Filters and margin of these symbols, and their last prices. Blocks; changes nothing at the exchange."""
        asof = self._asking.client.clock.now()
        product, listed = self._market.product, self._data.symbols()
        self._market.list(listed)
        trading = {one.symbol for one in listed if one.status == "TRADING" and one.filters is not None}
        configs, brackets = self._asking.symbol_configs(), self._asking.brackets()
        prices = self._data.prices()
        news: list[Event] = []
        for symbol in sorted(symbols):
            margin = reports_in.margin(configs[symbol]) if symbol in configs else None
            instrument = self._market.listed[symbol] if symbol in trading else None
            counted = instrument is not None and product.margin in {None, instrument.margin_asset}
            kept = reports_in.brackets(brackets.get(symbol, ()))
            news.append(RulesSeen(symbol, instrument if counted else None, margin, asof, kept))
            if symbol in prices:
                news.append(PriceSeen(symbol, *prices[symbol]))
        return news

    def a_fee(self) -> FeeSeen | None:
        """What we pay in the next symbol of which it is not known yet; None where it is of all. Blocks. It costs so
        much weight that a term asks one symbol after the other, and keeps the answer; one that got none has its turn
        again after the others."""
        waiting = sorted(self.known - self._fees_known)
        if not waiting:
            return None
        symbol = min(waiting, key=lambda one: self._fees_asked[one])
        self._fees_asked[symbol] += 1
        fee = self._asking.taker_fee(symbol)
        self._fees_known.add(symbol)
        return FeeSeen(symbol, fee)

    def follow(self, symbols: Iterable[str]) -> None:
        """Know these from now on. In the loop's thread."""
        new = set(symbols) - self.known
        self.known |= new
        self._prices.follow(new)
