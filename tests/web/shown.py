"""What stands on the page, read as a person reads it."""

import re
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE_MS


def show(page: Page, view: str) -> None:
    """Go there, and wait until it is drawn."""
    if page.evaluate("location.hash") != f"#/{view}":
        page.evaluate("where => { delete document.documentElement.dataset.ready; location.hash = where }", f"#/{view}")
    page.wait_for_selector("html[data-ready=yes]")


def rows(page: Page, table: int = 0, of: str = "main") -> list[list[str]]:
    """What stands in a table."""
    found = page.locator(of).locator("table").nth(table).locator("tbody tr")
    expect(found.first).to_be_visible()
    return [one.locator("td").all_inner_texts() for one in found.all()]


def number(text: str) -> Decimal | None:
    """As it was before it was written for people."""
    plain = re.sub(r"[^0-9.−]", "", text).replace("−", "-")
    return Decimal(plain) if any(each.isdigit() for each in plain) else None


def rounded(value: Any, digits: int = 2) -> Decimal | None:
    """As it is written with so many decimals."""
    return None if value is None else Decimal(f"{value:.{digits}f}")


def is_said(text: str, value: Any, digits: int | None = 2) -> bool:
    """Whether this is that number, with so many decimals; None: with as many as it has, eight at most. Half of the last
    one may go either way."""
    said = number(text)
    if said is None or value is None:
        return said is None and value is None
    has_them = digits is None or -int(said.as_tuple().exponent) == digits
    return has_them and abs(said - Decimal(str(value))) <= Decimal(5).scaleb(-1 - (8 if digits is None else digits))


def until(page: Page, asked: Callable[[], Any], wanted: Any, what: str) -> None:
    """Asked again and again, for the page's policy lets no test wait inside it."""
    began = time.monotonic()
    while (found := asked()) != wanted:
        if time.monotonic() - began > PATIENCE_MS / 1000:
            pytest.fail(f"{what}: {found}, not {wanted}")
        page.wait_for_timeout(100)


FIGURES: dict[str, tuple[str, int]] = {
    "return": ("return_pct", 2), "the symbols themselves": ("market_return_pct", 2),
    "return a year": ("yearly_return_pct", 2), "deepest drawdown": ("max_drawdown_pct", 2), "Sharpe": ("sharpe", 2),
    "Sortino": ("sortino", 2), "trades": ("trades", 0), "won": ("won_pct", 2), "profit factor": ("profit_factor", 2),
    "a trade brings": ("expectancy", 2), "in the market": ("exposure_pct", 2), "fees": ("fees", 2),
    "funding": ("funding", 2), "equity at the end": ("equity_end", 2), "signals": ("signals", 0), "taken": ("taken", 0),
    "trades that hang on an assumption": ("on_an_assumption", 0),
}  # fmt: skip
"""Of a backtest, as the page calls them, and with how many decimals; its money is dollars."""


def is_shown(page: Page, kept: Any, stored: Any) -> None:
    """Every figure of each reading, every month and every trade of a run are those of the Python door (`kept`) and of
    the database (`stored`)."""
    assert [one.figures for one in kept.run.readings] == [one["figures"] for one in stored["readings"]]
    figures = {one[0]: one[1:] for one in rows(page, 0)}
    assert set(figures) == set(FIGURES)
    for label, (name, digits) in FIGURES.items():
        for text, reading in zip(figures[label], kept.run.readings, strict=True):
            value = reading.figures.get(name)
            if isinstance(value, float) and value - value != 0:
                value = None
            if name == "fees" and value is not None:
                value = -value
            assert is_said(text, value, digits), (label, text, value)
    assert stored["equity"] == list(kept.run.equity)
    months: dict[str, list[float]] = {}
    for before, day, worth in zip(kept.run.equity, kept.run.days[1:], kept.run.equity[1:], strict=False):
        months.setdefault(f"{day - timedelta(milliseconds=1):%Y-%m}", [before]).append(worth)
    shown = [one.inner_text().split("\n", 1) for one in page.locator("main .days > div").all()]
    assert [name for name, _ in shown] == list(months)
    for name, text in shown:
        assert is_said(text, (months[name][-1] / months[name][0] - 1) * 100), (name, text)
    trades = page.locator("main table").filter(has=page.get_by_role("columnheader", name="decided by"))
    assert trades.locator("tbody tr").count() == len(kept.trades) > 0
    for row, trade in zip(trades.locator("tbody tr").all(), reversed(kept.trades), strict=True):
        said = row.locator("td").all_inner_texts()
        assert (said[2], trade["side"] in said[3]) == (trade["symbol"], True)
        for text, name in zip(said[4:7], ("quantity", "entry_price", "exit_price"), strict=True):
            assert is_said(text, trade[name], None), (name, text, trade[name])
        for text, name in zip(said[7:10], ("profit", "fees", "funding"), strict=True):
            assert is_said(text, trade[name]), (name, text, trade[name])
        assert (said[10], said[11]) == (trade["reason"] or "", trade["decided_by"] or "")


CONTRAST = """() => {
  const shade = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return { c: [r, g, b], a };
  };
  const linear = (v) => v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = (c) => { const [x, y, z] = c.map(linear); return 0.2126 * x + 0.7152 * y + 0.0722 * z; };
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !one.checkVisibility() || one.closest(".old, :disabled, option, noscript")) continue;
    let under = one, ground = { a: 0 };
    while (under && !ground.a) {
      ground = shade(getComputedStyle(under).backgroundColor);
      under = under.parentElement;
    }
    const a = light(shade(getComputedStyle(one).color).c), b = light(ground.c);
    found.push([one.textContent.trim().slice(0, 30), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]);
  }
  return found;
}"""
"""Each text that is seen, and how it stands out from its ground."""


_USED = {"button", "link", "textbox", "searchbox", "checkbox", "combobox", "spinbutton", "image", "img", "dialog",
         "progressindicator", "canvas", "listbox", "menuitem", "tab"}  # fmt: skip


def nameless(page: Page) -> list[str]:
    """What of the page has no name, though it can be used or is a picture: as whoever does not see it is told of it."""
    of = page.locator("dialog[open]" if page.locator("dialog[open]").count() else "body")
    used = of.locator("button, a[href], input, select, textarea, canvas, [tabindex='0']").filter(visible=True)
    until(page, lambda: used.count() <= len(_told(page)), True, "whether all that can be used is told of")
    return [f"{role} {name!r}" for role, name in _told(page) if not re.search(r"\w", name)]


def _told(page: Page) -> list[tuple[str, str]]:
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    session.detach()
    named = [(one["role"]["value"], one["name"]["value"]) for one in nodes if not one["ignored"] and "name" in one]
    return [(role, name) for role, name in named if role.lower() in _USED]
