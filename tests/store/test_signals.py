"""Signals are written once, the same from either side, and the server refuses what is none."""

import logging
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import WriteError

from pipeline.store.prepare import prepare
from pipeline.store.signals.returns import returns_at_birth
from pipeline.store.signals.write import (
    SAID,
    AsyncSignalWriter,
    Finding,
    SignalStore,
    fresh_for,
    history_document,
    live_document,
    open_document,
    showing,
)
from pipeline.timeline import HOUR, MINUTE, SECOND, Window, interval, to_datetime
from schemas.series import SeriesKey
from schemas.signals import SIGNALS, Signal

KEY = SeriesKey("sim", "BTCUSDT", "1h")
STEP = interval("1h")
T = 1_760_000_400_000 // HOUR * HOUR
NOW = T + HOUR + SECOND
BORN = returns_at_birth(T + HOUR, 100.5)


def finding(place: int = 0, strategy: str = "macd_cross", price: float = 100.5, key: SeriesKey = KEY) -> Finding:
    return Finding(
        key,
        strategy,
        "trial",
        "long",
        T + place * HOUR,
        price,
        0.25,
        {"close": price, "macd": 0.125},
        "macd_cross() on v1",
    )


@pytest.fixture
def prepared(db: Database[Any]) -> Database[Any]:
    prepare(db)
    return db


def ids(db: Database[Any]) -> list[str]:
    return [one["_id"] for one in db["signals"].find().sort("_id", 1)]


# --- what a document says ------------------------------------------------------------------------------------------


def test_live_and_history_say_the_same_and_differ_in_what_is_named() -> None:
    live, past = live_document(finding(), NOW), history_document(finding(), BORN, NOW + HOUR)
    assert {name: live[name] for name in SAID} == {name: past[name] for name in SAID}
    differing = {name for name in live.keys() | past if live.get(name) != past.get(name)}
    assert differing == {"source", "created_at", "verdict", "reason", "fresh_until"}
    returns = {"current_price": 100.5, "return_pct": 0.0, "return_at": to_datetime(T + HOUR)}
    assert live.items() >= (returns | {"returns_due": to_datetime(T + 2 * HOUR), "orders": []}).items()
    assert None not in [*live.values(), *past.values()]


def test_what_it_was_computed_with_is_stored_once(prepared: Database[Any]) -> None:
    SignalStore(prepared).reconcile(KEY, Window(T, T + 9 * HOUR), [finding(place) for place in range(9)], NOW)
    (settings,) = prepared["signals"].distinct("settings")
    assert list(prepared["signal_settings"].find()) == [{"_id": settings, "text": "macd_cross() on v1"}]
    assert len(settings) == 12


async def test_also_by_the_live_side(db: Database[Any], async_db: Any) -> None:
    prepare(db)
    writer = AsyncSignalWriter(async_db)
    for _ in range(2):
        await writer.note([finding(), finding(1)])
    await AsyncSignalWriter(async_db).note([finding()])
    (stored,) = db["signal_settings"].find()
    assert stored == {"_id": live_document(finding(), NOW)["settings"], "text": "macd_cross() on v1"}


@pytest.mark.parametrize("document", [live_document(finding(), NOW), history_document(finding(), BORN, NOW)])
def test_every_document_is_one_of_the_model(document: dict[str, Any]) -> None:
    signal = Signal.from_mongo(document)
    assert {name: value for name, value in signal.to_mongo().items() if value is not None} == document
    assert signal.id == "sim:BTCUSDT:1h:2025-10-09T09:00:00Z:macd_cross:trial:long"
    assert (signal.candle, signal.at) == (to_datetime(T), to_datetime(T + HOUR))


@pytest.mark.parametrize(
    ("code", "at_most", "expected"),
    [
        ("1m", 5 * MINUTE, 30 * SECOND),
        ("5m", 5 * MINUTE, 150 * SECOND),
        ("15m", 5 * MINUTE, 5 * MINUTE),
        ("1d", 5 * MINUTE, 5 * MINUTE),
        ("1M", 5 * MINUTE, 5 * MINUTE),
        ("1h", HOUR, 30 * MINUTE),
    ],
)
def test_fresh_for_half_the_candle_and_never_longer_than_asked(code: str, at_most: int, expected: int) -> None:
    assert fresh_for(interval(code), at_most) == expected


@pytest.mark.parametrize(
    ("late", "verdict", "reason"),
    [
        (0, "fresh", None),
        (5 * MINUTE, "fresh", None),
        (5 * MINUTE + 1, "expired", "found 300 s after its candle closed"),
        (3 * HOUR, "expired", "found 10800 s after its candle closed"),
    ],
)
def test_a_candle_settled_late_gives_a_signal_that_is_not_fresh(late: int, verdict: str, reason: str | None) -> None:
    document = live_document(finding(), T + HOUR + late)
    assert (document["verdict"], document.get("reason")) == (verdict, reason)
    assert document["fresh_until"] == to_datetime(T + HOUR + 5 * MINUTE)


