"""Candles as a browser takes them: a place in a column is a time."""

import json
import struct

import numpy as np

from pipeline.timeline import interval
from pipeline.web.columns import packed

HOUR = 3_600_000


def read(body: bytes | memoryview) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """As the page reads it."""
    (length,) = struct.unpack_from("<I", body)
    head = json.loads(bytes(body[4 : 4 + length]))
    assert (4 + length) % 8 == 0
    columns = np.frombuffer(body, "<f8", offset=4 + length).reshape(len(head["columns"]), head["count"])
    return head, dict(zip(head["columns"], columns, strict=True))


def test_a_hole_is_not_a_number_at_its_own_place() -> None:
    times = np.array([0, 1, 4]) * HOUR
    head, found = read(packed(interval("1h"), {"t": times, "close": np.array([1.0, 2.0, 5.1])}, ["close"], tick="0.1"))
    assert head == {"columns": ["t", "close"], "count": 5, "tick": "0.1"}
    assert found["t"].tolist() == [0, HOUR, 2 * HOUR, 3 * HOUR, 4 * HOUR]
    np.testing.assert_array_equal(found["close"], [1.0, 2.0, np.nan, np.nan, 5.1])


def test_months_are_as_long_as_they_are() -> None:
    step = interval("1M")
    times = np.array([step.open_time(672), step.open_time(673), step.open_time(675)])
    _, found = read(packed(step, {"t": times, "close": np.array([1.0, 2.0, 4.0])}, ["close"]))
    assert found["t"].tolist() == [step.open_time(672 + k) for k in range(4)]
    np.testing.assert_array_equal(found["close"], [1.0, 2.0, np.nan, 4.0])


def test_nothing_is_nothing() -> None:
    head, found = read(packed(interval("1m"), {"t": np.array([], np.int64), "close": np.array([])}, ["close"]))
    assert head["count"] == 0
    assert found["close"].tolist() == []
