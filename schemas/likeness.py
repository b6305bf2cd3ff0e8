"""Which symbols of an exchange move alike: how their hourly returns went together lately, a document a symbol."""

from datetime import datetime

from pydantic import Field
from pymongo import ASCENDING, IndexModel

from schemas.base import Collection, Document


class Likeness(Document):
    """Of one symbol. It is as old as the newest hour that it was measured by."""

    id: str = Field(alias="_id", description="<exchange>:<symbol>")
    exchange: str
    symbol: str
    at: datetime
    correlations: dict[str, float] = Field(description="of its hourly returns with those of each other symbol, -1 to 1")
    written: datetime | None = Field(default=None, description="when it was last measured otherwise than before")


LIKENESS = Collection(
    "likeness",
    Likeness,
    (IndexModel([("exchange", ASCENDING), ("written", ASCENDING)], name="written"),),
)
