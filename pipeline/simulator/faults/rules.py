"""What can be made to go wrong, and when: rules that match a request, a row, a frame or a connection.

Pure: a rule says whether it strikes; the server and the hub do the damage. A rule strikes by what it matches, by
probability with a seed, or for "the next N", so that a test gets exactly the fault it asked for.
"""

from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import count
from random import Random
from typing import Annotated

import msgspec

from pipeline.errors import UsageError
from pipeline.timeline import DAY, to_datetime


class Stage(StrEnum):
    """Where a fault strikes."""

    BEFORE = "before"  # the request has not been executed and never will be
    AFTER = "after"  # it has been executed; only the answer suffers
    ROWS = "rows"  # the candles of an answer
    FRAME = "frame"  # a frame on its way to one connection
    HANDSHAKE = "handshake"  # a websocket that opens
    ARCHIVE = "archive"  # a file of the archive


class Kind(StrEnum):
    """Every fault there is."""

    MAINTENANCE = "maintenance"
    OVERLOADED = "overloaded"
    UNKNOWN_BEFORE = "unknown_before"
    TIMEOUT_BEFORE = "timeout_before"
    RATE_LIMITED = "rate_limited"
    BANNED = "banned"
    ANSWER_CODE = "answer_code"
    ANSWER_CODE_AFTER = "answer_code_after"
    RESET_BEFORE = "reset_before"
    HANG_BEFORE = "hang_before"
    UNKNOWN_AFTER = "unknown_after"
    TIMEOUT_AFTER = "timeout_after"
    RESET_AFTER = "reset_after"
    HANG_AFTER = "hang_after"
    FORGET = "forget"
    SLOW = "slow"
    TRUNCATED = "truncated"
    INVALID_JSON = "invalid_json"
    HOLE = "hole"
    MALFORMED_ROWS = "malformed_rows"
    LOSE = "lose"
    REPEAT = "repeat"
    DELAY = "delay"
    REORDER = "reorder"
    GARBLE = "garble"
    DROP = "drop"
    FREEZE = "freeze"
    REFUSE = "refuse"
    ARCHIVE_MISSING = "archive_missing"
    ARCHIVE_CORRUPT = "archive_corrupt"
    ARCHIVE_CHECKSUM = "archive_checksum"
    ARCHIVE_HOLE = "archive_hole"


STAGES: dict[Kind, Stage] = {
    **dict.fromkeys(
        (
            Kind.MAINTENANCE,
            Kind.OVERLOADED,
            Kind.UNKNOWN_BEFORE,
            Kind.TIMEOUT_BEFORE,
            Kind.RATE_LIMITED,
            Kind.BANNED,
            Kind.ANSWER_CODE,
            Kind.RESET_BEFORE,
            Kind.HANG_BEFORE,
        ),
        Stage.BEFORE,
    ),
    **dict.fromkeys(
        (
            Kind.ANSWER_CODE_AFTER,
            Kind.UNKNOWN_AFTER,
            Kind.TIMEOUT_AFTER,
            Kind.RESET_AFTER,
            Kind.HANG_AFTER,
            Kind.FORGET,
            Kind.SLOW,
            Kind.TRUNCATED,
            Kind.INVALID_JSON,
        ),
        Stage.AFTER,
    ),
    **dict.fromkeys((Kind.HOLE, Kind.MALFORMED_ROWS), Stage.ROWS),
    **dict.fromkeys(
        (Kind.LOSE, Kind.REPEAT, Kind.DELAY, Kind.REORDER, Kind.GARBLE, Kind.DROP, Kind.FREEZE), Stage.FRAME
    ),
    Kind.REFUSE: Stage.HANDSHAKE,
    **dict.fromkeys(
        (Kind.ARCHIVE_MISSING, Kind.ARCHIVE_CORRUPT, Kind.ARCHIVE_CHECKSUM, Kind.ARCHIVE_HOLE), Stage.ARCHIVE
    ),
}

