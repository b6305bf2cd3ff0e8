"""The page in a real Chromium: what is drawn is what is stored, what is ordered is recorded, nothing else gets in."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from pymongo.database import Database

from pipeline.app import runs, slippage
from pipeline.app.opened import Opened
from pipeline.candle import Candle, CandleWrite
from pipeline.store.candles.store import CandleStore
from pipeline.store.control import ControlStore
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import DAY, MINUTE, interval, to_ms
from schemas.control import SlippageFit
from schemas.series import SeriesKey
from tests.browser.conftest import PATIENCE_MS, SHOTS, launch
from tests.cli import desk
from tests.live_writer import write_live
from tests.web import covered
from tests.web.conftest import READY, Served
from tests.web.shown import is_shown, nameless, number, show

HOUR = interval("1h")
KEY = SeriesKey("sim", "BTCUSDT", "1h")
PROCESS_MS = 2 * PATIENCE_MS
"""A process of its own has to begin first."""
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium in which a foreign name leads here, too."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright, launch(playwright, "--host-resolver-rules=MAP evil.example 127.0.0.1") as one:
        yield one


@pytest.fixture
def said() -> list[str]:
    """What a page complained of, and where else it asked."""
    return []


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, served: Served, said: list[str]) -> Iterator[Page]:
    """A tab that was let in and shows the chart of an hour's candles."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    with browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme="dark") as profile:
        tab = profile.new_page()
        tab.set_default_timeout(PATIENCE_MS)
        covered.begin(tab)
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda asked: None if asked.url.startswith(served.url) else said.append(asked.url))
        tab.goto(served.link)
        tab.wait_for_selector(READY)
        show(tab, "chart/BTCUSDT/1h")
        yield tab
        covered.note(tab)
        tab.screenshot(path=SHOTS / f"page-{request.node.name}.png")


def seen(page: Page) -> Any:
    """What the chart says of itself."""
    return page.evaluate("chart.describe()")


def until(page: Page, holds: Any, what: str) -> Any:
    """Asked again and again, for the page's policy lets no test wait inside it."""
    began = time.monotonic()
    while time.monotonic() - began < 60:
        found = seen(page)
        if holds(found):
            return found
        page.wait_for_timeout(50)
    pytest.fail(f"{what}: {found}")


def test_a_chart_is_drawn_and_nothing_is_asked_elsewhere(page: Page, served: Served, said: list[str]) -> None:
    found = seen(page)
    stored = CandleStore(served.db).columns(KEY, 0, int(time.time() * 1000), ("t", "close"))
    assert found["candles"] == len(stored["t"])
    assert found["close"] == stored["close"][-1]
    assert [one["name"] for one in found["panes"]] == ["price", "RSI", "MACD"]
    assert page.locator("canvas").get_attribute("aria-label").startswith("Chart from 20")  # type: ignore[union-attr]
    assert said == []


COLUMNS = """() => {
  const { columns, count } = chart.series;
  const plain = (column) => [...column.subarray(0, count)].map((value) => Number.isNaN(value) ? null : value);
  return Object.fromEntries(Object.entries(columns).map(([name, column]) => [name, plain(column)]));
}"""


def test_every_value_drawn_is_the_stored_one_across_the_seams(page: Page, served: Served) -> None:
    show(page, "chart/ETHUSDT/15m")
    total = served.db["series"].find_one({"_id": "sim:ETHUSDT:15m"})["stored"]  # type: ignore[index]
    first = seen(page)
    assert first["candles"] == 2_000
    middle = page.evaluate("chart.locate(chart.describe().from + 900000 * 20, chart.describe().close)")
    page.evaluate("chart.show(0, 200)")
    found = until(page, lambda one: one["candles"] >= total, "the older candles do not come")
    columns = page.evaluate(COLUMNS)
    stored = CandleStore(served.db).columns(SeriesKey("sim", "ETHUSDT", "15m"), 0, found["newest"], list(columns))
    for name, drawn in columns.items():
        assert drawn == [None if value != value else float(value) for value in stored[name].tolist()], name
    assert middle["x"] > 0
    page.get_by_role("button", name="bands").click()
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(stored["close"], float), 20)
    mean, half = windows.mean(axis=1), 2 * windows.std(axis=1)
    drawn = page.evaluate(COLUMNS)
    for name, wanted in (("band_upper", mean + half), ("band_lower", mean - half)):
        assert drawn[name][:19] == [None] * 19
        assert drawn[name][19:] == pytest.approx(wanted.tolist(), abs=1e-6), name
    page.get_by_role("button", name="bands").click()
    assert set(page.evaluate(COLUMNS)) == set(columns)


