"""A candle as the exchange tells it, and what is to be written of it. Data only."""

from typing import NamedTuple

from schemas.series import SeriesKey


class Candle(NamedTuple):
    """One candle as the exchange tells it: by a frame, or by a row of a REST answer. `u` is when it said so."""

    t: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int
    taker_buy_base: float
    taker_buy_quote: float
    closed: bool
    u: int

    def same_market(self, other: "Candle") -> bool:
        """Whether both tell the same trades, whoever said so and when."""
        return self[:10] == other[:10]


class CandleWrite(NamedTuple):
    """Store this candle and its indicators. `authority` is set where REST said it: it may correct a closed candle.
    `repairs` is set where candles that are stored already lie behind it, and so may depend on it."""

    key: SeriesKey
    candle: Candle
    indicators: tuple[float, ...] | None = None
    authority: bool = False
    repairs: bool = False

    @property
    def t(self) -> int:
        """When the candle opens."""
        return self.candle.t


class IndicatorWrite(NamedTuple):
    """The candle was written before, closed; its indicators are known now. Where the store does not have it closed they
    are dropped: whoever closes it computes them."""

    key: SeriesKey
    t: int
    indicators: tuple[float, ...]
