"""Behind a proxy that speaks TLS, as `docs/page.md` has it: the name that browsers use is known, and no other."""

import asyncio
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pipeline.app.door import Door, secret_file
from pipeline.store.mongod.launch import any_free_port
from tests.secret_watch import keep_secret
from tests.tls import Authority
from tests.web.conftest import SAYS

PATIENCE = 120


@asynccontextmanager
async def proxy(context: ssl.SSLContext, at: int, to: int) -> AsyncIterator[None]:
    """Passes on what it is asked, `Host` as it came, and says that it came over TLS."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while part := await source.read(65_536):
                sink.write(part)
                await sink.drain()
        sink.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readline()
        inner_reader, inner = await asyncio.open_connection("127.0.0.1", to)
        inner.write(asked + b"X-Forwarded-Proto: https\r\n")
        await asyncio.gather(pump(reader, inner), pump(inner_reader, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", at, ssl=context):
        yield


@dataclass
class Behind:
    """A server, and where a proxy is to stand before it."""

    home: Path
    inner: int
    outer: int

    @property
    def url(self) -> str:
        return f"https://localhost:{self.outer}"


@pytest.fixture
def behind(home: Path, tmp_path: Path, db: Any, mongo_uri: str) -> Iterator[Behind]:
    """`tidemark web --url`, as the page on the page says it."""
    one, log = Behind(home, any_free_port(), any_free_port()), tmp_path / "web.log"
    settings = {"TIDEMARK_HOME": str(home), "TIDEMARK_MONGO_URI": mongo_uri, "TIDEMARK_DATABASE": db.name}
    others = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    command = [sys.executable, "-m", "pipeline.cli", "web", "--port", str(one.inner), "--url", one.url]
    with log.open("wb") as said:
        process = subprocess.Popen(command, env=others | settings, stdout=said, stderr=said)
    deadline = time.monotonic() + PATIENCE
    while f"{SAYS}{one.url}" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    keep_secret(secret_file(home).read_text())
    yield one
    process.terminate()
    assert process.wait(30) == 0


async def test_it_is_found_by_its_name_over_tls_and_the_cookie_stays_there(behind: Behind, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with proxy(authority.context("localhost"), behind.outer, behind.inner):
        await _as_a_browser(behind.url, Door(behind.home).code(), authority)


async def _as_a_browser(url: str, code: str, authority: Authority) -> None:
    def ask(path: str, way: str = "GET", **more: Any) -> requests.Response:
        headers = {"connection": "close"} | more.pop("headers", {})
        return requests.request(
            way, url + path, headers=headers, verify=str(authority.file), timeout=60, allow_redirects=False, **more
        )

    entered = await asyncio.to_thread(ask, f"/enter?code={code}")
    assert entered.status_code == 303
    cookie = entered.headers["set-cookie"]
    assert "Secure" in cookie
    mine = {"cookie": cookie.partition(";")[0], "origin": url}
    assert (await asyncio.to_thread(ask, "/api/me", headers=mine)).json()["role"] == "trade"
    halted = await asyncio.to_thread(ask, "/api/halt", "POST", json={}, headers=mine)
    assert halted.json()["trading"]["halted"]["by"].startswith("page")
    foreign = await asyncio.to_thread(
        ask, "/api/resume", "POST", json={}, headers=mine | {"origin": "https://a.example"}
    )
    assert foreign.status_code == 403
    other = await asyncio.to_thread(ask, "/api/me", headers=mine | {"host": "a.example"})
    assert other.status_code == 421
    trusting = ssl.create_default_context(cafile=str(authority.file))
    live = f"{url.replace('https', 'wss')}/api/live"
    async with connect(live, ssl=trusting, additional_headers=mine, proxy=None) as socket:
        await socket.send(json.dumps({"subscribe": ["trading/sim"]}))
        async with asyncio.timeout(PATIENCE):
            while (told := json.loads(await socket.recv()))["topic"] != "trading/sim":
                pass
        assert told["data"]["halted"]
    with pytest.raises(InvalidStatus):
        async with connect(live, ssl=trusting, additional_headers=mine | {"origin": "https://a.example"}, proxy=None):
            pass
