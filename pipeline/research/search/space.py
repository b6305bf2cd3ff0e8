"""What a search may try: parameters of one strategy, and how it is traded, each with its values. Pure.

A parameter has the values that are declared beside its default, or those that are named here. What a strategy refuses
of itself, short averages that are longer than long ones for example, is not tried.
"""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from math import prod
from typing import Any, Final, get_args, get_type_hints

from pydantic import ValidationError

from pipeline.errors import UsageError
from pipeline.settings import Risk
from pipeline.strategies.base import Strategy
from pipeline.strategies.form import require_in_form
from pipeline.strategies.parameters import build, read_as
from pipeline.strategies.ranges import searched_of
from pipeline.timeline import interval

Value = bool | int | float | str
Point = Mapping[str, Value]
"""A value for each axis, by name: what a trial is of."""

INTERVAL: Final = "interval"
TRADED: Final[Mapping[str, str]] = {
    "stop": "stop_atr", "target": "take_profit_atr", "leverage": "leverage", "unit": "unit_percent",
}  # fmt: skip
"""How a strategy is traded: the word, and the setting of the risk that it is."""
_MOST_VALUES: Final = 10_000
_MOST_LOOKED_AT: Final = 20_000


@dataclass(frozen=True, slots=True)
class Axis:
    """A name and the values that it may have, in order."""

    name: str
    values: tuple[Value, ...]

    @property
    def is_ordered(self) -> bool:
        """Whether one value is nearer than another: numbers are, words are not."""
        return not any(isinstance(one, str | bool) for one in self.values)


@dataclass(frozen=True, slots=True)
class Space:
    """Every combination of the axes that the strategy takes; what is `fixed` is the same in all of them."""

    kind: type[Strategy]
    fixed: Mapping[str, Any]
    axes: tuple[Axis, ...]

    @property
    def size(self) -> int:
        """How many combinations there are, those that are refused among them."""
        return prod(len(one.values) for one in self.axes)

    def strategy(self, point: Point) -> Strategy:
        """The strategy of a point."""
        named = {name: value for name, value in point.items() if name not in TRADED and name != INTERVAL}
        found = build(self.kind, {**self.fixed, **named})
        require_in_form(found)
        return found

    def takes(self, point: Point) -> bool:
        """Whether the strategy does."""
        try:
            self.strategy(point)
        except UsageError:
            return False
        return True

    def points(self) -> Iterator[Point]:
        """All that are taken, in order."""
        names = [one.name for one in self.axes]
        for values in itertools.product(*(one.values for one in self.axes)):
            point = dict(zip(names, values, strict=True))
            if self.takes(point):
                yield point

    def neighbours(self, point: Point) -> list[Point]:
        """Those one step away on one axis: the next number below and above, or any other word."""
        found = []
        for axis in self.axes:
            at = axis.values.index(point[axis.name])
            near = (at - 1, at + 1) if axis.is_ordered else (place for place in range(len(axis.values)) if place != at)
            found += [{**point, axis.name: axis.values[place]} for place in near if 0 <= place < len(axis.values)]
        return [one for one in found if self.takes(one)]


def risk_of(risk: Risk, point: Point) -> Risk:
    """The risk with what the point says of it."""
    own = {setting: Decimal(str(point[word])) for word, setting in TRADED.items() if word in point}
    return Risk.model_validate(risk.model_dump() | own) if own else risk


def space_of(
    kind: type[Strategy], fixed: Mapping[str, Any], named: Sequence[str] = (), usual: Mapping[str, Any] | None = None
) -> Space:
    """The axes that are named, `n=5..60:5`, `criterion=macd,both`, `stop=1..4:0.5`, or `n` alone with the values that
    are declared; if none is, all that are declared and not fixed. `usual`: what the others are."""
    build(kind, fixed)
    declared = searched_of(kind)
    axes = [_axis(kind, declared, one) for one in named]
    axes = axes or [Axis(name, values) for name, values in declared.items() if name not in fixed]
    if not axes:
        raise UsageError(
            f"there is nothing to search: {kind.name} declares no values for its parameters, or all are fixed. Name "
            "some: --space NAME=FIRST..LAST:STEP, or how it is traded: --space stop=1..4:0.5"
        )
    names = [one.name for one in axes]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"--space names {twice} twice: give it once, its values separated by commas")
    if both := next((name for name in names if name in fixed), None):
        raise UsageError(f"{both} is fixed and searched: leave out one of --set and --space")
    others = {name: value for name, value in (usual or {}).items() if name not in names}
    found = Space(kind, {**others, **fixed}, tuple(axes))
    _require_any(found)
    return found


