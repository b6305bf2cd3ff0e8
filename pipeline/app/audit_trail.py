"""Who ordered what, when and why, of the orders that have no document of their own to keep it: a line each in
`<home>/logs/audit.log`.

The switches (mode, halt, trading settings, goal, stage, breakers) keep it with themselves in `control`. An order is
never refused because it could not be noted: that is logged.
"""

import logging
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger(__name__)


def file_of(home: Path) -> Path:
    """Where it is kept."""
    return home / "logs" / "audit.log"


def note(home: Path, order: str, *, by: str, reason: str | None) -> None:
    """Somebody orders this now."""
    line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {by}: {order}{f' ({reason})' if reason else ''}"
    file = file_of(home)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as trail:
            trail.write(f"{' '.join(line.split())}\n")
    except OSError as error:
        log.warning("%s cannot be written (%s): %s", file, error.strerror, line)
