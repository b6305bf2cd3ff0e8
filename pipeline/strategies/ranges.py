"""The values that a search tries of a parameter, declared beside its default. Nothing but a search looks at them."""

from collections.abc import Iterable
from dataclasses import Field, field, fields
from decimal import Decimal
from typing import Any, Final

from pipeline.strategies.base import Strategy

_SEARCHED: Final = "searched"


def searched(default: Any, values: Iterable[Any]) -> Any:
    """A parameter with this default; a search tries these values of it, unless it is told others."""
    return field(default=default, metadata={_SEARCHED: tuple(values)})


def steps(first: float, last: float, step: float) -> tuple[float, ...]:
    """From the first to the last, both among them, as decimals: 0.05, 0.1, 0.15 and no 0.15000000000000002."""
    begin, width = Decimal(repr(first)), Decimal(repr(step))
    return tuple(float(begin + width * place) for place in range(int((Decimal(repr(last)) - begin) / width) + 1))


def searched_of(kind: type[Strategy]) -> dict[str, tuple[Any, ...]]:
    """For each parameter that has them, the values that a search tries."""
    declared: tuple[Field[Any], ...] = fields(kind)  # type: ignore[arg-type]
    return {one.name: one.metadata[_SEARCHED] for one in declared if _SEARCHED in one.metadata}
