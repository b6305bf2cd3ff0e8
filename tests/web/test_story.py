"""A newcomer's first hour on the page: from the link to a chart, a strategy, another stop, a backtest, a live signal
that is executed on the simulator, and the button that stops it all. By mouse, and by keyboard alone."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from pipeline.simulator.handle import Simulator
from pipeline.simulator.options import READY_KEY, READY_SECRET
from pipeline.store.control import ControlStore
from pipeline.timeline import to_ms
from schemas.signals import Signal
from tests.browser.conftest import PATIENCE_MS, SHOTS
from tests.web.conftest import READY, SYMBOLS, Served, let_in
from tests.web.shown import show

SYMBOL = "BTCUSDT"
PROCESS_MS = 2 * PATIENCE_MS
MOST_TABS = 400
HALTED, RESUMED = "halted: nothing is opened", "resumed: what is fresh"
"""As the executor's log has it."""


@pytest.fixture(scope="module")
def shared_simulator() -> Iterator[Simulator]:
    """An exchange of this story's own: nobody else has traded there."""
    with Simulator.start(lifted_limits=True) as simulator:
        yield simulator


@pytest.fixture(scope="module")
def executor(served: Served) -> Iterator[None]:
    """One that may send orders."""
    ControlStore(served.db, "sim").set_mode("auto-execute", by="the story", now=datetime.now(UTC))
    keys = {"TIDEMARK_API_KEY": READY_KEY, "TIDEMARK_API_SECRET": READY_SECRET}
    with (served.home / "execute.log").open("wb") as log:
        command = [sys.executable, "-m", "pipeline.cli", "execute"]
        process = subprocess.Popen(command, env=served.environment | keys, stdout=log, stderr=log, cwd=served.home)
    yield
    process.terminate()
    process.wait(60)


