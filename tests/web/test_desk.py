"""The page over a desk on which much has happened: each number is that of the Python door and of the database, and all
of them stay, with their age, while the database is away."""

import asyncio
import itertools
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from playwright.sync_api import Browser, Page, expect
from pymongo import AsyncMongoClient

from pipeline.app.account import accounts
from pipeline.app.allocation import allocation
from pipeline.app.opened import Opened
from pipeline.app.portfolio import portfolios
from pipeline.app.rebalancing import coming
from pipeline.candle import Candle, CandleWrite
from pipeline.exchange.reports import Account, IncomeReport, Wallet
from pipeline.execution.account.books import Bookkeeper
from pipeline.settings import Settings
from pipeline.store import connect
from pipeline.store.account import AccountStore
from pipeline.store.candles.store import CandleStore
from pipeline.store.control import ControlStore
from pipeline.store.heartbeat import Heartbeat
from pipeline.store.mongod.folder import Folder
from pipeline.store.mongod.launch import Limits, any_free_port
from pipeline.store.mongod.server import Server
from pipeline.store.orders import OrderJournal
from pipeline.store.series import SeriesStore
from pipeline.timeline import interval, to_ms
from schemas.control import AllocationRule
from schemas.orders import Order, Transition
from schemas.series import SeriesKey
from tests import kept
from tests.browser.conftest import PATIENCE_MS, SHOTS
from tests.cli import desk
from tests.live_writer import write_live
from tests.secret_watch import keep_secret
from tests.web import covered
from tests.web.conftest import Served, let_in, serving
from tests.web.shown import CONTRAST, nameless, number, rounded, rows, show, until

DATABASE = "desk"
CAPS = {"gross_percent": Decimal(300), "side_percent": Decimal(120), "group_percent": Decimal(500)}
MINUTE = interval("1m")


