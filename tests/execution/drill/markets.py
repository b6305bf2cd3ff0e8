"""The markets that schedules are played in: what the executor is told of each, and how its exchange counts."""

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from pipeline.exchange.products.arithmetic import INVERSE, LINEAR
from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine.state import Bracket, Policy
from pipeline.timeline import SECOND
from tests.execution.drill.setting import EQUITY, FILTERS, POLICY
from tests.execution.driver import BRACKETS
from tests.execution.model import COINS, DOLLARS, SYMBOL, Terms


@dataclass(frozen=True)
class Market:
    """One of them."""

    instrument: Instrument
    brackets: tuple[Bracket, ...]
    equity: Decimal
    policy: Policy
    terms: Terms
    a_coin: Decimal = Decimal(1)
    """How much of it is about one coin."""

    def lots(self, coins: Decimal) -> Decimal:
        """About so many coins of it, in lots."""
        return (coins * self.a_coin).quantize(self.terms.step)


UM: Final = Market(
    Instrument(SYMBOL, "BTC", "USDT", "USDT", LINEAR, filters=FILTERS), BRACKETS, EQUITY, POLICY, DOLLARS
)

_CONTRACTS: Final = {"step_size": 1, "min_quantity": 1, "market_step_size": 1, "market_min_quantity": 1}
_LARGEST: Final = {"max_quantity": 1_000_000, "market_max_quantity": 60_000, "min_notional": 0}
CM: Final = Market(
    Instrument(
        SYMBOL, "BTC", "USD", "BTC", INVERSE, Decimal(100),
        FILTERS.model_copy(update={name: Decimal(value) for name, value in (_CONTRACTS | _LARGEST).items()}),
    ),
    (
        Bracket(Decimal(5), Decimal("0.004"), Decimal(0), 125),
        Bracket(Decimal(833), Decimal("0.005"), Decimal("0.005"), 100),
    ),
    Decimal("0.16666666"),
    replace(POLICY, arithmetic=INVERSE, coins=True, look_at_stops_every=3 * SECOND),
    COINS,
    a_coin=Decimal(600),
)  # fmt: skip

MARKETS: Final = {"um": UM, "cm": CM}
