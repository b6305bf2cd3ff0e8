"""From a frame of the exchange to the pixel: simulator, ingester, database, page's server and tab, each of them as a
trader has it, and four frames a second."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from bench.page_probe import quantile
from bench.page_served import KEY, environment_of, row, running, server
from bench.store import mongod_at
from bench.table import Row
from pipeline.app.door import Door
from pipeline.simulator.handle import Simulator
from tests.browser.conftest import launch

PATIENCE_MS: Final = 240_000
NOTES: Final = """
window.late = [];
let newest = 0;
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", (event) => {
      const { topic, data } = JSON.parse(event.data);
      if (!topic.startsWith("candles/") || !data.length || data[data.length - 1].u <= newest) return;
      newest = data[data.length - 1].u;
      const said = newest;
      requestAnimationFrame(() => setTimeout(() => window.late.push(Date.now() - said)));
    });
  }
};
"""
"""How old the exchange's word of a candle is once the frame that shows it is drawn."""


def from_the_exchange(seconds: int) -> list[Row]:
    """So long, on one series."""
    with (
        Simulator.start() as simulator,
        mongod_at() as (database, uri),
        tempfile.TemporaryDirectory(prefix="tidemark-bench-") as home,
    ):
        folder = Path(home)
        environment = environment_of(uri, database.name, folder, TIDEMARK_SIM_URL=simulator.url)
        for words in (("backfill", "--days", "2"), ("watch", KEY.symbol)):
            command = [sys.executable, "-m", "pipeline.cli", *words]
            subprocess.run(command, env=environment, cwd=folder, check=True, capture_output=True)
        with running(environment, folder, "live"), server(environment, folder) as served:
            found = painted(served.url, Door(folder).code(), seconds)
    note = f"{len(found)} frames in {seconds} s, p50 {quantile(found, 0.5):.0f} ms"
    return [row("a frame of the exchange to its pixel, p95", quantile(found, 0.95), "ms", at_most=500, note=note)]


def painted(url: str, code: str, seconds: int) -> list[float]:
    """Milliseconds from each frame to its pixel, once the first has come."""
    with sync_playwright() as playwright, launch(playwright) as browser:
        tab = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme="dark").new_page()
        tab.set_default_timeout(PATIENCE_MS)
        tab.add_init_script(NOTES)
        tab.goto(f"{url}/enter?code={code}#/chart/{KEY.symbol}/{KEY.interval}")
        tab.wait_for_selector("html[data-ready=yes]")
        while not tab.evaluate("window.late.length"):
            tab.wait_for_timeout(200)
        tab.wait_for_timeout(2_000)
        tab.evaluate("window.late.length = 0")
        tab.wait_for_timeout(seconds * 1_000)
        return [float(one) for one in tab.evaluate("window.late")]
