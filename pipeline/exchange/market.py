"""Public market data by REST: the symbols, and klines window by window."""

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import ClassVar, Final

import polars as pl

from pipeline.exchange.errors import BadAnswerError
from pipeline.exchange.frames import Kline
from pipeline.exchange.klines import candles, in_coins
from pipeline.exchange.products.product import Ask, Klines
from pipeline.exchange.reports import FundingReport, PriceReport, read
from pipeline.exchange.rest import RestClient
from pipeline.exchange.symbols import symbols
from pipeline.timeline import Interval, Window, to_datetime
from schemas.funding import Settlement
from schemas.symbols import Symbol

_ONE: Final = Decimal(1)
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class MarketData:
    """What the exchange publishes to everybody."""

    client: RestClient
    asked: Ask = Ask.KLINES
    """Which klines: those of trades, or those of the mark price."""
    _sizes: dict[str, Decimal] = field(default_factory=dict, repr=False, compare=False)

    @property
    def has_marks(self) -> bool:
        """Whether the market has a mark price."""
        return Ask.MARK_KLINES in self.client.environment.product.endpoints

    def of_marks(self) -> "MarketData":
        """The same, whose klines are those of the mark price: prices alone."""
        return replace(self, asked=Ask.MARK_KLINES)

    def symbols(self) -> list[Symbol]:
        """Everything that trades, has traded or is about to."""
        answer = self.client.ask(Ask.EXCHANGE_INFO)
        place, now = self.client.environment, self.client.clock.now()
        found = symbols(answer.payload, place.name, now, place.product.listing)
        self._sizes.update({one.symbol: one.contract_size for one in found if one.contract_size is not None})
        return found

    def prices(self) -> dict[str, tuple[Decimal, int]]:
        """The last price of each symbol, and when it was made, or told where the market does not say that."""
        answer = self.client.ask(Ask.PRICES)
        rows = read(answer.payload, list[PriceReport], "prices")
        return {row.symbol: (row.price, answer.asked_at if row.time is None else row.time) for row in rows}

    settlements_at_most: ClassVar[int] = 1_000
    """In one answer."""

    def settlements(self, symbol: str, since: int) -> list[Settlement]:
        """What was exchanged as funding from then on, oldest first: at most a thousand. A market without funding has
        none."""
        if Ask.FUNDING not in self.client.environment.product.endpoints:
            return []
        asked = {"symbol": symbol, "startTime": since, "limit": self.settlements_at_most}
        rows = read(self.client.ask(Ask.FUNDING, asked).payload, list[FundingReport], "funding")
        return sorted((_settlement(one) for one in rows if one.symbol == symbol), key=lambda one: one.t)

    def page(self, interval: Interval) -> int:
        """The most candles that one request may ask for."""
        return self._klines.most(interval)

    def size(self, symbol: str) -> Decimal:
        """What a contract of it is a contract of. Asked for once, where the market counts contracts; else it is 1."""
        if self._counts_coins:
            return _ONE
        if symbol not in self._sizes:
            self.symbols()
        if symbol not in self._sizes:
            raise BadAnswerError(f"{symbol}: the exchange does not say how large a contract of it is")
        return self._sizes[symbol]

    def klines(self, symbol: str, interval: Interval, window: Window) -> pl.DataFrame:
        """The candles that open in `window`, which holds at most a page of them. The last may be open, and says so: by
        a clock that is not in doubt. An answer whose rows make no sense is asked for again before it is an error."""
        limit = interval.count(*window)
        if not 1 <= limit <= self.page(interval):
            raise ValueError(f"a page holds 1 to {self.page(interval)} candles, not {limit}")
        size = self.size(symbol)
        parameters = {
            "symbol": symbol,
            "interval": interval.code,
            "startTime": window.start,
            "endTime": window.end,
            "limit": limit,
        }
        for tries_left in range(_TRIES - 1, -1, -1):
            self.client.keep_clock()
            answer = self.client.ask(self.asked, parameters, weight=self._klines.weight(limit))
            try:
                table = candles(answer.payload, symbol, interval, window, answer.asked_at, crooked=self._klines.crooked)
                return in_coins(table, self.client.environment.product.arithmetic, size)
            except BadAnswerError:
                if tries_left == 0:
                    raise
        raise AssertionError("the last try returns or raises")

    def volumes(self, symbol: str, k: Kline) -> tuple[float, float, float, float] | None:
        """The volumes in a frame, as coins and as what these cost, and of both what takers bought. Asks nothing: None
        where the size of the contract has not been told yet."""
        if self._counts_coins:
            return k.v, k.q, k.V, k.Q
        size = self._sizes.get(symbol)
        return None if size is None else (k.q, k.v * float(size), k.Q, k.V * float(size))

    @property
    def _counts_coins(self) -> bool:
        return self.client.environment.product.arithmetic.counts == "base"

    @property
    def _klines(self) -> Klines:
        return self.client.environment.product.klines


def _settlement(row: FundingReport) -> Settlement:
    mark = Decimal(row.mark_price) if row.mark_price else None
    return Settlement(t=to_datetime(row.funding_time), rate=row.funding_rate, mark=mark or None)
