"""One document a series: what is stored of it, what is known to be missing, and how far its derived data reaches."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pydantic import Field
from pymongo import ASCENDING, IndexModel

from schemas.base import Collection, Document

MARK: Final = "-mark"


def mark_exchange(exchange: str) -> str:
    """Under which name the mark prices of an exchange are stored."""
    return f"{exchange}{MARK}"


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """Names one run of candles: where it trades, what trades, and how long a candle is (`1m`, `1h`, ...)."""

    exchange: str
    symbol: str
    interval: str

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol}:{self.interval}"

    @property
    def mark(self) -> "SeriesKey":
        """The series of its mark prices: candles of an exchange of that name, without volumes."""
        return SeriesKey(mark_exchange(self.exchange), self.symbol, self.interval)

    @property
    def is_mark(self) -> bool:
        """Whether it is one of mark prices."""
        return self.exchange.endswith(MARK)


class Hole(Document):
    """Candles that the exchange itself does not have: first and last opening time, and how we know."""

    start: datetime
    end: datetime
    evidence: str
    found_at: datetime


class Watermark(Document):
    """How far a derived value reaches, and the settings it was computed with."""

    at: datetime
    settings: str


class Stale(Document):
    """Candles that changed, by opening time: what was computed from them has to be computed again."""

    id: str
    start: datetime
    end: datetime
    confirmed: bool = Field(description="False until the change itself is known to be stored")
    sent_back: bool = Field(default=False, description="the returns that they had a say in are to be worked out again")


class Underway(Document):
    """Candles, by opening time, whose derived values somebody is writing. Left behind by a crash, they may be wrong."""

    id: str
    start: datetime
    end: datetime


class Gone(Document):
    """The exchange does not trade the symbol any more, or never did: since when we know, and how."""

    since: datetime
    why: str
    end: datetime | None = Field(default=None, description="when its trading ended, where the exchange said so")


class Series(Document):
    """The cheap answer to "what do we have?"; never a scan of candles."""

    id: str = Field(alias="_id")
    exchange: str
    symbol: str
    interval: str
    first: datetime | None = None
    last_closed: datetime | None = None
    stored: int = 0
    listed: datetime | None = None
    holes: list[Hole] = Field(default_factory=list)
    indicators: Watermark | None = None
    signals: Watermark | None = None
    stale: list[Stale] = Field(default_factory=list)
    changes: int = Field(default=0, description="how many times something was added to `stale`")
    deriving: list[Underway] = Field(default_factory=list)
    gone: Gone | None = Field(default=None, description="None while new candles are to be expected")
    last_frame: datetime | None = None
    source: Literal["archive", "rest", "stream", "mixed"] | None = None
    updated_at: datetime | None = None


SERIES = Collection(
    "series", Series, (IndexModel([("symbol", ASCENDING), ("interval", ASCENDING)], name="symbol_interval"),)
)