def _require_any(space: Space) -> None:
    """Refuse a space of which the strategy takes nothing."""
    if space.size <= _MOST_LOOKED_AT:
        first = next(space.points(), None)
    else:
        dice = random.Random(0)
        tried = ({axis.name: dice.choice(axis.values) for axis in space.axes} for _ in range(_MOST_LOOKED_AT))
        first = next(filter(space.takes, tried), None)
    if first is None:
        refused = {axis.name: axis.values[0] for axis in space.axes}
        try:
            space.strategy(refused)
            why = ""
        except UsageError as error:
            why = f" The first, for example: {error}"
        raise UsageError(f"{space.kind.name} takes none of the {space.size:,} combinations.{why} Widen --space")


def _axis(kind: type[Strategy], declared: Mapping[str, tuple[Value, ...]], text: str) -> Axis:
    name, equals, values = (part.strip() for part in text.partition("="))
    hints = {one: hint for one, hint in get_type_hints(kind).items() if one in _fields(kind)}
    if name not in hints and name not in TRADED and name != INTERVAL:
        known = [*hints, *TRADED, INTERVAL]
        near = get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"--space {name}: there is no such parameter.{hint} There are: {', '.join(known)}")
    if not equals:
        if name not in declared:
            raise UsageError(f"--space {name}: it has no declared values; name them: --space {name}=FIRST..LAST:STEP")
        return Axis(name, declared[name])
    read = _reader(kind, name, hints)
    found = dict.fromkeys(read(one) for part in values.split(",") for one in _spread(name, part.strip()))
    if len(found) > _MOST_VALUES:
        raise UsageError(f"--space {name}: {len(found):,} values are more than {_MOST_VALUES:,}; take a wider step")
    return Axis(name, tuple(found))


def _fields(kind: type[Strategy]) -> Sequence[str]:
    return list(getattr(kind, "__dataclass_fields__", {}))


def _reader(kind: type[Strategy], name: str, hints: Mapping[str, Any]) -> Callable[[str], Value]:
    """From a value as it is written to one that is allowed."""
    if name in hints:
        declared = hints[name]
        words = get_args(declared)

        def read(text: str) -> Value:
            if words and text not in words:
                raise UsageError(f"--space {name}: {text!r} is none of {', '.join(map(str, words))}")
            value: Value = read_as(f"--space {name}: {kind.name}.{name}", text, declared)
            return value

        return read
    if name == INTERVAL:
        return _interval
    return lambda text: _traded(name, text)


def _interval(text: str) -> Value:
    try:
        return interval(text).code
    except ValueError as error:
        raise UsageError(f"--space {INTERVAL}: {error}") from None


def _traded(word: str, text: str) -> Value:
    """A number that the setting takes."""
    setting = TRADED[word]
    try:
        taken = getattr(Risk.model_validate({setting: text}), setting)
    except ValidationError as error:
        raise UsageError(f"--space {word}={text}: {error.errors()[0]['msg']} ({setting} of the risk)") from None
    return int(taken) if isinstance(taken, int) else float(taken)


def _spread(name: str, text: str) -> Iterator[str]:
    """`5..60:5` as 5, 10, 15 ...; anything else as it is."""
    if ".." not in text:
        if not text:
            raise UsageError(f"--space {name}: a value is missing; write {name}=FIRST..LAST:STEP or {name}=ONE,OTHER")
        yield text
        return
    bounds, _, by = text.partition(":")
    first, _, last = bounds.partition("..")
    try:
        begin, end, step = Decimal(first), Decimal(last), Decimal(by or 1)
        count = int((end - begin) / step) if step > 0 else -1
    except (InvalidOperation, ValueError, OverflowError):
        raise UsageError(f"--space {name}={text}: write FIRST..LAST:STEP in numbers, such as 5..60:5") from None
    if count < 0:
        raise UsageError(f"--space {name}={text}: it is empty; the last is below the first, or the step is not above 0")
    if count >= _MOST_VALUES:
        raise UsageError(f"--space {name}={text}: {count + 1:,} values are more than {_MOST_VALUES:,}; a wider step")
    for place in range(count + 1):
        yield f"{(begin + step * place).normalize():f}"
