"""What is the same in every schedule: who we are, when it happens, what the exchange allows and what we risk."""

from decimal import Decimal

from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.state import Policy
from pipeline.settings import Risk
from pipeline.timeline import SECOND
from schemas.symbols import Filters

IDENTITY = Identity("sim", "mine00")
START = 1_760_000_000_000
TROUBLE, QUIET = 24 * SECOND, 45 * SECOND
END = START + TROUBLE
ATR = Decimal(300)
EQUITY = Decimal(10_000)

FILTERS = Filters(
    tick_size=Decimal("0.1"),
    min_price=Decimal(100),
    max_price=Decimal(1_000_000),
    step_size=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
    max_quantity=Decimal(1000),
    market_step_size=Decimal("0.001"),
    market_min_quantity=Decimal("0.001"),
    market_max_quantity=Decimal(120),
    min_notional=Decimal(50),
    multiplier_up=Decimal("1.05"),
    multiplier_down=Decimal("0.95"),
    max_orders=200,
)
RISK = Risk(max_position_percent=Decimal(1000), take_profit_atr=Decimal(6), unprotected_seconds=6)
POLICY = Policy(
    "sim",
    RISK,
    answer_within=5 * SECOND,
    reconcile_every=10 * SECOND,
    retry_after=3 * SECOND,
    surely_listed=16 * SECOND,
)
SAID_WITHIN = 33 * SECOND
"""So long it may be asked how a position has ended, before that is said and the journal has it."""
TOLD_EVERY = 2 * SECOND
"""So seldom at most the time is told."""
