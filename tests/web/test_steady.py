"""A trader's hour: ten symbols change four times a second, a tab walks from one chart to the next, and neither the tab
nor the server grows, and whoever does not read costs nobody else a candle.

`STEADY_MINUTES=60` for the long form (`make drills`). What was measured lies in `test-output/steady.json`.
"""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, expect, sync_playwright
from pymongo import MongoClient
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from bench.page import OTHERS, ROOT, fill, writing
from bench.page_probe import heap_of, quantile
from pipeline.app.door import secret_file
from pipeline.store.candles.store import CandleStore
from tests.browser.conftest import PATIENCE_MS, launch
from tests.secret_watch import keep_secret
from tests.web.conftest import Served
from tests.web.shown import show

SECONDS = 60 * float(os.environ.get("STEADY_MINUTES", "0.15"))
WARM = min(300.0, SECONDS / 3)
"""Until then a process takes what it needs and keeps."""
WALKS = min(30.0, SECONDS / 10)
RATE = 4
MOST_GROWTH_MB = 10.0
KEPT = ROOT / "test-output" / "steady.json"
TOPICS = [f"candles/{one.exchange}/{one.symbol}/{one.interval}" for one in OTHERS]
TINY = 4096


@pytest.fixture(scope="module")
def served(mongo: MongoClient[dict[str, Any]], mongo_uri: str, scratch: Path) -> Iterator[Served]:
    """A server over five hours of minutes of ten symbols."""
    home = scratch / "steady"
    home.mkdir()
    for key in OTHERS:
        fill(mongo["steady"], key, 300)
    mine = {"TIDEMARK_HOME": str(home), "TIDEMARK_MONGO_URI": mongo_uri, "TIDEMARK_DATABASE": "steady"}
    others = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    one = Served(others | mine, home, mongo["steady"])
    one.start()
    keep_secret(secret_file(home).read_text())
    yield one
    one.kill()
    mongo.drop_database("steady")


@pytest.fixture
def page(served: Served) -> Iterator[Page]:
    with sync_playwright() as playwright, launch(playwright) as browser:
        tab = browser.new_context(viewport={"width": 1280, "height": 720}).new_page()
        tab.set_default_timeout(PATIENCE_MS)
        tab.goto(served.link)
        tab.wait_for_selector("html[data-ready=yes]")
        yield tab


class Reader:
    """A tab that takes everything: the newest of each symbol, and how old each candle was."""

    def __init__(self, served: Served) -> None:
        self._socket = opened(served)
        self.newest: dict[str, Any] = {}
        self.late: list[float] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        with suppress(ConnectionClosed):
            for message in self._socket:
                told = json.loads(message)
                if told["topic"] in TOPICS and told["data"]:
                    self.newest[told["topic"]] = told["data"][-1]
                    self.late.append(time.time() * 1000 - told["data"][-1]["u"])

    def end(self) -> None:
        self._socket.close()
        self._thread.join()


def opened(served: Served, **how: Any) -> ClientConnection:
    """A socket that follows all ten."""
    headers = {"authorization": str(served.script().headers["authorization"])}
    one = connect(f"{served.url.replace('http', 'ws')}/api/live", additional_headers=headers, proxy=None, **how)
    one.send(json.dumps({"subscribe": [*TOPICS, "coins/sim", "trading/sim"]}))
    return one


def deaf(served: Served) -> ClientConnection:
    """A socket of somebody who never reads, with little room between."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TINY)
    raw.connect(("127.0.0.1", served.port))
    return opened(served, sock=raw, max_queue=1, ping_interval=None, compression=None)


@contextmanager
def changing(uri: str, seconds: float) -> "Iterator[subprocess.Popen[bytes]]":
    """All ten, until the block ends."""
    with subprocess.Popen(writing(uri, "steady", RATE, seconds), cwd=ROOT, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline()
        yield writer
        writer.terminate()


def sample(page: Page, server: psutil.Process, reader: Reader, began: float) -> dict[str, float]:
    """How it stands, in MB; and the lateness since the last time, in ms."""
    late, reader.late = reader.late, []
    return {
        "at": time.monotonic() - began, "heap": heap_of(page), "server": server.memory_info().rss / 2**20,
        "nodes": page.evaluate("document.querySelectorAll('*').length"), "threads": server.num_threads(),
        "sockets": sum(one.status == "ESTABLISHED" for one in server.net_connections()),
        "heard": len(late), "p50": quantile(late, 0.5), "p99": quantile(late, 0.99),
    }  # fmt: skip


@pytest.mark.timeout(int(SECONDS) + 600)
def test_nothing_grows_while_ten_symbols_change_and_who_does_not_read_costs_nobody_a_candle(
    page: Page, served: Served, mongo_uri: str
) -> None:
    assert served.process is not None
    server, samples = psutil.Process(served.process.pid), []
    with changing(mongo_uri, SECONDS + 3600):
        reader, idle, began = Reader(served), [deaf(served) for _ in range(3)], time.monotonic()
        for number in range(int(SECONDS / WALKS)):
            show(page, f"chart/{OTHERS[number % len(OTHERS)].symbol}/1m")
            page.wait_for_timeout(max(0.0, (began + (number + 1) * WALKS - time.monotonic()) * 1000))
            samples.append(sample(page, server, reader, began))
            KEPT.parent.mkdir(exist_ok=True)
            KEPT.write_text(json.dumps(samples, indent=1))
    stored = {one: CandleStore(served.db).columns(one, 0, int(time.time() * 1000), ("t", "close")) for one in OTHERS}
    closes = {topic: float(stored[one]["close"][-1]) for topic, one in zip(TOPICS, OTHERS, strict=True)}
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while {topic: one["close"] for topic, one in reader.newest.items()} != closes:
        assert time.monotonic() < deadline, (reader.newest, closes)
        time.sleep(0.1)
    for one in idle:
        one.close_timeout = 1
        one.close()
    reader.end()
    expect(page.locator("#state")).to_have_text("live")
    warm = [one for one in samples if one["at"] > WARM]
    third = max(1, len(warm) // 3)
    for name in ("heap", "server"):
        grown = median(one[name] for one in warm[-third:]) - median(one[name] for one in warm[:third])
        assert grown <= MOST_GROWTH_MB, (name, grown, [round(one[name], 1) for one in warm])
