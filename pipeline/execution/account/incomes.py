"""What each kind of income is, by the exchange's own list: earned by trading, paid for it, or moved in and out.

A kind that the exchange adds is told once and counts as earned: a loss that nobody knows yet is a loss.
"""

from collections.abc import Mapping
from typing import Final, Literal

Place = Literal["result", "fee", "funding", "moved"]

_KINDS: Final[Mapping[Place, str]] = {
    "result": "REALIZED_PNL INSURANCE_CLEAR DELIVERED_SETTELMENT OPTIONS_PREMIUM_FEE OPTIONS_SETTLE_PROFIT",
    "fee": "COMMISSION POSITION_LIMIT_INCREASE_FEE COMMISSION_REBATE API_REBATE REFERRAL_KICKBACK FEE_RETURN",
    "funding": "FUNDING_FEE SPECIAL_FUNDING_FEE",
    "moved": (
        "TRANSFER INTERNAL_TRANSFER CROSS_COLLATERAL_TRANSFER STRATEGY_UMFUTURES_TRANSFER COIN_SWAP_DEPOSIT "
        "COIN_SWAP_WITHDRAW AUTO_EXCHANGE WELCOME_BONUS CONTEST_REWARD BFUSD_REWARD"
    ),
}
PLACES: Final[Mapping[str, Place]] = {kind: place for place, kinds in _KINDS.items() for kind in kinds.split()}
"""What is given back of fees lessens them. A present is no profit."""


def place_of(kind: str) -> Place:
    """Where an income of that kind counts."""
    return PLACES.get(kind, "result")
