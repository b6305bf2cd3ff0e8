"""A backfill whose series are given out to the workers of a real Dask cluster, each behind an address of its own."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import astuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from distributed import Client
from pymongo.database import Database

from pipeline.app import cluster, filling_far
from pipeline.app.backfill import Backfilled, NoProgress, backfill, fetchers_of
from pipeline.app.cluster import OURS
from pipeline.app.filling_far import Heard
from pipeline.app.opened import Opened
from pipeline.app.outpost import FETCHED, PLANNED, PURPOSE, WAITS
from pipeline.errors import UsageError
from pipeline.history.backfill import SeriesReport
from pipeline.history.plan import wanted
from pipeline.settings import load
from pipeline.simulator.handle import Simulator
from pipeline.store.mongod.launch import any_free_port
from schemas.series import SeriesKey
from tests.door.dask_cluster import PATIENCE, DaskCluster

pytestmark = pytest.mark.timeout(600)

SYMBOLS, INTERVALS, DAYS = ["BTCUSDT", "ETHUSDT", "SOLUSDT"], ["1m", "5m"], 3
BTC, ETH = SeriesKey("sim", "BTCUSDT", "1m"), SeriesKey("sim", "ETHUSDT", "1m")


class Host:
    """What stands between one worker and the exchange, as the network of its host: it counts the questions for candles,
    and may hold them back."""

    def __init__(self, url: str) -> None:
        self.asked = 0
        self.hold(10**9)
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if urlsplit(self.path).path.endswith("Klines") or "/klines" in self.path:
                    host.asked += 1
                    if host.asked > host.lets:
                        host.held.set()
                        host.cut.wait(PATIENCE)
                        self.close_connection = True
                        return
                with urlopen(url + self.path, timeout=60) as answer:
                    body = answer.read()
                    self.send_response(200)
                    self.send_header("X-MBX-USED-WEIGHT-1M", answer.headers["X-MBX-USED-WEIGHT-1M"] or "0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                """A killed worker leaves its connections broken."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def hold(self, after: int) -> None:
        """Those after so many wait until they are cut off."""
        self.lets, self.held, self.cut = after, threading.Event(), threading.Event()

    def close(self) -> None:
        self.cut.set()
        self._server.shutdown()
        self._server.server_close()


class Hosts:
    """A cluster with two workers, each on a host of its own; one is left after the first test."""

    def __init__(self, folder: Path, url: str, given: dict[str, str]) -> None:
        self._url, self._given = url, given
        self.hosts: list[Host] = []
        self.cluster = DaskCluster(folder, 0)
        self.add()
        self.add()

    def add(self) -> None:
        self.hosts.append(Host(self._url))
        self.cluster.add(self._given | {"TIDEMARK_SIM_URL": self.hosts[-1].url})

    def kill(self, place: int) -> None:
        self.cluster.kill(place)
        self.hosts.pop(place).close()

    def have_heard_it(self) -> None:
        """Wait until every worker was told to stop."""
        deadline = time.monotonic() + PATIENCE
        ours = f"{OURS}-{PURPOSE}:"
        with Client(self.cluster.address, timeout=PATIENCE) as client:
            while not all(client.run(lambda dask_worker: [
                one.stop.is_set() for name, one in dask_worker.plugins.items() if name.startswith(ours)
            ] == [True]).values()):  # fmt: skip
                assert time.monotonic() < deadline, "it was not passed on"
                time.sleep(0.1)

    def end(self) -> None:
        self.cluster.end()
        for one in self.hosts:
            one.close()


@pytest.fixture(scope="module")
def two(
    tmp_path_factory: pytest.TempPathFactory, history: Database[Any], mongo_uri: str, shared_simulator: Simulator
) -> Iterator[Hosts]:
    folder = tmp_path_factory.mktemp("hosts")
    given = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    given |= {"TIDEMARK_HOME": str(folder / "home"), "TIDEMARK_DATABASE": history.name}
    made = Hosts(folder, shared_simulator.url, given | {"TIDEMARK_MONGO_URI": mongo_uri})
    try:
        made.cluster.has(2)
        yield made
    finally:
        made.end()


@pytest.fixture
def tm(
    prepared: Database[Any], simulator: Simulator, mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Opened]:
    for name in [name for name in os.environ if name.startswith("TIDEMARK_")]:
        monkeypatch.delenv(name)
    chosen = {
        "HOME": str(tmp_path / "data"), "DATABASE": prepared.name, "MONGO_URI": mongo_uri, "SIM_URL": simulator.url,
        "STRATEGIES": "rsi_reversal",
    }  # fmt: skip
    for name, value in chosen.items():
        monkeypatch.setenv(f"TIDEMARK_{name}", value)
    monkeypatch.chdir(tmp_path)
    with Opened(load()) as made:
        yield made


class Counted(NoProgress):
    """What is told of the progress, series by series."""

    def __init__(self) -> None:
        self.missing: dict[SeriesKey, int] = {}
        self.came: dict[SeriesKey, int] = {}
        self.done: list[SeriesReport] = []

    def planned(self, key: SeriesKey, missing: int) -> None:
        assert key not in self.missing
        self.missing[key], self.came[key] = missing, 0

    def fetched(self, key: SeriesKey, candles: int) -> None:
        self.came[key] += candles

    def finished(self, report: SeriesReport) -> None:
        self.done.append(report)


