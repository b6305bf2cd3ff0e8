"""When quarterly contracts are delivered, and what a contract is called at a moment: 08:00 UTC on the last Friday of a
quarter."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from pipeline.simulator.types import QUARTER, SymbolSpec
from pipeline.timeline import to_ms

CURRENT: Final = "CURRENT_QUARTER"
NEXT: Final = "NEXT_QUARTER"
ENDED: Final = "CURRENT_QUARTER_DELIVERING"

_FRIDAY: Final = 4


def contract_type(spec: SymbolSpec, now: int) -> str:
    """What it is called at that moment: a dated contract by when it ends."""
    if spec.kind != QUARTER:
        return spec.kind
    if spec.delivery <= now:
        return ENDED
    return CURRENT if spec.delivery == next(deliveries(now)) else NEXT


def deliveries(after: int) -> Iterator[int]:
    """The moments of delivery after that one."""
    moment = datetime.fromtimestamp(after / 1_000, UTC)
    year, quarter = moment.year, (moment.month - 1) // 3
    while True:
        delivery = _last_friday(year, 3 * quarter + 3)
        if delivery > after:
            yield delivery
        year, quarter = (year, quarter + 1) if quarter < 3 else (year + 1, 0)


def _last_friday(year: int, month: int) -> int:
    last = datetime(year, month, monthrange(year, month)[1], 8, tzinfo=UTC)
    return to_ms(last - timedelta(days=(last.weekday() - _FRIDAY) % 7))
