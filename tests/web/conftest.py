"""A page's server in a process of its own, over candles and signals that the commands put there."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pymongo import MongoClient
from pymongo.database import Database
from typer.testing import CliRunner

from pipeline.app.door import Door, secret_file
from pipeline.app.opened import Opened
from pipeline.cli import app as cli
from pipeline.settings import Settings
from pipeline.simulator.handle import Simulator
from tests.browser.conftest import PATIENCE_MS, SHOTS, launch
from tests.secret_watch import keep_secret
from tests.web import covered

SAYS = "the page is served: "
SYMBOLS = ("BTCUSDT", "ETHUSDT")
READY = "html[data-ready=yes]"


@dataclass
class Served:
    """A server, what it goes by, and the database under it."""

    environment: dict[str, str]
    home: Path
    db: Database[dict[str, Any]]
    url: str = ""
    process: subprocess.Popen[bytes] | None = None
    port: int = field(default=0)

    def start(self) -> None:
        """At the same port as before, where there was one."""
        command = [sys.executable, "-m", "pipeline.cli", "web", "--port", str(self.port)]
        said = self.home / "web.log"
        said.unlink(missing_ok=True)
        with said.open("w") as log:
            self.process = subprocess.Popen(command, env=self.environment, stderr=log, stdout=log)
        while SAYS not in said.read_text():
            if self.process.poll() is not None:
                pytest.fail(f"the page's server ended with {self.process.returncode}: {said.read_text()}")
            time.sleep(0.05)
        self.url = said.read_text().partition(SAYS)[2].split()[0]
        self.port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        """Without a word."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    @property
    def door(self) -> Door:
        """The same door, in this process."""
        return Door(self.home)

    @property
    def link(self) -> str:
        """A fresh one."""
        return f"{self.url}/enter?code={self.door.code()}"

    def script(self) -> requests.Session:
        """What a script has: the word."""
        session = requests.Session()
        session.headers["authorization"] = f"Bearer {secret_file(self.home).read_text()}"
        return session

    def get(self, path: str, **query: Any) -> Any:
        """What it answers to a script."""
        answer = self.script().get(f"{self.url}/api/{path}", params=query, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def serving(home: Path, db: Database[dict[str, Any]], uri: str, **more: str) -> Iterator[Served]:
    """A server over what that database has; `more`: settings."""
    chosen = {"HOME": str(home), "MONGO_URI": uri, "DATABASE": db.name, **more}
    others = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    one = Served(others | {f"TIDEMARK_{name}": value for name, value in chosen.items()}, home, db)
    one.start()
    keep_secret(secret_file(home).read_text())
    yield one
    one.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright, launch(playwright) as one:
        yield one


@contextmanager
def let_in(browser: Browser, served: Served, height: int = 900, **chosen: Any) -> Iterator[Page]:
    """A tab that came by a link; which lines of the page run in it is counted."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    with browser.new_context(viewport={"width": 1280, "height": height}, color_scheme="dark", **chosen) as profile:
        tab = profile.new_page()
        tab.set_default_timeout(PATIENCE_MS)
        covered.begin(tab)
        tab.goto(served.link)
        tab.wait_for_selector(READY)
        yield tab
        covered.note(tab)


@pytest.fixture(scope="module")
def served(
    request: pytest.FixtureRequest,
    mongo: MongoClient[dict[str, Any]],
    mongo_uri: str,
    shared_simulator: Simulator,
    scratch: Path,
) -> Iterator[Served]:
    """30 days of 15m and 1h, with indicators, signals and returns; the series are watched. Of one symbol four days of
    minutes, too."""
    name = request.module.__name__.rpartition(".")[2]
    home = scratch / name
    home.mkdir()
    mine = {
        "TIDEMARK_HOME": str(home),
        "TIDEMARK_MONGO_URI": mongo_uri,
        "TIDEMARK_DATABASE": name,
        "TIDEMARK_SIM_URL": shared_simulator.url,
        "TIDEMARK_SYMBOLS": ",".join(SYMBOLS),
        "TIDEMARK_INTERVALS": "15m,1h",
        "NUMBA_DISABLE_JIT": "1",
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    with pytest.MonkeyPatch.context() as patch:
        for variable in [one for one in os.environ if one.startswith("TIDEMARK_")]:
            patch.delenv(variable)
        for variable, value in mine.items():
            patch.setenv(variable, value)
        patch.chdir(home)
        minutes = ["backfill", "BTCUSDT", "--interval", "1m", "--days", "4"]
        for command in (["backfill", "--days", "30"], minutes, ["watch", *SYMBOLS]):
            result = CliRunner().invoke(cli.build(), command)
            assert result.exit_code == 0, result.output
    one = Served(others | mine, home, mongo[name])
    one.start()
    keep_secret(secret_file(home).read_text())
    yield one
    if one.process is not None:
        one.process.terminate()
        assert one.process.wait(20) == 0
    mongo.drop_database(name)


@pytest.fixture
def tm(served: Served) -> Iterator[Opened]:
    """The app on the same database."""
    chosen = {name.removeprefix("TIDEMARK_").lower(): value for name, value in served.environment.items()
              if name.startswith("TIDEMARK_")}  # fmt: skip
    with Opened(Settings(**(chosen | {"symbols": ["BTCUSDT", "ETHUSDT"], "intervals": ["15m", "1h"]}))) as opened:
        yield opened