def given_out(tm: Opened, two: Hosts, told: Counted, **chosen: Any) -> Backfilled:
    return given_out_at(tm, two.cluster.address, told, **chosen)


def given_out_at(tm: Opened, address: str, told: Counted, **chosen: Any) -> Backfilled:
    with fetchers_of(address) as fetchers:
        return backfill(
            tm, SYMBOLS, INTERVALS, days=DAYS, source="rest", by="a test", fetchers=fetchers,
            shown=lambda _: nullcontext(told), **chosen,
        )  # fmt: skip


def test_two_hosts_fetch_and_one_that_dies_in_the_middle_loses_nothing_and_doubles_nothing(
    tm: Opened, two: Hosts, simulator: Simulator, equals_truth: Callable[..., None], series: Callable[..., Any]
) -> None:
    dying = two.hosts[1]
    dying.hold(2)
    begun = simulator.now()
    killed = threading.Event()

    def kill() -> None:
        if dying.held.wait(PATIENCE):
            two.kill(1)
            killed.set()

    killer = threading.Thread(target=kill)
    killer.start()
    told = Counted()
    done = given_out(tm, two, told)
    killer.join()
    assert killed.is_set()
    assert two.hosts[0].asked > 0
    assert [(one.symbol, one.interval) for one in done.reports] == [
        (one, code) for one in SYMBOLS for code in INTERVALS
    ]
    assert [one for one in done.reports if not one.is_complete] == []
    assert told.came == told.missing
    assert sorted(map(str, told.done)) == sorted(map(str, done.reports))
    assert [one.failure for one in done.derived] == [None] * 6
    for symbol in SYMBOLS:
        for code in INTERVALS:
            one = series(symbol, code)
            equals_truth(one.key, wanted(one.step, begun, DAYS - 1, one.listed, one.delivered))
    marks = tm.db["series"].find({"exchange": "sim-mark"})
    assert sorted(one["symbol"] for one in marks if one["stored"] >= DAYS * 1440) == SYMBOLS

    anew = Counted()
    assert [one for one in given_out(tm, two, anew).reports if not one.is_complete] == []
    assert sum(anew.missing.values()) < sum(told.missing.values()) / 20, "only what has closed since"


def test_told_to_stop_it_ends_at_the_workers_too_and_the_next_goes_on(tm: Opened, two: Hosts) -> None:
    for one in two.hosts:
        one.hold(one.asked + 3)
    stop = threading.Event()

    def interrupt() -> None:
        two.hosts[0].held.wait(PATIENCE)
        stop.set()
        two.have_heard_it()
        for one in two.hosts:
            one.cut.set()

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    stopped = given_out(tm, two, Counted(), stop=stop)
    interrupting.join()
    assert len(stopped.reports) == 6
    assert "told to stop" in "".join(failure for one in stopped.reports for failure in one.failures)
    assert list(tm.db["control"].find({"_id": {"$regex": "^lease:history:"}})) == []
    for one in two.hosts:
        one.hold(10**9)
    told = Counted()
    assert [one for one in given_out(tm, two, told).reports if not one.is_complete] == []
    assert told.came == told.missing
    assert 0 < sum(told.missing.values()) < len(SYMBOLS) * DAYS * (1440 + 288)


def test_what_a_worker_cannot_do_is_said_before_the_first_series(
    tm: Opened, two: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(filling_far, "backfill_code", lambda: "of a newer one")
        with pytest.raises(UsageError, match=r"worker tcp://127\S+ cannot fetch anything: it runs another version"):
            given_out(tm, two, Counted())
    with monkeypatch.context() as patch:
        patch.setattr(filling_far, "identity_of", lambda _: "another")
        with pytest.raises(UsageError, match=r"its settings lead to another database: give it TIDEMARK_MONGO_URI"):
            given_out(tm, two, Counted())
    assert list(tm.db["series"].find()) == []


def test_a_dead_address_is_said_as_a_search_says_it(tm: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ANSWERS_WITHIN", 1)
    address = f"tcp://127.0.0.1:{any_free_port()}"
    with pytest.raises(UsageError, match=f"--cluster {address}: no Dask scheduler answers there"):
        given_out_at(tm, address, Counted())


def report(key: SeriesKey, fetched: int, holes: int = 0) -> SeriesReport:
    return SeriesReport(key.symbol, key.interval, fetched + holes, fetched, fetched, holes, 0, "rest", 1.0)


def test_of_a_series_that_is_begun_again_no_candle_counts_twice_and_none_is_left_out() -> None:
    told, waits = Counted(), list[str]()
    heard = Heard(told, waits.append)
    btc, eth = astuple(BTC), astuple(ETH)
    heard.told(PLANNED, *btc, 100)
    heard.told(FETCHED, *btc, 30)
    heard.told(PLANNED, *btc, 60)
    assert told.came == {BTC: 40}, "ten more were stored than was told before it died"
    heard.told(FETCHED, *btc, 60)
    heard.finished(BTC, report(BTC, 100))
    heard.told(FETCHED, *btc, 60)
    heard.told(PLANNED, *btc, 60)
    heard.finished(ETH, report(ETH, 5, holes=2))
    heard.told(PLANNED, *eth, 7)
    heard.told(WAITS, "tcp://10.0.0.7:1", "waiting for request weight, 21 s")
    assert (told.missing, told.came) == ({BTC: 100, ETH: 5}, {BTC: 100, ETH: 0})
    assert waits == ["tcp://10.0.0.7:1: waiting for request weight, 21 s"]