class Away:
    """A mongod that goes and comes back, at the same port."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._port = any_free_port()
        self._running = ExitStack()
        self.uri = ""
        self.come()

    def come(self) -> None:
        server = Server(self._home, port=self._port, limits=Limits(cache_gb=0.25, oplog_mb=990))
        self.uri = self._running.enter_context(server.running())
        keep_secret(Folder(self._home).password)

    def go(self) -> None:
        self._running.close()


@pytest.fixture(scope="module")
def mongod(scratch: Path) -> Iterator[Away]:
    one = Away(scratch / "away")
    yield one
    one.go()


@pytest.fixture(scope="module")
def served(mongod: Away, scratch: Path, signal_document: Any) -> Iterator[Served]:
    """A server over the desk, with an account that is counted in coins too."""
    home = scratch / "desk"
    home.mkdir()
    with connect.client(mongod.uri) as client:
        db = client[DATABASE]
        desk.lay_out(db, signal_document)
        for back in range(40):
            AccountStore(db, "sim").add(coins(desk.NOW - timedelta(days=back), back))
        caps = {f"PORTFOLIO__{name.upper()}": str(most) for name, most in CAPS.items()}
        with serving(home, db, mongod.uri, **caps) as one:
            yield one


def coins(at: datetime, back: int) -> Any:
    """What is counted in a coin: eight decimals, and a day without a return."""
    usdt = desk._snapshot(at)
    return usdt.model_copy(
        update={
            "id": f"sim:BTC:{at.isoformat()}", "asset": "BTC", "open_positions": 0,
            "equity": Decimal("1.23456789") + Decimal(back) / 1000, "day_return_pct": None if back == 3 else back / 7,
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def tm(served: Served, mongod: Away) -> Iterator[Opened]:
    with Opened(Settings(mongo_uri=mongod.uri, database=DATABASE, home=served.home, portfolio=CAPS)) as opened:
        yield opened


@pytest.fixture
def page(request: pytest.FixtureRequest, browser: Browser, served: Served) -> Iterator[Page]:
    with let_in(browser, served) as tab:
        yield tab
        tab.screenshot(path=SHOTS / f"desk-{request.node.name}.png", full_page=True)


def test_days_and_months_of_each_coin_are_those_of_the_door_and_the_database(
    page: Page, served: Served, tm: Opened
) -> None:
    show(page, "account")
    by_day, by_month = accounts(tm, "day", 400), accounts(tm, "month")
    assert {one.latest.asset for one in by_day if one.latest} == {"USDT", "BTC"}
    for days, months in zip(by_day, by_month, strict=True):
        assert days.latest is not None
        asset, digits = days.latest.asset, 2 if days.latest.asset == "USDT" else 8
        section = f"section[aria-label='In {asset}']"
        wanted = [[one.name, rounded(one.equity, digits), rounded(one.return_pct), rounded(one.realized, digits),
                   rounded(one.fees, digits)]
                  for one in (*months.periods, *reversed(days.periods))]  # fmt: skip
        shown = [*rows(page, 0, section), *rows(page, 1, section)]
        assert [[one[0], number(one[2]), number(one[3]), number(one[4]), number(one[5])] for one in shown] == wanted
        kept = tm.db["accounts"].find_one({"environment": "sim", "asset": asset}, sort=[("at", -1)])
        assert kept is not None
        cards = page.locator(f"{section} .card b").all_inner_texts()
        stored = [kept[name].to_decimal() for name in ("equity", "wallet", "available", "unrealized")]
        assert [number(one) for one in cards[:4]] == [rounded(one, digits) for one in stored]
    page.get_by_role("button", name="Why these months?").click()
    answers = {one["asset"]: one["months"] for one in served.get("account/why")}
    assert set(answers) == {"USDT", "BTC"}
    for asset, told in answers.items():
        shown = rows(page, 0, f"section[aria-label='Why, in {asset}']")
        assert [(one[0], number(one[1])) for one in shown] == [
            (one["month"], rounded(one["return_pct"])) for one in told
        ]


FUTURE = "BTCUSDC"
PAID_IN = Decimal(1_000)
TICK = timedelta(milliseconds=1)


def traded() -> list[Order]:
    """On both sides of midnight, as UTC has it and as Berlin has it, on the Sunday that its clocks were put back; on
    both sides of a month's end. In September none."""
    year = desk.NOW.year - (datetime(desk.NOW.year, 11, 3, tzinfo=UTC) > desk.NOW)
    november = datetime(year, 11, 1, tzinfo=UTC)
    sunday = november - timedelta(days=november.isoweekday() % 7 or 7)
    edges = [sunday, sunday + timedelta(hours=23), sunday + timedelta(days=1), november]
    moments = [datetime(year, 8, 31, 12, tzinfo=UTC), *(at for edge in edges for at in (edge - TICK, edge))]
    return [
        Order(
            id=f"tm-x-{number}", environment="sim", symbol=FUTURE, signal=None, leg="exit", side="SELL", type="MARKET",
            quantity=Decimal(1), fence=1, state="filled", filled=Decimal(1), average_price=Decimal(70_000),
            fee=Decimal(number + 1) / 10, realized=Decimal(-3) ** number / 100, created_at=at, updated_at=at,
            history=[Transition(state="filled", at=at, by="stream")],
        )
        for number, at in enumerate(moments)
    ]  # fmt: skip


def days_of(orders: list[Order]) -> list[datetime]:
    """Those on which there were some, with the first two of September, on which there were none."""
    found = {one.created_at.replace(hour=0, minute=0, second=0, microsecond=0) for one in orders}
    return sorted(found | {min(found) + timedelta(days=later) for later in (1, 2)})


def keep_books(db: Any, orders: list[Order]) -> None:
    """The executor's books, at the first and at the last moment of each day, by what the exchange lists of these."""
    told = [
        IncomeReport(
            income_type=kind, income=income, asset="USDC", symbol=FUTURE, time=to_ms(one.created_at), tran_id=k
        )
        for k, one in enumerate(orders)
        for kind, income in (("REALIZED_PNL", one.realized), ("COMMISSION", -(one.fee or 0)))
        if income is not None
    ]
    now = 0
    asked = SimpleNamespace(
        client=SimpleNamespace(clock=SimpleNamespace(now=lambda: now)),
        incomes=lambda since, until: [one for one in told if since <= one.time <= until],
    )
    books = Bookkeeper("sim", "USDC", asked, AccountStore(db, "sim"), SimpleNamespace(), pytest.fail)  # type: ignore[arg-type]
    for day in days_of(orders):
        for now in (to_ms(day), to_ms(day + timedelta(days=1)) - 1):
            worth = PAID_IN + sum((one.income for one in told if one.time <= now), Decimal())
            seen = Account((Wallet("USDC", worth, Decimal(), worth, worth),))
            books.day_starts(seen, now)
            books.snapshots(seen, {}, now)


