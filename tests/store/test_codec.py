"""Buckets to BSON and back: equal to the ordinary encoder and decoder, for every shape a stored document can have."""

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import bson
import numpy as np
import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.store.candles import codec
from pipeline.store.candles.codec import BrokenBucketError, decode_buckets, encode_buckets
from pipeline.store.candles.frame import CANDLE, Grid
from pipeline.store.candles.layout import CANDLE_ROW, bucket_layout
from pipeline.timeline import INTERVALS, to_datetime
from schemas.candles import CANDLE_FIELDS, Candle
from schemas.series import SeriesKey
from schemas.shared import SLOTS_PER_BUCKET

KEY = SeriesKey("sim", "BTCUSDT", "1m")
STEP = INTERVALS["1m"]
START = STEP.bucket(1_700_000_000_000).start
WHOLE = range(SLOTS_PER_BUCKET)
TYPES = {float: float, bool: bool, int: Int64}


def grid(*buckets: Any, seed: int = 1) -> Grid:
    """Buckets that have a candle in the named slots, one after the other."""
    random = np.random.default_rng(seed)
    shape = (len(buckets), SLOTS_PER_BUCKET)
    present = np.zeros(shape, np.bool_)
    for row, slots in enumerate(buckets):
        present[row, list(slots)] = True
    times = START + np.arange(shape[0] * shape[1]).reshape(shape) * 60_000
    values = {
        name: random.normal(size=shape) if CANDLE[name] == np.float64 else random.integers(0, 1 << 40, shape)
        for name in CANDLE_FIELDS
    }
    values |= {"t": times, "te": times + 59_999, "u": times + 60_007, "closed": random.random(shape) < 0.5}
    return Grid(times[:, 0], [None] * len(buckets), present, values)


def plain(grid_: Grid, row: int) -> dict[str, Any]:
    """The same bucket as a dictionary for PyMongo's own encoder."""
    start = int(grid_.starts[row])
    return {
        "_id": f"{KEY}:{to_datetime(start):%Y-%m-%dT%H:%M:%SZ}",
        "exchange": KEY.exchange,
        "symbol": KEY.symbol,
        "interval": KEY.interval,
        "start": to_datetime(start),
        "rev": Int64(grid_.revisions[row] or 0),
        "stored": Int64((grid_.present[row] & grid_.values["closed"][row]).sum()),
        "audited": False,
        "candles": [
            {
                name: to_datetime(int(grid_.values[name][row, slot]))
                if field.annotation is datetime
                else TYPES[field.annotation](grid_.values[name][row, slot])
                for name, field in Candle.model_fields.items()
            }
            if grid_.present[row, slot]
            else None
            for slot in WHOLE
        ],
    }


def assert_same(found: Grid, expected: Grid) -> None:
    assert found.starts.tolist() == expected.starts.tolist()
    assert found.present.tolist() == expected.present.tolist()
    for name in CANDLE_FIELDS:
        np.testing.assert_array_equal(found.values[name][found.present], expected.values[name][expected.present], name)


@pytest.mark.parametrize(
    "buckets",
    [
        pytest.param([WHOLE], id="one whole"),
        pytest.param([WHOLE] * 15, id="more than a block"),
        pytest.param([[]], id="empty"),
        pytest.param([range(100)], id="still filling"),
        pytest.param([range(77, 240)], id="listed later"),
        pytest.param([[0, 9, 10, 99, 100, 239]], id="edges of the key lengths"),
        pytest.param([WHOLE, range(3), WHOLE, WHOLE, [5], [], WHOLE], id="mixed"),
    ],
)
def test_bytes_equal_those_of_the_ordinary_encoder(buckets: list[Any]) -> None:
    original = grid(*buckets)
    encoded = [document.raw for document in encode_buckets(KEY, original)]
    assert encoded == [bson.encode(plain(original, row)) for row in range(len(buckets))]
    assert_same(decode_buckets(KEY, b"".join(encoded)), original)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sets(st.sampled_from(WHOLE)) | st.just(set(WHOLE)), min_size=1, max_size=4), st.integers(0, 99))
def test_whatever_is_encoded_is_decoded(buckets: list[set[int]], seed: int) -> None:
    original = grid(*buckets, seed=seed)
    raw = b"".join(document.raw for document in encode_buckets(KEY, original))
    assert_same(decode_buckets(KEY, raw), original)


def test_special_doubles_survive() -> None:
    original = grid(WHOLE, [0, 1, 2])
    for row in (0, 1):
        original.values["rsi"][row, :3] = [np.nan, np.inf, -0.0]
    found = decode_buckets(KEY, b"".join(document.raw for document in encode_buckets(KEY, original)))
    assert_same(found, original)
    assert np.signbit(found.values["rsi"][0, 2])


def test_only_the_asked_columns_are_read() -> None:
    raw = b"".join(document.raw for document in encode_buckets(KEY, grid(WHOLE, [3])))
    assert list(decode_buckets(KEY, raw, ("close", "t")).values) == ["close", "t"]


def _as_integers(document: dict[str, Any]) -> None:
    document["candles"][7].update(open=4, trades=5)


def _other_order(document: dict[str, Any]) -> None:
    document["candles"][7] = dict(reversed(document["candles"][7].items()))


def _extra_field(document: dict[str, Any]) -> None:
    document["candles"][7]["note"] = "by hand"


