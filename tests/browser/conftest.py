"""A Prefect server of the tests' own with our deployments served, and a Chromium to look at it."""

import json
import shutil
import tempfile
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright
from pymongo import MongoClient

from pipeline.simulator.handle import Simulator
from pipeline.store.mongod.launch import any_free_port
from pipeline.supervise import services
from pipeline.supervise.prefect_login import login_of
from pipeline.supervise.reaper import Reaper
from pipeline.supervise.supervisor import Supervisor
from tests.prefect_home import PrefectHome

SHOTS = Path(__file__).parents[2] / "test-output" / "browser"
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PATIENCE_MS = 90_000
DATABASE = "browser"


@dataclass(frozen=True, slots=True)
class Prefect:
    """Prefect's pages and its API, and the login that both ask for."""

    url: str
    login: str

    def ask(self, path: str, body: Any = None) -> Any:
        """What the API answers."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {self.token}"}
        request = urllib.request.Request(f"{self.url}/api{path}", data, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    @property
    def token(self) -> str:
        """The login as it travels, and as the page keeps it."""
        return b64encode(self.login.encode()).decode()

    def status(self, path: str) -> int:
        """What the API answers to somebody who gives no login."""
        try:
            with urllib.request.urlopen(f"{self.url}/api{path}", timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refusal:
            return refusal.code

    def deployment(self, name: str) -> Any:
        """A deployment by `flow/name`."""
        return self.ask(f"/deployments/name/{name}")

    def page_of(self, name: str) -> str:
        """The address of its page."""
        return f"{self.url}/deployments/deployment/{self.deployment(name)['id']}"

    def runs_of(self, name: str) -> list[Any]:
        """Its runs that were asked for by hand."""
        wanted = {"deployments": {"id": {"any_": [self.deployment(name)["id"]]}}}
        return [run for run in self.ask("/flow_runs/filter", wanted) if not run["auto_scheduled"]]


@pytest.fixture(scope="module")
def prefect(
    scratch: Path,
    mongo_uri: str,
    mongo: MongoClient[Any],
    shared_simulator: Simulator,
    prefect_home: PrefectHome,
) -> Iterator[Prefect]:
    """A server, and what runs the flows against the simulator and a database of its own."""
    home = Path(tempfile.mkdtemp(prefix="prefect-", dir=scratch))
    port = any_free_port()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "TIDEMARK_HOME": str(home),
            "TIDEMARK_MONGO_URI": mongo_uri,
            "TIDEMARK_DATABASE": DATABASE,
            "TIDEMARK_SIM_URL": shared_simulator.url,
        }.items():
            environment.setenv(name, value)
        server, runner = services.prefect_server(home, port), services.flow_runner(home, port, {})
    prefect_home.furnish(home / "prefect")
    with Reaper() as reaper, Supervisor(home / "logs", reaper) as supervisor:
        for service in (server, runner):
            supervisor.start(service)
            supervisor.wait_ready(service.name)
        yield Prefect(f"http://127.0.0.1:{port}", login_of(home))
    mongo.drop_database(DATABASE)


@contextmanager
def launch(playwright: Playwright, *flags: str) -> Iterator[Browser]:
    """A Chromium, for the length of the block."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.fail("these tests drive Chromium, and there is none: apt-get install chromium")
    launched = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS.split(), *flags])
    yield launched
    launched.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium."""
    with sync_playwright() as playwright, launch(playwright) as launched:
        yield launched


@pytest.fixture
def logged_in(page: Page, prefect: Prefect) -> Page:
    """The same in a browser that was let in before."""
    page.add_init_script(f"localStorage.setItem('prefect-password', '{prefect.token}')")
    return page


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    """A page that shares nothing with one before it. What it showed last is kept as a picture."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    with browser.new_context(viewport={"width": 1280, "height": 900}) as profile:
        shown = profile.new_page()
        shown.set_default_timeout(PATIENCE_MS)
        yield shown
        shown.screenshot(path=SHOTS / f"{request.node.name}.png")
