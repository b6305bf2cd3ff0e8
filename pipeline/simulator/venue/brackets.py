"""How much margin a position must keep, by its size: the brackets of a contract, as `leverageBracket` lists them."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final

from pipeline.simulator.types import SymbolSpec

MAX_NOTIONAL: Final = Decimal(100_000_000)
HIGHEST_LEVERAGE: Final = 125
_STEPS: Final = ((0, Decimal(1)), (50_000, Decimal("1.25")), (500_000, Decimal("2.5")), (10_000_000, Decimal("6.25")))
"""From that notional on, so many times the contract's least rate."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """Between `floor` and `cap`, which are in the margin asset, a position must keep `notional x rate - cum`: it costs
    more only beyond the floor."""

    floor: Decimal
    cap: Decimal
    rate: Decimal
    cum: Decimal
    leverage: int


def brackets_of(spec: SymbolSpec) -> tuple[Bracket, ...]:
    """The brackets of a contract, smallest first. Half of the initial margin is above the maintenance margin."""
    return _brackets(spec.bracket_unit, spec.maintenance_rate)


@cache
def _brackets(unit: Decimal, least_rate: Decimal) -> tuple[Bracket, ...]:
    found: list[Bracket] = []
    caps = [*(Decimal(floor) for floor, _ in _STEPS[1:]), MAX_NOTIONAL]
    for (step, times), most in zip(_STEPS, caps, strict=True):
        floor, cap, rate = step * unit, most * unit, least_rate * times
        cum = found[-1].cum + floor * (rate - found[-1].rate) if found else Decimal(0)
        leverage = max(1, min(HIGHEST_LEVERAGE, int(1 / (2 * rate)))) if rate else HIGHEST_LEVERAGE
        found.append(Bracket(floor, cap, rate, cum, leverage))
    return tuple(found)


def maintenance(spec: SymbolSpec, notional: Decimal) -> Decimal:
    """The margin that a position of that worth must keep."""
    bracket = next((one for one in brackets_of(spec) if notional <= one.cap), brackets_of(spec)[-1])
    return notional * bracket.rate - bracket.cum


def max_leverage(spec: SymbolSpec) -> int:
    """The highest leverage of a contract: that of the smallest positions."""
    return brackets_of(spec)[0].leverage


def max_notional(spec: SymbolSpec, leverage: int) -> Decimal:
    """What a position may be worth at that leverage."""
    return max(one.cap for one in brackets_of(spec) if one.leverage >= leverage)