# --- writing live --------------------------------------------------------------------------------------------------


async def test_signals_of_one_moment_are_heard_in_the_order_in_which_a_backtest_decides_them(
    prepared: Database[Any], async_db: Any
) -> None:
    said = [(name, place) for place in (1, 0) for name in ("metronome", "blue_dice", "ma_breakout")]
    with prepared["signals"].watch() as stream:
        await AsyncSignalWriter(async_db).write([live_document(finding(place, name), NOW) for name, place in said])
        heard = [stream.next()["documentKey"]["_id"] for _ in said]
    assert heard == [finding(place, name).id for name, place in sorted(said, key=lambda one: (one[1], one[0]))]


async def test_a_signal_is_written_once_and_stays_as_it_was(prepared: Database[Any], async_db: Any) -> None:
    writer = AsyncSignalWriter(async_db)
    await writer.write([live_document(finding(), NOW)])
    await writer.write([live_document(finding(), NOW + HOUR), live_document(finding(1), NOW + HOUR)])
    first, second = prepared["signals"].find().sort("_id", 1)
    assert (first["created_at"], first["verdict"]) == (to_datetime(NOW), "fresh")
    assert second["created_at"] == to_datetime(NOW + HOUR)


async def test_what_is_shown_of_the_open_candle_is_replaced_as_a_whole(prepared: Database[Any], async_db: Any) -> None:
    writer = AsyncSignalWriter(async_db)
    one, two = finding(), finding(strategy="bollinger")
    other = finding(key=SeriesKey("sim", "BTCUSDT", "1m"))
    await writer.write([open_document(shown, NOW) for shown in (one, two, other)])
    assert len(ids(prepared)) == 3
    await writer.write([open_document(two, NOW)], [showing(KEY, T, [two.id])])
    assert ids(prepared) == sorted([f"{two.id}:open", f"{other.id}:open"])
    await writer.write([live_document(two, NOW)], [showing(KEY, T, [])])
    assert ids(prepared) == sorted([two.id, f"{other.id}:open"])
    confirmed = prepared["signals"].find_one({"_id": two.id})
    assert confirmed is not None
    assert (confirmed["confirmed"], confirmed["verdict"]) == (True, "fresh")


async def test_showing_leaves_later_candles_alone(prepared: Database[Any], async_db: Any) -> None:
    writer = AsyncSignalWriter(async_db)
    await writer.write([open_document(finding(1), NOW)], [showing(KEY, T, [])])
    assert ids(prepared) == [f"{finding(1).id}:open"]


async def test_a_signal_the_server_refuses_is_said_and_does_not_hold_up_the_others(
    prepared: Database[Any], async_db: Any, caplog: pytest.LogCaptureFixture
) -> None:
    malformed = live_document(finding(price=-1.0), NOW)
    with caplog.at_level(logging.ERROR):
        await AsyncSignalWriter(async_db).write([malformed, live_document(finding(1), NOW)])
    assert ids(prepared) == [finding(1).id]
    assert "the database refuses a signal" in caplog.text


# --- reconciling ---------------------------------------------------------------------------------------------------


def test_only_the_series_and_the_stretch_asked_for_are_touched(prepared: Database[Any]) -> None:
    store = SignalStore(prepared)
    others = [
        finding(-1),
        finding(2),
        finding(key=SeriesKey("sim", "BTCUSDT", "1m")),
        finding(key=SeriesKey("sim", "BTCUSDC", "1h")),
    ]
    prepared["signals"].insert_many([history_document(one, BORN, NOW) for one in others])
    prepared["signals"].insert_one(open_document(finding(1), NOW))
    done = store.reconcile(KEY, Window(T, T + HOUR), [finding()], NOW)
    assert (done.added, done.withdrawn) == (1, 0)
    done = store.reconcile(KEY, Window(T, T + HOUR), [], NOW)
    assert (done.added, done.withdrawn) == (0, 1)
    assert ids(prepared) == sorted([*(one.id for one in others), f"{finding(1).id}:open"])


def test_a_signal_that_says_something_else_now_is_changed_in_place(prepared: Database[Any]) -> None:
    store = SignalStore(prepared)
    prepared["signals"].insert_one(live_document(finding(), NOW))
    done = store.reconcile(KEY, Window(T, T), [finding(price=101.0)], NOW)
    assert (done.found, done.added, done.changed) == (1, 0, 1)
    found = prepared["signals"].find_one()
    assert found is not None
    assert (found["price"], found["indicators"]["close"], found["source"], found["verdict"]) == (
        101.0,
        101.0,
        "live",
        "fresh",
    )


