"""A core on spot, driven step by step: what is bought, what of it is kept, and its pair."""

from dataclasses import replace
from decimal import Decimal

from pipeline.exchange.products.arithmetic import SPOT_COINS
from pipeline.exchange.products.instrument import Instrument
from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import Place
from pipeline.execution.engine.state import OrderRecord, Policy, PositionRecord, PositionTold
from tests.execution.driver import ACCOUNT, FILTERS, POLICY, PRICE, SYMBOL, Driver, T

RISK = POLICY.risk.model_copy(update={"leverage": 1, "take_profit_atr": Decimal(3), "max_position_percent": 90})
SPOT = replace(POLICY, arithmetic=SPOT_COINS, risk=RISK)
INSTRUMENT = Instrument(SYMBOL, "BTC", "USDT", "USDT", SPOT_COINS, filters=FILTERS)
RULES = ev.RulesSeen(SYMBOL, INSTRUMENT, None, T)
ZERO = Decimal(0)
HELD = PositionRecord(
    SYMBOL, Decimal("2.0005"), PRICE, side="long", signal="s1", stop_price=Decimal(59_400),
    take_profit_price=Decimal(60_900), as_of=1, parts=("e",),
)  # fmt: skip
ENTRY = OrderRecord("a", SYMBOL, "s2", "add", "BUY", "MARKET", Decimal(1), 0, 0, state="sent")


class Coins(Driver):
    """A core on spot, and what lies on the account. Of what is bought a thousandth is kept."""

    def __init__(self, policy: Policy = SPOT, **journal) -> None:
        super().__init__(policy, ready=False, **journal)
        self(RULES)

    def compared(self, *orders, balance: object = 0) -> list:
        told = (PositionTold(SYMBOL, Decimal(str(balance)), ZERO),)
        return self(ev.Snapshot(orders, told, (replace(ACCOUNT, at=self.now),), self.now), int(self.core.ready))

    def bought(self, **changes) -> OrderRecord:
        """An entry was filled, and what was kept of it is known."""
        order = self.sent(**changes)
        self.seen(order, "filled", order.quantity, kept=order.quantity / 1000, average_price=PRICE)
        return order

    def paired(self, **changes) -> tuple[OrderRecord, OrderRecord]:
        """And its pair stands."""
        self.bought(**changes)
        self.journal()
        sent = self.one(Place)
        self.seen(sent.order)
        self.seen(sent.beside)
        return sent.order, sent.beside
