"""The page in a headless Chromium that draws in software: from the address to the first candle, 300 days of minutes at
once, updates while somebody looks, and what its server takes for it.

`BENCH_CHARTS` names a folder with `lightweight-charts.standalone.production.js`, which is then measured on the same
candles; nothing of it is ever installed with us.
"""

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
import requests
from playwright.sync_api import Page, sync_playwright
from pymongo import AsyncMongoClient
from pymongo.database import Database
from websockets.asyncio.client import connect

from bench.charts_of_others import lightweight
from bench.page_exchange import from_the_exchange
from bench.page_probe import NEWEST, PAN, WHOLE, frames_of, heap_of, quantile
from bench.page_served import KEY, Served, environment_of, row, server
from bench.store import mongod_at
from bench.table import Row
from pipeline.app.door import Door
from pipeline.candle import Candle, CandleWrite
from pipeline.indicators import compute
from pipeline.periods import PERIODS
from pipeline.store.candles.frame import FRAME_SCHEMA
from pipeline.store.candles.live import AsyncCandleWriter
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import MINUTE, interval, to_datetime, to_ms
from pipeline.web.memory import EVERY
from schemas.candles import CANDLES
from schemas.series import SeriesKey
from schemas.signals import SIGNALS, Signal
from tests.browser.conftest import launch
from tests.contracts import contract

ROOT = Path(__file__).parents[1]
STEP = interval("1m")
OTHERS = [SeriesKey("sim", f"S{number}USDT", "1m") for number in range(10)]
DECIMALS = 1
READY = "html[data-ready=yes]"
PATIENCE_MS = 240_000
PAINTED = """
window.painted = [];
new MutationObserver(() => {
  if (document.documentElement.dataset.ready === "yes") window.painted.push(performance.now());
}).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-ready"] });
"""


def run(quick: bool) -> list[Row]:
    """What a browser sees, what tabs hear, and what the server takes."""
    count, marks, seconds = (20_000, 500, 3) if quick else (432_000, 10_000, 15)
    with mongod_at() as (database, uri), tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        fill(database, KEY, count)
        for key in OTHERS:
            fill(database, key, 300)
        database[SIGNALS.name].insert_many(said(marks, count))
        with server(environment_of(uri, database.name, Path(folder)), Path(folder)) as served:
            begun = served.resident
            looked = seen(served, count, marks, seconds)
            heard = asyncio.run(tabs(served, uri, database.name, 20, seconds))
            rows = [*looked, *heard, *asked(served, count, begun, pause=0 if quick else EVERY + 2)]
    return [*rows, *from_the_exchange(3 if quick else 30)]


# ---- what is stored


