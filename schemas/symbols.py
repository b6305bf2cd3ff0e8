"""What the exchange trades, and the rules an order must keep."""

from datetime import datetime

from pydantic import Field
from pymongo import ASCENDING, IndexModel

from schemas.base import Collection, Document, Money


class Filters(Document):
    """The exchange's own limits, exact."""

    tick_size: Money
    min_price: Money
    max_price: Money
    step_size: Money
    min_quantity: Money
    max_quantity: Money
    market_step_size: Money
    market_min_quantity: Money
    market_max_quantity: Money
    min_notional: Money
    multiplier_up: Money
    multiplier_down: Money
    sell_multiplier_up: Money | None = Field(default=None, description="of what sells, where that differs")
    sell_multiplier_down: Money | None = None
    max_notional: Money | None = None
    max_orders: int


class Recorded(Document):
    """The rules of a contract from a moment on, until the next of them."""

    since: datetime
    filters: Filters
    taker_fee: Money | None = Field(default=None, description="None: the account had not been told yet")


class Symbol(Document):
    """One contract as the exchange describes it."""

    id: str = Field(alias="_id")
    exchange: str
    symbol: str
    pair: str
    contract_type: str
    status: str
    base_asset: str
    quote_asset: str
    margin_asset: str
    price_precision: int
    finest: int = Field(default=0, description="decimals of the finest price ever seen, today's precision included")
    quantity_precision: int
    contract_size: Money | None = Field(default=None, description="in the quote asset, where quantities are contracts")
    onboarded: datetime
    delivery: datetime
    filters: Filters | None = Field(default=None, description="None while the exchange has not set them")
    taker_fee: Money | None = Field(
        default=None, description="the share of its worth that an order costs the account, as it was last told"
    )
    recorded: list[Recorded] = Field(
        default_factory=list,
        description="its rules as they changed, the newest last; of before the first nothing is known",
    )
    updated_at: datetime

    def at(self, moment: datetime) -> "Symbol":
        """The same under the rules of that moment; of before the first that were recorded, under those."""
        known = [one for one in self.recorded if one.since <= moment] or self.recorded[:1]
        if not known:
            return self
        return self.model_copy(update={"filters": known[-1].filters, "taker_fee": known[-1].taker_fee})

    @property
    def decimals(self) -> int:
        """Of its prices, the old ones included: a tick that grows coarser leaves them as they were."""
        return max(self.price_precision, self.finest)


SYMBOLS = Collection(
    "symbols", Symbol, (IndexModel([("exchange", ASCENDING), ("status", ASCENDING)], name="exchange_status"),)
)
