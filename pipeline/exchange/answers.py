"""What an answer means. Pure: status, headers and body in; a payload or one error of the tree out.

The table this follows is in docs/backfill.md ("Outcomes").
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from pipeline.exchange.errors import (
    BadAnswerError,
    BannedError,
    BlockedError,
    ClockSkewError,
    ExchangeError,
    KeyProblemError,
    NotDoneError,
    RateLimitedError,
    RefusedError,
    UnknownOutcomeError,
    until_text,
)
from pipeline.timeline import MINUTE, SECOND

CLOCK_CODES: Final = frozenset({-1021, -5028})
KEY_CODES: Final = frozenset({-1022, -2014, -2015})
TOO_MANY_ORDERS: Final = -1015
WAIT_CODES: Final = frozenset({-1003, TOO_MANY_ORDERS})
UNKNOWN_CODES: Final = frozenset({-1000, -1006, -1007})
NOT_DONE_CODES: Final = frozenset({-1001, -1008})

_NOT_DONE_TEXTS: Final = ("service unavailable", "internal error; unable to process")
_BANNED_UNTIL: Final = re.compile(r"until (\d{13})")
_ORDERS_OF_10S: Final = re.compile(r"per (?:10|TEN)[ _]SECONDS", re.IGNORECASE)
_BAN_AT_LEAST: Final = 2 * MINUTE
_TEXT_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked, as messages name it: never with parameters."""

    method: str
    path: str
    says_not_done: bool = True
    """Whether an answer about a failure of the server's own may say for sure that nothing was done."""

    @property
    def only_reads(self) -> bool:
        """Whether asking twice can change nothing."""
        return self.method == "GET"

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer as it came; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def payload(call: Call, raw: Raw, now: int) -> Any:
    """The decoded body of a good answer; otherwise the error that says what to do."""
    if 200 <= raw.status < 300:
        try:
            return msgspec.json.decode(raw.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _unreadable(call, raw, error) from None
    raise failure(call, raw, now)


def failure(call: Call, raw: Raw, now: int) -> ExchangeError:
    """The error for an answer that is not a success."""
    code, text, data = _refusal(raw.body)
    told = f"{call}: the exchange answered {raw.status}{f' ({code})' if code else ''}: {text or 'no text'}"

    if raw.status == 418:
        until = _wait_until(raw, text, now, at_least=_BAN_AT_LEAST)
        return BannedError(
            f"{told}. This address is banned {until_text(until)}",
            until,
            status=raw.status,
            code=code,
            headers=raw.headers,
        )
    if raw.status == 429 or code in WAIT_CODES:
        until = _wait_until(raw, text, now)
        return RateLimitedError(
            f"{told}. Waiting {until_text(until)}", until, status=raw.status, code=code, headers=raw.headers
        )
    error = _kind(call, raw.status, code, text)(told, status=raw.status, code=code, headers=raw.headers)
    error.data = data
    return error


def _kind(call: Call, status: int, code: int | None, text: str) -> type[ExchangeError]:
    if code in CLOCK_CODES:
        return ClockSkewError
    if code in KEY_CODES or status == 401:
        return KeyProblemError
    if status >= 500 and not call.says_not_done:
        return UnknownOutcomeError
    if code in NOT_DONE_CODES:
        return NotDoneError
    if status == 503 and text.lower().startswith(_NOT_DONE_TEXTS):
        return NotDoneError
    if code in UNKNOWN_CODES or status == 408 or status >= 500:
        return UnknownOutcomeError
    if status in {403, 451}:
        return BlockedError
    if code is not None:
        return RefusedError
    return BadAnswerError


def _unreadable(call: Call, raw: Raw, error: Exception) -> ExchangeError:
    told = f"{call}: the answer is not readable JSON ({error}; {len(raw.body)} bytes)"
    kind = BadAnswerError if call.only_reads else UnknownOutcomeError
    return kind(told, status=raw.status, headers=raw.headers)


def _refusal(body: bytes) -> tuple[int | None, str, Any]:
    """The exchange's code and text, and what came with them; a body that is neither is shown as it is, shortened."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None, body.decode(errors="replace").strip()[:_TEXT_SHOWN], None
    if not isinstance(decoded, dict):
        return None, str(decoded)[:_TEXT_SHOWN], None
    code = decoded.get("code")
    return (code if isinstance(code, int) else None), str(decoded.get("msg", ""))[:_TEXT_SHOWN], decoded.get("data")


def _wait_until(raw: Raw, text: str, now: int, at_least: int = 0) -> int:
    """`Retry-After` if it is there, else the moment in the text, else the end of the period: limits reset with it."""
    after = raw.headers.get("retry-after", "")
    if after.isdigit():
        return now + int(after) * SECOND
    named = _BANNED_UNTIL.search(text)
    if named:
        return max(now, int(named[1]))
    period = 10 * SECOND if _ORDERS_OF_10S.search(text) else MINUTE
    return max(now + at_least, (now // period + 1) * period)