def test_dragging_to_older_candles_leaves_the_candle_under_the_pointer(page: Page) -> None:
    show(page, "chart/ETHUSDT/15m")
    box = page.locator("canvas").bounding_box()
    assert box is not None
    x, y = box["x"] + 300, box["y"] + 100
    page.mouse.move(x, y)
    page.mouse.down()
    under = page.evaluate("chart.series.timeAt(chart.placeAt(300))")
    page.mouse.move(x + 200, y, steps=4)
    assert page.evaluate("chart.series.timeAt(chart.placeAt(500))") == under
    page.mouse.up()


def test_a_chart_is_saved_as_a_picture_and_read_as_a_table(page: Page, served: Served) -> None:
    with page.expect_download() as saved:
        page.get_by_role("button", name="PNG").click()
    assert saved.value.suggested_filename == "BTCUSDT-1h.png"
    assert saved.value.path().read_bytes().startswith(b"\x89PNG")
    page.get_by_role("button", name="table").click()
    assert nameless(page) == []
    stored = CandleStore(served.db).columns(KEY, 0, int(time.time() * 1000), ("t", "open", "high", "low", "close"))
    told = page.locator("dialog table tr").nth(1).locator("td").all_inner_texts()
    assert told[0] == f"{datetime.fromtimestamp(stored['t'][-1] / 1000, UTC):%Y-%m-%d %H:%M}"
    assert [number(one) for one in told[1:5]] == [Decimal(repr(float(stored[name][-1]))) for name in list(stored)[1:]]
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()


