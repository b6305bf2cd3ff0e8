"""The report of a run: small, whole, and nothing in it that a browser would run or fetch."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from pipeline.research.backtest.run import Backtest, run
from pipeline.research.report.page import page_of, part_of
from pipeline.research.report.words import FIGURES
from tests.browser.conftest import launch
from tests.research.stage import TARGET, asked, chatter, flat, minutes, said, wild

EVIL = "<script>document.title='ran'</script>"


@pytest.fixture(scope="module")
def found() -> Backtest:
    return run(asked(minutes(wild(20_000, 7)), chatter(20_000, 7), trading=TARGET))


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright, launch(playwright) as browser:
        yield browser.new_context(offline=True).new_page()


def test_a_browser_shows_it_without_a_network(found: Backtest, page: Page, tmp_path: Path) -> None:
    file = tmp_path / "x.html"
    file.write_text(page_of(found, f"a {EVIL}", [EVIL]), encoding="utf-8")
    asked_for: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda one: asked_for.append(one.url))
    page.on("console", lambda one: wrong.append(one.text))
    page.on("pageerror", lambda one: wrong.append(str(one)))
    page.goto(file.as_uri())
    assert asked_for == [file.as_uri()]
    assert wrong == []
    assert page.title() == f"a {EVIL}"
    assert page.locator("svg").count() == 4
    assert page.locator("path.trade").count() == len(found.outcome.trades)
    assert page.locator("script").count() == 0
    for name in ("Figures", "Months", "By side", "By reason", "By strategy", "By symbol", "Assumed", "Notes", "Trades"):
        assert page.get_by_role("heading", name=name, exact=True).is_visible()
    assert page.get_by_role("cell", name="deepest drawdown", exact=True).is_visible()
    box = page.locator("svg").first.bounding_box()
    assert box is not None
    assert box["height"] > 100
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_readings_stand_beside_each_other(found: Backtest) -> None:
    shown = page_of(found, "x", [])
    assert len(found.outcomes) == 3
    assert "<th>pessimistic</th><th>resolved</th><th>optimistic</th>" in shown
    for one in FIGURES:
        assert one.text(found.outcome.summary)
        assert one.name in shown


def test_a_run_of_300_days_and_1_000_trades_is_small() -> None:
    count = 300 * 24 * 60
    signals = chatter(count, 3)[::6]
    long = run(asked(minutes(wild(count, 3)), signals, trading=TARGET))
    assert len(long.outcome.trades) >= 1_000
    assert len(page_of(long, "x", []).encode()) < 1_500_000


def test_a_run_without_a_trade_has_a_report_too() -> None:
    quiet = run(asked(minutes(wild(300, 7)), []))
    assert "No trade has ended" in page_of(quiet, "x", [])


def test_a_notebook_gets_a_part_that_leaves_the_rest_of_it_alone(found: Backtest) -> None:
    shown = part_of(found, EVIL)
    assert EVIL not in shown
    style = shown[len("<style>") : shown.index("</style>")]
    assert all(
        one.strip().startswith(".tidemark") for rule in re.findall(r"([^{}]+)\{", style) for one in rule.split(",")
    )


def test_a_trade_that_is_still_open_is_drawn_to_the_end() -> None:
    one = run(asked(minutes(flat(100_000, 300)), [said(30, "entry", "long", 100_000)]))
    assert one.outcome.trades[0].closed_at is None
    assert 'class="trade' in page_of(one, "x", [])
