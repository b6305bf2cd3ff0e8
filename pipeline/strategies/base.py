"""What a strategy is, and the codes it answers with. No rule of any strategy, no arithmetic."""

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum, IntEnum
from typing import Any, ClassVar, Final, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from pipeline.errors import UsageError
from pipeline.exchange_names import MARKETS
from pipeline.periods import Floats

Codes = npt.NDArray[np.int8]
Prices = Mapping[str, Floats]

CANDLE_COLUMNS: Final = ("open", "high", "low", "close", "volume")


class Side(Enum):
    """Which way a signal points."""

    LONG = "long"
    SHORT = "short"


class Kind(IntEnum):
    """What a signal asks for; how many units that is, is the executor's."""

    TRIAL = 1
    ENTRY = 2
    ADD = 3
    EXIT = 4


class Meaning(NamedTuple):
    """A code in words."""

    side: Side
    kind: Kind


class StrategyError(UsageError):
    """A strategy cannot be used as it is: its author or the settings must change. The message names it."""


class AnswerError(StrategyError):
    """A strategy failed while it ran, or answered out of form. `reason` says how, without its name."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"strategy {name} {reason}")
        self.reason = reason


@runtime_checkable
class Strategy(Protocol):
    """A frozen dataclass whose fields are its parameters, each with a default.

    The code at a candle may depend only on that candle and the `lookback` candles before it: then the live window and
    the whole history give the same signals. `signals` gets the columns in `needs`, all of one length, without a hole;
    the first ones may be NaN. It answers one int8 a candle: 0 for nothing, else a `Kind`, negative for short.

    A strategy may also have `may_signal(columns, before) -> bool`: False only when the code at the last candle is 0 for
    certain, given the codes of the candles before it. And an `edition`, 1 while it has none: a number that counts up
    when the rule changes, so that what the rule before it said is found anew. And `markets`, all of them while it has
    none: where it runs, of "um", "cm" and "spot".
    """

    name: ClassVar[str]

    @property
    def needs(self) -> tuple[str, ...]: ...

    @property
    def lookback(self) -> int: ...

    def signals(self, columns: Prices) -> Codes: ...


def meaning_of(code: int) -> Meaning:
    """What a code other than 0 says."""
    return Meaning(Side.LONG if code > 0 else Side.SHORT, Kind(abs(code)))


def parameters_of(strategy: Strategy) -> dict[str, Any]:
    """The parameters and their values."""
    return {field.name: getattr(strategy, field.name) for field in fields(strategy)}  # type: ignore[arg-type]


def edition_of(strategy: Strategy) -> int:
    """How often the rule was written: with the same parameters another edition says something else."""
    edition: int = getattr(strategy, "edition", 1)
    return edition


def markets_of(strategy: Strategy) -> frozenset[str]:
    """The markets it is for."""
    given = getattr(strategy, "markets", MARKETS)
    known = frozenset(given) & MARKETS if isinstance(given, set | frozenset | tuple | list) else frozenset()
    if not known or len(known) != len(given):
        raise AnswerError(strategy.name, f"its markets must be some of {', '.join(sorted(MARKETS))}, not {given!r}")
    return known


def label_of(strategy: Strategy) -> str:
    """The name, and the parameters that differ from their defaults: `ma_breakout(n=60)`."""
    changed = [
        f"{field.name}={getattr(strategy, field.name)}"
        for field in fields(strategy)  # type: ignore[arg-type]
        if getattr(strategy, field.name) != field.default
    ]
    return f"{strategy.name}({', '.join(changed)})" if changed else strategy.name