def test_signals_are_on_their_candles_and_a_chosen_one_is_shown(page: Page, served: Served) -> None:
    drawn = page.evaluate("chart.marks.map(one => [one.id, one.t, one.side])")
    stored = list(served.db["signals"].find({"symbol": "BTCUSDT", "interval": "1h"}, {"candle": 1, "side": 1}))
    assert sorted(drawn) == sorted([one["_id"], int(one["candle"].timestamp() * 1000), one["side"]] for one in stored)
    page.get_by_role("button", name="Signals", exact=True).click()
    rows = page.locator(".dock tbody tr")
    expect(rows.first).to_be_visible()
    last = rows.nth(rows.count() - 1)
    last.get_by_role("button").click()
    at = last.locator("td").first.inner_text()
    moment = datetime.strptime(at, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp() * 1000
    found = until(page, lambda one: one["from"] <= moment <= one["to"] + HOUR.milliseconds, "it is not in view")  # type: ignore[operator]
    assert found["from"] <= moment


def test_the_open_candle_moves_as_it_is_stored_and_a_turn_adds_one(page: Page, served: Served) -> None:
    show(page, "chart/ETHUSDT/1h")
    key, before = SeriesKey("sim", "ETHUSDT", "1h"), seen(page)
    opened = HOUR.floor(int(time.time() * 1000))
    turned = HOUR.after(opened)
    for t, closed, close in ((opened, False, 3_001.5), (opened, True, 3_002.5), (turned, False, 3_003.5)):
        now = int(time.time() * 1000) + t
        candle = Candle(t, 3_000.0, 3_100.0, 2_900.0, close, 5.0, 1.0, 1, 1.0, 1.0, closed, now)
        write_live(served.db, [CandleWrite(key, candle)])
        until(page, lambda one, close=close: one["close"] == close, "it is not drawn")
    found = seen(page)
    assert found["newest"] == turned
    assert found["candles"] - before["candles"] == HOUR.index(turned) - HOUR.index(before["newest"])


def test_settings_are_saved_once_and_a_second_tab_is_told(page: Page, served: Served) -> None:
    side = page.get_by_label("Settings", exact=True)
    side.get_by_label("Leverage").fill("2")
    side.get_by_label("Why").fill("<img src=x onerror=document.title='hacked'>")
    with page.context.new_page() as other:
        other.goto(f"{served.url}/#/chart/BTCUSDT/1h")
        other.wait_for_selector(READY)
        late = other.get_by_label("Settings", exact=True)
        late.get_by_label("Leverage").fill("9")
        side.get_by_role("button", name="Save").click()
        expect(side.get_by_role("status")).to_contain_text("saved")
        late.get_by_role("button", name="Save").click()
        expect(late.get_by_role("status")).to_contain_text("somebody else")
    own = ControlStore(served.db, "sim").read().trading["BTCUSDT"]
    assert (own.leverage, own.changes[-1].reason) == (2, "<img src=x onerror=document.title='hacked'>")
    expect(side.get_by_role("status")).to_contain_text("<img src=x")
    assert page.title() != "hacked"
    side.get_by_label("Stop, ATR").fill("1e400")
    side.get_by_role("button", name="Save").click()
    expect(side.get_by_role("status")).to_contain_text("1e400")
    expect(side.get_by_label("Stop, ATR")).to_have_value("1e400")


def ordered(served: Served, *words: str) -> dict[str, Any]:
    """What a command says, run as a person runs it."""
    command = [sys.executable, "-m", "pipeline.cli", *words, "--json"]
    done = subprocess.run(command, env=served.environment, cwd=served.home, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


SWITCHED = """() => {
  window.switched = [];
  new MutationObserver(() => switched.push([document.getElementById("halt").textContent, Date.now()]))
    .observe(document.getElementById("halt"), { childList: true });
}"""


def test_what_the_page_switches_the_command_says_and_the_other_way_round(page: Page, served: Served) -> None:
    """How soon is told in `test-output/switched.json`, and decides nothing."""
    button, banner, control = page.locator("#halt"), page.locator("#banner"), ControlStore(served.db, "sim")
    page.evaluate(SWITCHED)

    def by_page(reason: str, then: str) -> Any:
        button.click()
        page.get_by_role("dialog").get_by_label("Why").fill(reason)
        page.keyboard.press("Enter")
        expect(button).to_have_text(then)
        return ordered(served, "positions")["standing"]["halted"]

    assert by_page("looks odd", "Resume trading")["reason"] == "looks odd"
    expect(banner).to_contain_text("looks odd")
    ordered(served, "resume", "--reason", "was nothing")
    expect(button).to_have_text("Halt trading")
    expect(banner).not_to_contain_text("looks odd")
    ordered(served, "halt", "--reason", "said in a terminal")
    expect(button).to_have_text("Resume trading")
    expect(banner).to_contain_text("said in a terminal")
    assert not by_page("seen on the page", "Halt trading")
    halt = control.read().halt
    assert halt is not None
    reasons = ["looks odd", "was nothing", "said in a terminal", "seen on the page"]
    assert [one.reason for one in halt.changes][-4:] == reasons
    told = {}
    for one in [each for each in halt.changes[-4:] if "page" not in each.by]:
        text, at = "Resume trading" if one.new == "halted" else "Halt trading", to_ms(one.at)
        told[one.reason or ""] = (
            min(when for said, when in page.evaluate("switched") if said == text and when >= at) - at
        )
    (SHOTS.parent / "switched.json").write_text(json.dumps(told))


def test_the_views_are_reached_by_keys_and_none_complains(page: Page, said: list[str]) -> None:
    for key, title in (("s", "Signals"), ("a", "Account"), ("e", "Explain"), ("m", "Monitors"), ("h", "Health")):
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.get_by_role("heading", name=title, level=1)).to_be_visible()
        page.wait_for_selector(READY)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.keyboard.press("g")
    page.keyboard.press("c")
    page.wait_for_selector(f"{READY} canvas")
    page.keyboard.press("/")
    page.keyboard.type("eth")
    page.keyboard.press("Enter")
    expect(page.locator(".trade .bar b")).to_have_text("ETHUSDT")
    assert said == []


def test_monitors_are_stopped_and_started_all_or_chosen_and_what_failed_is_said(page: Page, served: Served) -> None:
    def watched() -> set[tuple[str, str]]:
        return {(one["symbol"], one["interval"]) for one in served.get("health")["series"]}

    every = watched()
    said, line = page.locator(".page > p"), page.locator("main tbody tr")
    show(page, "monitors")
    page.get_by_role("button", name="Stop chosen").click()
    expect(said).to_have_text("Name or choose the symbols.")
    page.get_by_label("Choose ETHUSDT").check()
    page.get_by_role("button", name="Stop chosen").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(said).to_have_text("stopped ETHUSDT")
    expect(line.filter(has_text="ETHUSDT")).to_contain_text("stopped")
    assert watched() == {one for one in every if one[0] == "BTCUSDT"}
    page.get_by_label("Symbols to start").fill("ETHUSDT ETHUSTD")
    page.get_by_label("Intervals").fill("1h")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(said).to_contain_text("started ETHUSDT")
    expect(said).to_contain_text("ETHUSTD")
    expect(said).to_contain_text("no ingester lives")
    assert watched() == {one for one in every if one[0] == "BTCUSDT"} | {("ETHUSDT", "1h")}
    page.get_by_label("Intervals").fill("")
    page.get_by_role("button", name="Stop all").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(said).to_have_text("stopped all")
    assert watched() == set()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        page.get_by_label(f"Choose {symbol}").check()
    page.get_by_role("button", name="Stop chosen").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(said).to_contain_text("nothing was stopped · BTCUSDT: not watched")
    page.get_by_role("button", name="Start all").click()
    expect(said).to_contain_text("started")
    assert watched() >= every


def test_a_strategy_is_tried_from_the_chart_and_a_trade_leads_back_to_its_candles(
    page: Page, served: Served, tm: Opened
) -> None:
    show(page, "backtest")
    expect(page.get_by_label("Slippage")).to_have_text(
        "Assumed: slippage 0.1 bp, as usual: nobody adopted what fills cost."
    )
    adopted = SlippageFit(points=Decimal("1.5"), symbols={}, orders=412, since=LONG_AGO, until=LONG_AGO, by="ada")
    ControlStore(served.db, "sim").set_slippage(adopted, by="ada", now=LONG_AGO, reason="four weeks of live")
    show(page, "chart/BTCUSDT/15m")
    page.get_by_role("button", name="Backtest").click()
    page.get_by_label("Days", exact=True).fill("2")
    page.get_by_label("By the executor itself").check()
    expect(page.get_by_label("Slippage")).to_have_text(
        f"Assumed: {slippage.in_words(slippage.adopted(tm))}; changed 2026-01-01 00:00 by ada: four weeks of live."
    )
    page.get_by_label("average").fill("x")
    assert nameless(page) == []
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("status")).to_contain_text("average", timeout=PROCESS_MS)
    page.get_by_label("average").fill("0")
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("heading", name="Months, UTC")).to_be_visible(timeout=PROCESS_MS)
    expect(page.locator("main")).to_contain_text("slippage 1.5 bp, fitted on 412 orders")
    ControlStore(served.db, "sim").set_slippage(None, by="ada", now=LONG_AGO)
    name = page.url.rpartition("/")[2]
    kept = served.db["runs"].find_one({"_id": name})
    assert kept is not None
    is_shown(page, runs.run(tm, name), kept)
    covered.reload(page)
    expect(page.get_by_role("heading", name="Months, UTC")).to_be_visible()
    is_shown(page, runs.run(tm, name), kept)
    page.get_by_role("button", name="Why these months?").click()
    expect(page.locator(".why-of")).to_contain_text("months won")
    page.get_by_role("button", name="side", exact=True).click()
    assert nameless(page) == []
    said = served.get(f"runs/{name}/why")
    sides = [each for each in said["cells"] if each["by"] == "side"]
    assert {one["month"] for one in sides} == {one["month"] for one in said["months"] if one["trades"]} != set()
    for one in sides:
        row = page.locator(".why-of table").nth(1).get_by_role("row", name=one["month"])
        expect(row).to_contain_text(f"{abs(one['return_pct']):.2f} %")
    shown = served.get(f"runs/{name}")["trades"][-1]
    trade = page.locator("td button[title='its minutes']").first
    trade.click()
    page.wait_for_selector(f"{READY} canvas")
    assert "/BTCUSDT/1m/" in page.url
    found = until(page, lambda one: one["lines"] == (2 if shown["closed_at"] else 1), "its prices are not drawn")
    assert found["from"] <= shown["opened_at"] <= found["to"] + 60_000
    expect(page.locator(".decided")).to_contain_text(shown["strategy"])
    expect(page.locator(".decided")).to_contain_text(f"{float(shown['entry_price']):,}".removesuffix(".0"))
    assert nameless(page) == []
    page.get_by_role("link", name="its run").click()
    expect(page.get_by_role("heading", name="Months, UTC")).to_be_visible()


