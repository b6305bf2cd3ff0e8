"""What a strategy said at a candle: the part of a signal that follows from candles and settings alone.

The live feed and a recomputation agree on it to the last bit. What became of it is known elsewhere.
"""

from typing import Any, Final, NamedTuple

from pipeline.timeline import interval, iso, to_datetime
from schemas.series import SeriesKey
from schemas.signals import Kind, Side, settings_id

SAID: Final = (
    *("_id", "exchange", "symbol", "interval", "strategy", "kind", "side", "candle", "at"),
    *("price", "strength", "indicators", "settings", "confirmed"),
)
"""The fields that are equal whether a signal was found live or in a recomputation."""

OPEN: Final = ":open"
"""How the id ends while the candle is open."""


class Finding(NamedTuple):
    """What a strategy says at a candle, and what it saw there."""

    key: SeriesKey
    strategy: str
    kind: Kind
    side: Side
    t: int
    price: float
    strength: float
    indicators: dict[str, float]
    settings: str

    @property
    def at(self) -> int:
        """When its candle closed."""
        return interval(self.key.interval).after(self.t)

    @property
    def id(self) -> str:
        """The `_id`: one for each series, candle, strategy, kind and side; ids of a series sort as their candles do."""
        return f"{self.key}:{iso(self.t)}:{self.strategy}:{self.kind}:{self.side}"

    def said(self, *, confirmed: bool = True) -> dict[str, Any]:
        """The fields named by `SAID`, and no orders yet."""
        key = self.key
        return {
            "_id": self.id if confirmed else self.id + OPEN,
            "exchange": key.exchange,
            "symbol": key.symbol,
            "interval": key.interval,
            "strategy": self.strategy,
            "kind": self.kind,
            "side": self.side,
            "candle": to_datetime(self.t),
            "at": to_datetime(self.at),
            "price": self.price,
            "strength": self.strength,
            "indicators": self.indicators,
            "settings": settings_id(self.settings),
            "confirmed": confirmed,
            "orders": [],
        }