def by_orders(db: Any, length: int) -> dict[str, list[Any]]:
    """What each day (10) or month (7) ended with, brought in percent, realised and paid, by the journal alone; its name
    is so many letters of when an order was filled, UTC."""
    worth, found, shares = PAID_IN, dict[str, list[Any]](), dict[str, float]()
    known = {f"{one['at']:%Y-%m-%d}" for one in db["accounts"].find({"asset": "USDC"})}
    filled = [(f"{one['history'][-1]['at']:%Y-%m-%d}", one) for one in db["orders"].find({"symbol": FUTURE})]
    for day in sorted(known):
        mine = [one for name, one in filled if name == day]
        realized = sum((one["realized"].to_decimal() for one in mine), Decimal())
        fees = sum((one["fee"].to_decimal() for one in mine), Decimal())
        begun, worth = worth, worth + realized - fees
        of = found.setdefault(day[:length], [Decimal(), None, Decimal(), Decimal()])
        shares[day[:length]] = shares.get(day[:length], 1.0) * float(worth / begun)
        of[:] = [worth, (shares[day[:length]] - 1) * 100, of[2] + realized, of[3] - fees]
    return {name: [rounded(value) for value in of] for name, of in found.items()}


def test_days_and_months_are_what_the_orders_brought_wherever_the_browser_is(browser: Browser, served: Served) -> None:
    """A day is one of UTC, and the browser's clock was put back in one; a month without an order brought nothing."""
    orders = traded()
    for one in orders:
        OrderJournal(served.db, "sim").intend(one)
    keep_books(served.db, orders)
    try:
        with browser.new_context(timezone_id="Europe/Berlin", viewport={"width": 1280, "height": 900}) as profile:
            page = profile.new_page()
            page.set_default_timeout(PATIENCE_MS)
            page.goto(served.link)
            show(page, "account")
            late = "([at, later]) => new Date(at).getTimezoneOffset() - new Date(later).getTimezoneOffset()"
            assert page.evaluate(late, [to_ms(one.created_at) for one in (orders[1], orders[-1])]) == -60
            section = "section[aria-label='In USDC']"
            months, days = ({one[0]: one for one in rows(page, number, section)} for number in (0, 1))
            for shown, wanted in ((months, by_orders(served.db, 7)), (days, by_orders(served.db, 10))):
                told = {name: [number(text) for text in one[2:6]] for name, one in shown.items()}
                assert told == {name: of for name, of in wanted.items() if name in told or shown is months}
            assert [(name[5:], one[3]) for name, one in months.items()][1] == ("09", "0.00 %")
            assert [name[5:] for name in months] == ["08", "09", "10", "11"], "nothing is said of what was before"
            assert set(days) >= {f"{one.created_at:%Y-%m-%d}" for one in orders[1:]}
            squares = page.locator(f"{section} .days").first.locator("> div")
            assert [one.inner_text().split()[0] for one in squares.all()] == [name[5:] for name in reversed(days)]
    finally:
        served.db["orders"].delete_many({"symbol": FUTURE})
        served.db["accounts"].delete_many({"asset": "USDC"})