def test_parameters_are_searched_and_a_trial_is_adopted(page: Page, served: Served) -> None:
    show(page, "search/new/BTCUSDT/15m")
    for label, value in (("Days", "4"), ("Trials", "4"), ("Folds", "2"), ("Sealed, %", "0")):
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_label("Strategy").select_option("macd_cross")
    page.get_by_label("Best by").select_option("return_pct")
    expect(page.get_by_label("average", exact=True)).to_have_value("0..120:10")
    page.get_by_label("Search average").uncheck()
    expect(page.get_by_label("average", exact=True)).to_have_value("0")
    page.get_by_label("Search stop, ATR").check()
    page.get_by_label("stop, ATR", exact=True).fill("x")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("stop=x", timeout=PROCESS_MS)
    page.get_by_label("stop, ATR", exact=True).fill("1..3:0.5")
    expect(page.get_by_text("5 sets there are")).to_be_visible()
    assert nameless(page) == []
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_label("Verdict")).to_be_visible(timeout=PROCESS_MS)
    name = page.url.rpartition("/")[2]
    covered.reload(page)
    found = served.get(f"searches/{name}")
    verdict = page.get_by_label("Verdict")
    expect(verdict.locator("b")).to_have_text(found["word"])
    expect(page.locator("figure.curves polyline")).to_have_count(2)
    rows = page.locator("table").last.locator("tbody tr")
    expect(rows).to_have_count(4)
    best = found["trials"][0]
    expect(rows.first).to_contain_text(f"stop={best['parameters']['stop']:g}")
    expect(rows.first).to_contain_text(f"{abs(best['figures']['return_pct']):,.2f} %")
    assert nameless(page) == []
    rows.first.get_by_role("button", name="Adopt").click()
    assert nameless(page) == []
    page.get_by_role("dialog").get_by_label("Why").fill("to see")
    page.get_by_role("dialog").get_by_role("button", name="Adopt").click()
    expect(page.get_by_role("status").first).to_contain_text(f"stop_atr {best['parameters']['stop']:g}")
    own = ControlStore(served.db, "sim").read().trading["BTCUSDT"]
    assert float(own.stop_atr or 0) == best["parameters"]["stop"]
    assert (own.changes[-1].reason or "").endswith("to see")


