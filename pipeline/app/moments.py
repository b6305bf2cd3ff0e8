"""Times as people type them."""

import re
from datetime import UTC, datetime

from pipeline.errors import UsageError
from pipeline.nearest import folded
from pipeline.timeline import DAY, HOUR, MINUTE, WEEK, in_utc, to_ms

_UNITS = {"m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}
_AGO = re.compile(r"(\d{1,6})([mhdw])")


def moment(option: str, text: str | None) -> int | None:
    """A date or a time in ISO 8601; without a zone it is UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is no time; write it like 2026-01-31 or 2026-01-31T12:00") from None
    return to_ms(in_utc(found))


def since(option: str, text: str | None) -> int | None:
    """How long ago (`90m`, `12h`, `2d`, `4w`), or a date or a time."""
    now, text = to_ms(datetime.now(UTC)), None if text is None else folded(text)
    ago = _AGO.fullmatch(text or "")
    if ago is not None:
        return max(0, now - int(ago[1]) * _UNITS[ago[2]])
    try:
        return moment(option, text)
    except UsageError:
        raise UsageError(f"{option} {text!r} is no time; write it like 12h, 2d, 4w or 2026-01-31") from None
