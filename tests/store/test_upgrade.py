"""A database of an older version is brought into today's form, once, and nothing in it is lost."""

import os
import socket
import subprocess
import sys
import time
from typing import Any

import polars as pl
import pytest

from pipeline.candle import Candle, CandleWrite
from pipeline.store import upgrade as module
from pipeline.store.candles.store import CandleStore
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.store.signals.queries import Asked, find_signals
from pipeline.store.signals.returns import ReturnStore
from pipeline.store.upgrade import META, UpgradingError, upgrade
from pipeline.timeline import DAY, HOUR, MINUTE, interval, to_datetime
from schemas.candles import CANDLE_FIELDS
from schemas.series import SeriesKey
from schemas.signals import Signal, settings_id
from tests.live_writer import write_live

KEYS = [SeriesKey("sim", f"S{number}USDT", "1m") for number in range(3)]
T0 = interval("1m").bucket(1_700_000_000_000).start
OLD_ORDER = sorted(CANDLE_FIELDS[2:], key=lambda name: (name not in ("open", "high", "low", "close"), name))


def live(key: SeriesKey, number: int, price: float, u: int, *, closed: bool) -> CandleWrite:
    t = T0 + number * MINUTE
    return CandleWrite(key, Candle(t, *(price,) * 6, 7, price, price, closed, t + u), authority=closed)


def everything(db: Any) -> list[pl.DataFrame]:
    return [CandleStore(db).load(key, T0, T0 + 1_000 * MINUTE) for key in KEYS]


def make_old(db: Any) -> list[pl.DataFrame]:
    """What an older version left: holes, an open candle, and a bucket that somebody made by hand."""
    prepare(db)
    write_live(db, [live(key, number, 2.0, 9, closed=number != 250) for key in KEYS for number in (0, 3, 239, 250)])
    for bucket in db.candles.find():
        old = [
            candle and {name: candle[name] for name in ("t", "te", *OLD_ORDER) if name in candle}
            for candle in bucket["candles"]
        ]
        db.candles.update_one(
            {"_id": bucket["_id"]}, {"$set": {"candles": old, "rev": 1}, "$unset": {"stored": 1, "audited": 1}}
        )
    db.candles.update_one({"symbol": "S1USDT"}, {"$unset": {"rev": 1, "candles.0.atr": 1}})
    db[META].update_one({"_id": "schema"}, {"$set": {"version": 3}, "$unset": {"upgraded": 1}})
    return everything(db)


OLD_SIGNAL = {
    "exchange": "sim",
    "interval": "1h",
    "strategy": "ma_breakout",
    "kind": "entry",
    "side": "long",
    "price": 100.0,
    "strength": 0.5,
    "indicators": {"close": 100.0},
    "source": "history",
    "confirmed": True,
    "created_at": to_datetime(T0),
    "verdict": "expired",
    "fresh_until": None,
    "reason": "found in the history",
    "decided_at": None,
    "decision": None,
    "orders": [],
    "current_price": 110.0,
    "return_pct": 10.0,
    "best_pct": 90.0,
    "worst_pct": -90.0,
    "return_1h": 1.0,
    "return_4h": 4.0,
    "return_1d": None,
    "return_7d": None,
    "return_at": to_datetime(T0 + DAY),
    "returns_through": to_datetime(T0 + DAY),
    "returns_due": to_datetime(T0 + DAY),
}
SETTINGS = [f"ma_breakout(n={n}) on v1 rsi14 macd12-26-9 sma7-20-60-120 atr14 bb20x2 d1" for n in (20, 60)]


def old_signals(db: Any) -> list[dict[str, Any]]:
    """As they were stored until schema 5."""
    prepare(db)
    made = [
        OLD_SIGNAL
        | {"_id": f"sim:S{number}USDT:1h", "symbol": f"S{number}USDT", "settings": SETTINGS[number % 2]}
        | {"candle": to_datetime(T0), "at": to_datetime(T0 + HOUR)}
        for number in range(5)
    ]
    made[4] |= {"confirmed": False, "returns_through": None, "returns_due": None}
    db.signals.insert_many(made, bypass_document_validation=True)
    db[META].update_one({"_id": "schema"}, {"$set": {"version": 5, "upgraded": ["candle fields"]}})
    return made


