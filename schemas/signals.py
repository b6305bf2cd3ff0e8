"""A signal: what a strategy saw at the close of a candle, what became of it, and what the executor decided."""

from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, Literal

from pydantic import Field, model_validator
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
    bound: str | None = Field(
        default=None, description="what kept a unit from being larger: the risk, or a cap; None: it closes"
    )


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
    settings: str = Field(description="in `signal_settings`: the periods and parameters it was computed with")
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
    return_pct: float | None = Field(default=None, description="in percent, at `current_price`")
    return_at: datetime | None = Field(default=None, description="the moment of `current_price`")
    best_pct: float | None = Field(
        default=None, description="the best return until the last of the four horizons that fell due"
    )
    worst_pct: float | None = None
    return_1h: float | None = Field(default=None, description="at the close of the candle that ends an hour after `at`")
    return_4h: float | None = None
    return_1d: float | None = None
    return_7d: float | None = None
    returns_due: datetime | None = Field(
        default=None, description="when the next of the four falls due; not there: none does any more"
    )

    @model_validator(mode="before")
    @classmethod
    def _as_of_schema_5(cls, stored: Any) -> Any:
        """What `upgrade` has not come to yet can be read all the same."""
        return {name: value for name, value in stored.items() if name != "returns_through"}


SIGNALS = Collection(
    "signals",
    Signal,
    (
        IndexModel([("symbol", ASCENDING), ("at", DESCENDING)], name="symbol_at"),
        IndexModel([("at", DESCENDING)], name="at"),
        IndexModel(
            [("fresh_until", ASCENDING)], name="fresh", partialFilterExpression={"verdict": "fresh", "confirmed": True}
        ),
        IndexModel(
            [("fresh_until", ASCENDING)],
            name="would_take",
            partialFilterExpression={"verdict": "would-take", "confirmed": True},
        ),
        IndexModel(
            [("exchange", ASCENDING), ("source", ASCENDING)],
            name="taken",
            partialFilterExpression={"verdict": "taken"},
        ),
        IndexModel(
            [("exchange", ASCENDING), ("symbol", ASCENDING), ("returns_due", ASCENDING)],
            name="returns_due",
            partialFilterExpression={"returns_due": {"$exists": True}},
        ),
    ),
)
"""The first two hold every signal, the others a few. None on a strategy or a return: the best or the last of one are
found by looking at all of them, and every signal of the history would cost a third more to write."""


class SettingsText(Document):
    """What signals were computed with, in words. They name it by its id, which follows from the text."""

    id: str = Field(alias="_id")
    text: str


SIGNAL_SETTINGS = Collection("signal_settings", SettingsText)


@lru_cache(256)
def settings_id(text: str) -> str:
    """The id of a text of settings: twelve characters for some two hundred."""
    return blake2b(text.encode(), digest_size=6).hexdigest()
