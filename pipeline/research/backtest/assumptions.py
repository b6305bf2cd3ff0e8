"""What a run takes for granted, in one place: each is named in every report, and none of them flatters by default."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final


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
class Assumptions:
    """Times in milliseconds."""

    inside: Inside = Inside.PESSIMISTIC
    equity: Decimal = Decimal(10_000)
    signal_delay: int = 500
    """From the close of a candle until the executor hears of its signal."""
    one_way: int = 100
    """A request to the exchange takes as long, its answer does, and so does what the exchange tells by itself."""

    def lines(self, *, coins: bool = False) -> dict[str, str]:
        """As a report says them. `coins`: they change hands, and there is no margin."""
        told = {
            "inside a minute": _SAID[self.inside],
            "delay": f"a signal is heard {self.signal_delay} ms after its candle, a request takes {self.one_way} ms",
            "spread": "0.001 % of the price on each side, a hundredth of a percent more for each 50,000 of an order",
            "fees": "as recorded; before that 0.05 % for what is filled at once; 0.02 % for what rested",
            "funding": "as it was settled; where that is not stored, 0.01 % every eight hours",
            "mark price": "liquidation looks at it; where it is not stored, at the last price",
            "rules": "filters as recorded for each moment, the first recorded before; margin brackets of today",
        }
        return told | _OF_COINS if coins else told


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
