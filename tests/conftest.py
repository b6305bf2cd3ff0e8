"""What every test may ask for: one real mongod a test run, a database of its own, and both asynchronous drivers.

`db` is a fresh database; `any_db` runs the test twice, on mongomock and on mongod; `async_db` twice, with PyMongo's
asynchronous client and with Motor's. Where it all lies: `folders`.
"""

import itertools
import logging
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import mongomock
import pytest
from pymongo import MongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipeline.logs import Collapsing
from pipeline.simulator.handle import Simulator
from pipeline.store import connect
from pipeline.store.mongod import launch
from pipeline.store.mongod.binary import find_mongod
from pipeline.store.mongod.folder import Folder
from pipeline.store.mongod.initiate import Administrator, initiate
from pipeline.store.mongod.launch import LOOPBACK, Limits, any_free_port
from pipeline.store.mongod.server import Server
from pipeline.timeline import interval, to_datetime
from schemas.signals import Signal
from tests import folders, pace, prefect_home, secret_watch
from tests.secret_watch import keep_secret, search_database
from tests.web import covered

Document = dict[str, Any]

_names = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """Nothing is left of the tests, no secret leaves them, and they take no longer than they have to."""
    config.pluginmanager.register(folders)
    config.pluginmanager.register(secret_watch)
    config.pluginmanager.register(pace)
    config.pluginmanager.register(prefect_home)
    config.pluginmanager.register(covered)


@pytest.fixture(scope="session")
def mongo_uri(scratch: Path) -> Iterator[str]:
    """The one mongod of this run."""
    server = Server(scratch / "shared", port=any_free_port(), limits=Limits(cache_gb=0.25, oplog_mb=990))
    with server.running() as uri:
        for secret in (Folder(scratch / "shared").password, Folder(scratch / "shared").key):
            keep_secret(secret)
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
    search_database(mongo[name])
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


@pytest.fixture(autouse=True)
def no_log_of_a_command() -> Iterator[None]:
    """A command that ran in this process leaves a log that writes to where its output went, which is closed by now."""
    yield
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, Collapsing):
            root.removeHandler(handler)


@pytest.fixture(scope="session")
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


class Cluster:
    """A replica set of three servers with a key, as a user's own; `uri` is that of a user who may use one database."""

    def __init__(self, scratch: Path) -> None:
        self.ports = [any_free_port() for _ in range(3)]
        self._folders: dict[int, Folder] = {}
        for port in self.ports:
            folder = Folder(Path(tempfile.mkdtemp(prefix=f"member-{port}-", dir=scratch)))
            folder.create()
            self._folders[port] = folder
        self._key = self._folders[self.ports[0]].key
        for port, folder in self._folders.items():
            folder.key_file.write_text(self._key)
            self.start(port)
        self.administrator = Administrator("__system", self._key, source="local")
        initiate(self.uri, self.administrator, "kept")
        self._elect_fast()

    @property
    def uri(self) -> str:
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in self.ports)
        return f"mongodb://keeper:a%20pass%2Fword%40of%3Aours@{hosts}/?replicaSet={launch.REPLICA_SET}&authSource=admin"

    def start(self, port: int) -> None:
        launch.launch(find_mongod(), self._folders[port], port, Limits(cache_gb=0.25, oplog_mb=990), 60)

    def primary(self) -> int:
        """The port of the member that takes writes, as soon as one does."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with self._client() as client:
                    return int(client.admin.command("hello")["me"].rpartition(":")[2])
            except PyMongoError:
                continue
        raise AssertionError("no primary within a minute")

    def kill_primary(self) -> int:
        """kill -9; its port."""
        port = self.primary()
        self._kill(self._folders[port])
        return port

    def stop(self) -> None:
        for folder in self._folders.values():
            self._kill(folder)

    @staticmethod
    def _kill(folder: Folder) -> None:
        while process := launch.find_process(folder):
            process.kill()
            process.wait(20)

    def _client(self) -> MongoClient[dict[str, Any]]:
        return connect.client(self.uri.replace("/?", "/?serverSelectionTimeoutMS=2000&"))

    def _elect_fast(self) -> None:
        """A dead primary is noticed after two seconds instead of ten."""
        with MongoClient(
            [f"{LOOPBACK}:{port}" for port in self.ports],
            username="__system", password=self._key, authSource="local", replicaSet=launch.REPLICA_SET,
        ) as admin:  # fmt: skip
            configuration = admin.admin.command("replSetGetConfig")["config"]
            configuration["settings"] |= {"electionTimeoutMillis": 2_000, "heartbeatIntervalMillis": 500}
            configuration["version"] += 1
            admin.admin.command("replSetReconfig", configuration)


@pytest.fixture(scope="module")
def cluster(scratch: Path) -> Iterator[Cluster]:
    """Three servers, any of which may be killed and started again."""
    running = Cluster(scratch)
    yield running
    running.stop()


@pytest.fixture
def kept(cluster: Cluster) -> Iterator[Any]:
    """Its database, empty, as its user sees it."""
    with connect.client(cluster.uri) as client:
        for name in client["kept"].list_collection_names():
            if not name.startswith("system."):
                client["kept"].drop_collection(name)
        yield client["kept"]
        search_database(client["kept"])
