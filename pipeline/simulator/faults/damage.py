"""What a fault does to an answer, once the panel has decided that it strikes: the words and the wounds. Pure."""

import msgspec

from pipeline.simulator.errors import ApiError
from pipeline.simulator.faults.rules import Fault, Kind
from pipeline.simulator.venue.refusals import MESSAGES

_OF_KEYS = (-2014, -2015)
_REFUSALS: dict[Kind, tuple[int, str, int]] = {
    Kind.MAINTENANCE: (0, "Service Unavailable.", 503),
    Kind.OVERLOADED: (
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
        503,
    ),
    Kind.UNKNOWN_BEFORE: (-1000, "Unknown error, please check your request or try again later.", 503),
    Kind.TIMEOUT_BEFORE: (
        -1007,
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
        408,
    ),
    Kind.RATE_LIMITED: (
        -1003,
        "Too many requests; please use the websocket for live updates to avoid polling the API.",
        429,
    ),
}
_REFUSALS[Kind.UNKNOWN_AFTER] = _REFUSALS[Kind.UNKNOWN_BEFORE]
_REFUSALS[Kind.TIMEOUT_AFTER] = _REFUSALS[Kind.TIMEOUT_BEFORE]


def refusal(fault: Fault) -> ApiError | None:
    """What the exchange says where the fault makes it say something: whether or not it has executed."""
    if fault.code is not None:
        return ApiError(fault.code, MESSAGES.get(fault.code, "Refused."), 401 if fault.code in _OF_KEYS else 400)
    words = _REFUSALS.get(fault.kind)
    return ApiError(*words) if words else None


def forgotten(status: int, body: bytes) -> tuple[int, bytes]:
    """A list without what is in it; and of one order, that there is none."""
    if body.startswith(b"["):
        return status, b"[]"
    words = ApiError(-2013, MESSAGES[-2013])
    return words.status, msgspec.json.encode(words.body())


def damage_rows(fault: Fault, rows: list[list[object]]) -> list[list[object]]:
    """Candles with a hole, or with rows that no candle has."""
    struck = [_within(fault, row) for row in rows]
    if fault.kind is Kind.HOLE:
        return [row for row, gone in zip(rows, struck, strict=True) if not gone]
    return [_spoil(row, position) if hit else row for position, (row, hit) in enumerate(zip(rows, struck, strict=True))]


def _within(fault: Fault, row: list[object]) -> bool:
    opened = row[0]
    if not isinstance(opened, int) or fault.start is None or fault.end is None:
        return False
    return fault.start <= opened <= fault.end


def _spoil(row: list[object], position: int) -> list[object]:
    """A row cut short, a price that is no number, or the high below the low: in turn."""
    match position % 3:
        case 0:
            return row[:5]
        case 1:
            return [*row[:4], "NaN", *row[5:]]
        case _:
            return [*row[:2], row[3], row[2], *row[4:]]
