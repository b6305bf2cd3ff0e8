"""After an outage the readers of the database's log go on where they were, as long as it reaches back that far; where
it does not, no signal is lost either, and who backs up is told what to do.

The log is short here, so that an outage need not be long: it is as long as what is written meanwhile.
"""

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.errors import AttentionError
from pipeline.store import connect
from pipeline.store.backup.files import Manifest
from pipeline.store.backup.take import take
from pipeline.store.mongod import launch
from pipeline.store.mongod.launch import Limits, any_free_port
from pipeline.store.mongod.server import Server
from pipeline.store.prepare import prepare
from pipeline.store.signals.feed import SignalFeed
from pipeline.timeline import HOUR, interval, to_ms
from schemas.signals import Signal

OPLOG_MB = 32
WITHIN_MB = 16
PATIENCE = 60.0
NOW = datetime.now(UTC)
AT = interval("1h").floor(to_ms(NOW)) - HOUR

Db = Database[dict[str, Any]]
Make = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Db]:
    """A database whose log is short, and cut each second instead of each minute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "ALIKE", (*launch.ALIKE, "--syncdelay", "1"))
        home = tmp_path_factory.mktemp("outage")
        server = Server(home, port=any_free_port(), limits=Limits(cache_gb=0.25, oplog_mb=OPLOG_MB))
        with server.running() as uri, connect.client(uri) as client:
            yield client["outage"]


@pytest.fixture
def short(server: Db) -> Db:
    """It, empty."""
    server.client.drop_database(server.name)
    prepare(server)
    return server


def write(db: Db, megabytes: int) -> None:
    """So much goes into the log."""
    for number in range(megabytes):
        db.client["elsewhere"]["noise"].replace_one({"_id": number % 4}, {"bytes": os.urandom(1 << 20)}, upsert=True)


def write_until_it_is_forgotten(db: Db, moment: datetime) -> None:
    """The log begins later than that."""
    log, deadline = db.client["local"]["oplog.rs"], time.monotonic() + PATIENCE
    while (log.find_one(sort=[("$natural", 1)]) or {})["wall"] <= moment:
        assert time.monotonic() < deadline, "the log is not cut"
        write(db, OPLOG_MB // 4)


@pytest.fixture
def fresh(signal_document: Make) -> Make:
    """A signal to act on, as it is stored."""

    def make(symbol: str) -> dict[str, Any]:
        return signal_document(AT, symbol=symbol, verdict="fresh", fresh_until=NOW)

    return make


def followed(feed: SignalFeed) -> tuple[Signal, dict[str, Any]]:
    """The next signal that comes, and the token to go on from."""
    deadline = time.monotonic() + PATIENCE
    following = feed.follow(wait_ms=50)
    try:
        for signal, token in following:
            if signal is not None and token is not None:
                return signal, token
            assert time.monotonic() < deadline, "no signal comes"
    finally:
        following.close()
    raise AssertionError("it has ended")


def goes_away(db: Db, fresh: Make) -> SignalFeed:
    """An executor that has heard of one signal and is gone; another is written after it."""
    feed = SignalFeed(db, "sim")
    following = feed.follow(wait_ms=50)
    next(following)
    db.signals.insert_one(fresh("BTCUSDT"))
    token = next(token for signal, token in following if signal is not None)
    following.close()
    assert token is not None
    feed.remember(token, NOW)
    db.signals.insert_one(fresh("ETHUSDT"))
    return feed


def test_within_the_log_the_executor_hears_of_what_came_meanwhile(short: Db, fresh: Make) -> None:
    feed = goes_away(short, fresh)
    write(short, WITHIN_MB)
    signal, _ = followed(feed)
    assert signal.symbol == "ETHUSDT"


def test_beyond_the_log_it_goes_on_from_now_and_finds_by_looking_what_it_did_not_hear(short: Db, fresh: Make) -> None:
    feed = goes_away(short, fresh)
    write_until_it_is_forgotten(short, datetime.now(UTC))
    following = feed.follow(wait_ms=50)
    assert next(following)[0] is None
    assert short.control.count_documents({"kind": "cursor"}) == 0
    assert {one.symbol for one in feed.undecided()} == {"BTCUSDT", "ETHUSDT"}
    short.signals.insert_one(fresh("SOLUSDT"))
    assert next(signal.symbol for signal, _ in following if signal is not None) == "SOLUSDT"
    following.close()


class BrokenOffError(Exception):
    """The backup is interrupted."""


def begin_a_backup(db: Db, folder: Path) -> None:
    db["kept"].insert_many({"_id": number, "bytes": os.urandom(1000)} for number in range(100))

    def interrupt(*_: object) -> None:
        raise BrokenOffError

    with pytest.raises(BrokenOffError):
        take(db, folder, clock=lambda: NOW, progress=interrupt, chunk_size=20_000)


def kept_in(manifest: Manifest) -> int:
    return next(shape.documents for shape in manifest.shapes if shape.name == "kept")


def test_within_the_log_a_backup_goes_on_and_has_what_changed_meanwhile(short: Db, tmp_path: Path) -> None:
    begin_a_backup(short, tmp_path / "copy")
    short["kept"].delete_one({"_id": 0})
    write(short, WITHIN_MB)
    assert kept_in(take(short, tmp_path / "copy", clock=lambda: NOW)) == 99


def test_beyond_the_log_a_backup_says_that_it_has_to_begin_anew(short: Db, tmp_path: Path) -> None:
    begin_a_backup(short, tmp_path / "copy")
    write_until_it_is_forgotten(short, datetime.now(UTC))
    with pytest.raises(AttentionError, match=r"its oplog is too short\. Begin anew in an empty folder"):
        take(short, tmp_path / "copy", clock=lambda: NOW)
    assert kept_in(take(short, tmp_path / "another", clock=lambda: NOW)) == 100