def test_how_the_equity_is_shared_out_is_said_with_who_said_so_last_and_why(page: Page, tm: Opened) -> None:
    show(page, "account")
    shares = page.get_by_label("Shares of the equity")
    expect(shares).to_contain_text("each strategy goes by all of the equity")
    store, wanted = ControlStore(tm.db, "sim"), {"macd_cross": Decimal("66.6"), "rsi_reversal": Decimal(20)}
    store.set_allocation(wanted, by="ada", now=desk.NOW, reason="a try")
    try:
        show(page, "signals")
        show(page, "account")
        expect(shares).to_contain_text("shares by hand, never changed by a flow; changed ")
        expect(shares).to_contain_text("by ada: a try")
        shown = [one.locator("td").all_inner_texts() for one in shares.locator("tbody tr").all()]
        assert shown == [["macd_cross", "66.6"], ["rsi_reversal", "20"]]
    finally:
        tm.db["control"].delete_one({"_id": "allocation:sim"})


def test_what_the_next_rebalancing_does_to_the_shares_is_said_beside_them(page: Page, tm: Opened) -> None:
    store, shares = ControlStore(tm.db, "sim"), page.get_by_label("Shares of the equity")
    rule = AllocationRule(kind="equal-risk", by=["one"], band=Decimal(5))
    kept.keep_run(tm.db, "one", {"macd_cross": [10, -10] * 9, "rsi_reversal": [30, -30] * 9})
    store.set_allocation({"macd_cross": Decimal(75), "rsi_reversal": Decimal(25)}, by="ada", now=desk.NOW, rule=rule)

    def says(text: str) -> list[list[str]]:
        assert coming(tm, allocation(tm)).words == text
        show(page, "signals")
        show(page, "account")
        expect(shares).to_contain_text(
            "shares by equal-risk (one), rebalanced each night where one is off by more than 5"
        )
        expect(shares.locator("p").last).to_have_text(text)
        return rows(page, 0, "[aria-label='Shares of the equity']")

    try:
        nothing = says("nothing is newer than that: the next rebalancing leaves them")
        assert nothing == [["macd_cross", "75"], ["rsi_reversal", "25"]]
        kept.keep_run(tm.db, "two", {"macd_cross": [10, -10] * 9, "rsi_reversal": [10, -10] * 9}, desk.NOW)
        newer = says("by the newest, two; the next rebalancing changes them")
        assert [[one[0], number(one[1]), number(one[2])] for one in newer] == [
            ["macd_cross", 75, 50], ["rsi_reversal", 25, 50],
        ]  # fmt: skip
        tm.db["runs"].delete_one({"_id": "one"})
        refused = coming(tm, allocation(tm)).refused
        says(f"what would become of them cannot be told: {refused}")
    finally:
        tm.db["control"].delete_one({"_id": "allocation:sim"})
        for name in ("runs", "run_trades"):
            tm.db.drop_collection(name)


def test_each_cap_is_shown_with_what_is_used_of_it_and_what_it_would_refuse(page: Page, tm: Opened) -> None:
    show(page, "account")
    found = {one.asset: one for one in portfolios(tm)}
    section = page.get_by_label("All positions together, in USDT")
    shown = [one.locator("td").all_inner_texts() for one in section.locator("tbody tr").all()]
    wanted = [(one, found["USDT"].refuses(one)) for one in found["USDT"].uses if one.most is not None]
    assert [[one[0], number(one[1]), number(one[2]), one[3]] for one in shown] == [
        [one.cap.called, rounded(one.now), one.most, says] for one, says in wanted
    ]
    held = Decimal("0.140") * Decimal("70123.40"), Decimal(1234567) * Decimal("0.0123")
    assert (number(shown[0][1]), shown[0][3]) == (
        rounded(sum(held) / 100), f"a position worth more than {30_000 - sum(held):,.2f} USDT"
    )  # fmt: skip
    over = section.locator("p.wrong")
    expect(over).to_have_text(found["USDT"].over[0])
    expect(over).to_contain_text("all shorts: 151.85 % of the equity, and 120 is the most")
    expect(page.get_by_label("All positions together, in BTC").locator("tbody tr")).to_have_count(len(CAPS) + 1)
    position = {"symbol": "BTCUSDT"}
    held_before = tm.db["positions"].find_one(position)
    assert held_before is not None
    tm.db["positions"].update_one(position, {"$set": {"quantity": Decimal128("0.150")}})
    try:
        more = sum(held) + Decimal("0.010") * Decimal("70123.40")
        expect(section.locator("tbody tr").first).to_contain_text(f"{30_000 - more:,.2f} USDT")
    finally:
        tm.db["positions"].replace_one(position, held_before)
    section.scroll_into_view_if_needed()


