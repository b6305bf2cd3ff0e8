"""What the page's server answers, to whom, and what it refuses: over real HTTP and real sockets."""

import asyncio
import json
import math
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import requests
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from pipeline.app import runs, why
from pipeline.app import searched as app_searched
from pipeline.app import signals as app_signals
from pipeline.app.opened import Opened
from pipeline.candle import Candle, CandleWrite
from pipeline.store.candles.store import CandleStore
from pipeline.store.control import ControlStore
from pipeline.timeline import interval, to_ms
from pipeline.web.guard import HEADERS
from pipeline.web.live import Live
from pipeline.web.places import Place, Places
from schemas.series import SeriesKey
from tests.live_writer import write_live
from tests.web.conftest import Served
from tests.web.test_columns import read
from tests.web.test_lean import HEAVY

HOUR = interval("1h")
KEY = SeriesKey("sim", "BTCUSDT", "1h")


@pytest.fixture
def logged_in(served: Served) -> requests.Session:
    """A browser that came by a link, without its own headers."""
    session = requests.Session()
    assert session.get(served.link, timeout=60).status_code == 200
    return session


# ---- the door


def test_nobody_is_let_in_without_a_link(served: Served) -> None:
    for path in ("/", "/style.css", "/api/me", "/api/openapi.json", "/nothing"):
        assert requests.get(served.url + path, timeout=60).status_code == 401
    assert "tidemark page" in requests.get(served.url, headers={"accept": "text/html"}, timeout=60).text


