"""Who ordered what, when and why, of the orders that have no document of their own to keep it: a line each in
`<home>/logs/audit.log`, the older half in `audit.log.1`.

The switches (mode, halt, trading settings, goal, allocation, slippage, stage, breakers) keep it with themselves in
`control`. An order is never refused because it could not be noted: that is logged.
"""

import logging
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pipeline import log_file
from pipeline.store.mongod.sharing import close
from schemas.series import SeriesKey

log = logging.getLogger(__name__)

NAMED: Final = 20


def file_of(home: Path) -> Path:
    """Where it is kept."""
    return home / "logs" / "audit.log"


def named(keys: Collection[SeriesKey]) -> str:
    """The series an order is about; of very many the first: a line is there to be read, and some orders come every few
    minutes."""
    first, more = sorted(keys)[:NAMED], len(keys) - NAMED
    said = ", ".join(f"{key.symbol} {key.interval}" for key in first)
    return f"{said} and {more:,} more" if more > 0 else said or "nothing"


def note(home: Path, order: str, *, by: str, reason: str | None) -> None:
    """Somebody orders this now."""
    line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {by}: {order}{f' ({reason})' if reason else ''}"
    file = file_of(home)
    try:
        close(file.parent)
        log_file.append(file, " ".join(line.split()))
    except OSError as error:
        log.warning("%s cannot be written (%s): %s", file, error.strerror, line)
