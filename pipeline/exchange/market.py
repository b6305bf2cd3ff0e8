"""Public market data by REST: the symbols, and klines window by window."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import polars as pl

from pipeline.exchange.errors import BadAnswerError
from pipeline.exchange.klines import candles
from pipeline.exchange.products.product import Ask
from pipeline.exchange.reports import PriceReport, read
from pipeline.exchange.rest import RestClient
from pipeline.exchange.symbols import symbols
from pipeline.timeline import Interval, Window
from schemas.symbols import Symbol

PAGE: Final = 499
"""Candles a request: the most that cost a weight of 2, and so the most candles for the weight."""
PAGE_WEIGHT: Final = 2
_SMALL_PAGE: Final = 99
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Market:
    """What the exchange publishes to everybody."""

    client: RestClient

    def symbols(self) -> list[Symbol]:
        """Everything that trades, has traded or is about to."""
        answer = self.client.ask(Ask.EXCHANGE_INFO)
        return symbols(answer.payload, self.client.environment.name, self.client.clock.now())

    def prices(self) -> dict[str, tuple[Decimal, int]]:
        """The last price of each symbol, and when it was made."""
        answer = self.client.ask(Ask.PRICES)
        rows = read(answer.payload, list[PriceReport], "prices")
        return {row.symbol: (row.price, row.time) for row in rows}

    def klines(self, symbol: str, interval: Interval, window: Window) -> pl.DataFrame:
        """The candles that open in `window`, which holds at most a page of them. The last may be open, and says so: by
        a clock that is not in doubt. An answer whose rows make no sense is asked for again before it is an error."""
        limit = interval.count(*window)
        if not 1 <= limit <= PAGE:
            raise ValueError(f"a page holds 1 to {PAGE} candles, not {limit}")
        parameters = {
            "symbol": symbol,
            "interval": interval.code,
            "startTime": window.start,
            "endTime": window.end,
            "limit": limit,
        }
        weight = 1 if limit <= _SMALL_PAGE else PAGE_WEIGHT
        for tries_left in range(_TRIES - 1, -1, -1):
            self.client.keep_clock()
            answer = self.client.ask(Ask.KLINES, parameters, weight=weight)
            try:
                return candles(answer.payload, symbol, interval, window, answer.asked_at)
            except BadAnswerError:
                if tries_left == 0:
                    raise
        raise AssertionError("the last try returns or raises")