def test_positions_and_orders_are_those_of_the_database(page: Page, served: Served) -> None:
    show(page, "account")
    expect(page.get_by_role("heading", name="Positions", exact=True)).to_be_visible()
    kept = {one["symbol"]: one for one in served.db["positions"].find()}
    table = page.get_by_role("heading", name="Positions", exact=True).locator(
        "xpath=following-sibling::div[1]//tbody/tr"
    )
    books = [f"{each['strategy']} {each['interval']}" for one in kept.values() for each in one.get("books", [])]
    rows = [each.locator("td").all_inner_texts() for each in table.all()]
    assert [one[9] for one in rows if one[9] in books] == books
    for one in [each for each in rows if each[9] not in books]:
        stored = kept.pop(one[0])
        assert number(one[2]) == abs(stored["quantity"].to_decimal())
        assert number(one[3]) == stored["entry_price"].to_decimal()
        assert number(one[4]) == stored["mark_price"].to_decimal()
        assert number(one[5]) == rounded(stored["unrealized"].to_decimal())
    assert kept == {}
    orders = page.get_by_role("heading", name="Open orders").locator("xpath=following-sibling::div[1]//tbody/tr")
    shown = [each.locator("td").all_inner_texts() for each in orders.all()]
    stored = list(served.db["orders"].find().sort("created_at", 1))
    assert [(one[0], number(one[4]), number(one[5]), one[7]) for one in shown] == [
        (one["symbol"], one["quantity"].to_decimal(), one["trigger_price"].to_decimal(), one["state"]) for one in stored
    ]


LINES = "() => chart.priceLines.map((one) => [one.text, one.price])"


def test_what_is_held_stands_on_the_chart_as_lines_and_is_gone_when_it_is_closed(page: Page, served: Served) -> None:
    show(page, "chart/1000PEPEUSDT/15m")
    held = served.db["positions"].find_one({"symbol": "1000PEPEUSDT"})
    assert held is not None
    named = {"▼ {}": "entry_price", "stop {}": "stop_price"}
    wanted = [
        [text.format(one["strategy"] + (f" {one['interval']}" if "▼" in text else "")), float(one[name].to_decimal())]
        for one in held["books"]
        for text, name in named.items()
    ]
    until(page, lambda: page.evaluate(LINES), wanted, "the lines of what is held")
    for _, price in wanted:
        assert page.evaluate(
            "y => chart.valueAt(chart.placed[0], chart.y(chart.placed[0], y))", price
        ) == pytest.approx(price)
    served.db["positions"].update_one({"_id": held["_id"]}, {"$set": {"quantity": Decimal128("0"), "books": []}})
    until(page, lambda: page.evaluate(LINES), [], "the lines of what is not held any more")
    served.db["positions"].replace_one({"_id": held["_id"]}, held)
    until(page, lambda: page.evaluate(LINES), wanted, "the lines of what is held again")


FILLS = "() => chart.fills.map((one) => [one.t, one.price, one.side])"


