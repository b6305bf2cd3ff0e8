"""What a run takes for granted, in one place: each is named in every report, and none of them flatters by default."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final

from pipeline.timeline import to_datetime

USUAL_SLIPPAGE: Final = Decimal("0.1")
"""In basis points: how far an order is filled from the price, where nobody has fitted it."""
_MILLIONTHS: Final = 100
"""Of a price, in a basis point of it."""


class Inside(StrEnum):
    """Which way the price went within a minute, where its candle cannot tell: the open is first, the close last, and of
    high and low one comes before the other."""

    PESSIMISTIC = "pessimistic"
    """First to where it costs the position most; before an entry, to where it helps least."""
    RESOLVED = "resolved"
    """First to the extreme nearer to the open."""
    OPTIMISTIC = "optimistic"
    """First to where it brings the position most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """The slippage that live's fills had, in basis points: of symbols with enough of them by themselves, and of all
    others by all. `orders`: how many there were, traded from `since` to `until`."""

    points: Decimal
    symbols: Mapping[str, Decimal]
    orders: int
    since: int
    until: int
    by: str

    def of(self, symbol: str) -> Decimal:
        """That of a symbol."""
        return self.symbols.get(symbol, self.points)

    def __str__(self) -> str:
        since, until = (f"{to_datetime(one):%Y-%m-%d %H:%M}" for one in (self.since, self.until))
        apart = "".join(f", {symbol} {points:f}" for symbol, points in sorted(self.symbols.items()))
        return (
            f"slippage {self.points:f} bp{apart}, fitted on {self.orders:,} orders of {since} to {until} by {self.by}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Times in milliseconds."""

    inside: Inside = Inside.PESSIMISTIC
    equity: Decimal = Decimal(10_000)
    signal_delay: int = 500
    """From the close of a candle until the executor hears of its signal."""
    one_way: int = 100
    """A request to the exchange takes as long, its answer does, and so does what the exchange tells by itself."""
    slippage: Fitted | None = None

    def half_spread(self, symbol: str) -> int:
        """How far the best bid and the best offer are from its price, in millionths of that."""
        points = USUAL_SLIPPAGE if self.slippage is None else self.slippage.of(symbol)
        return int(points * _MILLIONTHS)

    def lines(self, *, coins: bool = False) -> dict[str, str]:
        """As a report says them. `coins`: they change hands, and there is no margin."""
        told = {
            "inside a minute": _SAID[self.inside],
            "delay": f"a signal is heard {self.signal_delay} ms after its candle, a request takes {self.one_way} ms",
            "spread": f"{self.slippage or _SPREAD}, a hundredth of a percent more for each 50,000 of an order",
            "fees": "as recorded; before that 0.05 % for what is filled at once; 0.02 % for what rested",
            "funding": "as it was settled; where that is not stored, 0.01 % every eight hours",
            "mark price": "liquidation looks at it; where it is not stored, at the last price",
            "rules": "filters as recorded for each moment, the first recorded before; margin brackets of today",
        }
        return told | _OF_COINS if coins else told


_SPREAD: Final = "0.001 % of the price on each side"
_OF_COINS: Final = {
    "fees": "as recorded; before that 0.1 %, of what is bought in its coins",
    "funding": "there is none",
    "mark price": "there is none, and nothing is liquidated",
    "rules": "filters as recorded for each moment, the first recorded before",
    "crumbs": "what is left over of a position and too little to be sold counts for nothing",
}
_SAID: Final = {
    Inside.PESSIMISTIC: "against the position first",
    Inside.RESOLVED: "the extreme nearer to the open first",
    Inside.OPTIMISTIC: "in favour of the position first",
}