def test_a_link_lets_in_once_and_leaves_a_cookie_that_no_script_reads(served: Served) -> None:
    link = served.link
    first = requests.get(link, allow_redirects=False, timeout=60)
    assert (first.status_code, first.headers["location"]) == (303, "/")
    cookie = first.headers["set-cookie"]
    assert cookie.startswith(f"tidemark-{served.port}=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert requests.get(link, allow_redirects=False, timeout=60).status_code == 401


def test_another_name_gets_nothing(served: Served, logged_in: requests.Session) -> None:
    for name in ("evil.example", f"evil.example:{served.port}", f"127.0.0.1:{served.port + 1}"):
        assert logged_in.get(f"{served.url}/api/me", headers={"host": name}, timeout=60).status_code == 421


@pytest.mark.parametrize(
    "page",
    [
        {"origin": "http://127.0.0.1:1"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_a_page_of_another_site_changes_and_learns_nothing(
    served: Served, logged_in: requests.Session, page: dict[str, str]
) -> None:
    before = served.db["control"].find_one({"_id": "halt:sim"})
    for way in ("halt", "resume", "watch", "unwatch"):
        answer = logged_in.post(f"{served.url}/api/{way}", json={}, headers=page, timeout=60)
        assert answer.status_code == 403
    assert (
        logged_in.put(f"{served.url}/api/trading/BTCUSDT", json={"revision": 0}, headers=page, timeout=60).status_code
        == 403
    )
    assert logged_in.get(f"{served.url}/api/account", headers=page, timeout=60).status_code == 403
    assert served.db["control"].find_one({"_id": "halt:sim"}) == before


def test_a_stranger_may_send_a_person_here_and_nothing_more(served: Served, logged_in: requests.Session) -> None:
    going = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert logged_in.get(f"{served.url}/", headers=going, timeout=60).status_code == 200
    assert logged_in.get(f"{served.url}/api/me", headers=going, timeout=60).status_code == 403
    framed = going | {"sec-fetch-dest": "iframe"}
    assert logged_in.get(f"{served.url}/", headers=framed, timeout=60).status_code == 403


def test_a_link_for_looking_orders_nothing(served: Served) -> None:
    session = requests.Session()
    session.get(f"{served.url}/enter?code={served.door.code('read')}", timeout=60)
    assert session.get(f"{served.url}/api/me", timeout=60).json()["role"] == "read"
    answer = session.post(f"{served.url}/api/halt", json={}, timeout=60)
    assert answer.status_code == 403
    assert "look" in answer.json()["detail"]


def test_every_answer_has_the_policy(served: Served) -> None:
    script = served.script()
    answers = [
        requests.get(served.url, timeout=60),
        requests.get(served.url, headers={"host": "evil.example"}, timeout=60),
        script.get(f"{served.url}/", timeout=60),
        script.get(f"{served.url}/api/me", timeout=60),
        script.get(f"{served.url}/api/candles/NONSENSE/1h", timeout=60),
        script.get(f"{served.url}/nothing", timeout=60),
        script.put(f"{served.url}/api/trading/BTCUSDT", json={}, timeout=60),
    ]
    assert [one.status_code for one in answers] == [401, 421, 200, 200, 422, 404, 422]
    for one in answers:
        assert HEADERS.items() <= dict(one.headers).items()
        assert "access-control-allow-origin" not in one.headers


def test_it_listens_here_alone(served: Served) -> None:
    assert served.process is not None
    listening = [one.laddr.ip for one in psutil.Process(served.process.pid).net_connections() if one.status == "LISTEN"]
    assert set(listening) == {"127.0.0.1"}


# ---- what it answers


def test_candles_are_those_that_are_stored_to_the_last_bit_across_pages(served: Served) -> None:
    script, parts, before = served.script(), [], None
    while True:
        query = {"limit": 250} | ({} if before is None else {"before": before})
        body = script.get(f"{served.url}/api/candles/btcusdt/1h", params=query, timeout=60).content
        head, columns = read(body)
        parts.insert(0, columns)
        before = int(columns["t"][0])
        if not head["older"]:
            break
    assert len(parts) >= 3
    names = list(parts[0])
    joined = {name: np.concatenate([part[name] for part in parts]) for name in names}
    stored = CandleStore(served.db).columns(KEY, 0, int(joined["t"][-1]), names)
    for name in names:
        np.testing.assert_array_equal(joined[name], stored[name].astype(float))


def test_coins_have_their_newest_price_and_what_a_day_did(served: Served) -> None:
    coins = {one["symbol"]: one for one in served.get("coins")}
    assert list(coins) == ["BTCUSDT", "ETHUSDT"]
    newest = CandleStore(served.db).load(SeriesKey("sim", "BTCUSDT", "1m"), 0, int(time.time() * 1000))["close"][-1]
    assert coins["BTCUSDT"]["price"] == newest
    assert coins["BTCUSDT"]["watched"]
    assert (coins["BTCUSDT"]["stored"], coins["ETHUSDT"]["stored"]) == (["1m", "15m", "1h"], ["15m", "1h"])
    assert coins["BTCUSDT"]["tick"] == "0.10"
    assert math.isfinite(coins["BTCUSDT"]["day_pct"])


@pytest.mark.parametrize("sort", ["at", "return"])
def test_signals_are_those_of_the_app_to_the_digit(served: Served, tm: Opened, sort: Any) -> None:
    asked = app_signals.asked_for(tm, symbol="BTCUSDT")
    mine = {one.id: one for one in app_signals.signals(tm, asked, sort, 50).signals}
    found = served.get("signals", symbol="BTCUSDT", sort=sort, limit=50)
    assert [one["id"] for one in found] == list(mine)
    for one in found:
        assert one["price"] == mine[one["id"]].price
        assert one["return_1h"] == mine[one["id"]].return_1h
        assert one["at"] == to_ms(mine[one["id"]].at)


def test_marks_are_the_signals_of_the_candles_asked_for(served: Served) -> None:
    _, columns = read(served.script().get(f"{served.url}/api/candles/BTCUSDT/1h?limit=300", timeout=60).content)
    since, before = int(columns["t"][0]), int(columns["t"][200])
    marks = served.get("marks/BTCUSDT/1h", since=since, before=before)
    wanted = served.db["signals"].find(
        {"symbol": "BTCUSDT", "interval": "1h", "candle": {"$gte": _at(since), "$lt": _at(before)}}
    )
    assert sorted(one[0] for one in marks) == sorted(one["_id"] for one in wanted) != []
    assert [one[1] for one in marks] == sorted(one[1] for one in marks)
    newest = columns["t"][-1]
    for query in ({"limit": 300}, {"limit": 100, "before": int(columns["t"][200])}, {"limit": 10_000}):
        _, found = read(served.script().get(f"{served.url}/api/candles/BTCUSDT/1h", params=query, timeout=60).content)
        end = found["t"][-1] + HOUR.milliseconds if "before" in query else newest + 1e12
        span = {"$gte": _at(int(found["t"][0])), "$lt": _at(int(end))}
        wanted = served.db["signals"].find({"symbol": "BTCUSDT", "interval": "1h", "candle": span})
        told = served.get("marks/BTCUSDT/1h", **query)
        assert sorted(one[0] for one in told) == sorted(one["_id"] for one in wanted) != []


def _at(t: int) -> datetime:
    return datetime.fromtimestamp(t / 1000, UTC)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("candles/BTCUSTD/1h", "BTCUSDT"),
        ("candles/BTCUSDT/7m", "7m"),
        ("candles/BTCUSDT/4h", "15m, 1h"),
        ("candles/BTCUSDT/1h?limit=0", "limit"),
        ("candles/BTCUSDT/1h?limit=x", "limit"),
        ("candles/BTCUSDT/1h?before=9007199254740992", "before"),
        ("marks/BTCUSDT/1h?since=-1", "since"),
        ("marks/BTCUSDT/1h?limit=0", "limit"),
        ("signals?symbol=BTCUSTD", "BTCUSDT"),
        ("fills/BTCUSTD", "BTCUSDT"),
        ("fills/BTCUSDT?limit=0", "limit"),
        ("coins?exchange=binance-um", "sim"),
        ("trading/BTCUSTD", "BTCUSDT"),
    ],
)
def test_what_cannot_be_answered_is_said_in_words(served: Served, path: str, says: str) -> None:
    answer = served.script().get(f"{served.url}/api/{path}", timeout=60)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]


# ---- orders


def put(served: Served, symbol: str, **body: Any) -> requests.Response:
    return served.script().put(f"{served.url}/api/trading/{symbol}", json=body, timeout=60)


def test_settings_are_changed_with_who_and_why_and_a_second_tab_is_told(served: Served) -> None:
    before = served.get("trading/ETHUSDT")
    assert before["revision"] == 0
    changed = put(served, "ETHUSDT", revision=0, leverage="2", stop_atr="1.5", strategies=["macd_cross"], reason="calm")
    assert changed.status_code == 200
    assert changed.json() | {"changed_at": 0, "changed_by": ""} == before | {
        "revision": 1, "leverage": 2, "stop_atr": "1.5", "strategies": ["macd_cross"], "changed_why": "calm",
        "changed_at": 0, "changed_by": "",
    }  # fmt: skip
    second = put(served, "ETHUSDT", revision=0, leverage="5")
    assert second.status_code == 409
    assert "somebody else" in second.json()["detail"]
    own = ControlStore(served.db, "sim").read().trading["ETHUSDT"]
    assert (own.leverage, own.stop_atr) == (2, Decimal("1.5"))
    assert own.changes[-1].by.startswith("page (")
    assert put(served, "ETHUSDT", revision=1, leverage="default").json()["leverage"] is None
    assert put(served, "ETHUSDT", revision=1, leverage="3").status_code == 409


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"leverage": "0"}, "leverage"),
        ({"leverage": "1000000000"}, "leverage"),
        ({"leverage": "NaN"}, "NaN"),
        ({"stop_atr": "1e400"}, "1e400"),
        ({"stop_atr": "<img src=x onerror=alert(1)>"}, "stop-atr"),
        ({"strategies": ["macd_turtel"]}, "macd_turtle"),
        ({"intervals": ["7m"]}, "7m"),
        ({"when_reached": "explode"}, "when_reached"),
        ({"reason": "x" * 501}, "reason"),
    ],
)
def test_nonsense_is_refused_in_words_and_changes_nothing(served: Served, body: dict[str, Any], says: str) -> None:
    answer = put(served, "BTCUSDT", revision=0, **body)
    assert answer.status_code == 422
    assert says in answer.json()["detail"]
    assert "BTCUSDT" not in ControlStore(served.db, "sim").read().trading