def test_a_search_is_cancelled_from_the_page(page: Page, served: Served) -> None:
    """One of tens of thousands of sets: a space of a dozen is tried before anybody has found the button."""
    served.db["control"].update_one({"_id": "trading:sim:BTCUSDT"}, {"$set": {"strategies": None, "intervals": None}})
    show(page, "search/new/BTCUSDT/15m")
    for label, value in (("Days", "3"), ("Trials", "100000"), ("Folds", "0"), ("Sealed, %", "0")):
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_label("Strategy").select_option("macd_turtle")
    page.get_by_label("Best by").select_option("return_pct")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("of 100000 trials", timeout=PROCESS_MS)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="macd_turtle on BTCUSDT 15m")).to_be_visible(timeout=PROCESS_MS)
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    (kept,) = served.db["searches"].find({"trials": 100_000})
    assert page.url.endswith(kept["_id"]), "what was tried is shown"
    assert kept.get("ended_at") is None


def test_twelve_tabs_are_all_live_and_told_the_same(page: Page, served: Served) -> None:
    """More than a browser asks at once of one host: each of them has its socket all the same."""
    tabs = [page.context.new_page() for _ in range(11)]
    for one in tabs:
        one.goto(f"{served.url}/#/account")
    control, now = ControlStore(served.db, "sim"), datetime.now(UTC)
    control.set_halt(True, flatten=False, by="somebody", now=now, reason="twelve see it")
    for one in (page, *tabs):
        expect(one.locator("html")).to_have_attribute("data-connection", "live")
        expect(one.locator("#banner")).to_contain_text("twelve see it")
    control.set_halt(False, flatten=False, by="somebody", now=now)
    for one in (page, *tabs):
        expect(one.locator("#banner")).to_be_hidden()
    for one in tabs:
        one.close()


