"""Every collection of the database, and the version of their shapes taken together."""

from typing import Final

from schemas.accounts import ACCOUNTS
from schemas.base import Collection
from schemas.candles import CANDLES
from schemas.control import CONTROL
from schemas.funding import FUNDING
from schemas.likeness import LIKENESS
from schemas.orders import ORDERS
from schemas.positions import POSITIONS
from schemas.runs import RUN_TRADES, RUNS
from schemas.searches import SEARCHES, TRIALS
from schemas.series import SERIES
from schemas.signals import SIGNAL_SETTINGS, SIGNALS
from schemas.symbols import SYMBOLS

SCHEMA_VERSION: Final = 8
"""Raised with every change of a shape that older code could not read."""

COLLECTIONS: Final[tuple[Collection, ...]] = (
    CANDLES,
    SERIES,
    SIGNALS,
    SIGNAL_SETTINGS,
    ORDERS,
    POSITIONS,
    ACCOUNTS,
    CONTROL,
    SYMBOLS,
    FUNDING,
    LIKENESS,
    RUNS,
    RUN_TRADES,
    SEARCHES,
    TRIALS,
)
