"""What an amount in another asset is worth in the asset that the account is counted in: fees may be paid in BNB."""

import time
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from pipeline.exchange.errors import BadAnswerError
from pipeline.exchange.market import MarketData

_KEPT: Final = 60.0


@dataclass(slots=True)
class Rates:
    """The exchange's last prices, asked for at most once a minute. Blocks."""

    market: MarketData
    asset: str | None
    """None: each fee is paid in the asset that the position is margined in, and counts there."""
    _prices: dict[str, Decimal] = field(default_factory=dict)
    _asked: float = float("-inf")

    def worth(self, amount: Decimal, asset: str) -> Decimal:
        """That amount, by the price now; `BadAnswerError` where the exchange has no price for it."""
        return amount if self.asset is None else self.worth_in(amount, asset, self.asset)

    def worth_in(self, amount: Decimal, asset: str, other: str) -> Decimal:
        """The same in an asset that is named."""
        if asset in {other, ""}:
            return amount
        if time.monotonic() - self._asked > _KEPT:
            self._prices = {symbol: price for symbol, (price, _) in self.market.prices().items()}
            self._asked = time.monotonic()
        price = self._prices.get(f"{asset}{other}")
        if price is None:
            raise BadAnswerError(f"the exchange has no price of {asset} in {other}")
        return amount * price