def test_a_server_that_dies_is_missed_and_found_again(page: Page, served: Served) -> None:
    before = seen(page)["candles"]
    served.kill()
    expect(page.locator("#banner")).to_contain_text("does not answer")
    expect(page.get_by_role("button", name="Halt trading")).to_be_disabled()
    served.start()
    expect(page.locator("#state")).to_have_text("live")
    expect(page.locator("#banner")).to_be_hidden()
    expect(page.get_by_role("button", name="Halt trading")).to_be_enabled()
    assert seen(page)["candles"] == before


FOREIGN = """<!doctype html><title>foreign</title><iframe src="{url}/" id="frame"></iframe><script>
const tried = [];
const note = (what, promise) => promise.then((v) => tried.push([what, v])).catch((e) => tried.push([what, "refused"]));
const post = (how) => fetch("{url}/api/halt", {{method: "POST", body: "{{}}", ...how}}).then((r) => r.status);
note("simple", post({{mode: "no-cors", credentials: "include"}}));
note("json", post({{credentials: "include", headers: {{"content-type": "application/json"}}}}));
note("read", fetch("{url}/api/account", {{credentials: "include"}}).then((r) => r.text()));
note("socket", new Promise((ok, no) => {{
  const s = new WebSocket("{socket}/api/live");
  s.onopen = () => ok("open");
  s.onerror = () => no();
}}));
setTimeout(() => {{ document.documentElement.dataset.tried = JSON.stringify(tried); }}, 3000);
</script>"""


