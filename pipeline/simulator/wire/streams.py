"""The names of streams: what `btcusdt@kline_1m` means and on which route it is delivered. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline.simulator.types import SymbolSpec
from pipeline.timeline import INTERVALS, Interval


class Route(StrEnum):
    """The three routed paths, and the old one without a route."""

    MARKET = "market"
    PUBLIC = "public"
    PRIVATE = "private"
    UNROUTED = "unrouted"


class Topic(StrEnum):
    """What a stream tells."""

    KLINE = "kline"
    CONTINUOUS_KLINE = "continuousKline"
    MARK_PRICE = "markPrice"
    ALL_MARK_PRICES = "allMarkPrices"
    AGGREGATE_TRADE = "aggTrade"
    BOOK_TICKER = "bookTicker"


_MARKET_ROUTES = frozenset((Route.MARKET,))
_BOOK_ROUTES = frozenset((Route.PUBLIC, Route.UNROUTED))

_ALL_MARK_PRICES = re.compile(r"!markPrice@arr(@1s)?")
_OF_SYMBOL = re.compile(
    r"(?P<symbol>[^@]+)@(?:kline_(?P<kline>\w+)|continuousKline_(?P<continuous>\w+)"
    r"|markPrice(?P<fast>@1s)?|(?P<plain>aggTrade|bookTicker))"
)


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that exists. `every` is the pause between frames where the exchange sends by the clock, in ms."""

    name: str
    topic: Topic
    symbol: str = ""
    interval: Interval | None = None
    every: int = 0

    @property
    def routes(self) -> frozenset[Route]:
        """Where it is delivered. Elsewhere a subscription is acknowledged and stays silent."""
        return _BOOK_ROUTES if self.topic is Topic.BOOK_TICKER else _MARKET_ROUTES


def parse_stream(name: str, specs: Mapping[str, SymbolSpec]) -> Stream | None:
    """The stream of that name; None for a name that means nothing, which the exchange accepts and never serves."""
    everything = _ALL_MARK_PRICES.fullmatch(name)
    if everything:
        return Stream(name, Topic.ALL_MARK_PRICES, every=_pace(everything[1]))
    found = _OF_SYMBOL.fullmatch(name)
    if not found or found["symbol"] != found["symbol"].lower():
        return None
    if found["continuous"]:
        pair, _, contract = found["symbol"].rpartition("_")
        return (
            _candles(name, Topic.CONTINUOUS_KLINE, pair, found["continuous"], specs)
            if contract == "perpetual"
            else None
        )
    if found["kline"]:
        return _candles(name, Topic.KLINE, found["symbol"], found["kline"], specs)
    symbol = found["symbol"].upper()
    if symbol not in specs:
        return None
    if found["plain"]:
        return Stream(name, Topic(found["plain"]), symbol)
    return Stream(name, Topic.MARK_PRICE, symbol, every=_pace(found["fast"]))


def _candles(name: str, topic: Topic, pair: str, code: str, specs: Mapping[str, SymbolSpec]) -> Stream | None:
    symbol, step = pair.upper(), INTERVALS.get(code)
    return Stream(name, topic, symbol, step) if step and symbol in specs else None


def _pace(fast: str | None) -> int:
    return 1_000 if fast else 3_000