class Hand:
    """How a person does it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, one: Locator) -> None:
        one.click()

    def write(self, one: Locator, text: str) -> None:
        one.click()
        one.fill(text)

    def choose(self, one: Locator, value: str) -> None:
        one.select_option(value)


class Keys(Hand):
    """Without a mouse: Tab goes there, and what has the focus is seen."""

    def press(self, one: Locator) -> None:
        self._reach(one)
        self.page.keyboard.press("Space" if one.get_attribute("type") == "checkbox" else "Enter")

    def write(self, one: Locator, text: str) -> None:
        self._reach(one)
        self.page.keyboard.press("Control+A")
        self.page.keyboard.type(text)

    def choose(self, one: Locator, value: str) -> None:
        self._reach(one)
        self.page.keyboard.type(value)
        expect(one).to_have_value(value)

    def _reach(self, one: Locator) -> None:
        expect(one).to_be_visible()
        for _ in range(MOST_TABS):
            self.page.keyboard.press("Tab")
            if one.evaluate("one => one === document.activeElement"):
                assert one.evaluate("one => getComputedStyle(one).outlineStyle") != "none", "its focus is not seen"
                return
        pytest.fail(f"{MOST_TABS} times Tab do not lead to {one}")


def until(so: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 2 * PATIENCE_MS / 1000
    while not (found := so()):
        assert time.monotonic() < deadline, f"in vain waited for {what}"
        time.sleep(0.2)
    return found


def say(served: Served, simulator: Simulator, name: str, symbol: str = SYMBOL) -> str:
    """The strategy speaks at the close of a candle."""
    now = datetime.fromtimestamp(simulator.now() / 1000, UTC)
    price = float(simulator.truth_klines(symbol, "1m", simulator.now() - 120_000, simulator.now())[-1][4])
    signal = Signal(
        id=f"sim:{symbol}:{name}", exchange="sim", symbol=symbol, interval="15m", strategy="macd_cross", kind="entry",
        side="long", candle=now, at=now, price=price, strength=0.5, indicators={"atr": 400.0}, settings="x",
        source="live", confirmed=True, created_at=now, verdict="fresh", fresh_until=now + timedelta(minutes=5),
    )  # fmt: skip
    served.db["signals"].insert_one(signal.to_mongo())
    return signal.id


def entries(simulator: Simulator) -> list[Any]:
    """What the exchange itself was sent that opens something."""
    return [one for one in simulator.ledger()["trading"] if one["kind"] == "Accepted" and not one["reduce_only"]]


def decided(served: Served, name: str) -> Any:
    found = served.db["signals"].find_one({"_id": name}) or {}
    return found if found.get("verdict") not in {None, "fresh"} else None


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", [Hand, Keys], ids=["by mouse", "by keyboard alone"])
def test_from_the_link_to_a_halt(
    kind: type[Hand], browser: Browser, served: Served, executor: None, shared_simulator: Simulator
) -> None:
    by_mouse = kind is Hand
    with let_in(browser, served, height=720) as page:
        hand = kind(page)
        _choose_a_coin(page, by_mouse=by_mouse)
        _change_a_stop(page, hand, "1.5" if by_mouse else "2.5")
        _run_a_backtest(page, hand)
        _choose_a_coin(page, by_mouse=by_mouse)
        expect(page.locator("#processes")).to_contain_text("executor lives")
        name = say(served, shared_simulator, kind.__name__)
        taken = until(lambda: decided(served, name), "the signal to be decided")
        assert (taken["verdict"], taken.get("reason")) == ("taken", None)
        expect(page.get_by_role("button", name="Positions 1")).to_be_visible(timeout=PROCESS_MS)
        held = until(lambda: served.db["positions"].find_one({"symbol": SYMBOL, "stop_price": {"$ne": None}}), "a stop")
        away = abs(held["entry_price"].to_decimal() - held["stop_price"].to_decimal())
        assert abs(away - Decimal(400) * Decimal("1.5" if by_mouse else "2.5")) < 100
        stop = f"{held['stop_price'].to_decimal():,.1f}".removesuffix(".0")
        expect(page.locator(".dock tbody tr").first).to_contain_text(stop)
        until(lambda: page.evaluate("chart.fills.length"), "its fill on the chart")
        page.screenshot(path=SHOTS / f"story-{kind.__name__.lower()}.png")
        if by_mouse:
            _outlive_the_page(page, served, shared_simulator)
        _halt(page, hand)
        _nothing_is_sent_any_more(served, shared_simulator, kind.__name__)
        page.screenshot(path=SHOTS / f"story-{kind.__name__.lower()}-halted.png")
    _leave_nothing(served)


def _choose_a_coin(page: Page, *, by_mouse: bool) -> None:
    """Its candles of a quarter of an hour."""
    if by_mouse:
        page.get_by_role("link", name="Chart", exact=True).click()
        page.get_by_label("Coins").get_by_role("row", name=SYMBOL).click()
        page.get_by_role("button", name="15m", exact=True).click()
    else:
        page.keyboard.press("g")
        page.keyboard.press("c")
        page.wait_for_selector(f"{READY} canvas")
        page.keyboard.press("/")
        page.keyboard.type("btc")
        page.keyboard.press("Enter")
        expect(page.get_by_label("Search a symbol")).to_have_value("")
        page.wait_for_selector(f"{READY} canvas")
        expect(page.locator(".trade .bar b")).to_have_text(SYMBOL)
        page.keyboard.press("5")
    page.wait_for_url("**/BTCUSDT/15m")
    page.wait_for_selector(f"{READY} canvas")


def _change_a_stop(page: Page, hand: Hand, stop: str) -> None:
    side = page.get_by_label("Settings", exact=True)
    hand.choose(side.get_by_label("Strategy"), "macd_cross")
    hand.write(side.get_by_label("Stop, ATR"), stop)
    hand.write(side.get_by_label("Why"), "the story")
    hand.press(side.get_by_role("button", name="Save"))
    expect(side.get_by_role("status")).to_contain_text("saved")


def _run_a_backtest(page: Page, hand: Hand) -> None:
    hand.press(page.get_by_role("button", name="Backtest", exact=True))
    page.wait_for_url("**/backtest/new/**")
    hand.choose(page.get_by_label("Strategy"), "macd_cross")
    hand.write(page.get_by_label("Days", exact=True), "2")
    hand.press(page.get_by_label("By the executor itself"))
    hand.press(page.get_by_role("button", name="Run", exact=True))
    expect(page.get_by_role("heading", name="Months, UTC")).to_be_visible(timeout=PROCESS_MS)


def _outlive_the_page(page: Page, served: Served, simulator: Simulator) -> None:
    """Its server is killed: the executor decides as before, and the page finds its server again."""
    served.kill()
    name = say(served, simulator, "while the page is dead")
    until(lambda: decided(served, name), "what is said without a page to be decided")
    served.start()
    expect(page.locator("#state")).to_have_text("live")
    expect(page.locator("#banner")).not_to_contain_text("does not answer")


def _halt(page: Page, hand: Hand) -> None:
    hand.press(page.get_by_role("button", name="Halt trading"))
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#banner")).to_contain_text("Halted by page")


def _nothing_is_sent_any_more(served: Served, simulator: Simulator, name: str) -> None:
    """The executor looks at the switches every second: how soon it saw this one is told in `test-output/halted.json`,
    and decides nothing. From then on the exchange is sent nothing that opens anything, whatever is said."""
    halt = ControlStore(served.db, "sim").read().halt
    assert halt is not None
    log = served.home / "execute.log"
    until(lambda: (said := log.read_text()).rfind(HALTED) > said.rfind(RESUMED), "the executor to halt")
    (SHOTS.parent / "halted.json").write_text(json.dumps({name: time.time() * 1000 - to_ms(halt.changes[-1].at)}))
    opened = entries(simulator)
    later = {symbol: say(served, simulator, f"{name} later", symbol) for symbol in SYMBOLS}
    told = {symbol: until(lambda one=one: decided(served, one), "it to be decided") for symbol, one in later.items()}
    assert {one["verdict"] for one in told.values()} == {"skipped"}
    assert told["ETHUSDT"]["reason"] == "halted", "nothing is held there"
    assert entries(simulator) == opened != []


def _leave_nothing(served: Served) -> None:
    script = served.script()
    script.post(f"{served.url}/api/halt", json={"flatten": True}, timeout=120)
    until(lambda: served.get("trading")["positions"] == [], "what is held to be closed")
    script.post(f"{served.url}/api/resume", json={}, timeout=60)


@pytest.fixture
def ingester(served: Served) -> Iterator[None]:
    """One that follows what is watched."""
    with (served.home / "live.log").open("wb") as log:
        command = [sys.executable, "-m", "pipeline.cli", "live", "--plain"]
        process = subprocess.Popen(command, env=served.environment, stdout=log, stderr=log, cwd=served.home)
    yield
    process.terminate()
    process.wait(60)


def beat(served: Served) -> Any:
    """When the ingester said last that it lives."""
    found = served.db["control"].find_one({"kind": "heartbeat", "role": "ingester"})
    return found and found["at"]


def frames(served: Served) -> dict[str, Any]:
    """When each symbol was heard of last."""
    found = served.db["series"].find({"symbol": {"$in": list(SYMBOLS)}, "last_frame": {"$ne": None}})
    return {one["symbol"]: one["last_frame"] for one in found.sort("last_frame", 1)}


def heard(served: Served) -> set[str]:
    """Of which symbols frames come, from one sign of life of the ingester to the next but one."""
    before = frames(served)
    for _ in range(2):
        last = beat(served)
        until(lambda last=last: beat(served) != last, "a sign of life of the ingester")
    return {symbol for symbol, at in frames(served).items() if at != before.get(symbol)}


def come(served: Served) -> None:
    """Wait for new frames of both."""
    before = frames(served)
    until(lambda: all(at != before.get(symbol) for symbol, at in frames(served).items()), "frames of both")


def test_monitors_begin_and_end_with_what_the_page_orders(browser: Browser, served: Served, ingester: None) -> None:
    """Seen by the frames that are stored of each symbol."""
    with browser.new_context(viewport={"width": 1280, "height": 720}) as profile:
        page = profile.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(served.link)
        show(page, "monitors")
        said, line = page.locator(".page > p"), page.locator("main tbody tr")
        until(lambda: set(frames(served)) == set(SYMBOLS), "the first frames")
        come(served)
        page.get_by_label("Choose ETHUSDT").check()
        page.get_by_role("button", name="Stop chosen").click()
        page.get_by_role("dialog").get_by_role("button", name="Stop").click()
        expect(said).to_have_text("stopped ETHUSDT")
        until(lambda: heard(served) == {SYMBOL}, "only the other to be heard")
        expect(line.filter(has_text="ETHUSDT")).to_contain_text("stopped")
        expect(line.filter(has_text=SYMBOL)).to_contain_text(re.compile(r"current .*\d s ago"))
        page.get_by_role("button", name="Start all").click()
        expect(said).to_contain_text("started ETHUSDT")
        come(served)
        page.get_by_role("button", name="Stop all").click()
        page.get_by_role("dialog").get_by_role("button", name="Stop").click()
        expect(said).to_have_text("stopped all")
        until(lambda: heard(served) == set(), "none to be heard, while the ingester lives")