def test_signals_lose_what_is_not_known_and_name_their_settings(db: Any) -> None:
    before = {one["_id"]: one for one in old_signals(db)}
    upgrade(db)
    for one in db.signals.find():
        old = {name: value for name, value in before[one["_id"]].items() if value is not None}
        old.pop("returns_through", None)
        due = {"returns_due": to_datetime(T0 + 2 * HOUR)} if one["confirmed"] else {}
        text = db.signal_settings.find_one({"_id": one["settings"]})["text"]
        assert one == old | {"settings": settings_id(old["settings"])} | due
        assert text == old["settings"]
        Signal.from_mongo(one)
    assert db.signal_settings.count_documents({}) == 2
    assert db.signals.update_many({}, {"$set": {"strength": 0.6}}).modified_count == 5, "the server takes them"


def test_what_is_worked_out_again_is_as_if_it_were_new(db: Any) -> None:
    """The best and the worst of before were those until today."""
    old_signals(db)
    step, key = interval("1h"), SeriesKey("sim", "S0USDT", "1h")
    hours = [
        CandleWrite(key, Candle(step.after(T0, n), *(100.0 + n,) * 6, 7, 1.0, 1.0, True, step.after(T0, n + 1)))
        for n in range(200)
    ]
    write_live(db, hours)
    SeriesStore(db).recount(key, "rest", T0)
    upgrade(db)
    ReturnStore(db).refresh("sim")
    one = db.signals.find_one({"symbol": "S0USDT"})
    assert (one["best_pct"], one["worst_pct"], one["return_7d"]) == pytest.approx((168.0, 1.0, 168.0))
    assert "returns_due" not in one


def test_a_signal_of_before_can_be_read(db: Any) -> None:
    assert len(old_signals(db)) == len(find_signals(db, Asked(exchange="sim", include_open=True), "at", 9)) == 5


