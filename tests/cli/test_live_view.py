"""What the live view and the start show, and where they read it."""

import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128
from pymongo.database import Database
from rich.console import Console

from pipeline.app.overview import Overview, Overviews
from pipeline.cli.live_view import line, live_view, signals_table
from pipeline.cli.signals import verdict_of
from pipeline.cli.start_view import PlainStart, RichStart
from pipeline.store.goals import GOALS, Target
from pipeline.store.prepare import prepare
from pipeline.store.watchlist import Watchlist
from pipeline.supervise.supervisor import ServiceStatus, State
from pipeline.timeline import interval, to_ms
from schemas.accounts import Snapshot
from schemas.positions import Position
from schemas.series import SeriesKey

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

SIGNAL = {
    "at": NOW,
    "symbol": "BTCUSDT",
    "interval": "1m",
    "strategy": "macd_cross",
    "kind": "trial",
    "side": "long",
    "price": 71000.5,
    "return_pct": -0.25,
    "verdict": "taken",
    "reason": None,
    "source": "live",
}
POSITION = Position(
    _id="sim:BTCUSDT:BOTH",
    environment="sim",
    symbol="BTCUSDT",
    quantity="-0.140",
    entry_price="71000.70",
    unrealized="-1.5",
    stop_price="71065.7",
    ours=True,
    side="short",
    updated_at=NOW,
)
GOAL = {one.key: one for one in GOALS}
ACCOUNT = Snapshot(
    _id="sim:1",
    environment="sim",
    at=NOW,
    asset="USDT",
    equity="9995.53",
    wallet="9997.03",
    available="6682.33",
    unrealized="-1.5",
    realized_today="0",
    fees_today="0",
    funding_today="0",
    transfers_today="0",
    open_positions=1,
    day_return_pct=-0.04,
)
DECIDED = {
    "mode": "signal-only",
    "at": NOW,
    "leverage": 3,
    "units": Decimal128("2"),
    "quantity": Decimal128("0.14"),
    "notional": Decimal128("9940"),
    "equity": Decimal128("10000"),
    "stop_price": Decimal128("71036.3"),
}
FULL = Overview(
    at=NOW,
    beats={"ingester": {"figures": {"lag_p50": 0.02, "stored_after_p50": 0.214, "series": 10, "missing": 0}}},
    candles_per_second=41.6,
    signals=[
        SIGNAL,
        SIGNAL | {"verdict": "skipped", "reason": "the exchange has " + "leverage " * 9},
        SIGNAL | {"verdict": "would-take", "reason": "signal-only: nothing is sent", "decision": DECIDED},
    ],
    next_close=NOW + timedelta(seconds=23),
    signals_stored=204_489,
    taken=1,
    positions=[POSITION],
    accounts=(ACCOUNT,),
    ticks={"BTCUSDT": Decimal("0.10")},
    targets=[
        Target(GOAL["api_latency"], 14_110.0),
        Target(GOAL["stream_uptime"], 99.5),
        Target(GOAL["slippage"], None),
    ],
)
SERVICES = [
    ServiceStatus("ingester", State.RUNNING, 12, 0, Path("ingester.log")),
    ServiceStatus("flows", State.RESTARTING, None, 3, Path("flows.log")),
]


def shown(seen: Overview, *news: str) -> str:
    console = Console(width=140, file=io.StringIO(), record=True)
    console.print(live_view(seen, SERVICES, {"Prefect": "http://127.0.0.1:4200"}, news))
    return console.export_text()


@pytest.mark.parametrize(
    "text",
    [
        "candles/s 42",
        "lag 0.02 s",
        "stored after 214 ms",
        "signals 204,489",
        "latest signals; next close in 0:23",
        "2026-03-01 12:00  BTCUSDT  1m        macd_cross  trial  long  71,000.5  -0.25 %  taken",
        "skipped: the exchange has leverage leverage leverage…",
        "would-take: 0.14, stop 71,036.3",
        "BTCUSDT  short      0.14  71,000.7       -1.50  71,065.7",
        "9,995.53 USDT",
        "-0.04 %",
        "targets api latency, p99 14,110 ms (< 200 ms)   stream uptime 99.5 % (> 99.9 %)   slippage no data yet",
        "ingester running",
        "flows restarting (3 restarts)",
        "executor: WARNING something",
        "http://127.0.0.1:4200",
    ],
)
def test_the_view_shows(text: str) -> None:
    assert text in shown(FULL, "executor: WARNING something")


def test_before_anything_is_known_there_are_dashes_and_no_errors() -> None:
    said = shown(Overview(at=NOW))
    assert "candles/s -" in said
    assert "none yet" in said
    assert "not known yet" in said
    assert line(Overview(at=NOW)) == "- candles/s, lag -, 0 signals, 0 taken, 0 open positions, equity -"


def test_a_log_gets_one_line() -> None:
    assert line(FULL) == ("42 candles/s, lag 0.02 s, 204,489 signals, 1 taken, 1 open positions, equity 9,995.53 USDT")


