"""Somebody who opens the page in a browser at the beginning, and never touches it again. Whatever is killed meanwhile,
it finds back by itself and shows what is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Error, Page, sync_playwright

from pipeline.timeline import MINUTE
from tests.browser.conftest import launch
from tests.soak.checks import Check

NAME = "the page is live again by itself"
_LOOKS = """() => ({
  opened: window.opened,
  state: document.querySelector("#state").textContent,
  banner: document.querySelector("#banner").textContent,
  processes: document.querySelector("#processes").textContent,
  newest: window.chart?.describe().newest,
})"""
LIVE = {"opened": True, "state": "live", "banner": "", "processes": "ingester lives · executor lives"}


@dataclass
class Onlooker:
    """What he saw."""

    page: Page
    looks: int = 0
    lost: int = 0
    """How often it was not live any more."""
    longest: float = 0.0
    """Seconds for which it was not."""
    _lost_at: float | None = None

    def look(self) -> dict[str, Any]:
        """What stands there now."""
        try:
            seen: dict[str, Any] = self.page.evaluate(_LOOKS)
        except Error as failure:
            seen = {"state": str(failure)[:200]}
        self._count(is_live=seen["state"] == "live")
        return seen

    def check(self, now: int) -> Check:
        """It is live, nobody has opened it anew, and its candle is that of this minute."""
        seen = self.look()
        wrong = [
            f"{name}: {seen.get(name)!r}, not {wanted!r}" for name, wanted in LIVE.items() if seen.get(name) != wanted
        ]
        if now - (seen.get("newest") or 0) > 2 * MINUTE:
            wrong.append(f"its newest candle is of {seen.get('newest')}, and it is {now}")
        return Check(NAME, f"{self.looks} looks, {self.lost} times lost, {self.longest:.0f} s at most", wrong)

    def _count(self, *, is_live: bool) -> None:
        now = time.monotonic()
        self.looks += 1
        if is_live:
            self._lost_at = None
        elif self._lost_at is None:
            self.lost, self._lost_at = self.lost + 1, now
        if self._lost_at is not None:
            self.longest = max(self.longest, now - self._lost_at)


@contextmanager
def looking(link: str) -> Iterator[Onlooker]:
    """For the length of the block."""
    with sync_playwright() as playwright, launch(playwright) as browser:
        page = browser.new_page()
        page.goto(link)
        page.wait_for_selector("html[data-ready=yes]")
        page.evaluate("window.opened = true; location.hash = '#/chart/BTCUSDT/1m'")
        yield Onlooker(page)
