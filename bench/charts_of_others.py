"""Another chart on the same candles: lightweight-charts, where `BENCH_CHARTS` names a folder that has it.

It gets the very bytes that the page's server sends, so that only making its series and drawing them differs.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any, Final

import requests
from playwright.sync_api import Browser

from bench.page_probe import frames_of, frames_while, heap_of, quantile

FOLDER: Final = os.environ.get("BENCH_CHARTS")
LIBRARY: Final = "lightweight-charts.standalone.production.js"
PAGE: Final = """<!doctype html><meta charset="utf-8">
<style>html, body, #chart { margin: 0; width: 100%; height: 100% }</style>
<div id="chart"></div><script src="/library.js"></script><script src="/own.js"></script>"""
OWN: Final = Path(__file__).with_suffix(".js")
_PAN: Final = frames_while(
    "scale.setVisibleLogicalRange({ from: (count >> 1) + 15 * k, to: (count >> 1) + 2000 + 15 * k })", 122, 2
)
_WHOLE: Final = frames_while("scale.setVisibleLogicalRange({ from: k % 2, to: count + k % 2 })", 22, 2)


def lightweight(browser: Browser, served: Any, count: int, marks: int) -> dict[str, float] | None:
    """Its figures by our names; None where it is not there."""
    if FOLDER is None:
        return None
    library = (Path(FOLDER) / LIBRARY).read_bytes()
    body = requests.get(f"{served.url}/api/candles/BTCUSDT/1m?limit={count}", headers=served.script, timeout=60).content
    parts = {
        "/": PAGE.encode(), "/library.js": library, "/own.js": OWN.read_text().replace("MARKS", str(marks)).encode(),
        "/candles": body,
    }  # fmt: skip
    with serving(parts) as url, browser.new_context(viewport={"width": 1280, "height": 720}) as profile:
        tab = profile.new_page()
        tab.set_default_timeout(300_000)
        tab.goto(url)
        tab.wait_for_selector("html[data-ready=yes]")
        took = float(tab.evaluate("Number(document.documentElement.dataset.took)")) / 1000
        pan = frames_of(tab, f"async () => {{ {_PAN} }}")
        whole = frames_of(tab, f"async () => {{ {_WHOLE} }}")
        return {"data": took, "pan": quantile(pan, 0.95), "whole": median(whole), "heap": heap_of(tab)}


@contextmanager
def serving(parts: dict[str, bytes]) -> Iterator[str]:
    """These, at an address of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Parts, parts)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


class _Parts(BaseHTTPRequestHandler):
    """Answers what is there."""

    def __init__(self, parts: dict[str, bytes], *rest: Any) -> None:
        self._parts = parts
        super().__init__(*rest)

    def do_GET(self) -> None:
        body = self._parts.get(self.path, b"")
        kind = {"/": "text/html", "/candles": "application/octet-stream"}.get(self.path, "text/javascript")
        self.send_response(200 if body else 404)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""