def test_halt_and_resume_are_recorded_and_told(served: Served) -> None:
    script = served.script()
    halted = script.post(f"{served.url}/api/halt", json={"reason": "<b>mad</b>"}, timeout=60).json()["trading"][
        "halted"
    ]
    assert halted["reason"] == "<b>mad</b>"
    assert halted["by"].startswith("page (")
    assert ControlStore(served.db, "sim").read().halt.halted  # type: ignore[union-attr]
    again = script.post(f"{served.url}/api/halt", json={}, timeout=60)
    assert again.json()["trading"]["halted"]["since"] == halted["since"]
    assert script.post(f"{served.url}/api/resume", json={}, timeout=60).json()["trading"]["halted"] is None


def test_monitors_stop_and_start(served: Served) -> None:
    script = served.script()
    stopped = script.post(f"{served.url}/api/unwatch", json={"symbols": ["ETHUSDT"]}, timeout=60).json()
    assert {one["symbol"] for one in stopped["series"]} == {"BTCUSDT"}
    assert script.post(f"{served.url}/api/unwatch", json={"symbols": ["ETHUSDT"]}, timeout=60).status_code == 422
    assert script.post(f"{served.url}/api/watch", json={"symbols": ["ETHUSTD"]}, timeout=60).status_code == 422
    started = script.post(f"{served.url}/api/watch", json={"symbols": ["ETHUSDT"]}, timeout=60).json()
    assert {(one["symbol"], one["interval"]) for one in started["series"]} == {
        (symbol, code) for symbol in ("BTCUSDT", "ETHUSDT") for code in ("15m", "1h")
    }