_REQUEST_FIELDS = frozenset(("market", "method", "path", "symbol", "account"))
_FIELDS: dict[Stage, frozenset[str]] = {
    Stage.BEFORE: _REQUEST_FIELDS,
    Stage.AFTER: _REQUEST_FIELDS,
    Stage.ROWS: frozenset(("market", "path", "symbol", "start", "end")),
    Stage.FRAME: frozenset(("market", "stream", "route", "closing")),
    Stage.HANDSHAKE: frozenset(("market", "route")),
    Stage.ARCHIVE: frozenset(("market", "path", "symbol", "start", "end")),
}
_TIMED = frozenset((Kind.SLOW, Kind.DELAY))
_CODED = frozenset((Kind.ANSWER_CODE, Kind.ANSWER_CODE_AFTER))
_ANY_STAGE = frozenset(("kind", "next", "probability", "seed"))


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A rule. The text fields are shell patterns (`*kline*`); what is left out matches everything."""

    kind: Kind
    market: str | None = None
    method: str | None = None
    path: str | None = None
    symbol: str | None = None
    account: str | None = None
    stream: str | None = None
    route: str | None = None
    closing: bool | None = None
    """Frames: only those that close a candle (true), or only the others (false)."""
    start: int | None = None
    end: int | None = None
    """Rows: the opening times from `start` to `end`, in ms, both inclusive."""
    next: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Strike so many times and be gone."""
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    seed: int = 0
    milliseconds: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """How long an answer is slow or a frame is late, by the wall."""
    code: Annotated[int, msgspec.Meta(le=-1)] | None = None
    """Which of its error codes the exchange answers with."""

    @property
    def stage(self) -> Stage:
        """Where it strikes."""
        return STAGES[self.kind]

    def check(self) -> "Fault":
        """Itself, if its fields go together; else the error says which does not."""
        allowed = _FIELDS[self.stage] | _ANY_STAGE | ({"milliseconds"} if self.kind in _TIMED else set())
        allowed |= {"code"} if self.kind in _CODED else set()
        given = [name for name in self.__struct_fields__ if getattr(self, name) is not None]
        foreign = [name for name in given if name not in allowed]
        if foreign:
            raise UsageError(
                f"a fault of kind {self.kind.value!r} cannot match {foreign[0]!r}: it strikes at the stage "
                f"{self.stage.value!r}, where {', '.join(sorted(_FIELDS[self.stage]))} can be matched"
            )
        if self.kind in _TIMED and self.milliseconds is None:
            raise UsageError(f"a fault of kind {self.kind.value!r} needs 'milliseconds': how long")
        if self.kind in _CODED and self.code is None:
            raise UsageError(f"a fault of kind {self.kind.value!r} needs 'code': for example -2019")
        in_time = self.stage is Stage.ROWS or self.kind is Kind.ARCHIVE_HOLE
        if in_time and (self.start is None or self.end is None):
            raise UsageError(f"a fault of kind {self.kind.value!r} needs 'start' and 'end': opening times, inclusive")
        return self

    def days(self) -> Iterator[date]:
        """The days from `start` to `end`."""
        for day in range((self.start or 0) // DAY, (self.end or 0) // DAY + 1):
            yield to_datetime(day * DAY).date()

    def matches(self, facts: "Facts") -> bool:
        """Whether everything that the rule names is so."""
        for name in ("market", "method", "path", "symbol", "account", "stream", "route"):
            wanted, found = getattr(self, name), getattr(facts, name)
            if wanted is not None and (found is None or not fnmatchcase(found, wanted)):
                return False
        return self.closing is None or self.closing == facts.closing


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about the thing that a rule may strike."""

    market: str | None = None
    method: str | None = None
    path: str | None = None
    symbol: str | None = None
    account: str | None = None
    stream: str | None = None
    route: str | None = None
    closing: bool = False


def read_fault(body: bytes) -> Fault:
    """A rule from JSON; what is wrong with it is said in one line."""
    try:
        return msgspec.json.decode(body, type=Fault).check()
    except msgspec.ValidationError as failure:
        kinds = ", ".join(kind.value for kind in Kind)
        raise UsageError(f"this is no fault: {failure}. Kinds: {kinds}") from failure
    except msgspec.DecodeError as failure:
        raise UsageError(f"this is no JSON: {failure}") from failure


class ActiveFault(msgspec.Struct, kw_only=True):
    """A rule in force, with what it has done so far."""

    number: int
    fault: Fault
    random: Random
    struck: int = 0

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as it was told to."""
        return self.fault.next is not None and self.struck >= self.fault.next

    def strikes(self, facts: Facts) -> bool:
        """Decide, and remember."""
        if self.spent or not self.fault.matches(facts) or self.random.random() >= self.fault.probability:
            return False
        self.struck += 1
        return True

    def as_dict(self) -> dict[str, object]:
        """As the panel shows it."""
        return {"number": self.number, "struck": self.struck, "fault": msgspec.to_builtins(self.fault)}


class FaultPanel:
    """The rules in force."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._active: dict[int, ActiveFault] = {}

    def add(self, fault: Fault) -> int:
        """Put a rule in force; its number takes it out again."""
        number = next(self._numbers)
        self._active[number] = ActiveFault(number=number, fault=fault.check(), random=Random(fault.seed))
        return number

    def remove(self, number: int) -> None:
        """Take one rule out."""
        if self._active.pop(number, None) is None:
            raise UsageError(f"there is no fault number {number} in force")

    def clear(self) -> None:
        """Take every rule out."""
        self._active.clear()

    def active(self) -> list[ActiveFault]:
        """The rules in force, oldest first; a spent one stays visible until it is cleared."""
        return list(self._active.values())

    def has(self, stage: Stage) -> bool:
        """Whether anything could strike there: the cheap question before the dear one."""
        return any(each.fault.stage is stage and not each.spent for each in self._active.values())

    def strike(self, stage: Stage, facts: Facts) -> Fault | None:
        """The first rule that strikes this, if any."""
        return next(self.strikes(stage, facts), None)

    def strikes(self, stage: Stage, facts: Facts) -> Iterator[Fault]:
        """Every rule that strikes this."""
        for each in self._active.values():
            if each.fault.stage is stage and each.strikes(facts):
                yield each.fault