def test_the_start_is_a_line_a_step() -> None:
    out = io.StringIO()
    view = PlainStart(Console(width=100, file=out))
    view.begin("candles")
    view.detail("10 of 20")
    view.done("20 of 20 [all]")
    assert out.getvalue() == "candles      20 of 20 [all]\n"


def test_the_moving_start_ticks_what_is_done() -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    view = RichStart(console)
    for name in ("database", "candles"):
        view.begin(name)
        view.detail("at work")
        if name == "database":
            view.done("runs")
    console.print(view)
    first, second = console.export_text().splitlines()
    assert first.startswith("✓ database     runs")
    assert "candles      at work" in second
    assert "✓" not in second


def heartbeat(role: str, at: datetime, frames: float) -> dict[str, Any]:
    known = {"kind": "heartbeat", "role": role, "host": "here", "pid": 1, "detail": None, "started_at": NOW}
    return {"_id": f"heartbeat:{role}", **known, "at": at, "figures": {"frames": frames}}


def test_the_rate_is_measured_between_heartbeats(db: Database[Any]) -> None:
    prepare(db)
    overviews = Overviews(db, "sim")
    now = datetime.now(UTC)
    assert overviews.look().candles_per_second is None
    for age, frames, rate in ((4, 100.0, None), (2, 180.0, 40.0), (2, 180.0, 40.0), (1, 190.0, 10.0)):
        beat = heartbeat("ingester", now - timedelta(seconds=age), frames)
        db["control"].replace_one({"_id": beat["_id"]}, beat, upsert=True)
        assert overviews.look().candles_per_second == (None if rate is None else pytest.approx(rate, rel=0.01))
    assert overviews.is_alive("ingester", NOW)
    assert not overviews.is_alive("ingester", now)
    assert not overviews.is_alive("executor", NOW)


def test_an_overview_holds_what_is_open_and_the_newest_snapshot(db: Database[Any]) -> None:
    prepare(db)
    flat = POSITION.model_copy(update={"id": "sim:ETHUSDT:BOTH", "symbol": "ETHUSDT", "quantity": Decimal(0)})
    db["positions"].insert_many([POSITION.to_mongo(), flat.to_mongo()])
    db["accounts"].insert_one(ACCOUNT.to_mongo())
    seen = Overviews(db, "sim").look()
    assert [one.symbol for one in seen.positions] == ["BTCUSDT"]
    (taken,) = seen.accounts
    assert taken.equity == Decimal("9995.53")
    assert [one.goal.key for one in seen.targets] == [one.key for one in GOALS]


def test_the_panel_has_what_was_said_live_and_says_when_more_may_come(db: Database[Any], signal_document: Any) -> None:
    prepare(db)
    hour = interval("1h").floor(to_ms(datetime.now(UTC)))
    db["signals"].insert_many(
        [
            signal_document(hour, source="history", reason="found in the history"),
            signal_document(hour, strategy="bollinger", verdict="fresh", fresh_until=datetime.now(UTC)),
        ]
    )
    Watchlist(db, "sim").watch([SeriesKey("sim", "BTCUSDT", "1m"), SeriesKey("sim", "BTCUSDT", "1h")], NOW)
    seen = Overviews(db, "sim").look()
    assert [one["strategy"] for one in seen.signals] == ["bollinger"]
    assert seen.next_close is not None
    assert timedelta(0) < seen.next_close - seen.at <= timedelta(minutes=1)
    assert (seen.next_close.second, seen.next_close.microsecond) == (0, 0)
    for width in (60, 80, 100, 120):
        console = Console(width=width, file=io.StringIO(), record=True)
        console.print(signals_table(seen, "latest signals"))
        text = console.export_text()
        assert "bollinger" in text
        assert "history" not in text
        assert re.search(r"next close in [01]:\d\d", text)


def test_a_signal_from_the_history_is_called_historical() -> None:
    assert verdict_of("expired", "found in the history", "history") == "historical"
    assert verdict_of("taken", None, "history") == "taken"
    assert verdict_of("expired", "seen 7 ms after it stopped being fresh", "live").startswith("expired: seen")


def test_the_targets_are_looked_up_now_and_then(db: Database[Any]) -> None:
    prepare(db)
    overviews = Overviews(db, "sim")
    first = overviews.look().targets
    assert overviews.look().targets is first


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_the_tables_of_the_view_break_no_word_and_no_number(width: int) -> None:
    def drawn(wide: int) -> str:
        console = Console(width=wide, file=io.StringIO(), record=True)
        console.print(signals_table(FULL, "latest signals"))
        console.print(live_view(FULL, SERVICES, {}, ()))
        return console.export_text()

    words = set(drawn(400).split())
    assert not [word for word in drawn(width).split() if word.strip("─╭╮╰╯│…") and word.rstrip("…") not in words]
    assert all(len(line) <= width for line in drawn(width).splitlines())