# ---- backtests


def ended(served: Served, **wanted: Any) -> dict[str, Any]:
    """A backtest, begun and waited for."""
    begun = served.script().post(f"{served.url}/api/backtests", json=wanted, timeout=60)
    assert begun.status_code == 200, begun.text
    job = begun.json()
    while job["state"] == "running":
        time.sleep(0.2)
        job = served.get(f"backtests/{job['id']}")
    return dict(job)


TRIED = {"strategies": ["macd_cross"], "symbols": ["BTCUSDT"], "intervals": ["15m"], "days": 2, "exact": True}


def test_a_backtest_is_run_kept_and_shown_as_python_has_it(served: Served, tm: Opened) -> None:
    job = ended(served, **TRIED | {"through_holes": True})
    assert (job["state"], job["why"]) == ("done", None)
    shown, kept = served.get(f"runs/{job['run']}"), runs.run(tm, job["run"])
    assert [one["inside"] for one in shown["readings"]] == [one.inside for one in kept.run.readings]
    assert shown["readings"][0]["figures"]["return_pct"] == kept.figures["return_pct"] == shown["return_pct"]
    assert shown["equity"] == kept.run.equity
    assert (shown["inputs"]["through_holes"], shown["decimals"]) == (True, 2)
    assert [one["profit"] for one in shown["trades"]] == [one["profit"] for one in kept.trades] != []
    assert [one["id"] for one in served.get("runs")] == [job["run"]]
    said, found = served.get(f"runs/{job['run']}/why"), why.of_run(tm, kept)
    assert said["verdict"] == found.why.verdict
    assert [(one["month"], one["return_pct"]) for one in said["months"]] == [
        (one.month, one.return_pct) for one in found.why.months
    ]
    assert (
        [(one["by"], one["name"], one["profit"]) for one in said["cells"]]
        == [(one.by, one.name, f"{one.profit:f}") for one in found.why.cells]
        != []
    )


def test_a_backtest_that_cannot_be_says_why(served: Served) -> None:
    assert "macd_cross" in ended(served, **TRIED | {"strategies": ["macd_cros"]})["why"]
    assert "tidemark backfill ETHUSDT --interval 1m" in ended(served, **TRIED | {"symbols": ["ETHUSDT"]})["why"]
    assert "average" in ended(served, **TRIED | {"parameters": {"average": "seven"}})["why"]
    script = served.script()
    assert script.post(f"{served.url}/api/backtests", json=TRIED | {"days": -1}, timeout=60).status_code == 422
    assert script.get(f"{served.url}/api/backtests/nothing", timeout=60).status_code == 422
    assert script.get(f"{served.url}/api/runs/nothing", timeout=60).status_code == 422


def test_a_backtest_that_is_cancelled_leaves_nothing_and_makes_room(served: Served) -> None:
    script, before = served.script(), served.db["runs"].count_documents({})
    job = script.post(f"{served.url}/api/backtests", json=TRIED, timeout=60).json()
    second = script.post(f"{served.url}/api/backtests", json=TRIED, timeout=60)
    assert (second.status_code, "runs already" in second.json()["detail"]) == (422, True)
    assert script.delete(f"{served.url}/api/backtests/{job['id']}", timeout=60).json()["state"] == "cancelled"
    while script.post(f"{served.url}/api/backtests", json=TRIED | {"symbols": ["NOPE"]}, timeout=60).status_code == 422:
        time.sleep(0.1)
    assert served.get(f"backtests/{job['id']}")["state"] == "cancelled"
    assert served.db["runs"].count_documents({}) == before


# ---- what changes


def live(served: Served, **headers: str) -> Any:
    word = served.script().headers["authorization"]
    return connect(
        f"{served.url.replace('http', 'ws')}/api/live", additional_headers={"authorization": str(word)} | headers
    )


