"""`import tidemark`: what Python programs ask is what the command says, and what they order is done and noted."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pexpect
import polars as pl
import pytest
from pymongo import MongoClient
from typer.testing import CliRunner

import tidemark
from pipeline.app.audit_trail import file_of
from pipeline.app.progress import Notebook
from pipeline.app.trading_access import operator
from pipeline.app.why import of_account
from pipeline.cli.app import build
from pipeline.errors import AttentionError, TidemarkError, UsageError
from pipeline.history.report import SeriesReport
from pipeline.simulator.handle import Simulator
from pipeline.store.account import AccountStore
from pipeline.store.connect import Document
from pipeline.store.signals.queries import Outcome, Performance
from pipeline.store.watchlist import Watchlist
from schemas.accounts import Snapshot
from schemas.series import SeriesKey
from tidemark import Tidemark
from tidemark.frames import performance_frame

Ask = Callable[..., Any]
MOST_SECONDS = 0.150


@pytest.fixture
def command() -> Ask:
    """What `tidemark ... --json` says of the same database."""

    def ask(*arguments: str) -> Any:
        done = CliRunner().invoke(build(), [*arguments, "--json"], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return ask


def test_importing_it_is_quick_and_loads_no_driver() -> None:
    program = (
        "import sys, time; began = time.process_time(); import tidemark; print(time.process_time() - began);"
        "print([one for one in ('pymongo', 'polars', 'pydantic', 'prefect') if one in sys.modules])"
    )
    seconds = []
    for _ in range(5):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
        took, loaded = done.stdout.splitlines()
        assert loaded == "[]"
        seconds.append(float(took))
    assert min(seconds) < MOST_SECONDS


def test_candles_are_those_of_the_command(filled: Tidemark, command: Ask) -> None:
    found = filled.candles("btcusdt", "1h", last=30)
    said = command("candles", "BTCUSDT", "1h", "--last", "30")
    assert found.columns == list(said[0])
    assert found["close"].to_list() == [one["close"] for one in said]
    assert found.filter("closed")["rsi"].is_not_nan().all()
    assert found["t"].dtype == pl.Datetime("ms", "UTC")


def test_all_candles_are_there_unless_told_otherwise(filled: Tidemark) -> None:
    everything = filled.candles("BTCUSDT", "1h")
    assert everything.filter("closed").height in {240, 241}, "one more where an hour ended while they were fetched"
    asked = datetime.now(UTC)
    day = filled.candles("BTCUSDT", "1h", days=1)
    assert day["t"].to_list() == [t for t in everything["t"] if t >= day["t"].min()]
    assert abs(day["t"].min() - (asked - timedelta(days=1))) <= timedelta(hours=1)
    begin, end = everything["t"][10], everything["t"][20]
    assert (
        filled.candles("BTCUSDT", "1h", start=begin, end=end.isoformat())["t"].to_list()
        == everything["t"][10:21].to_list()
    )
    assert (
        filled.candles("BTCUSDT", "1h", start=begin, end=end, last=3)["t"].to_list() == everything["t"][18:21].to_list()
    )


def test_signals_are_those_of_the_command(filled: Tidemark, command: Ask) -> None:
    found = filled.signals(symbol="BTCUSDT", limit=50)
    said = command("signals", "--symbol", "BTCUSDT", "--limit", "50")
    assert found.height == len(said) == 50
    for name in ("symbol", "strategy", "kind", "side", "price", "return_1h", "verdict"):
        assert found[name].to_list() == [one[name] for one in said], name
    assert filled.signals(limit=None).height > filled.signals(since="2d", limit=None).height > 0


def test_returns_are_exact_at_the_moment_of_reading(filled: Tidemark, mongo: MongoClient[Document]) -> None:
    """Against the newest stored price, whatever was stored with the signal."""
    stored = mongo["door"]["signals"]
    stored.update_many({}, {"$set": {"return_pct": 12345.0}})
    for sort in ("at", "return"):
        found = filled.signals(symbol="ETHUSDT", sort=sort, limit=200)
        price = max((filled.candles("ETHUSDT", code, last=1) for code in ("15m", "1h")), key=lambda one: one["u"][0])
        assert set(found["current_price"]) == {price["close"][0]}
        side = pl.when(pl.col("side") == "long").then(1.0).otherwise(-1.0)
        worked_out = found.select((pl.col("current_price") / pl.col("price") - 1.0) * 100.0 * side).to_series()
        assert found["return_pct"].to_list() == worked_out.to_list()
    assert found["return_pct"].to_list() == sorted(found["return_pct"], reverse=True)


def test_performance_is_that_of_the_command(filled: Tidemark, command: Ask) -> None:
    since = (datetime.now(UTC) - timedelta(days=9)).isoformat()
    found = filled.performance(["strategy", "interval"], since=since)
    said = command("performance", "--by", "strategy", "--by", "interval", "--since", since)
    assert (found["strategy"] + " " + found["interval"]).to_list() == [one["name"] for one in said]
    assert found["signals"].to_list() == [one["signals"] for one in said]
    for horizon in ("return_1h", "return_1d"):
        for figure in ("count", "hit_rate", "mean", "median"):
            assert found[f"{horizon}_{figure}"].to_list() == [one["horizons"][horizon][figure] for one in said]


def test_a_strategy_may_have_spaces_in_its_name() -> None:
    found = performance_frame(
        ["symbol", "strategy", "interval"],
        [
            Performance(name, 1, {f"return_{of}": Outcome(0, None, None, None) for of in ("1h", "4h", "1d", "7d")})
            for name in ("BTCUSDT my own rule 1h", "ETHUSDT macd_cross 4h")
        ],
    )
    assert found["strategy"].to_list() == ["my own rule", "macd_cross"]
    assert found["interval"].to_list() == ["1h", "4h"]


def test_the_account_is_exact(filled: Tidemark, mongo: MongoClient[Document]) -> None:
    assert filled.account().is_empty()
    assert filled.account()["equity"].dtype == pl.Decimal(38, 12)
    now = datetime.now(UTC).replace(microsecond=0)
    nothing = dict.fromkeys(("unrealized", "funding_today", "transfers_today", "available"), Decimal(0))
    for days, equity in ((1, "10000"), (0, "10100.12345678")):
        at = now - timedelta(days=days)
        AccountStore(mongo["door"], "sim").add(
            Snapshot(
                id=f"sim:{at.isoformat()}", environment="sim", at=at, asset="USDT", equity=Decimal(equity),
                wallet=Decimal(equity), realized_today=Decimal("1.5"), fees_today=Decimal("0.25"), open_positions=0,
                day_return_pct=1.0, **nothing,
            )
        )  # fmt: skip
    found = filled.account(days=7)
    assert found["period"].to_list() == [f"{now - timedelta(days=1):%Y-%m-%d}", f"{now:%Y-%m-%d}"]
    assert found["equity"].to_list() == [Decimal(10000), Decimal("10100.12345678")]
    assert filled.positions().is_empty()
    reasons, (told,) = filled.why(), of_account(filled._opened)
    assert reasons.verdict == {"USDT": told.why.verdict}
    months = [(one.month, one.return_pct, one.because) for one in told.why.months]
    assert list(reasons.months.select("month", "return_pct", "because").iter_rows()) == months != []
    assert (set(reasons.months["asset"]), reasons.matrix.height, reasons.notes) == ({"USDT"}, 0, list(told.notes))
    assert told.why.verdict in repr(reasons)


def test_an_account_of_another_place_is_refused(filled: Tidemark) -> None:
    file = filled._opened.settings.home / "executor.json"
    file.write_text(json.dumps({"environment": "binance-um-demo", "exchange": None}))
    try:
        with pytest.raises(UsageError, match="trades at binance-um-demo"):
            filled.account()
        with pytest.raises(UsageError, match="trades at binance-um-demo"):
            filled.why()
    finally:
        file.unlink()


def test_what_is_watched_is_kept_and_noted(filled: Tidemark, mongo: MongoClient[Document]) -> None:
    found = filled.watch("BTCUSDT", ["1h", "15m"], reason="to see it")
    assert found.rows() == [("BTCUSDT", "15m"), ("BTCUSDT", "1h")]
    assert Watchlist(mongo["door"], "sim").wanted() == {SeriesKey("sim", "BTCUSDT", code) for code in ("15m", "1h")}
    assert filled.unwatch("BTCUSDT", "15m").rows() == [("BTCUSDT", "1h")]
    trail = file_of(filled._opened.settings.home).read_text().splitlines()
    assert trail[-2].endswith(f" {operator()}: watch BTCUSDT 15m, BTCUSDT 1h (to see it)")
    assert trail[-1].endswith(f" {operator()}: unwatch BTCUSDT 15m")


def test_a_backfill_says_what_it_came_to(filled: Tidemark) -> None:
    found = filled.backfill("BTCUSDT", "1h", days=10)
    (row,) = found.rows(named=True)
    assert (row["stored"], row["fetched"], row["holes"]) == (row["wanted"], row["fetched"], 0)
    assert filled.series().filter(symbol="BTCUSDT", interval="1h")["stored"][0] >= 240
    assert " backfill BTCUSDT 1h" in file_of(filled._opened.settings.home).read_text()


def test_a_terminal_has_bars() -> None:
    program = "import tidemark; tm = tidemark.open(); tm.backfill('XRPUSDT', '1m', days=2); print(tm.series().height)"
    screen = pexpect.spawn(sys.executable, ["-c", program], timeout=60, dimensions=(40, 160))
    try:
        screen.expect(pexpect.EOF)
        seen = screen.before.decode()
        screen.close()
    finally:
        screen.close(force=True)
    assert screen.exitstatus == 0
    assert re.search(r"\d/2,88\d candles", seen)
    assert re.search(r"XRPUSDT 1m: 2,88\d of 2,88\d stored, 2,88\d fetched", seen)


class Cell:
    """What a notebook does with what is displayed: it stands under the cell until it is replaced."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def display(self, line: Any, *, display_id: bool) -> "Cell":
        assert display_id
        self.shown.append(line._repr_html_())
        return self

    def update(self, line: Any) -> None:
        self.shown[-1] = line._repr_html_()


