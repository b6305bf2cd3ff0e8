"""How the exchange writes numbers: with fixed decimals in an order's answer and in money, bare elsewhere. Text only."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from pipeline.simulator.types import SymbolSpec

_MEAN_EXTRA: Final = 3


def fixed(value: Decimal, decimals: int) -> str:
    """With exactly that many decimals, never as a power of ten."""
    rounded = value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)
    return f"{abs(rounded) if rounded.is_zero() else rounded:f}"


def bare(value: Decimal) -> str:
    """Without trailing zeros, never as a power of ten."""
    text = f"{value:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"", "-0"} else text


def money(value: Decimal) -> str:
    """An amount of the margin asset."""
    return fixed(value, 8)


def price(spec: SymbolSpec, value: Decimal) -> str:
    """A price with the decimals of its symbol."""
    return fixed(value, spec.price_precision)


def quantity(spec: SymbolSpec, value: Decimal) -> str:
    """A quantity with the decimals of its symbol."""
    return fixed(value, spec.quantity_precision)


def average(spec: SymbolSpec, value: Decimal) -> str:
    """A mean price: finer than the tick once there is one."""
    return fixed(value, spec.price_precision + _MEAN_EXTRA) if value else fixed(value, 2)


def entry(value: Decimal) -> str:
    """An entry price: at least one decimal, at most twelve."""
    text = bare(value.quantize(Decimal(1).scaleb(-12), ROUND_HALF_UP))
    return text if "." in text else f"{text}.0"