async def heard(socket: Any, topic: str, wanted: Any = lambda _: True) -> Any:
    async with asyncio.timeout(30):
        while True:
            message = json.loads(await socket.recv())
            if message["topic"] == topic and wanted(message["data"]):
                return message["data"]


async def test_a_socket_of_another_page_is_refused(served: Served) -> None:
    for headers in ({"origin": "http://127.0.0.1:1"}, {"sec-fetch-site": "same-site"}, {"authorization": "Bearer no"}):
        with pytest.raises(InvalidStatus):
            async with live(served, **headers):
                pass


async def test_a_candle_is_told_as_it_is_stored_and_a_turn_is_one_candle_more(served: Served) -> None:
    topic = "candles/sim/ETHUSDT/1h"
    key = SeriesKey("sim", "ETHUSDT", "1h")
    stored = CandleStore(served.db).columns(key, 0, int(time.time() * 1000), ("t", "closed"))
    async with live(served) as socket:
        await socket.send(json.dumps({"subscribe": [topic]}))
        first = await heard(socket, topic)
        newest = list(zip(stored["t"].tolist(), stored["closed"].tolist(), strict=True))[-len(first) :]
        assert [(one["t"], one["closed"]) for one in first] == newest, "one, where the next hour has begun"
        opened = HOUR.after(first[-1]["t"]) if first[-1]["closed"] else first[-1]["t"]
        await asyncio.sleep(1)
        for t, closed, close in (
            (opened, False, 3_333.33),
            (opened, True, 3_334.44),
            (HOUR.after(opened), False, 3_335.55),
        ):
            candle = Candle(
                t, 3_300.0, 3_400.0, 3_200.0, close, 5.0, 1.0, 1, 1.0, 1.0, closed, int(time.time() * 1000) + t
            )
            await asyncio.to_thread(write_live, served.db, [CandleWrite(key, candle, (50.0, *[float("nan")] * 8))])
            (told,) = await heard(socket, topic, lambda data, close=close: data[-1]["close"] == close)
            assert (told["t"], told["closed"], told["rsi"], told["macd"]) == (t, closed, 50.0, None)


async def test_a_switch_is_told_whoever_turns_it(served: Served) -> None:
    async with live(served) as socket:
        await socket.send(json.dumps({"subscribe": ["trading/sim", "coins/sim"]}))
        assert (await heard(socket, "trading/sim"))["halted"] is None
        ControlStore(served.db, "sim").set_halt(True, flatten=False, by="somebody", now=datetime.now(UTC), reason="x")
        assert (await heard(socket, "trading/sim", lambda data: data["halted"]))["halted"]["by"] == "somebody"
        ControlStore(served.db, "sim").set_halt(False, flatten=False, by="somebody", now=datetime.now(UTC))
        assert await heard(socket, "trading/sim", lambda data: not data["halted"])
        assert [one["symbol"] for one in await heard(socket, "coins/sim")] == ["BTCUSDT", "ETHUSDT"]


async def test_a_live_signal_is_told_when_it_is_said_and_when_it_is_decided(
    served: Served, signal_document: Any
) -> None:
    document = signal_document(int(time.time() * 1000), verdict="fresh")
    async with live(served) as socket:
        await socket.send(json.dumps({"subscribe": ["signals/sim"]}))
        await asyncio.sleep(1)
        served.db["signals"].insert_one(document)
        told = await heard(socket, "signals/sim")
        assert (told["id"], told["verdict"]) == (document["_id"], "fresh")
        served.db["signals"].update_one({"_id": document["_id"]}, {"$set": {"verdict": "skipped", "reason": "why not"}})
        told = await heard(socket, "signals/sim", lambda data: data["verdict"] == "skipped")
        assert told["reason"] == "why not"
    served.db["signals"].delete_one({"_id": document["_id"]})


NONSENSE = (
    "nonsense",
    "[]",
    '{"subscribe": ["secrets/sim"]}',
    '{"subscribe": ["coins/nowhere"]}',
    '{"subscribe": ["candles/sim/BTCUSDT/7m"]}',
    json.dumps({"subscribe": [f"candles/sim/{'X' * 200}/1m"]}),
    '{"subscribe": 5}',
)