def test_a_notebook_has_one_line_that_moves() -> None:
    cell, key = Cell(), SeriesKey("sim", "BTCUSDT", "1h")
    with Notebook(cell.display) as line:
        line.planned(key, 1_000)
        line.fetched(key, 400)
        line.fetched(key, 600)
        line.finished(SeriesReport("BTCUSDT", "1h", 1_000, 1_000, 1_000, 0, 0, "rest", 0.1))
    (shown,) = cell.shown
    assert shown.startswith('<progress value="1000" max="1000"></progress> 1,000 of 1,000 candles, ')


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda tm: tm.candles("BTCUSD", "1h"), "Did you mean BTCUSDT"),
        (lambda tm: tm.candles("BTCUSDT", "7x"), "7x"),
        (lambda tm: tm.candles("BTCUSDT", "1h", days=0), "days must be more than 0"),
        (lambda tm: tm.candles("BTCUSDT", "1h", days=1, start="2026-01-01"), "exclude each other"),
        (lambda tm: tm.candles("BTCUSDT", "1h", start="yesterday"), "'yesterday' is no time"),
        (lambda tm: tm.signals(since="yore"), "'yore' is no time"),
        (lambda tm: tm.performance("mood"), "'mood'; there are strategy, symbol, interval, month"),
        (lambda tm: tm.unwatch(()), "symbols is empty"),
        (lambda tm: tm.watch("NOSUCHUSDT"), "lists no symbol 'NOSUCHUSDT'"),
        (lambda tm: tm.backfill("BTCUSDT", days=1, limit=1), "exclude each other"),
    ],
)
def test_what_cannot_be_is_refused_with_words(filled: Tidemark, ask: Ask, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        ask(filled)
    assert says in str(refused.value)


def test_what_is_closed_answers_no_more() -> None:
    other = tidemark.open()
    assert "database door at" in repr(other)
    other.close()
    other.close()
    with pytest.raises(UsageError, match="is closed"):
        other.series()


def test_a_database_that_is_away_is_named_without_its_password() -> None:
    away = "mongodb://desk:hush-hush@127.0.0.1:1/?serverSelectionTimeoutMS=200"
    with tidemark.open(uri=away) as tm, pytest.raises(AttentionError) as said:
        tm.series()
    assert "127.0.0.1:1 cannot be reached" in str(said.value)
    assert "hush-hush" not in str(said.value) + repr(tm)
    with pytest.raises(TidemarkError, match="cannot be read"):
        tidemark.open(uri="mongodb://a:b:c@/")


def test_who_only_reads_begins_no_database(home: Path) -> None:
    with tidemark.open(home=home / "nothing") as tm, pytest.raises(UsageError, match="no data in"):
        tm.signals()
    assert not (home / "nothing").exists()


def test_a_folder_has_its_own_database_that_ends_with_the_program(home: Path, simulator: Simulator) -> None:
    """Also where nobody closes it."""
    program = (
        "import tidemark; tm = tidemark.open(home='data'); tm.backfill('BTCUSDT', '1h', limit=50);"
        "print(tm.series().height); print(tm)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TIDEMARK_")}
    environment["TIDEMARK_SIM_URL"] = simulator.url
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=home, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "1"
    assert f"in {home / 'data'}" in done.stdout
    asked = [sys.executable, "-m", "pipeline.cli", "db", "status", "--json"]
    deadline = time.monotonic() + 20
    while True:
        told = subprocess.run(
            asked, env=environment | {"TIDEMARK_HOME": str(home / "data")}, capture_output=True, text=True, timeout=60
        )
        if not json.loads(told.stdout)["running"] or time.monotonic() > deadline:
            break
    assert not json.loads(told.stdout)["running"]


def test_another_exchange_of_the_same_database_is_opened_by_its_name(filled: Tidemark) -> None:
    before = filled.series()
    with tidemark.open(exchange="sim-cm") as there:
        assert "sim-cm" in repr(there)
        assert there.series().is_empty()
        assert there.signals().is_empty()
        assert there.positions().is_empty()
        with pytest.raises(UsageError, match="BTCUSDT is USD-M or spot: --exchange sim or sim-spot"):
            there.candles("BTCUSDT", "1h")
    assert filled.series().equals(before)
    assert before.height >= 4
    with pytest.raises(UsageError, match="unknown exchange 'sim-cn'"):
        tidemark.open(exchange="sim-cn")