def test_what_was_bought_and_sold_is_on_its_candle_at_its_price(page: Page, served: Served) -> None:
    show(page, "chart/BTCUSDT/1h")
    journal = OrderJournal(served.db, "sim")
    (stored,) = journal.filled("BTCUSDT", 10)
    told = served.get("fills/BTCUSDT")
    assert [(one["id"], one["quantity"]) for one in told] == [(stored.id, f"{stored.filled:f}")]
    first = [to_ms(stored.updated_at), float(stored.average_price or 0), stored.side]
    until(page, lambda: page.evaluate(FILLS), [first], "what the journal has")
    at = desk.NOW - timedelta(hours=5, minutes=20)
    steps = [Transition(state=state, at=at, by="answer") for state in ("intended", "accepted")]
    sent = stored.model_copy(
        update={"id": "tm-e-9", "state": "accepted", "filled": Decimal(0), "average_price": None, "history": steps}
    )
    journal.intend(sent)
    end = Transition(state="filled", at=at + timedelta(seconds=1), by="stream")
    journal.append(sent, end, {"filled": Decimal("0.5"), "average_price": Decimal("71000.25"), "side": "BUY"})
    wanted = [[to_ms(end.at), 71_000.25, "BUY"], first]
    until(page, lambda: page.evaluate(FILLS), wanted, "what was filled meanwhile")
    place = page.evaluate("t => chart.series.timeAt(chart.series.placeBefore(t))", wanted[0][0])
    assert place == to_ms(desk.NOW - timedelta(hours=6))
    box, spot = (
        page.locator("canvas").bounding_box(),
        page.evaluate("([t, price]) => chart.locate(t, price)", wanted[0]),
    )
    assert box is not None
    page.mouse.move(box["x"] + spot["x"], box["y"] + spot["y"])
    said = page.evaluate("([x, y]) => chart.markAt(x, y).title", [spot["x"], spot["y"]])
    assert said == "take_profit: bought 0.5 at 71,000.25, realised −122.82"
    served.db["orders"].delete_one({"_id": "tm-e-9"})


def test_what_trades_brought_is_written_as_finely_as_its_money(page: Page) -> None:
    common = {"month": "2026-10", "trades": 2, "return_pct": 1.5, "low_pct": None, "high_pct": None}
    told = {
        "asset": "BTC", "verdict": "1 of 1 months won", "decimals": 8, "notes": [],
        "months": [common | {"because": ""}],
        "cells": [common | {"by": "strategy", "name": "macd_cross", "profit": "0.00012345", "is_clear": False}],
    }  # fmt: skip
    page.route("**/api/account/why*", lambda route: route.fulfill(json=[told]))
    show(page, "account")
    page.get_by_role("button", name="Why these months?").click()
    cell = page.locator(".why-of td span")
    expect(cell).to_have_attribute("title", "2 trades, +0.00012345; nine of ten: too few")


def test_signals_are_those_of_the_door_and_the_database(page: Page, served: Served) -> None:
    show(page, "signals")
    shown = rows(page)
    told = served.get("signals", limit=500)
    kept = {one["_id"]: one for one in served.db["signals"].find()}
    assert len(shown) == len(told) == len(kept)
    for one, answer in zip(shown, told, strict=True):
        stored = kept[answer["id"]]
        assert one[1] == f"{stored['symbol']} {stored['interval']}"
        assert number(one[5]) == Decimal(repr(stored["price"])) == Decimal(repr(answer["price"]))
        columns = ("return_pct", "return_1h", "return_1d", "return_7d", "best_pct", "worst_pct")
        assert [number(text) for text in one[6:12]] == [rounded(answer[name]) for name in columns]
        assert [answer[name] for name in columns[1:4]] == [stored.get(name) for name in columns[1:4]]
        assert (one[12], one[13]) == (stored["verdict"], stored.get("reason") or "")


VIEWS = ("chart/BTCUSDT/1h", "backtest", "search", "explain", "signals", "account", "monitors", "health")


@pytest.mark.parametrize("size", [(1280, 720), (390, 844)], ids=["desk", "phone"])
def test_every_view_fits_and_can_be_read_in_both_themes(page: Page, size: tuple[int, int]) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    too_wide, too_faint = set(), []
    for view in VIEWS:
        show(page, view)
        for _ in range(2):
            if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
                too_wide.add(view)
            too_faint += [(view, *one) for one in page.evaluate(CONTRAST) if one[1] < 4.5]
            page.locator("#theme").click()
    assert (too_wide, too_faint) == (set(), [])


def test_whatever_can_be_used_has_a_role_and_a_name(page: Page) -> None:
    found = {}
    for view in VIEWS:
        show(page, view)
        found[view] = nameless(page)
    for opens in ("?", "#halt"):
        if opens.startswith("#"):
            page.locator(opens).click()
        else:
            page.keyboard.press(opens)
        expect(page.get_by_role("dialog")).to_be_visible()
        found[opens] = nameless(page)
        page.keyboard.press("Escape")
    assert {view: names for view, names in found.items() if names} == {}


