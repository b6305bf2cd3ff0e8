"""From settings to a strategy: parameters by name and declared type, and errors that say which one is wrong."""

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from typing import Any, get_type_hints

from pipeline.errors import UsageError
from pipeline.strategies.base import Strategy, StrategyError

_WORDS = {"true": True, "false": False}


def build(kind: type[Strategy], parameters: Mapping[str, Any]) -> Strategy:
    """The strategy with these parameters; those not given have their defaults. Text is read as the declared type."""
    require_parameters(kind)
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    values = {}
    for name, value in parameters.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            allowed = ", ".join(known) or "none"
            raise StrategyError(f"strategy {kind.name} has no parameter {name!r}.{hint} It has: {allowed}")
        values[name] = read_as(f"{kind.name}: {name}", value, hints[name])
    try:
        return kind(**values)
    except UsageError:
        raise
    except Exception as error:
        raise StrategyError(f"strategy {kind.name} refuses its parameters: {error}") from error


def require_parameters(kind: type[Any]) -> None:
    """Refuse a class that is not a frozen dataclass with a default for every field."""
    settings = getattr(kind, "__dataclass_params__", None)
    if not is_dataclass(kind) or settings is None or not settings.frozen:
        raise StrategyError(f"strategy {kind.__name__} must be a frozen dataclass: its fields are its parameters")
    bare = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    if bare:
        raise StrategyError(f"strategy {kind.__name__}: the parameter {bare[0]!r} has no default")


def read_as(what: str, value: Any, declared: Any) -> Any:
    """The value as its declared type; `what` it is of, for the error."""
    if declared is bool:
        read = _WORDS.get(str(value).strip().lower(), value)
        fits = isinstance(read, bool)
    elif declared is int:
        read = _number(value, int)
        fits = isinstance(read, int) and not isinstance(read, bool)
    elif declared is float:
        read = _number(value, float)
        fits = isinstance(read, float) and read - read == 0
    else:
        read, fits = value, not isinstance(declared, type) or isinstance(value, declared)
    if not fits:
        raise StrategyError(f"{what} must be {getattr(declared, '__name__', declared)}, not {value!r}")
    return read


def _number(value: Any, number: type[int] | type[float]) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if number is int and isinstance(value, float):
        return int(value) if value.is_integer() else None
    try:
        return number(value)
    except ValueError:
        return None
