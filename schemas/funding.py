"""What perpetual contracts have exchanged as funding: the settlements of a symbol, a document a month."""

from datetime import datetime

from pydantic import Field

from schemas.base import Collection, Document, Money


class Settlement(Document):
    """One of them. `mark`: the price by which it was counted, where the exchange says it."""

    t: datetime
    rate: Money
    mark: Money | None = None


class Funding(Document):
    """A month of a symbol's settlements, in order of time."""

    id: str = Field(alias="_id")
    exchange: str
    symbol: str
    month: datetime
    settlements: list[Settlement]


FUNDING = Collection("funding", Funding)
