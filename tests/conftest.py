"""What every test may ask for: one real mongod a test run, a database of its own, and both asynchronous drivers.

`db` is a fresh database; `any_db` runs the test twice, on mongomock and on mongod; `async_db` twice, with PyMongo's
asynchronous client and with Motor's. Everything lies in one temporary folder; a reaper ends what runs in it and removes
it, even when the test run itself is killed.
"""

import itertools
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import mongomock
import pytest
from pymongo import MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database

from pipeline.simulator.handle import Simulator
from pipeline.store import connect
from pipeline.store.launch import Limits, any_free_port
from pipeline.store.server import Server
from pipeline.timeline import interval, to_datetime
from schemas.signals import Signal

Document = dict[str, Any]

REAPER = """
import pathlib, shutil, sys
sys.stdin.read()
import psutil
for process in psutil.process_iter(["cmdline"]):
    if process.pid != psutil.Process().pid and any(sys.argv[1] in part for part in process.info["cmdline"] or ()):
        process.kill()
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""

_names = itertools.count()


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder for this run. Whatever process still has it in its command line when the run ends is killed."""
    folder = Path(tempfile.mkdtemp(prefix="tidemark-test-")).resolve()
    reaper = subprocess.Popen(
        [sys.executable, "-c", REAPER, str(folder)], stdin=subprocess.PIPE, start_new_session=True
    )
    yield folder
    assert reaper.stdin is not None
    reaper.stdin.close()
    reaper.wait(timeout=30)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home(scratch: Path) -> Path:
    """An empty data folder."""
    return Path(tempfile.mkdtemp(prefix="home-", dir=scratch))


@pytest.fixture(scope="session")
def mongo_uri(scratch: Path) -> Iterator[str]:
    """The one mongod of this run."""
    server = Server(scratch / "shared", port=any_free_port(), limits=Limits(cache_gb=0.25, oplog_mb=990))
    with server.running() as uri:
        yield uri


@pytest.fixture(scope="session")
def mongo(mongo_uri: str) -> Iterator[MongoClient[Document]]:
    """A synchronous client of it."""
    with connect.client(mongo_uri) as client:
        yield client


@pytest.fixture
def db(mongo: MongoClient[Document]) -> Iterator[Database[Document]]:
    """An empty database, dropped after the test."""
    name = f"test_{next(_names)}"
    yield mongo[name]
    mongo.drop_database(name)


@pytest.fixture(params=["pymongo", "motor"])
async def async_db(
    request: pytest.FixtureRequest, db: Database[Document], mongo_uri: str
) -> AsyncIterator[AsyncDatabase[Document]]:
    """The database of `db`, through each asynchronous driver in turn."""
    client = connect.async_client(mongo_uri, request.param)
    yield client[db.name]
    await connect.close(client)


@pytest.fixture(params=["mongomock", "mongod"])
def any_db(request: pytest.FixtureRequest) -> Any:
    """An empty database in mongomock, then in mongod: a test that asks for it must pass on both."""
    if request.param == "mongod":
        return request.getfixturevalue("db")
    return mongomock.MongoClient(tz_aware=True)["test"]


@pytest.fixture
def signal_document() -> Callable[..., Document]:
    """Makes the stored form of a signal; name what matters to the test, the rest is ordinary."""

    def make(at: int, **changes: Any) -> Document:
        code = changes.get("interval", "1h")
        opened = interval(code).after(at, -1)
        fields = {
            "exchange": "sim",
            "symbol": "BTCUSDT",
            "interval": code,
            "strategy": "macd_cross",
            "kind": "entry",
            "side": "long",
            "candle": to_datetime(opened),
            "at": to_datetime(at),
            "price": 100.0,
            "strength": 1.0,
            "indicators": {"macd": 1.0},
            "settings": "v1",
            "source": "live",
            "confirmed": True,
            "created_at": to_datetime(at),
            "verdict": "expired",
        } | changes
        identity = ("exchange", "symbol", "interval", "candle", "strategy", "kind", "side")
        return Signal(id=":".join(str(fields[name]) for name in identity), **fields).to_mongo()

    return make


@pytest.fixture(scope="session")
def shared_simulator() -> Iterator[Simulator]:
    """The one exchange of this run: the default market, limits counted and not enforced."""
    with Simulator.start(lifted_limits=True) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Iterator[Simulator]:
    """The exchange of this run, healed before and after the test. Its accounts remember what earlier tests did."""
    shared_simulator.faults.clear()
    yield shared_simulator
    shared_simulator.faults.clear()


@pytest.fixture
def start_simulator() -> Iterator[Callable[..., Simulator]]:
    """Start an exchange of the test's own with these options; it ends with the test."""
    running: list[Simulator] = []

    def start(**options: Any) -> Simulator:
        running.append(Simulator.start(**options))
        return running[-1]

    yield start
    for each in running:
        each.stop()
