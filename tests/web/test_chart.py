"""What a hand does to a chart, and what is drawn of it: read from the pixels. The candles are invented: six flat
stairs, each twice as high as the last, and a hole in the first. Beside it an exchange with real money."""

import itertools
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import Browser, Page, expect
from pymongo import MongoClient

from pipeline.store.candles.store import CandleStore
from pipeline.store.control import ControlStore
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import interval, to_ms
from schemas.series import SeriesKey
from tests.browser.conftest import SHOTS
from tests.cli import desk
from tests.contracts import contract
from tests.web.conftest import Served, let_in, serving
from tests.web.shown import show

HOUR = interval("1h")
KEY = SeriesKey("sim", "BTCUSDT", "1h")
STAIRS, WIDE = 6, 60
HOLE = range(30, 42)
"""Places that no candle is stored for."""
REAL = "binance-um"


def candles() -> pl.DataFrame:
    """Each with an average and an RSI, so that there are lines beside them."""
    places = [place for place in range(STAIRS * WIDE) if place not in HOLE]
    begin = HOUR.after(to_ms(desk.NOW), -STAIRS * WIDE)
    prices = np.array([100.0 * 2 ** (place // WIDE) for place in places])
    told = dict.fromkeys(("open", "high", "low", "close", "sma7"), pl.Series(prices))
    opened = [HOUR.after(begin, place) for place in places]
    return desk.closed(KEY, opened, 1.0).with_columns(**told, volume=pl.lit(0.0), rsi=pl.lit(50.0))


@pytest.fixture(scope="module")
def served(mongo: MongoClient[dict[str, Any]], mongo_uri: str, scratch: Path) -> Iterator[Served]:
    """A server over them, of two exchanges."""
    home, db = scratch / "stairs", mongo["stairs"]
    home.mkdir()
    prepare(db)
    SymbolStore(db).save([contract(KEY.symbol, exchange=KEY.exchange)])
    CandleStore(db).replace_closed(KEY, candles())
    SeriesStore(db).recount(KEY, "rest", to_ms(desk.NOW))
    with serving(home, db, mongo_uri, ALSO=REAL) as one:
        yield one
    mongo.drop_database("stairs")


@pytest.fixture(scope="module")
def tab(browser: Browser, served: Served) -> Iterator[Page]:
    """One that has a mouse and can be touched."""
    with let_in(browser, served, has_touch=True) as one:
        yield one


@pytest.fixture
def page(request: pytest.FixtureRequest, tab: Page) -> Iterator[Page]:
    """The chart as it is at first, with all stairs in view."""
    show(tab, "health")
    show(tab, "chart/BTCUSDT/1h")
    tab.evaluate("count => chart.show(0, count)", STAIRS * WIDE)
    yield tab
    tab.screenshot(path=SHOTS / f"chart-{request.node.name}.png")


DRAWN = """async ([first, last]) => {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const ratio = devicePixelRatio, { width, height: tall } = chart.canvas;
  const { data } = chart.pen.getImageData(0, 0, width, tall);
  const shade = (x, y) => Math.max(...data.subarray(4 * (y * width + x), 4 * (y * width + x) + 3));
  const bright = (x, y) => [x - 1, x, x + 1].some((near) => shade(near, y) > 80);
  const places = Array.from({ length: last - first }, (_, k) => Math.round(chart.x(first + k) * ratio));
  return chart.placed.map(({ top, height }) => places.map((x) => {
    const rows = Array.from({ length: Math.floor((height - 24) * ratio) }, (_, k) => Math.ceil((top + 22) * ratio) + k);
    return rows.filter((y) => bright(x, y)).map((y) => y / ratio);
  }));
}"""
"""By pane and place: the heights at which anything stands out from the ground and its grid, below the legend, in the
middle of the place."""


def drawn(page: Page, first: int, last: int) -> Any:
    return page.evaluate(DRAWN, [first, last])


def test_a_hole_is_a_gap_and_nothing_is_drawn_across_it(page: Page) -> None:
    """The candles end, and so do the lines of their average and of the RSI."""
    page.evaluate("([first, last]) => chart.show(first, last)", [HOLE.start - 15, HOLE.stop + 15])
    prices, rsi, _ = drawn(page, HOLE.start - 10, HOLE.stop + 10)
    wanted = [place not in HOLE for place in range(HOLE.start - 10, HOLE.stop + 10)]
    assert [bool(one) for one in prices] == wanted
    assert [bool(one) for one in rsi] == wanted


def stairs(page: Page) -> list[float]:
    """How much lower on the canvas each stair is drawn than the next."""
    lowest = [max(drawn(page, place, place + 1)[0][0]) for place in range(WIDE - 10, STAIRS * WIDE, WIDE)]
    return [low - high for low, high in itertools.pairwise(lowest)]


def test_logarithmic_prices_make_equal_ratios_equal_heights_however_the_axis_is_stretched(page: Page) -> None:
    button, before = page.get_by_role("button", name="log"), stairs(page)
    assert [high / low for low, high in itertools.pairwise(before)] == pytest.approx([2] * (STAIRS - 2), rel=0.3)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    steps = stairs(page)
    assert steps == pytest.approx([np.mean(steps)] * (STAIRS - 1), abs=1.5)
    page.locator("canvas").focus()
    for _ in range(8):
        page.keyboard.press("ArrowDown")
    smaller = stairs(page)
    assert smaller == pytest.approx([np.mean(smaller)] * (STAIRS - 1), abs=1.5), "it stays logarithmic"
    assert np.mean(smaller) == pytest.approx(np.mean(steps) / 1.1**8, rel=0.05)
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert stairs(page) == pytest.approx(before, abs=1)


def corner(page: Page) -> tuple[float, float]:
    """Of the canvas, in the window."""
    box = page.locator("canvas").bounding_box()
    assert box is not None
    return box["x"], box["y"]


def drag(page: Page, start: tuple[float, float], by: tuple[float, float]) -> None:
    """With the mouse, from there on the canvas."""
    (left, top), (x, y) = corner(page), start
    page.mouse.move(left + x, top + y)
    page.mouse.down()
    page.mouse.move(left + x + by[0], top + y + by[1], steps=4)
    page.mouse.up()


def panes(page: Page) -> list[Any]:
    """As they are once what was last asked for is drawn."""
    drawn(page, 0, 0)
    return list(page.evaluate("chart.describe().panes"))


def test_the_price_axis_is_stretched_by_dragging_it_and_a_double_click_gives_it_back(page: Page) -> None:
    before, axis = panes(page)[0], page.evaluate("chart.width") + 20
    drag(page, (axis, before["height"] / 2), (0, 80))
    after = panes(page)[0]
    assert after["high"] - after["low"] == pytest.approx((before["high"] - before["low"]) * math.exp(80 * 0.006))
    assert after["high"] + after["low"] == pytest.approx(before["high"] + before["low"])
    assert page.evaluate("chart.to") == STAIRS * WIDE, "its candles stay"
    drag(page, (axis, before["height"] / 2), (0, -80))
    assert panes(page)[0]["high"] == pytest.approx(before["high"])
    drag(page, (axis, before["height"] / 2), (0, 80))
    page.mouse.dblclick(corner(page)[0] + axis, corner(page)[1] + before["height"] / 2)
    page.evaluate("count => chart.show(0, count)", STAIRS * WIDE)
    assert (panes(page)[0]["low"], panes(page)[0]["high"]) == (before["low"], before["high"])


def test_the_border_between_two_panes_is_dragged_and_neither_vanishes(page: Page) -> None:
    before = panes(page)
    border = before[1]["top"]
    page.mouse.move(corner(page)[0] + 300, corner(page)[1] + border)
    assert page.locator("canvas").evaluate("one => one.style.cursor") == "row-resize"
    drag(page, (300, border), (0, -60))
    after = panes(page)
    assert [one["height"] - was["height"] for one, was in zip(after, before, strict=True)] == pytest.approx(
        [-60, 60, 0]
    )
    drag(page, (300, after[2]["top"]), (0, -2_000))
    assert min(one["height"] for one in panes(page)) > 10
    assert sum(one["height"] for one in panes(page)) == pytest.approx(sum(one["height"] for one in before))
    assert (page.evaluate("chart.from"), page.evaluate("chart.to")) == (0, STAIRS * WIDE), "its candles stay"


def touch(page: Page, *steps: list[tuple[float, float]]) -> None:
    """Fingers go down at the first of these places on the canvas, move over the others, and leave."""
    (left, top), session = corner(page), page.context.new_cdp_session(page)
    for number, fingers in enumerate([*steps, []]):
        kind = "touchMove" if number else "touchStart"
        points = [{"x": left + x, "y": top + y, "id": at} for at, (x, y) in enumerate(fingers)]
        session.send("Input.dispatchTouchEvent", {"type": kind if fingers else "touchEnd", "touchPoints": points})
    session.detach()


UNDER = "(x) => chart.from + x / chart.width * (chart.to - chart.from)"
"""Which place is there, fractions too."""


def test_a_finger_moves_the_chart_and_two_stretch_it_where_they_are(page: Page) -> None:
    page.evaluate("chart.show(100, 200)")
    under = page.evaluate(UNDER, 300)
    touch(page, [(300, 100)], [(330, 100)], [(360, 105)])
    assert page.evaluate(UNDER, 360) == pytest.approx(under, abs=0.01)
    assert page.evaluate("chart.to - chart.from") == pytest.approx(100)
    middle = page.evaluate(UNDER, 300)
    touch(page, [(250, 100), (350, 100)], [(225, 100), (375, 100)], [(200, 100), (400, 100)])
    assert page.evaluate("chart.to - chart.from") == pytest.approx(50)
    assert page.evaluate(UNDER, 300) == pytest.approx(middle, abs=1)
    touch(page, [(200, 100), (400, 100)], [(250, 100), (350, 100)])
    assert page.evaluate("chart.to - chart.from") == pytest.approx(100)


def test_real_money_is_traded_again_only_by_who_writes_its_name(page: Page, served: Served) -> None:
    control = ControlStore(served.db, REAL)
    control.set_halt(True, flatten=False, by="the test", now=datetime.now(UTC), reason="looks odd")
    show(page, f"account?exchange={REAL}")
    expect(page.locator("#place")).to_contain_text("REAL MONEY")
    button, dialog = page.locator("#halt"), page.get_by_role("dialog")
    expect(button).to_have_text("Resume trading")
    button.click()
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()
    dialog.get_by_label(f"Write {REAL}").fill("sim")
    dialog.get_by_role("button", name="Resume").click()
    expect(page.locator("#banner")).to_contain_text(f"this is real money: write {REAL} to go on")
    assert control.read().halt.halted  # type: ignore[union-attr]
    button.click()
    dialog.get_by_label(f"Write {REAL}").fill(REAL)
    dialog.get_by_label("Why").fill("it was nothing")
    page.keyboard.press("Enter")
    expect(button).to_have_text("Halt trading")
    halt = control.read().halt
    assert halt is not None
    assert (halt.halted, halt.changes[-1].reason, halt.changes[-1].by[:6]) == (False, "it was nothing", "page (")
    assert ControlStore(served.db, "sim").read().halt is None, "and nowhere else"