def fill(database: Database[dict[str, Any]], key: SeriesKey, count: int) -> None:
    """A random walk up to the candle that is open now, with its indicators; watched."""
    random = np.random.default_rng(7)
    SymbolStore(database).save([contract(key.symbol, exchange=key.exchange, price_precision=DECIMALS)])
    t = STEP.floor(int(time.time() * 1000)) - np.arange(count, 0, -1) * MINUTE
    close = np.round(60_000 * np.exp(np.cumsum(random.normal(0, 0.0005, count))), DECIMALS)
    opened = np.concatenate((close[:1], close[:-1]))
    high, low = (np.round(edge, DECIMALS) for edge in (np.maximum(opened, close) + 9, np.minimum(opened, close) - 9))
    columns: dict[str, Any] = dict.fromkeys(FRAME_SCHEMA, random.exponential(50, count))
    columns |= compute(t // MINUTE, high, low, close, decimals=DECIMALS, periods=PERIODS)
    columns |= {"t": t, "te": t + MINUTE - 1, "u": t + MINUTE, "closed": np.ones(count, np.bool_)}
    columns |= {"open": opened, "high": high, "low": low, "close": close}
    frame = pl.DataFrame({name: columns[name] for name in FRAME_SCHEMA})
    CandleStore(database).replace_closed(key, frame.select(pl.col(n).cast(kind) for n, kind in FRAME_SCHEMA.items()))
    SeriesStore(database).recount(key, "rest", int(t[-1]) + MINUTE)
    Watchlist(database, key.exchange).watch([key], datetime.now(UTC))


def said(marks: int, count: int) -> list[dict[str, Any]]:
    """So many signals, spread over the candles."""
    last = STEP.floor(int(time.time() * 1000))
    at = [to_datetime(last - number * (count // marks) * MINUTE) for number in range(marks)]
    usual: dict[str, Any] = {
        "exchange": KEY.exchange, "symbol": KEY.symbol, "interval": KEY.interval, "strategy": "macd_cross",
        "kind": "entry", "price": 60_000.0, "strength": 1.0, "indicators": {"close": 60_000.0}, "settings": "v1",
        "source": "history", "confirmed": True, "verdict": "expired",
    }  # fmt: skip
    return [
        Signal(
            id=f"{KEY}:{number}", side="long" if number % 2 else "short", at=one, created_at=one,
            candle=one - timedelta(minutes=1), **usual,
        ).to_mongo()
        for number, one in enumerate(at)
    ]  # fmt: skip


# ---- all at once


def asked(served: Served, count: int, at_first: float, *, pause: float) -> list[Row]:
    """Everything at once, and what is left in memory after all that was asked and a pause of so many seconds.
    `at_first`: what it was then."""
    took = []
    for _ in range(5):
        begun = time.perf_counter()
        answer = requests.get(
            f"{served.url}/api/candles/{KEY.symbol}/1m?limit={count}", headers=served.script, timeout=60
        )
        took.append(time.perf_counter() - begun)
    name, note = f"/api/candles of {count:,} candles, 14 columns, median of 5", f"{len(answer.content) / 1e6:.1f} MB"
    at_once = served.resident
    time.sleep(pause)
    then = f"{at_first:.0f} MB when it had begun, {at_once:.0f} MB before the pause"
    return [
        row(name, median(took), "s", at_most=0.6, note=f"{note}; at best {min(took):.2f} s"),
        row("the page's server after all of this, resident", served.resident, "MB", at_most=150, note=then),
    ]


# ---- what a browser sees


def seen(served: Served, count: int, marks: int, seconds: int) -> list[Row]:
    """In one Chromium, a tab after the other."""
    with sync_playwright() as playwright, launch(playwright) as browser:
        profile = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme="dark")
        tab = profile.new_page()
        tab.set_default_timeout(PATIENCE_MS)
        tab.goto(f"{served.url}/enter?code={Door(served.home).code()}")
        tab.wait_for_selector(READY)
        tab.close()
        rows = [first(profile, served)]
        tab, took = opened(profile, f"{served.url}/?limit={count}#/chart/{KEY.symbol}/1m")
        data = float(tab.evaluate("Number(document.documentElement.dataset.took)")) / 1000
        candles, shown = tab.evaluate("[chart.describe().candles, chart.marks.length]")
        pan, whole = frames_of(tab, PAN), frames_of(tab, WHOLE)
        ours = {"data": data, "pan": quantile(pan, 0.95), "whole": median(whole), "heap": heap_of(tab)}
        tab.close()
        theirs = lightweight(browser, served, count, marks)
        note = f"{candles:,} candles and {shown:,} marks drawn; {took:.2f} s from the address on"
        rows += beside(count, marks, ours, theirs, note)
        rows += moving(profile, served, seconds)
    return rows


def opened(profile: Any, url: str) -> tuple[Page, float]:
    """A tab, and after how many seconds from the address on it had drawn its candles."""
    tab = profile.new_page()
    tab.set_default_timeout(PATIENCE_MS)
    tab.add_init_script(PAINTED)
    tab.goto(url)
    tab.wait_for_selector(READY)
    return tab, float(tab.evaluate("window.painted[0]")) / 1000


def first(profile: Any, served: Served) -> Row:
    """The newest 2,000 candles: how everybody begins."""
    took = []
    for _ in range(5):
        tab, seconds = opened(profile, f"{served.url}/#/chart/{KEY.symbol}/1m")
        took.append(seconds)
        tab.close()
    return row(
        "address to first candles painted, median of 5", median(took), "s", at_most=1, note=f"at best {min(took):.2f} s"
    )


def beside(count: int, marks: int, ours: dict[str, float], theirs: dict[str, float] | None, note: str) -> list[Row]:
    """Each figure, and that of the other chart where it was there."""
    about = f"{count:,} candles, four averages, RSI, MACD, {marks:,} marks"
    named = {
        "data": (f"{about}: asked for to painted", "s", 1.0),
        "pan": ("the same: a frame while it is moved, p95", "ms", 33.0),
        "whole": ("the same, all of it in view: a frame, p50", "ms", 33.0),
        "heap": ("the same: heap and columns", "MB", 100.0),
    }
    return [
        row(
            name, ours[key], unit, at_most=most, note=note if key == "data" else "",
            **({} if theirs is None else {"peer": theirs[key], "peer_name": "lightweight-charts"}),
        )
        for key, (name, unit, most) in named.items()
    ]  # fmt: skip


def moving(profile: Any, served: Served, seconds: int) -> list[Row]:
    """The open candle changes 60 times a second, as its socket tells it. The database tells of changes about ten times
    a second, as often as its journal is flushed: by that way the chart would have nothing to draw in between."""
    tab = profile.new_page()
    sockets: list[Any] = []

    def kept(one: Any) -> None:
        one.connect_to_server()
        sockets.append(one)

    tab.route_web_socket(re.compile("/api/live$"), kept)
    tab.set_default_timeout(PATIENCE_MS)
    tab.goto(f"{served.url}/#/chart/{KEY.symbol}/1m")
    tab.wait_for_selector(READY)
    session = tab.context.new_cdp_session(tab)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    shown = json.loads(tab.evaluate(NEWEST))
    before, drawn, begun = _busy(session), tab.evaluate("chart.frames"), time.monotonic()
    for number in range(60 * seconds):
        tab.wait_for_timeout(max(0.0, (begun + number / 60 - time.monotonic()) * 1000))
        candle = shown | {"close": shown["low"] + number % 100}
        told = {"topic": f"candles/{KEY.exchange}/{KEY.symbol}/1m", "number": number, "data": [candle]}
        sockets[-1].send(json.dumps(told))
    took = time.monotonic() - begun
    frames, busy = (tab.evaluate("chart.frames") - drawn) / took, (_busy(session) - before) / took
    tab.close()
    name, note = f"60 updates a second for {seconds} s: frames", f"{60 * seconds / took:.0f} updates a second were told"
    return [
        row(name, frames, "/s", at_least=55, lower_is_better=False, note=note),
        row("the same: of a core, in the tab", busy * 100, "%", at_most=40),
    ]


def _begun(writer: "subprocess.Popen[bytes]") -> None:
    """It has written something."""
    if writer.stdout is None or not writer.stdout.readline():
        raise RuntimeError("the candles do not change: their writer ended")


def _busy(session: Any) -> float:
    """Seconds of a core that the tab's own thread has taken."""
    told = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return float(told["TaskDuration"])


def writing(uri: str, database: str, rate: float, seconds: float) -> list[str]:
    """The command that keeps candles changing, in a process of its own."""
    program = "import asyncio, sys; from bench.page import keep_changing; asyncio.run(keep_changing(*sys.argv[1:]))"
    return [sys.executable, "-c", program, uri, database, str(rate), str(seconds)]


async def keep_changing(uri: str, database: str, rate: str, seconds: str) -> None:
    """The open candle of each of the others, so many times a second, as the ingester writes it; `u` says when."""
    async with AsyncMongoClient[dict[str, Any]](uri) as client:
        writer = AsyncCandleWriter(client[database])
        begun = asyncio.get_running_loop().time()
        for number in range(int(float(seconds) * float(rate))):
            await asyncio.sleep(max(0.0, begun + number / float(rate) - asyncio.get_running_loop().time()))
            now = int(time.time() * 1000)
            price = 60_000 + number % 100
            shown = (50.0, 1.0, 1.0, 0.0, 30.0, *[60_000.0] * 4)
            candle = Candle(STEP.floor(now), 60_000.0, 60_100.0, 59_900.0, price, 5.0, 1.0, 1, 1.0, 1.0, False, now)
            await writer.write([CandleWrite(key, candle, shown) for key in OTHERS])
            if not number:
                print("it has begun", flush=True)


# ---- what tabs hear


async def tabs(served: Served, uri: str, database: str, count: int, seconds: int) -> list[Row]:
    """So many sockets, each of which follows ten symbols that change four times a second."""
    late: list[tuple[str, float, float]] = []
    seen: dict[tuple[str, float], float] = {}
    stop = asyncio.Event()
    listening = [asyncio.create_task(_tab(served, late, stop)) for _ in range(count)]
    listening.append(asyncio.create_task(_bare(uri, database, seen, stop)))
    await asyncio.sleep(3)
    command = writing(uri, database, 4, seconds + 4)
    writer = await asyncio.to_thread(subprocess.Popen, command, cwd=ROOT, stdout=subprocess.PIPE)
    await asyncio.to_thread(_begun, writer)
    await asyncio.sleep(2)
    late.clear()
    cpu, begun = served.cpu, time.monotonic()
    await asyncio.sleep(seconds - 2)
    heard, busy = sorted(at - u for _, u, at in late), (served.cpu - cpu) / (time.monotonic() - begun)
    share = [at - seen[topic, u] for topic, u, at in late if (topic, u) in seen]
    writer.terminate()
    await asyncio.to_thread(writer.wait)
    stop.set()
    await asyncio.gather(*listening)
    note = f"{len(heard):,} candles heard in {seconds - 2} s; p50 {quantile(heard, 0.5):.0f} ms, the database included"
    name = f"{count} tabs x {len(OTHERS)} symbols at 4 Hz"
    beside = f"p50 {quantile(share, 0.5):.0f} ms; behind one that listens to the database and does nothing else"
    return [
        row(f"{name}: in the server, p99", quantile(share, 0.99), "ms", at_most=50, note=beside),
        row("the same: written to heard, p99", quantile(heard, 0.99), "ms", note=note),
        row("the same: of a core, in the server", busy * 100, "%", at_most=25),
    ]


async def _tab(served: Served, late: list[tuple[str, float, float]], stop: asyncio.Event) -> None:
    """Notes of each candle when it was written, and when it came in."""
    url = f"{served.url.replace('http', 'ws')}/api/live"
    async with connect(url, additional_headers=served.script, proxy=None) as socket:
        topics = [f"candles/{key.exchange}/{key.symbol}/{key.interval}" for key in OTHERS]
        await socket.send(json.dumps({"subscribe": topics}))
        while not stop.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    told = json.loads(await socket.recv())
                    if told["topic"] in topics and told["data"]:
                        late.append((told["topic"], told["data"][-1]["u"], time.time() * 1000))


async def _bare(uri: str, database: str, seen: dict[tuple[str, float], float], stop: asyncio.Event) -> None:
    """The same changes as the database tells them, without a server between."""
    async with AsyncMongoClient[dict[str, Any]](uri, tz_aware=True) as client:
        wanted = {"$match": {"operationType": "update"}}
        async with await client[database][CANDLES.name].watch([wanted], max_await_time_ms=100) as changes:
            while not stop.is_set():
                change = await changes.try_next()
                now = time.time() * 1000
                if change is None:
                    continue
                exchange, symbol, code = change["documentKey"]["_id"].split(":")[:3]
                for value in change["updateDescription"]["updatedFields"].values():
                    if isinstance(value, dict) and "u" in value:
                        seen[f"candles/{exchange}/{symbol}/{code}", to_ms(value["u"])] = now