@contextmanager
def alive(served: Served, role: str) -> Iterator[None]:
    """A process of that role lives, and is then killed: it has no last word."""
    ended = Event()

    async def beat() -> None:
        async with AsyncMongoClient[dict[str, Any]](served.environment["TIDEMARK_MONGO_URI"]) as client:
            heart = Heartbeat(client[DATABASE], role, "sim")
            while not ended.is_set():
                await heart.beat({})
                await asyncio.sleep(0.5)

    beating = Thread(target=asyncio.run, args=(beat(),))
    beating.start()
    yield
    ended.set()
    beating.join()


@pytest.mark.parametrize(
    ("role", "view", "dimmed", "says"),
    [
        ("ingester", "chart/BTCUSDT/1h", ".plot", "prices and signals are"),
        ("executor", "account", ".cards", "account, positions and orders are"),
    ],
    ids=["ingester", "executor"],
)
def test_who_was_killed_is_missed_until_he_is_back(
    page: Page, served: Served, role: str, view: str, dimmed: str, says: str
) -> None:
    show(page, view)
    part, banner = page.locator(dimmed).first, page.locator("#banner")
    with alive(served, role):
        expect(page.locator("#processes")).not_to_contain_text(f"no {role} lives")
        expect(part).to_have_css("opacity", "1")
    expect(banner).to_contain_text(re.compile(rf"No {role} lives: {says} [\d.]+ (s|min) old"))
    expect(part).to_have_css("opacity", "0.55")
    expect(part).to_be_visible()
    with alive(served, role):
        expect(banner).not_to_contain_text(says)
        expect(part).to_have_css("opacity", "1")
    served.db["control"].delete_many({"kind": "heartbeat"})


SOL = SeriesKey("sim", "SOLUSDT", "1m")
CLOSES = "() => [...chart.series.columns.close.subarray(0, chart.series.count)].map((one) => one || null)"


def test_what_was_closed_while_nobody_heard_is_drawn_and_what_is_stored_later_too(
    page: Page, served: Served, signal_document: Any
) -> None:
    """The server is away and two minutes pass, then the browser; then the ingester has left three out, and they come
    later."""
    now = MINUTE.floor(int(time.time() * 1000))

    def store(first: int, last: int, price: float) -> None:
        times = [MINUTE.after(now, -back) for back in range(first, last - 1, -1)]
        CandleStore(served.db).replace_closed(SOL, desk.closed(SOL, times, price))
        SeriesStore(served.db).recount(SOL, "rest", int(time.time() * 1000))

    def closes() -> Any:
        return page.evaluate(CLOSES)

    store(40, 10, 100.0)
    show(page, "chart/SOLUSDT/1m")
    until(page, closes, [100.0] * 31, "the first candles")
    assert served.get("fills/SOLUSDT") == []
    served.kill()
    expect(page.locator("#banner")).to_contain_text("The server does not answer")
    store(9, 8, 101.0)
    served.db["signals"].insert_one(signal_document(MINUTE.after(now, -6), symbol="SOLUSDT", interval="1m"))
    served.start()
    until(page, closes, [100.0] * 31 + [101.0] * 2, "those that closed meanwhile")
    until(page, lambda: page.evaluate("chart.marks.length"), 1, "what was said meanwhile")
    page.context.set_offline(True)
    until(page, lambda: page.evaluate("navigator.onLine"), False, "whether it is connected")
    store(7, 6, 101.5)
    page.context.set_offline(False)
    heard = [100.0] * 31 + [101.0] * 2 + [101.5] * 2
    until(page, closes, heard, "those that closed while the browser was away")

    def live(close: float) -> None:
        opened = MINUTE.after(now, -2)
        candle = Candle(opened, 102.0, 104.0, 102.0, close, 5.0, 1.0, 1, 1.0, 1.0, False, int(time.time() * 1000))
        write_live(served.db, [CandleWrite(SOL, candle)])

    live(103.0)
    until(page, closes, [*heard, None, None, None, 103.0], "the one behind those that are left out")
    store(5, 3, 102.0)
    closing = itertools.cycle((103.25, 103.5))

    def closes_later() -> Any:
        live(next(closing))
        page.wait_for_timeout(500)
        return closes()[:-1]

    until(page, closes_later, [*heard, 102.0, 102.0, 102.0], "those that were stored later")
    served.db["signals"].delete_one({"symbol": "SOLUSDT"})


