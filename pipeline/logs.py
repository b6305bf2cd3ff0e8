"""Logging: one line an event, for people or as JSON; repeats collapsed; secrets scrubbed. Never decides what is logged.

Code logs as anywhere else: `log = logging.getLogger(__name__)`, then
`log.info("gap fetched", extra={"symbol": "BTCUSDT", "candles": 12})`. What is passed in `extra` becomes fields.
Scrubbing is the last line of defence: a secret should not reach a log call in the first place.
"""

import copy
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, TextIO

from pipeline.timeline import iso

WINDOW: Final = 10.0
BURST: Final = 5
_MAX_KINDS: Final = 1_000

_SECRET_SHAPES: Final = (
    re.compile(r"((?:signature|listenKey|apiKey|secret|password)=)[^&\s\"'\\]+", re.IGNORECASE),
    re.compile(r"(X-MBX-APIKEY[\\\"']*\s*[:=,]\s*b?[\\\"']*)[^\s,\"'\\})]+", re.IGNORECASE),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^:/@\s\"']*:)[^@\s\"']+(?=@)", re.IGNORECASE),
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----).*?(?=-----END|$)", re.DOTALL),
)
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Scrubber:
    """Removes what looks like a secret, and the literal secrets of this process, from a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._literals = tuple(secret for secret in secrets if len(secret) >= 4)

    def __call__(self, text: str) -> str:
        for literal in self._literals:
            text = text.replace(literal, "***")
        for shape in _SECRET_SHAPES:
            text = shape.sub(r"\1***", text)
        return text


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the event's own fields."""

    def __init__(self, scrub: Scrubber) -> None:
        super().__init__()
        self._scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": iso(int(record.created * 1_000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return self._scrub(json.dumps(line, default=str, ensure_ascii=False))


class HumanFormatter(logging.Formatter):
    """`07:41:57Z WARNING ingest.service  feed is silent  symbol=BTCUSDT age=12.5`"""

    _COLOURS: Final = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}

    def __init__(self, scrub: Scrubber, *, colour: bool) -> None:
        super().__init__()
        self._scrub = scrub
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        clock = iso(int(record.created) * 1_000)[11:]
        fields = "".join(f"  {name}={value}" for name, value in _fields(record).items())
        message = f"{record.getMessage()}{fields}".replace("\n", "\\n")
        level = f"{record.levelname:<7}"
        if self._colour:
            level = f"\x1b[{self._COLOURS.get(record.levelname, '0')}m{level}\x1b[0m"
        line = f"{clock} {level} {record.name.removeprefix('pipeline.')}  {message}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return self._scrub(line)


class _Output(logging.StreamHandler[TextIO]):
    """Writes lines. A faulty log call is reported by its template alone: its arguments were never scrubbed."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        self.stream.write(f"a log call of {record.name} is faulty: {record.msg!r}\n")


@dataclass(slots=True)
class _Repeats:
    since: float
    seen: int
    last: logging.LogRecord


class Collapsing(logging.Handler):
    """Hands records on; after `burst` alike within `window` seconds it only counts, and says how many at the end.

    Alike: same logger, level and message template. The end is the last of them with `repeated=<how many were hidden>`,
    said with the first record of any kind after the window, and when the handler is closed.
    """

    def __init__(
        self,
        target: logging.Handler,
        *,
        window: float = WINDOW,
        burst: int = BURST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._target, self._window, self._burst, self._clock = target, window, burst, clock
        self._kinds: dict[tuple[str, int, str], _Repeats] = {}

    def emit(self, record: logging.LogRecord) -> None:
        now = self._clock()
        self._end_windows(before=now - self._window)
        kind = (record.name, record.levelno, str(record.msg))
        repeats = self._kinds.get(kind)
        if repeats is None:
            if len(self._kinds) >= _MAX_KINDS:
                self._end_windows(before=now)
            self._kinds[kind] = repeats = _Repeats(now, 0, record)
        repeats.seen += 1
        repeats.last = record
        if repeats.seen <= self._burst:
            self._target.handle(record)

    def close(self) -> None:
        self.acquire()
        try:
            self._end_windows(before=float("inf"))
        finally:
            self.release()
        self._target.close()
        super().close()

    def _end_windows(self, before: float) -> None:
        over = [kind for kind, repeats in self._kinds.items() if repeats.since <= before]
        for kind in over:
            repeats = self._kinds.pop(kind)
            hidden = repeats.seen - self._burst
            if hidden > 0:
                summary = copy.copy(repeats.last)
                summary.repeated = hidden
                self._target.handle(summary)


def configure(style: str, level: str, secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Send this process's log to `stream` (default: stderr). Other libraries are heard from WARNING up."""
    out = stream or sys.stderr
    scrub = Scrubber(secrets)
    target = _Output(out)
    target.setFormatter(JsonFormatter(scrub) if style == "json" else HumanFormatter(scrub, colour=out.isatty()))
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, Collapsing):
            root.removeHandler(old)
            old.close()
    root.addHandler(Collapsing(target))
    root.setLevel(logging.WARNING)
    for ours in ("pipeline", "flows"):
        logging.getLogger(ours).setLevel(level.upper())


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}
