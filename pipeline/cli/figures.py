"""How figures look wherever a person reads them: one form for a moment, a price, an amount, money and a percentage.

Money has two decimals, a price those of its tick, an amount no zero it does not need. What the account gains is
positive and what it pays negative, fees too. It looks nothing up.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.text import Text

UNKNOWN: Final = "-"
Ticks = Mapping[str, Decimal]
"""The least step of the prices of each symbol."""


def moment(at: datetime | None, *, seconds: bool = False) -> str:
    """A time, UTC: the heading says so."""
    return UNKNOWN if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M{':%S' if seconds else ''}}"


def plain(value: Decimal) -> str:
    """The number without an exponent and without zeros it does not need. No price, amount or sum of money has more than
    ten decimals: what has more is what a division left."""
    from pipeline.ticks import MOST  # noqa: PLC0415

    exact = value if -_exponent(value) <= MOST else round(value, MOST)
    return f"{exact.normalize():f}" if exact else "0"


def amount(value: Decimal | float | None) -> str:
    """How much of something."""
    if value is None:
        return UNKNOWN
    whole, point, rest = plain(value if isinstance(value, Decimal) else Decimal(repr(value))).partition(".")
    return f"{Decimal(whole):,f}{point}{rest}" if Decimal(whole) else f"{whole}{point}{rest}"


def money(value: Decimal | None, decimals: int = 2) -> str:
    """A sum of it."""
    return UNKNOWN if value is None else f"{_settled(round(value, decimals)):,.{decimals}f}"


def price(value: Decimal | float | None, tick: Decimal | None) -> str:
    """A price with the decimals of the tick. That of a candle is shown as it was, also where ticks were finer then; an
    average is rounded."""
    from pipeline.ticks import MOST, decimals_of_price  # noqa: PLC0415

    if value is None or value != value:  # noqa: PLR0124 - NaN: not known
        return UNKNOWN
    if tick is None:
        return amount(value)
    decimals = decimals_of_price(value, _decimals(tick)) if isinstance(value, float) else _decimals(tick)
    return f"{value:,.{decimals if decimals <= MOST else _decimals(tick)}f}"


def change(value: Decimal | None, decimals: int = 2) -> "Text | str":
    """Money that the account gained, or paid."""
    if value is None:
        return UNKNOWN
    return _coloured(_settled(round(value, decimals)), f"{{:+,.{decimals}f}}", f"{0:.{decimals}f}")


def percent(value: float | None, unit: str = "") -> "Text | str":
    """A percentage: positive where it went well."""
    return (
        UNKNOWN if value is None else _coloured(_settled(round(Decimal(value), 2)), f"{{:+,.2f}}{unit}", f"0.00{unit}")
    )


def _coloured(value: Decimal, form: str, nothing: str) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    if not value:
        return Text(nothing)
    return Text(form.format(value), style="green" if value > 0 else "red")


def _settled(value: Decimal) -> Decimal:
    """Zero has no sign."""
    return value or Decimal("0.00")


def _decimals(tick: Decimal) -> int:
    return max(0, -_exponent(tick.normalize()))


def _exponent(value: Decimal) -> int:
    found = value.as_tuple().exponent
    return found if isinstance(found, int) else 0


def measured(value: float | None, unit: str) -> str | None:
    """What was measured, with as many digits as one reads."""
    return None if value is None else f"{value:{',.0f' if value >= 1000 else '.4g'}} {unit}".rstrip()
