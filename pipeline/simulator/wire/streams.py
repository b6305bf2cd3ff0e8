"""The names of streams: what `btcusdt@kline_1m` means and on which route it is delivered. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pipeline.simulator.market.quarters import contract_type
from pipeline.simulator.types import PERPETUAL, QUARTER, SymbolSpec
from pipeline.timeline import INTERVALS, SECOND, Interval


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


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRules:
    """How a market streams, and the manners of its connections."""

    routed: bool = True
    """Whether each stream has a route. Where there are none, one path delivers everything."""
    topics: frozenset[Topic] = frozenset(Topic)
    marks: Mapping[str, object] = field(default_factory=dict)
    """What every frame of quotes, trades and mark prices has besides: which market it is of."""
    omits: frozenset[str] = frozenset()
    """What a frame of quotes lacks."""
    intervals: Mapping[str, Interval] = field(default_factory=lambda: INTERVALS)
    period: int = 250
    """The shortest time between two frames of a stream, in ms of server time."""
    ping_every: float = 180
    patience: float = 600
    most_messages: int = 10
    """Messages a second that a client may send."""
    counts_pongs: bool = False
    null_id: bool = False
    """Whether a request may do without an id."""
    flat_errors: bool = False
    """Whether an error is `{"code", "msg", "id"}`, rather than within `error`."""

    @property
    def paths(self) -> tuple[str, ...]:
        """Below which paths the streams are."""
        return tuple(f"/{route}" for route in Route if route is not Route.UNROUTED) if self.routed else ("",)


_MARKET_ROUTES = frozenset((Route.MARKET,))
_BOOK_ROUTES = frozenset((Route.PUBLIC, Route.UNROUTED))

_ALL_MARK_PRICES = re.compile(r"!markPrice@arr(@1s)?")
_OF_SYMBOL = re.compile(
    r"(?P<symbol>[^@]+)@(?:kline_(?P<kline>\w+)|continuousKline_(?P<continuous>\w+)"
    r"|markPrice(?P<fast>@1s)?|(?P<plain>aggTrade|bookTicker))"
)
_CONTRACT = re.compile(r"(?P<pair>.+)_(?P<type>perpetual|current_quarter|next_quarter)")


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that exists. `every` is the pause between frames where the exchange sends by the clock, in ms."""

    name: str
    topic: Topic
    symbol: str = ""
    interval: Interval | None = None
    every: int = 0
    until: int | None = None
    """When its contract ends, and another takes its place."""

    @property
    def routes(self) -> frozenset[Route]:
        """Where it is delivered. Elsewhere a subscription is acknowledged and stays silent."""
        return _BOOK_ROUTES if self.topic is Topic.BOOK_TICKER else _MARKET_ROUTES


def parse_stream(
    name: str, specs: Mapping[str, SymbolSpec], now: int, intervals: Mapping[str, Interval] = INTERVALS
) -> Stream | None:
    """The stream of that name; None for a name that means nothing, which the exchange accepts and never serves."""
    everything = _ALL_MARK_PRICES.fullmatch(name)
    if everything:
        return Stream(name, Topic.ALL_MARK_PRICES, every=_pace(everything[1]))
    found = _OF_SYMBOL.fullmatch(name)
    if not found or found["symbol"] != found["symbol"].lower():
        return None
    if found["continuous"]:
        return _continuous(name, found["symbol"], found["continuous"], specs, now)
    spec = specs.get(found["symbol"].upper())
    if spec is None:
        return None
    if found["kline"]:
        step = intervals.get(found["kline"])
        return Stream(name, Topic.KLINE, spec.symbol, step) if step else None
    if found["plain"]:
        return Stream(name, Topic(found["plain"]), spec.symbol)
    return Stream(name, Topic.MARK_PRICE, spec.symbol, every=_pace(found["fast"]))


def _continuous(name: str, contract: str, code: str, specs: Mapping[str, SymbolSpec], now: int) -> Stream | None:
    """Candles of a pair by type of contract; of a dated type, those of the one that has it now."""
    found, step = _CONTRACT.fullmatch(contract), INTERVALS.get(code)
    if found is None or step is None:
        return None
    spec = _of_type(found["pair"].upper(), found["type"].upper(), specs, now)
    if spec is None:
        return None
    until = spec.delivery + SECOND if spec.kind == QUARTER else None
    return Stream(name, Topic.CONTINUOUS_KLINE, spec.symbol, step, until=until)


def _of_type(pair: str, kind: str, specs: Mapping[str, SymbolSpec], now: int) -> SymbolSpec | None:
    namesake = specs.get(pair)
    known: Iterable[SymbolSpec] = [namesake] if namesake is not None and kind == PERPETUAL else specs.values()
    return next((spec for spec in known if spec.pair == pair and contract_type(spec, now) == kind), None)


def _pace(fast: str | None) -> int:
    return 1_000 if fast else 3_000
