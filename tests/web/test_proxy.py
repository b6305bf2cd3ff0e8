"""Behind a proxy that speaks TLS, as `docs/page.md` has it: the name that browsers use is known, and no other."""

import asyncio
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
CONF = Path(__file__).parents[2] / "deploy" / "proxy.conf"


@contextmanager
def proxy(folder: Path, certificate: Path, at: int, to: int) -> Iterator[None]:
    """nginx, as compose runs it: only places and ports are this machine's."""
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert nginx is not None, "this test runs nginx, and there is none: apt-get install nginx-light"
    text = CONF.read_text()
    here = {
        "/tmp/": f"{folder}/", "/run/secrets/page_certificate": str(certificate),
        "/run/secrets/page_key": str(certificate), "resolver 127.0.0.11 valid=10s;": "",
        "http://page:8420": f"http://127.0.0.1:{to}", "listen 8443": f"listen 127.0.0.1:{at}",
        "127.0.0.1:8080": f"127.0.0.1:{any_free_port()}",
    }  # fmt: skip
    for there, ours in here.items():
        assert there in text, there
        text = text.replace(there, ours)
    (folder / "nginx.conf").write_text(text)
    command = [nginx, "-e", "stderr", "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    with (folder / "nginx.log").open("wb") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not _answers(at):
                assert process.poll() is None, (folder / "nginx.log").read_text()
                assert time.monotonic() < deadline, (folder / "nginx.log").read_text()
                time.sleep(0.05)
            yield
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(30)


def _answers(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


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
    assert "Traceback" not in log.read_text(), "what it does beside is called off in order"


async def test_it_is_found_by_its_name_over_tls_and_the_cookie_stays_there(behind: Behind, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.context("localhost")
    with proxy(tmp_path, tmp_path / "localhost.pem", behind.outer, behind.inner):
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
    assert "max-age" in entered.headers["strict-transport-security"]
    assert "default-src 'none'" in entered.headers["content-security-policy"]
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
