"""Backtests that are kept: listed, shown, run again to the bit, and stale once their candles were mended."""

import csv
import io
import json
from collections.abc import Iterator

import polars as pl
import pytest
from typer.testing import CliRunner

from pipeline.cli.app import build
from pipeline.store.candles.store import CandleStore
from pipeline.store.runs import PORTION, RunStore
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


def test_a_run_that_there_is_not_is_refused() -> None:
    for command in (("runs", "show", "x"), ("rerun", "x")):
        done = CliRunner().invoke(build(), list(command))
        assert done.exit_code == 2
        assert "tidemark runs" in done.output
