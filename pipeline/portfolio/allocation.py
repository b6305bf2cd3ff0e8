"""How much of an account's equity each strategy goes by: it sizes as if that were all there is."""

from collections.abc import Mapping
from decimal import ROUND_FLOOR, Decimal
from typing import Final

import numpy as np
import numpy.typing as npt

WHOLE: Final = Decimal(100)
"""Percent."""
STEP: Final = Decimal("0.1")
"""Shares that are worked out are multiples of it."""
_NOTHING: Final = Decimal(0)


def share_of(strategy: str, shares: Mapping[str, Decimal] | None) -> Decimal:
    """In percent. Where nobody has allocated anything, all of it; where somebody has, what is not named has none."""
    return WHOLE if shares is None else shares.get(strategy, _NOTHING)


def complaint(shares: Mapping[str, Decimal]) -> str | None:
    """Why they cannot be, if they cannot."""
    if not shares:
        return "nothing is allocated: name a strategy and its share, or --all"
    for name, share in shares.items():
        if not share.is_finite() or not _NOTHING < share <= WHOLE:
            return f"{name}={share}: a share is more than 0 and at most 100 percent"
    whole = sum(shares.values(), _NOTHING)
    if whole > WHOLE:
        told = " + ".join(f"{share:f}" for share in shares.values())
        return (
            f"the shares come to {told} = {whole:f} percent of the equity, and there are 100: take "
            f"{whole - WHOLE:f} off them"
        )
    return None


def off_by(now: Mapping[str, Decimal], wanted: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """By how many points of a percent each would become another; what is not named has none."""
    return {name: wanted.get(name, _NOTHING) - now.get(name, _NOTHING) for name in {**now, **wanted}}


def band_complaint(band: Decimal) -> str | None:
    """Why a share cannot be off by that before it is changed, if it cannot."""
    if band.is_finite() and _NOTHING < band <= WHOLE:
        return None
    return f"--band {band}: points of a percent that a share may be off by, more than 0 and at most 100"


def equal_risk(daily: Mapping[str, npt.NDArray[np.float64]], whole: Decimal = WHOLE) -> dict[str, Decimal]:
    """Shares of which each brings as much unrest as the others: the less, the more what a strategy brought day by day
    went up and down. Together no more than `whole`, in tenths of a percent; what never brought anything has none."""
    unrest = {name: float(np.std(of_it)) for name, of_it in daily.items()}
    calm = {name: 1 / one for name, one in unrest.items() if one > 0}
    total = sum(calm.values())
    shares = {name: whole * Decimal(one / total) for name, one in calm.items()}
    return {name: one.quantize(STEP, ROUND_FLOOR).normalize() + _NOTHING for name, one in shares.items()}