def test_an_interrupted_upgrade_of_signals_goes_on_where_it_was(db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SIGNALS_AT_ONCE", 2)
    old_signals(db)
    told_of(db, 2)
    assert db.signals.count_documents({"returns_through": {"$exists": True}}) == 3
    progress: list[tuple[int, int]] = []
    upgrade(db, lambda done, total: progress.append((done, total)))
    assert progress == [(4, 5), (5, 5)]
    assert db.signals.count_documents({"returns_through": {"$exists": True}}) == 0
    assert sorted(db.signals.distinct("settings")) == sorted(map(settings_id, SETTINGS))


def orders(db: Any) -> set[tuple[str, ...]]:
    return {tuple(one) for bucket in db.candles.find() for one in bucket["candles"] if one and "atr" in one}


def test_candles_get_the_new_order_of_fields_and_keep_their_values(db: Any) -> None:
    before = make_old(db)
    assert orders(db) == {("t", "te", *OLD_ORDER)}
    upgrade(db)
    assert orders(db) == {CANDLE_FIELDS}
    assert [frame.height for frame in before] == [4, 4, 4]
    assert all(old.equals(new) for old, new in zip(before, everything(db), strict=True))
    assert {len(bucket["candles"]) for bucket in db.candles.find()} == {240}
    assert db.candles.count_documents({"rev": {"$lt": 1}}) == 0


def test_buckets_of_before_learn_how_many_closed_candles_they_hold(db: Any) -> None:
    make_old(db)
    assert db.candles.count_documents({"stored": {"$exists": True}}) == 0
    upgrade(db)
    assert [list(one)[-4:] for one in db.candles.find()] == [["rev", "stored", "audited", "candles"]] * 6
    assert [one["stored"] for one in db.candles.find().sort("_id", 1)] == [3, 0] * 3
    write_live(db, [live(KEYS[0], number, 5.0, 99, closed=True) for number in (0, 4, 250)])
    assert [one["stored"] for one in db.candles.find({"symbol": "S0USDT"}).sort("_id", 1)] == [4, 1]


def test_the_guard_holds_for_candles_of_before(db: Any) -> None:
    make_old(db)
    upgrade(db)
    write_live(db, [live(KEYS[0], number, 5.0, 99, closed=False) for number in (0, 3, 250)])
    assert everything(db)[0]["close"].to_list() == [2.0, 2.0, 2.0, 5.0]


def test_it_is_done_once(db: Any) -> None:
    make_old(db)
    upgrade(db)
    before = revisions(db)
    upgrade(db)
    assert revisions(db) == before


def is_new(db: Any) -> list[bool]:
    """Whether each document, in the order of their ids, is in today's form."""
    return [
        all(tuple(one) == CANDLE_FIELDS for one in bucket["candles"] if one and "atr" in one)
        for bucket in db.candles.find().sort("_id", 1)
    ]


def revisions(db: Any) -> list[int]:
    return [one["rev"] for one in db.candles.find({}, {"rev": 1}).sort("_id", 1)]


def told_of(db: Any, until: int) -> None:
    """Upgrade until so many documents are done, and be interrupted there."""

    def told(done: int, _total: int) -> None:
        if done >= until:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upgrade(db, told)


@pytest.fixture
def in_twos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Portions of two documents."""
    monkeypatch.setattr(module, "_BUCKETS_AT_ONCE", 2)


@pytest.mark.usefixtures("in_twos")
def test_an_interrupted_upgrade_goes_on_where_it_was(db: Any) -> None:
    before = make_old(db)
    told_of(db, 4)
    assert is_new(db) == [True] * 4 + [False] * 2
    progress: list[tuple[int, int]] = []
    upgrade(db, lambda done, total: progress.append((done, total)))
    assert progress == [(6, 6), (2, 6), (4, 6), (6, 6)], "the rest of one step, and the next"
    assert orders(db) == {CANDLE_FIELDS}
    assert sorted(revisions(db)) == [1, 2, 2, 2, 2, 2], "none was touched twice; one had no revision before"
    assert all(old.equals(new) for old, new in zip(before, everything(db), strict=True))


@pytest.mark.usefixtures("in_twos")
def test_one_does_it_and_the_others_are_told_who_and_how_far(db: Any, mongo: Any) -> None:
    make_old(db)
    said: list[str] = []

    def told(done: int, _total: int) -> None:
        if done == 4:
            with pytest.raises(UpgradingError) as refused:
                upgrade(mongo[db.name])
            said.append(str(refused.value))

    upgrade(db, told)
    assert f"by process {os.getpid()} on {socket.gethostname()} (4 of 6 documents done)" in said[0]
    assert set(revisions(db)) == {1, 2}
    upgrade(mongo[db.name])


@pytest.mark.usefixtures("in_twos")
def test_whoever_prepares_neither_waits_nor_begins(db: Any, mongo: Any) -> None:
    before = make_old(db)
    prepare(db)
    assert orders(db) == {("t", "te", *OLD_ORDER)}
    upgrade(db, lambda _done, _total: prepare(mongo[db.name]))
    assert all(old.equals(new) for old, new in zip(before, everything(db), strict=True))


KILLED = """
import sys
from pymongo import MongoClient
from pipeline.store import upgrade
upgrade._BUCKETS_AT_ONCE = 2
def told(done, total):
    print(done, flush=True)
    sys.stdin.readline()
upgrade.upgrade(MongoClient(sys.argv[1])[sys.argv[2]], told, life=600.0)
"""


@pytest.mark.usefixtures("in_twos")
def test_after_one_was_killed_another_goes_on_where_it_was(db: Any, mongo_uri: str) -> None:
    make_old(db)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, mongo_uri, db.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "2\n"
        process.kill()
    with pytest.raises(UpgradingError, match=f"by process {process.pid} on"):
        upgrade(db)
    db.control.update_one({"_id": f"lease:{module.LEASE}"}, [{"$set": {"until": "$$NOW"}}])  # in time it lapses
    upgrade(db)
    assert orders(db) == {CANDLE_FIELDS}
    assert set(revisions(db)) == {1, 2}


@pytest.mark.usefixtures("in_twos")
def test_one_that_was_passed_by_another_ends(db: Any, mongo: Any) -> None:
    """It stood still for longer than its lease lasts."""
    make_old(db)

    def told(done: int, _total: int) -> None:
        if done == 2:
            time.sleep(0.3)
            upgrade(mongo[db.name])

    with pytest.raises(UpgradingError, match="stood still"):
        upgrade(db, told, life=0.2)
    assert orders(db) == {CANDLE_FIELDS}


def test_an_empty_database_has_nothing_to_bring_up(db: Any) -> None:
    prepare(db)
    upgrade(db)
    assert db.control.count_documents({}) == 0, "no lease is taken for nothing"
    assert db[META].find_one({"_id": "schema"})["upgraded"] == list(module.STEPS)
