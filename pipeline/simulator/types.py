"""What the parts of the exchange hand to each other. Prices are whole ticks and quantities whole steps: exact, fast."""

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.simulator.worth import LINEAR, Worth
from pipeline.timeline import HOUR, Interval

KLINE = np.dtype(
    [
        ("t", "i8"),  # opens, ms
        ("open", "i8"),  # ticks
        ("high", "i8"),
        ("low", "i8"),
        ("close", "i8"),
        ("volume", "i8"),  # steps
        ("quote", "i8"),  # ticks x steps; of an inverse contract, coins of `coins` digits
        ("trades", "i8"),
        ("taker_base", "i8"),
        ("taker_quote", "i8"),
    ]
)
"""A candle in whole ticks and steps. A minute without trades has volume 0 and repeats the last close."""

Klines = npt.NDArray[np.void]


class Tick(NamedTuple):
    """One trade of the market."""

    time: int
    price: int  # ticks
    quantity: int  # steps
    buyer_is_maker: bool


UNLISTED = "UNLISTED"
"""The status of a contract that the exchange does not name any more: what it was stays true, and nobody can ask."""

PERPETUAL = "PERPETUAL"
QUARTER = "QUARTER"
"""A dated contract: the current quarter's or the next one's, by the time of asking."""

DELIVERED_FOR = HOUR
"""How long a dated contract is still named after its delivery."""


@dataclass(frozen=True, slots=True)
class SymbolSpec:
    """A contract, or a pair of coins: its name, its grid and its filters, as `exchangeInfo` reports them."""

    symbol: str
    base: str
    quote: str
    tick: Decimal
    step: Decimal
    onboard: int  # ms
    status: str = "TRADING"
    min_notional: Decimal = Decimal(50)
    max_quantity: Decimal = Decimal(1000)
    market_max_quantity: Decimal = Decimal(120)
    price_precision: int = 2
    quantity_precision: int = 3
    multiplier_up: Decimal = Decimal("1.05")
    multiplier_down: Decimal = Decimal("0.95")
    max_orders: int = 200
    max_algo_orders: int = 10
    maintenance_rate: Decimal = Decimal("0.004")
    liquidation_fee: Decimal = Decimal("0.0125")
    delivery: int = 4_133_404_800_000  # ms: when trading ends; a perpetual's is far away
    kind: str = PERPETUAL
    worth: Worth = LINEAR
    underlying: str = ""
    """Whose path its prices follow, where it is not its own."""
    pace: float = 1.0
    """How much of the underlying's trades it has."""
    coins: int | None = None
    """Of an inverse contract: digits after the point in which its market counts coins."""
    quote_precision: int | None = None
    """Digits of a turnover, where they are not those of price and quantity together."""
    taker: Decimal | None = None
    """What is paid of an order that is filled at once; None: what its market asks of all."""
    bracket_unit: Decimal = Decimal(1)
    """What the steps of its margin brackets are multiples of, in the margin asset."""
    half_spread: int = 10
    """How far the best bid and the best offer are from the last trade, in millionths of the price."""

    @property
    def pair(self) -> str:
        """What it is a contract of."""
        return self.base + self.quote

    def standing(self, now: int) -> str:
        """Its status at that moment: a dated contract ends by itself."""
        if self.kind != QUARTER or self.status != "TRADING":
            return self.status
        if now < self.onboard:
            return UNLISTED
        if now < self.delivery:
            return "TRADING"
        return "DELIVERING" if now < self.delivery + DELIVERED_FOR else UNLISTED

    def trades_at(self, now: int) -> bool:
        """Whether it can be traded at that moment."""
        return self.onboard <= now and self.standing(now) == "TRADING"


class Prices(Protocol):
    """What accounts are settled by: the contracts, their prices and their trades."""

    specs: dict[str, SymbolSpec]

    def ticks(self, symbol: str, after: int, until: int) -> list[Tick]:
        """The trades with after < time <= until, in order."""
        ...

    def price(self, symbol: str, now: int) -> int:
        """The last traded price in ticks."""
        ...

    def mark_price(self, symbol: str, now: int) -> Decimal:
        """The mark price: follows the last price smoothly."""
        ...


class Market(Prices, Protocol):
    """A source of prices: synthetic or replayed. Pure: the same question has the same answer for ever.

    Every interval is the aggregate of the 1m candles, and the ticks of a minute build exactly its 1m candle. `now` is
    passed in; a market has no clock. Only a delisting changes it.
    """

    def delist(self, symbol: str, status: str, now: int) -> None:
        """Let its trading end with the minute that `now` is in, and list it with that status."""
        ...

    def relist(self) -> None:
        """Let everything that was delisted trade as if nothing had been."""
        ...

    def klines(self, symbol: str, interval: Interval, start: int, end: int) -> Klines:
        """The full candles that open in [start, end], from listing on. The caller clips to now."""
        ...

    def forming(self, symbol: str, interval: Interval, now: int) -> tuple[Klines, int]:
        """The candle that contains `now` from the ticks up to and including `now` (an array of one), and the time of
        the last tick in it (its open time where nothing traded yet)."""
        ...
