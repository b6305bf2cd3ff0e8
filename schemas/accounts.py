"""Equity over time: snapshots, and the day's and the month's return beside each."""

from datetime import datetime

from pydantic import Field
from pymongo import ASCENDING, DESCENDING, IndexModel

from schemas.base import Collection, Document, Money


class Snapshot(Document):
    """What the account was worth in one asset at one moment. Returns count deposits and withdrawals out."""

    id: str = Field(alias="_id", description="<environment>:<asset>:<time, ISO>")
    environment: str
    at: datetime
    asset: str
    equity: Money = Field(description="wallet + unrealized")
    wallet: Money
    available: Money
    unrealized: Money
    realized_today: Money
    fees_today: Money
    funding_today: Money
    transfers_today: Money
    open_positions: int = Field(ge=0)
    day_return_pct: float | None = Field(default=None, description="since 00:00 UTC")
    month_return_pct: float | None = Field(default=None, description="since the first of the month, UTC")


ACCOUNTS = Collection(
    "accounts",
    Snapshot,
    (IndexModel([("environment", ASCENDING), ("at", DESCENDING)], name="at"),),
)
