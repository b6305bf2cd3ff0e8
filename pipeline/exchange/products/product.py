"""What a market is, as data: where it lies, what can be asked and at what weight, its limits, its manners.

A market is one `Product`. Whoever needs to know how a market differs asks it, and never what it is called. It sends
nothing and knows no environment: the addresses of all its sites are here, which of them is meant is not.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Literal

from pipeline.errors import UsageError
from pipeline.exchange.products.arithmetic import Arithmetic
from pipeline.timeline import DAY, INTERVALS, Interval


class NotOfferedError(UsageError):
    """The market has no such thing: use another market, or do without."""


class Ask(StrEnum):
    """What can be asked of an exchange, in our words."""

    TIME = auto()
    EXCHANGE_INFO = auto()
    KLINES = auto()
    MARK_KLINES = auto()
    PRICES = auto()
    FUNDING = auto()

    PLACE_ORDER = auto()
    QUERY_ORDER = auto()
    CANCEL_ORDER = auto()
    OPEN_ORDERS = auto()
    ALL_ORDERS = auto()

    PLACE_PAIR = auto()
    REPLACE_ORDER = auto()

    PLACE_ALGO = auto()
    QUERY_ALGO = auto()
    CANCEL_ALGO = auto()
    OPEN_ALGOS = auto()
    OPEN_ALGOS_OF = auto()
    ALL_ALGOS = auto()

    TRADES = auto()
    POSITIONS = auto()
    ACCOUNT = auto()
    INCOMES = auto()
    MAY_TRADE = auto()

    SYMBOL_CONFIG = auto()
    BRACKETS = auto()
    FEE = auto()
    SET_LEVERAGE = auto()
    SET_MARGIN_TYPE = auto()
    HEDGE_MODE = auto()
    MULTI_ASSETS_MODE = auto()

    OPEN_LISTEN_KEY = auto()
    PROLONG_LISTEN_KEY = auto()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a question goes, and what it costs: request weight, and orders of the account."""

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    weight: int = 1
    orders: int = 0

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Site:
    """One place where the market is served. Only production's prices are in the archive. `weight`: what an address may
    use up in a minute."""

    rest: str
    streams: str
    weight: int
    archive: str | None = None
    messages: str | None = None
    """Where it is asked by messages on a websocket, if it is."""


@dataclass(frozen=True, slots=True)
class Streams:
    """Where its streams are, below the address of the streams, and their manners. Seconds.

    `user`: with the listen key and the names of the events in it; None where the account is followed by messages.
    """

    market: str
    user: str | None
    command_every: float
    """The least time between two commands, pongs counted where the exchange counts them."""
    silence: float
    """A connection that carried nothing for so long is a dead one."""
    tells_algos: bool = True
    """Whether a conditional order that is placed, cancelled or gone is told of. Its order, once it fires, always is."""
    close_within: float = 2.5
    """So late the frame that closes a candle may come."""
    continuous: frozenset[str] = frozenset()
    """Kinds of contracts whose candles have a stream by the name of the pair."""


@dataclass(frozen=True, slots=True)
class Named:
    """A field of a filter. Where there are several, the first that a symbol has counts."""

    filter: str
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """How `exchangeInfo` writes a symbol. A rule that it has under no name is off."""

    status: str
    max_orders: Named
    required: frozenset[str] = frozenset()
    """Filters without which a symbol of this market is not understood."""
    min_notional: tuple[Named, ...] = ()
    max_notional: tuple[Named, ...] = ()
    multiplier_up: tuple[Named, ...]
    multiplier_down: tuple[Named, ...]
    sell_multiplier_up: tuple[Named, ...] = ()
    sell_multiplier_down: tuple[Named, ...] = ()
    assumed: Mapping[str, object] = field(default_factory=dict)
    """What the market does not say of any symbol, and is so for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Klines:
    """How candles are asked for by REST."""

    page: int
    """Candles a request: the most for the weight."""
    costs: tuple[tuple[int, int], ...]
    """The weight of a request for up to so many candles, from the least."""
    span: int | None = None
    """The longest time from start to end, in milliseconds."""
    crooked: bool = False
    """Whether its history has candles that close early, or open beside the grid."""

    def most(self, step: Interval) -> int:
        """Candles a request, of that length. A month counts as its longest."""
        if self.span is None:
            return self.page
        return min(self.page, self.span // (step.milliseconds or 31 * DAY))

    def weight(self, candles: int) -> int:
        """What a request for so many costs."""
        return next(weight for most, weight in self.costs if candles <= most)


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Product:
    """A market of the exchange."""

    name: str
    title: str
    sites: Mapping[str, Site]
    endpoints: Mapping[Ask, Endpoint]
    pool: str
    """Markets of one pool share the weight of an address, the orders of an account and its position mode. The count in
    each answer is that of the pool."""
    orders: Mapping[str, int]
    """Orders an account may place, by the period of the exchange's count."""
    listing: Listing
    klines: Klines
    streams: Streams
    arithmetic: Arithmetic
    margin: str | None = None
    """The one asset that its account counts in; None: every contract is margined in a coin of its own, and there is an
    account of each."""
    archive: str
    """The folder of the archive that holds its candles, by day and by month."""
    written: re.Pattern[str] = re.compile(".+")
    """How its symbols are written."""
    right: str = "enable_futures"
    """The right that a key needs to trade here: a field of `KeyRights`."""
    says_not_done: bool = True
    """Whether an answer about a failure of the server's own may say for sure that nothing was done."""
    is_traded: bool = False
    """Whether the executor trades it."""
    is_backtested: bool = False
    """Whether its past can be traded."""
    intervals: frozenset[str] = frozenset()
    """Lengths of candles that it has beside those of every market."""
    positions_of_symbol: bool = True
    """Whether the positions of one symbol can be asked for."""
    good_till: int | None = None
    """The least time, in milliseconds, after which a limit order may end by itself; None where none does."""

    def __repr__(self) -> str:
        return f"Product({self.name!r})"

    @property
    def short(self) -> str:
        """What it is called beside others."""
        return self.title.removesuffix(" futures")

    def offers(self, step: Interval) -> bool:
        """Whether it has candles of that length."""
        return step.code in INTERVALS or step.code in self.intervals

    def endpoint(self, ask: Ask) -> Endpoint:
        """Where that question goes; `NotOfferedError` where the market has no answer to it."""
        found = self.endpoints.get(ask)
        if found is None:
            raise NotOfferedError(f"{self.title} has no call for {ask.replace('_', ' ')!r}")
        return found

    def user_stream(self, key: str, events: str) -> str:
        """Where the user data of that listen key flow."""
        if self.streams.user is None:
            raise NotOfferedError(f"{self.title} has no stream of user data by listen key")
        return self.streams.user.format(key=key, events=events)