@pytest.mark.parametrize("said", NONSENSE)
async def test_a_tab_that_talks_nonsense_is_let_go_and_no_other(served: Served, said: str) -> None:
    async with live(served) as good, live(served) as bad:
        await good.send(json.dumps({"subscribe": ["coins/sim"]}))
        await bad.send(said)
        with pytest.raises(ConnectionClosed):
            await heard(bad, "never")
        assert await heard(good, "coins/sim")


async def test_a_tab_that_does_not_read_costs_others_nothing(served: Served) -> None:
    async with live(served) as good, live(served) as idle:
        for one in (good, idle):
            await one.send(json.dumps({"subscribe": ["coins/sim", "trading/sim"]}))
        idle.transport.pause_reading()
        before = time.monotonic()
        for _ in range(5):
            await heard(good, "coins/sim")
        assert time.monotonic() - before < 20


class Deaf:
    """A socket over which nothing goes any more, once it has said what it wants."""

    def __init__(self) -> None:
        self._said = iter([{"subscribe": ["coins/sim"]}])

    async def accept(self) -> None:
        pass

    async def receive_json(self) -> Any:
        return next(self._said, None) or await asyncio.Event().wait()

    async def send_text(self, text: str) -> None:
        await asyncio.Event().wait()


async def test_who_takes_nothing_is_let_go_without_a_word(tm: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.web.live._TOO_SLOW", 0.1)
    served_live = Live(Places({"sim": Place(tm)}))
    await served_live.start()
    try:
        async with asyncio.timeout(30):
            await served_live.serve(Deaf())  # type: ignore[arg-type]
    finally:
        await served_live.stop()


class Hearing(Deaf):
    """One that notes what it is told about."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []

    async def send_text(self, text: str) -> None:
        self.heard.append(json.loads(text)["topic"])


async def test_who_asks_for_nothing_that_changes_still_hears_that_the_server_lives(
    tm: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while nothing can be looked at, for the database is away."""
    monkeypatch.setattr("pipeline.web.live._LIVES", 0.05)
    monkeypatch.setattr("pipeline.web.live.Live._look", lambda *_: asyncio.Event().wait())
    served_live, tab = Live(Places({"sim": Place(tm)})), Hearing()
    await served_live.start()
    serving = asyncio.create_task(served_live.serve(tab))  # type: ignore[arg-type]
    try:
        async with asyncio.timeout(30):
            while tab.heard.count("database") < 4:  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(0.01)
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await served_live.stop()


def test_its_words_are_described(served: Served) -> None:
    described = served.get("openapi.json")
    assert {"/api/coins", "/api/candles/{symbol}/{interval}", "/api/halt", "/api/trading/{symbol}"} <= set(
        described["paths"]
    )
    assert described["info"]["title"] == "Tidemark"


# ---- searches


SEARCHED = {
    "strategy": "macd_cross", "symbols": ["BTCUSDT"], "interval": "15m", "days": 4, "space": ["stop=1..3:0.5"],
    "trials": 4, "objectives": ["return_pct"], "folds": 2, "sealed": 0,
}  # fmt: skip


def searched(served: Served, **wanted: Any) -> dict[str, Any]:
    """A search, begun and waited for."""
    begun = served.script().post(f"{served.url}/api/searching", json=wanted, timeout=60)
    assert begun.status_code == 200, begun.text
    job = begun.json()
    while job["state"] == "running":
        time.sleep(0.2)
        job = served.get(f"searching/{job['id']}")
    return dict(job)


def test_a_search_is_run_kept_and_shown_as_python_has_it(served: Served, tm: Opened) -> None:
    job = searched(served, **SEARCHED)
    assert (job["state"], job["why"], job["done"], job["whole"]) == ("done", None, 4, 4)
    shown = served.get(f"searches/{job['run']}")
    kept, trials = app_searched.trials(tm, job["run"])
    assert kept.result is not None
    assert [one["id"] for one in shown["trials"]] == [one.id for one in trials]
    assert [one["figures"]["return_pct"] for one in shown["trials"]] == [one.figures["return_pct"] for one in trials]
    assert shown["equity"] == trials[0].equity
    assert len(shown["days"]) == len(shown["equity"])
    assert shown["forward"]["equity"] == kept.result["forward"]["equity"]
    assert len(shown["forward"]["days"]) == len(shown["forward"]["equity"])
    assert shown["verdict"]["word"] == kept.result["verdict"]["word"]
    assert job["run"] in [one["id"] for one in served.get("searches")]
    beyond = searched(served, resume=job["run"], trials=5)
    assert beyond["why"] is None
    assert (beyond["run"], beyond["done"], len(served.get(f"searches/{job['run']}")["trials"])) == (job["run"], 5, 5)


def test_a_search_that_cannot_be_says_why(served: Served) -> None:
    assert "sharpe" in searched(served, **SEARCHED | {"objectives": ["sharpe"]})["why"]
    script = served.script()
    for body in ({}, {"resume": "one", "strategy": "macd_cross"}, SEARCHED | {"trials": 0}):
        assert script.post(f"{served.url}/api/searching", json=body, timeout=60).status_code == 422
    assert script.get(f"{served.url}/api/searches/nothing", timeout=60).status_code == 422


def test_a_search_that_is_cancelled_keeps_what_it_tried(served: Served, tm: Opened) -> None:
    wanted = SEARCHED | {"space": ["stop=1..3:0.001"], "trials": 1_900, "folds": 0}
    job = served.script().post(f"{served.url}/api/searching", json=wanted, timeout=60).json()
    while not job["done"]:
        assert job["state"] == "running", job
        time.sleep(0.05)
        job = served.get(f"searching/{job['id']}")
    ended = served.script().delete(f"{served.url}/api/searching/{job['id']}", timeout=60).json()
    assert (ended["state"], ended["run"]) == ("cancelled", job["run"])
    shown = served.get(f"searches/{job['run']}", limit=10_000)
    assert not shown["ended"]
    assert shown["verdict"] is None
    assert len(shown["trials"]) >= job["done"]


def test_a_trial_is_adopted_with_who_and_why(served: Served, tm: Opened) -> None:
    job = searched(served, **SEARCHED | {"trials": 1, "folds": 0})
    best = app_searched.trials(tm, job["run"])[1][0]
    body = {"trial": best.id, "symbol": "BTCUSDT", "reason": "to try it"}
    adopted = served.script().post(f"{served.url}/api/adopt", json=body, timeout=60)
    assert adopted.status_code == 200, adopted.text
    own = ControlStore(served.db, "sim").read().trading["BTCUSDT"]
    assert own.stop_atr == Decimal(str(best.parameters["stop"]))
    assert own.changes[-1].by.startswith("page (")
    assert (best.id in own.changes[-1].reason, own.changes[-1].reason.endswith("to try it")) == (True, True)
    wrong = served.script().post(f"{served.url}/api/adopt", json=body | {"trial": "no:1"}, timeout=60)
    assert (wrong.status_code, "no:1" in wrong.json()["detail"]) == (422, True)
    served.db["control"].delete_many({"_id": {"$regex": "BTCUSDT"}})


def test_sealed_days_are_opened_once_and_say_the_same_ever_after(served: Served) -> None:
    job = searched(served, **SEARCHED | {"trials": 2, "folds": 0, "sealed": 0.34})
    path, script = f"{served.url}/api/searches/{job['run']}/open", served.script()
    best, other = (one["id"] for one in served.get(f"searches/{job['run']}")["trials"])
    opened = script.post(path, json={}, timeout=120)
    assert opened.status_code == 200, opened.text
    kept = served.db["searches"].find_one({"_id": job["run"]})["sealed"]  # type: ignore[index]
    assert opened.json()["trial"] == kept["trial"] == best
    assert opened.json()["figures"]["return_pct"] == kept["figures"]["return_pct"]
    assert script.post(path, json={"trial": best}, timeout=120).json() == opened.json()
    refused = script.post(path, json={"trial": other}, timeout=120)
    assert (refused.status_code, "once" in refused.json()["detail"]) == (422, True)


def test_the_server_looks_things_up_and_loads_nothing_that_computes(served: Served) -> None:
    """Whatever it was asked before, and all that there is to look at."""
    looks = [
        "me",
        "health",
        "coins",
        "signals",
        "strategies",
        "trading",
        "trading/BTCUSDT",
        "account",
        "portfolio",
        "account/why",
    ]
    looks += [f"{what}/{one['id']}" for what in ("runs", "searches") for one in served.get(what)]
    looks += [f"runs/{one['id']}/why" for one in served.get("runs")]
    for path in looks:
        served.get(path)
    assert served.process is not None
    loaded = [Path(one.path).parts for one in psutil.Process(served.process.pid).memory_maps()]
    packages = {parts[parts.index("site-packages") + 1] for parts in loaded if "site-packages" in parts}
    assert "numpy" in packages
    assert packages & set(HEAVY) == set()
