"""A signal: what a strategy saw at the close of a candle, what became of it, and what the executor decided."""

from datetime import datetime
from typing import Final, Literal

from pydantic import Field
from pymongo import ASCENDING, DESCENDING, IndexModel

from schemas.base import Collection, Document, Money
from schemas.shared import Mode

Kind = Literal["trial", "entry", "add", "exit"]
Side = Literal["long", "short"]
Verdict = Literal["fresh", "expired", "skipped", "would-take", "taken"]

TO_ACT_ON: Final[tuple[Verdict, ...]] = ("fresh", "would-take")
"""A signal with one of these can be acted on until its `fresh_until`."""


class Decision(Document):
    """What the executor did, or in signal-only mode would have done: sized, rounded, and against which equity."""

    mode: Mode
    at: datetime
    units: Money
    quantity: Money
    notional: Money
    equity: Money
    leverage: int
    stop_price: Money | None = None
    take_profit_price: Money | None = None


class Signal(Document):
    """Written once: the id follows from what it is, so that history and the live feed write the same document.

    A percentage is signed by side: positive when the signal was right.
    """

    id: str = Field(alias="_id")
    exchange: str
    symbol: str
    interval: str
    strategy: str
    kind: Kind
    side: Side
    candle: datetime = Field(description="when the candle opened")
    at: datetime = Field(description="when the candle closed: the earliest moment anyone could have known")
    price: float = Field(gt=0, description="the close")
    strength: float = Field(ge=0, le=1, description="how far the candle went the signal's way, in ATR, at most 1")
    indicators: dict[str, float] = Field(description="the columns the strategy read, and the ATR, at that candle")
    settings: str = Field(description="names the periods and parameters it was computed with")
    source: Literal["live", "history"]
    confirmed: bool = Field(description="False while the candle is open; only a confirmed signal is ever acted on")
    created_at: datetime

    verdict: Verdict
    fresh_until: datetime | None = Field(default=None, description="None: from history, never fresh")
    reason: str | None = Field(default=None, description="why it was skipped, expired or only worked out")
    decided_at: datetime | None = None
    decision: Decision | None = None
    orders: list[str] = Field(default_factory=list, description="ids in `orders`")

    current_price: float | None = None
    return_pct: float | None = Field(default=None, description="in percent, against the current price")
    best_pct: float | None = Field(default=None, description="the best return since, by the candles' extremes")
    worst_pct: float | None = None
    return_1h: float | None = Field(default=None, description="at the close of the candle that ends an hour after `at`")
    return_4h: float | None = None
    return_1d: float | None = None
    return_7d: float | None = None
    return_at: datetime | None = Field(default=None, description="the moment of `current_price`")
    returns_through: datetime | None = Field(
        default=None, description="all candles that open before it are in best and worst; None: not worked out yet"
    )
    returns_due: datetime | None = Field(default=None, description="when the next of the four returns falls due")


SIGNALS = Collection(
    "signals",
    Signal,
    (
        IndexModel([("symbol", ASCENDING), ("at", DESCENDING)], name="symbol_at"),
        IndexModel([("strategy", ASCENDING), ("at", DESCENDING)], name="strategy_at"),
        IndexModel([("at", DESCENDING)], name="at"),
        IndexModel(
            [("fresh_until", ASCENDING)], name="fresh", partialFilterExpression={"verdict": "fresh", "confirmed": True}
        ),
        IndexModel(
            [("fresh_until", ASCENDING)],
            name="would_take",
            partialFilterExpression={"verdict": "would-take", "confirmed": True},
        ),
    ),
)
"""No index on a return: all of them change every minute, and it would cost two fifths of that work. Sorting 100,000
signals by one takes a fraction of a second."""
