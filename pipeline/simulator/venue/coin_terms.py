"""How COIN-M trades, as data."""

from decimal import Decimal
from typing import Final

from pipeline.simulator.venue.coin_forms import COIN_FORMS
from pipeline.simulator.venue.orders import TimeInForce
from pipeline.simulator.venue.terms import Terms

COIN_TERMS: Final = Terms(
    taker=Decimal("0.0004"),
    maker=Decimal("0.00015"),
    assets=(),
    times_in_force=frozenset(TimeInForce) - {TimeInForce.GTD},
    tells_algos=False,
    forms=COIN_FORMS,
)
"""Each contract is margined in its own coin: whoever opens the market says which there are."""
