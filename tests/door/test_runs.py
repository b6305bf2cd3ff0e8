"""Backtests that are kept: listed, shown, run again to the bit, and stale once their candles were mended."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from typer.testing import CliRunner

from pipeline.app import runs, why
from pipeline.cli.app import build
from pipeline.store.candles.store import CandleStore
from pipeline.store.runs import PORTION, RunStore
from pipeline.store.series import SeriesStore
from pipeline.timeline import DAY, to_ms
from schemas.series import SeriesKey
from tests.door.test_backtest import RUN
from tidemark import Tidemark


@pytest.fixture(scope="module", autouse=True)
def minutes(filled: Tidemark) -> Iterator[None]:
    filled.backfill("BTCUSDT", "1m", days=10)
    yield
    filled.backfill("BTCUSDT", "1m", days=10)


def told(*arguments: str) -> str:
    done = CliRunner().invoke(build(), list(arguments), env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    return done.stdout


def kept() -> str:
    told("backtest", *RUN)
    return str(json.loads(told("runs", "--json", "--limit", "1"))[0]["id"])


def test_a_run_is_kept_with_what_came_of_it(filled: Tidemark) -> None:
    name = kept()
    by_door = filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m")
    shown = json.loads(told("runs", "show", name, "--json"))
    assert shown["readings"][0]["figures"]["return_pct"] == pytest.approx(by_door.summary.return_pct)
    assert [one["profit"] for one in shown["trades"]] == [str(one.profit) for one in by_door._result.trades]
    assert shown["equity"] == by_door.equity["equity"].to_list()
    assert shown["stale"] == []
    listed = filled.runs()
    assert listed["id"][0] == name
    assert not listed["stale"][0]
    assert filled.run(name).run.inputs.strategies == ["macd_turtle"]
    assert next(csv.DictReader(io.StringIO(told("runs", "--csv"))))["id"] == name
    assert name in told("runs")
    assert "return_pct" in told("runs", "show", name)


def test_a_run_that_is_not_to_be_kept_is_not(filled: Tidemark) -> None:
    before = filled.runs(10_000).height
    told("backtest", *RUN, "--no-store")
    filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m")
    assert filled.runs(10_000).height == before


@pytest.mark.parametrize("more", [(), ("--exact",), ("--set", "memory=3"), ("--days", "3.3")])
def test_it_is_run_again_to_the_bit(more: tuple[str, ...]) -> None:
    told("backtest", *RUN, *more)
    name = json.loads(told("runs", "--json", "--limit", "1"))[0]["id"]
    again = json.loads(told("rerun", name, "--json"))
    assert again["same"]
    assert again["differs"] == []
    assert "the same to the bit" in told("rerun", name)


def test_a_setting_that_changed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    name = kept()
    monkeypatch.setenv("TIDEMARK_RISK__UNIT_PERCENT", "0.1")
    again = json.loads(told("rerun", name, "--json"))
    assert again["differs"] == ["the settings changed"]
    assert not again["same"]


def test_a_run_is_stale_once_its_candles_were_mended_and_only_then(filled: Tidemark) -> None:
    key, store = SeriesKey("sim", "BTCUSDT", "1m"), CandleStore(filled._opened.db)
    name = kept()
    end = to_ms(filled.run(name).run.inputs.end)
    as_it_was = store.load(key, end - 2 * DAY, end - 2 * DAY)
    store.replace_closed(key, as_it_was.with_columns(pl.col("high") + 1))
    try:
        assert json.loads(told("runs", "show", name, "--json"))["stale"] == ["BTCUSDT 1m"]
        assert filled.runs(1)["stale"].to_list() == [True]
        assert "changed" in told("runs")
        assert "candles of BTCUSDT 1m changed" in json.loads(told("rerun", name, "--json"))["differs"]
        told("backtest", *RUN)
        assert filled.runs(1)["stale"].to_list() == [False]
    finally:
        store.replace_closed(key, as_it_was)
    assert json.loads(told("runs", "show", name, "--json"))["stale"] == []
    assert json.loads(told("rerun", name, "--json"))["same"]


def test_only_so_many_are_kept_with_their_trades(filled: Tidemark) -> None:
    old, new = kept(), kept()
    db = filled._opened.db
    assert RunStore(db, "sim").keep(1) >= 1
    assert filled.runs(10_000)["id"].to_list() == [new]
    assert db["run_trades"].distinct("run") == [new]
    assert old not in told("runs")
    assert RunStore(db, "sim").keep(1) == 0
    assert PORTION > 1


def test_one_that_is_marked_is_never_forgotten(filled: Tidemark) -> None:
    old, new = kept(), kept()
    store = RunStore(filled._opened.db, "sim")
    told("runs", "keep", old)
    store.keep(1)
    assert filled.runs(10_000)["id"].to_list() == [new, old]
    assert filled.runs(10_000)["kept"].to_list() == [False, True]
    assert json.loads(told("runs", "--json"))[1]["kept"]
    assert "for good" in told("runs")
    assert filled.run(old).trades
    told("runs", "keep", old, "--undo")
    store.keep(1)
    assert filled.runs(10_000)["id"].to_list() == [new]


def test_trades_that_no_run_has_are_forgotten_once_nobody_can_be_writing_them(filled: Tidemark) -> None:
    name, db = kept(), filled._opened.db
    store, now = RunStore(db, "sim"), datetime.now(UTC)
    killed = f"{now:%Y%m%d-%H%M%S}-abcdef"
    portion = {"_id": f"{killed}:0", "run": killed, "number": 0, "trades": []}
    db["run_trades"].insert_one(portion)
    assert store.forget_orphans(now + timedelta(hours=23)) == 0
    assert store.forget_orphans(now + timedelta(hours=25)) == 1
    assert store.trades(killed) == []
    assert store.trades(name)


def test_all_symbols_of_a_run_begin_at_once_and_end_again_where_they_did(filled: Tidemark) -> None:
    """One of them is brought up later than the other, and further once the run was kept."""
    filled.backfill("ETHUSDT", "1m", days=4)
    key, store = SeriesKey("sim", "ETHUSDT", "1m"), SeriesStore(filled._opened.db)
    known = store.get(key)
    assert known is not None
    assert known.last_closed is not None
    behind = known.last_closed - timedelta(hours=6)
    series = filled._opened.db["series"]
    name = {"_id": str(key)}
    series.update_one(name, {"$set": {"last_closed": behind}})
    told("backtest", "macd_turtle", "--symbol", "BTCUSDT", "--symbol", "ETHUSDT", "-i", "15m", "--days", "3.3")
    series.update_one(name, {"$set": {"last_closed": known.last_closed}})
    run = json.loads(told("runs", "--json", "--limit", "1"))[0]["id"]
    minutes = [one for one in filled.run(run).run.candles if one.interval == "1m" and one.exchange == "sim"]
    assert len({one.first for one in minutes}) == 1
    assert {one.symbol: one.last for one in minutes}["ETHUSDT"] == behind
    again = json.loads(told("rerun", run, "--json"))
    assert again["same"]
    assert again["differs"] == []


def test_a_run_that_there_is_not_is_refused() -> None:
    for command in (("runs", "show", "x"), ("rerun", "x"), ("runs", "keep", "x")):
        done = CliRunner().invoke(build(), list(command))
        assert done.exit_code == 2
        assert "tidemark runs" in done.output


def test_mark_prices_that_were_mended_make_a_run_stale(filled: Tidemark) -> None:
    key, store = SeriesKey("sim", "BTCUSDT", "1m").mark, CandleStore(filled._opened.db)
    assert not any(
        "mark prices" in one for one in filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m", days=1).notes
    )
    name = kept()
    end = to_ms(filled.run(name).run.inputs.end)
    as_it_was = store.load(key, end - 2 * DAY, end - 2 * DAY)
    store.replace_closed(key, as_it_was.with_columns(pl.col("high") + 1))
    try:
        assert json.loads(told("runs", "show", name, "--json"))["stale"] == ["BTCUSDT 1m mark prices"]
    finally:
        store.replace_closed(key, as_it_was)
    assert json.loads(told("runs", "show", name, "--json"))["stale"] == []


def test_what_a_run_goes_by_reads_the_same_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    hash_of = runs.hash_of
    monkeypatch.setattr(runs, "hash_of", lambda text: read.append(text) or hash_of(text))
    kept()
    assert read
    assert [one for one in read if " at 0x" in one] == []


def test_why_its_months_earned_is_told_of_a_kept_run_as_of_the_run(filled: Tidemark) -> None:
    by_door, name = filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m"), kept()
    tm = filled._opened
    assert why.of_run(tm, runs.run(tm, name)) == why.of_backtest(tm, by_door._result)