@contextmanager
def offline(page: Page, served: Served) -> Iterator[None]:
    """The browser has no network, and knows it."""
    page.context.set_offline(True)
    yield
    page.context.set_offline(False)


@contextmanager
def silent(page: Page, served: Served) -> Iterator[None]:
    """Nothing comes any more, and no socket ends: a laptop that sleeps, a network that is gone."""
    assert served.process is not None
    served.process.send_signal(signal.SIGSTOP)
    yield
    served.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("away", [offline, silent])
def test_who_hears_nothing_for_a_minute_says_so_and_has_missed_nothing_afterwards(
    page: Page, served: Served, away: Any
) -> None:
    """The minute is the page's own: its clock is put forward."""
    now, key = MINUTE.floor(int(time.time() * 1000)), SeriesKey("sim", f"{away.__name__.upper()}USDT", "1m")

    def store(*back: int) -> None:
        CandleStore(served.db).replace_closed(key, desk.closed(key, [MINUTE.after(now, -one) for one in back], 100.0))
        SeriesStore(served.db).recount(key, "rest", int(time.time() * 1000))

    store(*range(30, 10, -1))
    page.clock.install()
    show(page, f"chart/{key.symbol}/1m")
    covered.reload(page)
    page.wait_for_selector("html[data-ready=yes]")
    assert page.evaluate(CLOSES) == [100.0] * 20
    expect(page.locator("#state")).to_have_text("live")
    banner = page.locator("#banner")
    with away(page, served):
        page.clock.fast_forward(60_000)
        expect(banner).to_contain_text("The server does not answer, and nothing can be changed")
        expect(banner).to_contain_text(re.compile(r"What is shown is (6|7)\d s old"))
        expect(page.locator("main")).to_have_css("opacity", "0.55")
        expect(page.locator("#halt")).to_be_disabled()
        store(*range(10, 5, -1))
    expect(page.locator("#state")).to_have_text("live")
    until(page, lambda: page.evaluate(CLOSES), [100.0] * 25, "those that closed meanwhile")
    expect(page.locator("main")).to_have_css("opacity", "1")
    expect(page.locator("#halt")).to_be_enabled()
    expect(banner).not_to_contain_text("old")


def test_a_database_that_goes_is_missed_and_what_was_there_stays_with_its_age(
    page: Page, served: Served, mongod: Away
) -> None:
    show(page, "account")
    before = rows(page)
    mongod.go()
    expect(page.locator("#banner")).to_contain_text("The database does not answer")
    expect(page.locator("#banner")).to_contain_text(re.compile(r"What is shown is [\d.]+ (s|min) old"))
    expect(page.locator("#state")).to_have_text("no database")
    assert rows(page) == before
    assert float(page.locator("main").evaluate("one => getComputedStyle(one).opacity")) < 0.7
    refused = served.script().post(f"{served.url}/api/resume", json={}, timeout=120)
    assert (refused.status_code, "detail" in refused.json()) == (503, True)
    mongod.come()
    expect(page.locator("#state")).to_have_text("live")
    expect(page.locator("#banner")).not_to_contain_text("does not answer")
    expect(page.locator("#banner")).not_to_contain_text("old")
    assert page.locator("main").evaluate("one => getComputedStyle(one).opacity") == "1"
    show(page, "signals")
    assert len(rows(page)) == len(served.get("signals", limit=500)) > 0
    assert datetime.now(UTC) > desk.NOW


def test_a_dialog_keeps_the_focus_and_gives_it_back(page: Page, served: Served) -> None:
    show(page, "account")
    page.locator("#halt").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    inside = "() => [document.body, ...document.querySelectorAll('dialog *')].includes(document.activeElement)"
    for _ in range(8):
        page.keyboard.press("Tab")
        assert page.evaluate(inside)
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    until(page, lambda: page.evaluate("() => document.activeElement.id"), "halt", "what has the focus again")