@pytest.mark.parametrize(
    "acted", [{"verdict": "taken"}, {"verdict": "skipped"}, {"orders": ["x"]}, {"decision": {"mode": "signal-only"}}]
)
def test_what_somebody_acted_on_is_left_and_named(db: Database[Any], acted: dict[str, Any]) -> None:
    store = SignalStore(db)
    db["signals"].insert_many([live_document(finding(place), NOW) | acted for place in (0, 1)])
    done = store.reconcile(KEY, Window(T, T + HOUR), [finding(1, price=99.0)], NOW)
    assert (done.changed, done.withdrawn, done.kept) == (0, 0, (finding(0).id, finding(1).id))
    assert db["signals"].distinct("price") == [100.5]


def test_a_signal_that_the_live_side_writes_in_the_same_moment_counts_once(
    prepared: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SignalStore(prepared)
    prepared["signals"].insert_one(live_document(finding(), NOW))
    monkeypatch.setattr(store, "_stored", lambda *_: [])
    store.reconcile(KEY, Window(T, T + HOUR), [finding(), finding(1)], NOW)
    assert ids(prepared) == [finding(0).id, finding(1).id]
    assert prepared["signals"].count_documents({"source": "live"}) == 1


# --- the server's own judgement ------------------------------------------------------------------------------------

FAILED_VALIDATION = 121
MALFORMED: list[dict[str, Any]] = [
    {"price": "100.5"},
    {"price": 0.0},
    {"price": -3.0},
    {"side": "up"},
    {"kind": "maybe"},
    {"strength": 1.5},
    {"strength": -0.1},
    {"verdict": "unknown"},
    {"source": "rumour"},
    {"confirmed": "yes"},
    {"candle": "2025-10-09"},
    {"at": 1_760_000_000_000},
    {"indicators": {"macd": "high"}},
    {"indicators": [1.0]},
    {"orders": "one"},
    {"settings": None},
    {"strategy": None},
    {"decision": {"mode": "signal-only"}},
    {"color": "red"},
]


def is_taken(db: Database[Any], document: dict[str, Any]) -> bool:
    try:
        db["signals"].insert_one(document)
    except WriteError as error:
        return error.code != FAILED_VALIDATION
    return True


def test_a_malformed_signal_written_by_hand_is_refused(prepared: Database[Any]) -> None:
    sound = live_document(finding(), NOW)
    assert [wrong for wrong in MALFORMED if is_taken(prepared, sound | wrong)] == []


def test_a_signal_that_lacks_something_is_refused(prepared: Database[Any]) -> None:
    sound = live_document(finding(), NOW)
    needed = [name for name, field in Signal.model_fields.items() if field.is_required() and name != "id"]
    lacking = ({other: value for other, value in sound.items() if other != name} for name in needed)
    assert [one for one in lacking if is_taken(prepared, one)] == []


def test_a_sound_signal_written_by_hand_is_taken(prepared: Database[Any]) -> None:
    prepared["signals"].insert_one(live_document(finding(), NOW))
    assert SIGNALS.parse(prepared["signals"].find_one() or {})


# --- what nobody can hold ------------------------------------------------------------------------------------------

SPOT = SeriesKey("binance-spot-demo", "BTCUSDT", "1h")


@pytest.mark.parametrize(
    ("key", "kind", "verdict"),
    [
        *((SPOT, kind, "fresh") for kind in ("trial", "entry")),
        *((SPOT, kind, "skipped") for kind in ("add", "exit")),
        *((KEY, kind, "fresh") for kind in ("trial", "entry", "add", "exit")),
    ],
)
def test_of_a_short_on_spot_only_what_closes_a_long_is_heard(key: SeriesKey, kind: str, verdict: str) -> None:
    short = finding(key=key)._replace(side="short", kind=kind)
    live, past = live_document(short, NOW), history_document(short, BORN, NOW)
    assert live["verdict"] == verdict
    assert past["verdict"] == ("expired" if verdict == "fresh" else "skipped")
    assert live.get("reason") == (None if verdict == "fresh" else "spot holds no shorts")
    assert live_document(finding(key=key), NOW)["verdict"] == "fresh", "a long is a signal like any other"


def test_a_short_on_spot_that_nobody_decided_on_goes_with_its_strategy(prepared: Database[Any]) -> None:
    store, short = SignalStore(prepared), finding(key=SPOT)._replace(side="short", kind="exit")
    window = Window(T, T + HOUR)
    assert store.reconcile(SPOT, window, [short], NOW).added == 1
    assert store.of_others({SPOT: ["macd_cross"]}) == {"macd_cross": 1}
    assert store.reconcile(SPOT, window, [short._replace(price=99.0)], NOW).changed == 1
    assert prepared["signals"].find_one()["price"] == 99.0  # type: ignore[index]
    gone = store.reconcile(SPOT, window, [], NOW)
    assert (gone.withdrawn, gone.kept) == (1, ())