@pytest.fixture
def foreign(served: Served) -> Iterator[str]:
    """A page of somebody else, at another port of this machine: the same site, as browsers see it."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(FOREIGN.format(url=served.url, socket=served.url.replace("http", "ws")).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_foreign_page_in_the_same_browser_reaches_nothing(page: Page, served: Served, foreign: str) -> None:
    before = served.db["control"].find_one({"_id": "halt:sim"})
    for place in (foreign, foreign.replace("127.0.0.1", "evil.example")):
        with page.context.new_page() as other:
            other.goto(place)
            other.wait_for_selector("html[data-tried]")
            tried = dict(json.loads(other.locator("html").get_attribute("data-tried") or "[]"))
            assert tried == {"simple": "refused", "json": "refused", "read": "refused", "socket": "refused"}
            frame = other.frames[1]
            assert frame.locator("main").count() == 0
    assert served.db["control"].find_one({"_id": "halt:sim"}) == before


def test_under_another_name_it_is_not_there(page: Page, served: Served) -> None:
    with page.context.new_page() as other:
        answer = other.goto(served.url.replace("127.0.0.1", "evil.example"))
        assert answer is not None
        assert answer.status == 421


def test_no_file_of_the_page_writes_markup_or_asks_elsewhere() -> None:
    files = list((Path(__file__).parents[2] / "pipeline" / "web" / "static").rglob("*.*"))
    assert len(files) > 15
    assert sum(file.stat().st_size for file in files) < 300_000
    for file in files:
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        for word in ("innerHTML", "outerHTML", "insertAdjacent", "eval(", "http://", "https://", "document.write"):
            assert word not in text, f"{word} in {file.name}"


def test_what_went_otherwise_live_is_explained_as_the_question_explains_it(page: Page, served: Served) -> None:
    show(page, "explain")
    expect(page.locator("main .empty")).to_have_text("Nothing was traded then, by neither of the two.")
    lived = {"_id": "uptime:executor:sim", "kind": "uptime", "role": "executor", "exchange": "sim", "detail": "sim"}
    control = served.db["control"]
    own = list(control.find({"kind": "trading"}))
    control.delete_many({"kind": "trading"})  # whatever others have set of the symbol
    long_ago = datetime.now(UTC) - timedelta(days=3)
    control.insert_one(lived | {"since": long_ago, "outages": []})
    control.update_many({"kind": "watch"}, {"$set": {"asked_at": long_ago}})  # others have stopped and started them
    try:
        page.get_by_role("button", name="Explain").click()
        positions = page.locator("main table").nth(1).locator("tbody tr")
        expect(positions.first).to_be_visible(timeout=PROCESS_MS)
        (told,) = served.get("explain", days=1)
        assert positions.count() == len(told["trades"]) > 0
        causes = page.locator("main table").nth(0).locator("tbody tr")
        assert [one.locator("td").first.inner_text() for one in causes.all()] == [
            *(one["cause"] for one in told["causes"]), "rest",
        ]  # fmt: skip
        assert (told["live"], Decimal(told["rest"])) == ("0", 0)
        assert Decimal(told["backtest"]) == -sum(Decimal(one["money"]) for one in told["causes"])
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    finally:
        control.delete_one({"_id": lived["_id"]})
        for one in own:
            control.insert_one(one)


def long_history(db: Database[dict[str, Any]], symbol: str, days: int) -> None:
    """A contract like BTCUSDT whose price swings for so long: its minutes, and the hours that they make."""
    known = SymbolStore(db).get("sim", "BTCUSDT")
    assert known is not None
    SymbolStore(db).save([known.model_copy(update={"id": f"sim:{symbol}", "symbol": symbol, "pair": symbol})])
    end = HOUR.floor(int(time.time() * 1000))
    opened = np.arange(end - days * DAY, end, MINUTE)
    close = np.round(60_000 + 3_000 * np.sin(np.arange(len(opened)) / 600), 1)
    for code in ("1m", "1h"):
        step, key = interval(code).milliseconds or MINUTE, SeriesKey("sim", symbol, code)
        first, last = np.append(close[:1], close[:-1])[:: step // MINUTE], close[step // MINUTE - 1 :: step // MINUTE]
        told = {"open": first, "close": last, "high": np.maximum(first, last), "low": np.minimum(first, last)}
        frame = desk.closed(key, opened[:: step // MINUTE].tolist(), 1.0).with_columns(
            **{name: pl.Series(values) for name, values in told.items()}
        )
        CandleStore(db).replace_closed(key, frame)
        SeriesStore(db).recount(key, "rest", end)


PROGRESS = """() => {
  window.progress = [];
  const bar = document.querySelector("progress");
  new MutationObserver(() => progress.push([bar.value, bar.max])).observe(bar, { attributes: true });
}"""
"""How far it was each time that the page said so."""


def test_300_days_are_tried_from_the_page_and_found_by_their_address(page: Page, served: Served, tm: Opened) -> None:
    """By the executor itself, which takes long enough to be watched."""
    long_history(served.db, "LONGUSDT", 300)
    served.kill()  # which coins there are it learns when it begins, and then every five minutes
    served.start()
    expect(page.locator("#state")).to_have_text("live")
    show(page, "backtest/new/LONGUSDT/1h")
    expect(page.get_by_label("Symbol")).to_have_value("LONGUSDT")
    expect(page.get_by_label("Days", exact=True)).to_have_value("300")
    page.get_by_label("Strategy").select_option("macd_cross")
    page.get_by_label("By the executor itself").check()
    page.evaluate(PROGRESS)
    page.get_by_role("button", name="Run").click()
    expect(page.get_by_role("heading", name="Months, UTC")).to_be_visible(timeout=PROCESS_MS)
    done = [value / most for value, most in page.evaluate("progress")]
    assert done == sorted(done)
    assert len(set(done)) > 1, "it moves"
    name = page.url.rpartition("/")[2]
    covered.reload(page)
    expect(page.get_by_role("heading", name="Months, UTC")).to_be_visible()
    kept = served.db["runs"].find_one({"_id": name})
    assert kept is not None
    assert (kept["inputs"]["end"] - kept["inputs"]["start"]).days >= 299
    is_shown(page, runs.run(tm, name), kept)
