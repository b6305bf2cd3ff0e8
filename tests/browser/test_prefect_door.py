"""What a page of a stranger, open in the browser of whoever runs Prefect, can do to it: nothing.

The stranger's pages come over real HTTP, from another port of this machine (the same site, for a browser) and under a
name of his own that leads to this machine, also on Prefect's very port.
"""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import launch

TARGET = "retention/nightly"
STEPS = [{"prefect.deployments.steps.run_shell_script": {"script": "printenv > /tmp/stolen"}}]
OVERWRITE = """async ([url, kind, body]) => {
    const found = await fetch(`${url}/api/deployments/name/retention/nightly`);
    const {id} = await found.json();
    const done = await fetch(`${url}/api/deployments/${id}`, {method: "PATCH", headers: {"Content-Type": kind}, body});
    return done.status;
}"""
ATTEMPT = """async ([url, kind, body]) => {
    const outcomes = [];
    for (const mode of ["cors", "no-cors"])
        try {
            const said = await fetch(url, {method: "POST", mode, headers: {"Content-Type": kind}, body});
            outcomes.push(said.type === "opaque" ? "sent unseen" : `${said.status}`);
        } catch (refused) { outcomes.push("refused"); }
    return outcomes;
}"""


class Stranger(BaseHTTPRequestHandler):
    """A page with nothing on it but a frame, where one is asked for."""

    def do_GET(self) -> None:
        framed = self.path.partition("?frame=")[2]
        page = f'<title>strange</title><iframe src="{framed}" width=800 height=600></iframe>'.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def strange_port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Stranger) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        yield server.server_port
        server.shutdown()
        serving.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium for which the stranger's name leads to this machine."""
    with sync_playwright() as playwright, launch(playwright, "--host-resolver-rules=MAP stranger.test 127.0.0.1") as it:
        yield it


def steps_of(prefect: Any) -> Any:
    return prefect.deployment(TARGET)["pull_steps"]


@pytest.mark.parametrize("host", ["127.0.0.1", "stranger.test"])
def test_a_page_of_another_origin_reads_and_changes_nothing(
    page: Page, prefect: Any, strange_port: int, host: str
) -> None:
    before = steps_of(prefect)
    page.goto(f"http://{host}:{strange_port}/")
    with pytest.raises(Exception, match="Failed to fetch"):
        page.evaluate(OVERWRITE, [prefect.url, "application/json", json.dumps({"pull_steps": STEPS})])
    runs = len(prefect.runs_of(TARGET))
    url = f"{prefect.url}/api/deployments/{prefect.deployment(TARGET)['id']}/create_flow_run"
    for kind in ("application/json", "text/plain"):
        cross, unseen = page.evaluate(ATTEMPT, [url, kind, "{}"])
        assert cross == "refused"
        assert unseen in {"refused", "sent unseen"}
    assert steps_of(prefect) == before
    assert len(prefect.runs_of(TARGET)) == runs


def test_under_a_name_of_the_strangers_prefect_answers_nothing(page: Page, prefect: Any) -> None:
    """The name first led to the stranger and now leads here, so that the browser takes Prefect for his."""
    before = steps_of(prefect)
    strange = prefect.url.replace("127.0.0.1", "stranger.test")
    shown = page.goto(f"{strange}/")
    assert shown is not None
    assert (shown.status, page.inner_text("body")) == (400, "Invalid host header")
    for path in ("/ui-settings", "/api/health", "/api/deployments/filter"):
        assert page.evaluate("async path => (await fetch(path)).status", path) == 400
    with pytest.raises(Exception, match="JSON"):
        page.evaluate(OVERWRITE, [strange, "application/json", json.dumps({"pull_steps": STEPS})])
    assert steps_of(prefect) == before


@pytest.mark.parametrize("host", ["127.0.0.1", "stranger.test"])
def test_no_page_of_another_can_hold_prefects_in_a_frame(
    page: Page, prefect: Any, strange_port: int, host: str
) -> None:
    page.goto(f"http://{host}:{strange_port}/?frame={prefect.url}/deployments", wait_until="load")
    page.wait_for_timeout(1_000)
    (framed,) = [frame for frame in page.frames if frame != page.main_frame]
    assert framed.url.startswith("chrome-error:"), framed.url


def test_who_knows_the_login_is_let_in_and_stays_in(page: Page, prefect: Any) -> None:
    page.goto(f"{prefect.url}/deployments")
    asked = page.get_by_placeholder("admin:pass")
    asked.fill("tidemark:not-this")
    asked.press("Enter")
    page.wait_for_function("localStorage.getItem('prefect-password') === null")  # its refusal forgets what is kept then
    expect(page.get_by_text("Authentication failed").first).to_be_visible()
    asked.fill(prefect.login)
    asked.press("Enter")
    expect(asked).to_be_hidden()
    page.goto(f"{prefect.url}/deployments")
    expect(page.get_by_text(f"{len(prefect.ask('/deployments/filter', {}))} Deployments")).to_be_visible()
    assert prefect.login not in page.content()


def test_under_the_name_localhost_it_is_the_same_page(page: Page, prefect: Any) -> None:
    page.goto(prefect.url.replace("127.0.0.1", "localhost"))
    asked = page.get_by_placeholder("admin:pass")
    asked.fill(prefect.login)
    asked.press("Enter")
    expect(asked).to_be_hidden()
    expect(page.get_by_text("Active Work Pools")).to_be_visible()


def test_without_the_login_the_api_says_no_more_than_that_it_lives(prefect: Any) -> None:
    assert prefect.status("/health") == 200
    for path in ("/deployments/name/retention/nightly", "/admin/settings", "/admin/version"):
        assert prefect.status(path) == 401