def _without_indicators(document: dict[str, Any]) -> None:
    for name in ("rsi", "atr"):
        del document["candles"][7][name]
    document["candles"][7]["macd"] = None


def _exact_decimal(document: dict[str, Any]) -> None:
    document["candles"][7]["open"] = Decimal128("4")


def _header_in_another_order(document: dict[str, Any]) -> None:
    candles = document.pop("candles")
    start = document.pop("start")
    document.update(candles=candles, start=start)


def _no_revision(document: dict[str, Any]) -> None:
    del document["rev"]


def _short_array(document: dict[str, Any]) -> None:
    del document["candles"][200:]


EDITS = [
    _as_integers,
    _other_order,
    _extra_field,
    _without_indicators,
    _exact_decimal,
    _header_in_another_order,
    _no_revision,
    _short_array,
]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__.strip("_"))
@pytest.mark.parametrize("slots", [WHOLE, range(5, 50), range(120)], ids=["whole", "sparse", "begun"])
def test_a_bucket_edited_by_hand_is_read_as_the_ordinary_decoder_reads_it(edit: Any, slots: Any) -> None:
    original = grid(WHOLE, slots, WHOLE)
    document = plain(original, 1)
    edit(document)
    raws = [bson.encode(plain(original, 0)), bson.encode(document), bson.encode(plain(original, 2))]
    found = decode_buckets(KEY, b"".join(raws))
    assert found.starts.tolist() == original.starts.tolist()
    for slot in WHOLE:
        candle = document["candles"][slot] if slot < len(document["candles"]) else None
        assert found.present[1, slot] == (candle is not None)
        for name in CANDLE_FIELDS if candle else ():
            value = candle.get(name)
            value = np.nan if value is None else value
            value = float(value.to_decimal()) if isinstance(value, Decimal128) else value
            expected = value.timestamp() * 1000 if isinstance(value, datetime) else value
            np.testing.assert_allclose(found.values[name][1, slot], expected, rtol=0, atol=0, err_msg=f"{name} {slot}")
    for row in (0, 2):
        np.testing.assert_array_equal(found.values["close"][row], original.values["close"][row])


def test_a_changed_constant_byte_is_never_taken_for_the_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever byte of the first candle's fixed part is changed, the fast way is not taken."""
    seen: list[bytes] = []
    monkeypatch.setattr(
        codec, "_decode_sparse", lambda raw: seen.append(raw) or codec._Sparse(0, 0, [], np.empty(0, CANDLE))
    )
    raw = encode_buckets(KEY, grid(WHOLE))[0].raw
    first = raw.index(CANDLE_ROW.size.to_bytes(4, "little"), bucket_layout(KEY).header.size)
    fixed = [first + offset for offset in np.flatnonzero(CANDLE_ROW.mask == 0xFF)]
    for offset in fixed[4:]:
        changed = bytearray(raw)
        changed[offset] ^= 0x04
        decode_buckets(KEY, bytes(changed), ("close",))
    assert len(seen) == len(fixed) - 4


def test_the_newest_bucket_of_a_series_is_not_walked_unless_a_constant_byte_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walked: list[bytes] = []
    monkeypatch.setattr(codec, "_element_by_element", lambda raw, _: walked.append(raw))
    raw = encode_buckets(KEY, original := grid(range(120)))[0].raw
    assert_same(decode_buckets(KEY, raw), original)
    assert not walked
    first = raw.index(CANDLE_ROW.size.to_bytes(4, "little"))
    fixed = [first + offset for offset in np.flatnonzero(CANDLE_ROW.mask == 0xFF)][4:]
    nothing = range(len(raw) - 122, len(raw) - 2)
    for offset in (*fixed, *nothing):
        changed = bytearray(raw)
        changed[offset] ^= 0x04
        with suppress(BrokenBucketError, bson.errors.InvalidBSON, UnicodeDecodeError):
            decode_buckets(KEY, bytes(changed))
    assert len(walked) == len(fixed) + len(nothing)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"_id": "x", "candles": []}, "needs a date `start`"),
        ({"_id": "x", "start": datetime(2026, 1, 1, tzinfo=UTC), "candles": {"5": {}}}, "an array `candles`"),
        ({"_id": "x", "start": datetime(2026, 1, 1, tzinfo=UTC), "candles": [None] * 241}, "241 slots"),
        ({"_id": "x", "start": datetime(2026, 1, 1, tzinfo=UTC), "candles": [None, {"t": 1}]}, "slot 1"),
        ({"_id": "x", "start": datetime(2026, 1, 1, tzinfo=UTC), "candles": [7]}, "slot 0"),
    ],
    ids=["no start", "an object for the array", "too long", "half a candle", "a number for a candle"],
)
def test_what_is_no_bucket_is_refused_by_name(document: dict[str, Any], says: str) -> None:
    with pytest.raises(BrokenBucketError, match=says) as raised:
        decode_buckets(KEY, bson.encode(document))
    assert "'x'" in str(raised.value)


def test_the_other_series_bytes_do_not_pass_for_this_one() -> None:
    """Same length, another symbol: the header is verified too, and the ordinary way reads it."""
    other = SeriesKey("sim", "ETHUSDT", "1m")
    original = grid(WHOLE)
    assert_same(decode_buckets(KEY, encode_buckets(other, original)[0].raw), original)
