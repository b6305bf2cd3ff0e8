"""`tidemark backtest` and `tm.backtest`: over what is stored, without a network, the same by both doors."""

import csv
import io
import json
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from bson import Decimal128
from typer.testing import CliRunner

from pipeline.cli.app import build
from pipeline.errors import UsageError
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.timeline import MINUTE, to_datetime, to_ms
from schemas.series import Hole, SeriesKey
from tests.door.test_pages import ROOT
from tidemark import Tidemark

RUN = ("macd_turtle", "--symbol", "BTCUSDT", "-i", "15m")


@pytest.fixture(scope="module", autouse=True)
def minutes(filled: Tidemark) -> None:
    filled.backfill("BTCUSDT", "1m", days=10)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks an exchange for anything."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a backtest asked an exchange")

    monkeypatch.setattr("pipeline.exchange.wire.Wire.send", refused)


def told(*arguments: str) -> str:
    done = CliRunner().invoke(build(), ["backtest", *arguments], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_and_the_door_say_the_same(filled: Tidemark) -> None:
    by_door = filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m")
    by_command = json.loads(told(*RUN, "--json"))
    assert by_command["summary"]["pessimistic"]["equity_end"] == pytest.approx(by_door.summary.equity_end)
    assert [Decimal(one["profit"]) for one in by_command["trades"]] == by_door.trades["profit"].to_list()
    assert by_door.summary.trades > 5
    assert next(iter(csv.DictReader(io.StringIO(told(*RUN, "--csv")))))["signal"] == by_door.trades["signal"][0]


def test_the_tables_of_the_door_add_up(filled: Tidemark) -> None:
    found = filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m")
    closed = found.trades.filter(pl.col("closed_at").is_not_null())
    assert closed.height == found.summary.trades
    assert found.equity["equity"][0] == 10_000
    assert found.equity["equity"][-1] == pytest.approx(found.summary.equity_end)
    grown = (1 + found.months["return_pct"] / 100).product()
    assert (grown - 1) * 100 == pytest.approx(found.summary.return_pct)
    assert "macd_turtle" in repr(found)
    assert found.bounds["inside"][0] == "pessimistic"


def test_a_parameter_makes_another_run(filled: Tidemark) -> None:
    one, other = (filled.backtest("rsi_reversal", symbols="BTCUSDT", intervals="15m", low=low) for low in (30, 20))
    assert one.summary.signals > other.summary.signals


@pytest.mark.parametrize("width", ["60", "80", "120"])
def test_what_a_person_reads_fits(width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    for more in ((), ("--trades",)):
        done = CliRunner().invoke(build(), ["backtest", *RUN, *more], env={"COLUMNS": width})
        assert max(map(len, done.stdout.splitlines())) <= int(width)
    assert "deepest drawdown" in told(*RUN)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("macd_turtel",), "macd_turtle"),
        (("macd_turtle", "--symbol", "ETHUSDT", "-i", "1h"), "tidemark backfill ETHUSDT --interval 1m"),
        (("macd_turtle", "--symbol", "BTCUSDT", "-i", "4h"), "no 4h candles"),
        (("--set", "n=3"), "name it"),
        (("macd_turtle", "--symbol", "BTCUSDT", "-i", "15m", "--equity", "0"), "name a larger equity"),
        (("macd_turtle", "--days", "3", "--start", "2026-01-01"), "--days and --start"),
        (("macd_turtle", "--symbol", "BTCUSDT", "-i", "15m", "--end", "2020-01-01"), "no 1m candles of BTCUSDT"),
        (("macd_turtle", "--symbol", "BTCUSDT", "-i", "15m", "--set", "memry=3"), "memry"),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_way_out(arguments: tuple[str, ...], says: str) -> None:
    done = CliRunner().invoke(build(), ["backtest", *arguments])
    assert done.exit_code == 2
    assert says in done.output
    assert "Traceback" not in done.output


WRONG = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class Raises:
    name: ClassVar[str] = "raises"
    needs: ClassVar[tuple[str, ...]] = ("close",)
    lookback: ClassVar[int] = 1

    def signals(self, columns):
        return self.worked_out(columns["close"])

    def worked_out(self, close):
        return 1 / 0 if len(close) else np.zeros(0, np.int8)


class Peeks(Raises):
    name: ClassVar[str] = "peeks"

    def signals(self, columns):
        return (np.roll(columns["close"], -1) > columns["close"]).astype(np.int8)
"""


@pytest.mark.parametrize(
    ("name", "says"),
    [("Raises", "ZeroDivisionError: division by zero (wrong.py, line 18)"), ("Peeks", "wrong.py, line 24")],
)
def test_a_strategy_that_raises_or_looks_ahead_is_refused_with_its_line(name: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    done = CliRunner().invoke(
        build(), ["backtest", f"{tmp_path / 'wrong.py'}:{name}", "--symbol", "BTCUSDT", "-i", "15m"]
    )
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())
    assert "is refused" in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_an_equity_that_pays_no_unit_is_refused_with_the_least_that_does(filled: Tidemark) -> None:
    with pytest.raises(UsageError, match="cannot pay one unit") as refused:
        filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m", equity=1)
    least = float(re.findall(r"takes about ([\d.]+)", str(refused.value))[0])
    assert filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m", equity=least).summary.taken > 0
    with pytest.raises(UsageError, match="cannot pay one unit"):
        filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m", equity=least * 0.9)


def test_a_position_over_minutes_that_are_not_stored_is_refused_unless_one_says_to_go_on(
    filled: Tidemark, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m")
    held = next(one for one in whole.trades.iter_rows(named=True) if one["closed_at"] is not None)
    stored = CandleStore.columns
    missing = to_ms(held["opened_at"].replace(second=0, microsecond=0)) + MINUTE

    def without(self: CandleStore, key: SeriesKey, *rest: Any) -> Any:
        columns = stored(self, key, *rest)
        if key != SeriesKey("sim", "BTCUSDT", "1m"):
            return columns
        there = (columns["t"] < missing) | (columns["t"] >= missing + 2 * MINUTE)
        return {name: values[there] for name, values in columns.items()}

    monkeypatch.setattr(CandleStore, "columns", without)
    with pytest.raises(UsageError, match=r"1 of \d+ trades .* BTCUSDT .* --through-holes"):
        filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m")
    on = filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m", through_holes=True)
    assert on.notes[0].startswith("1 of ")
    assert "--through-holes" not in on.notes[0]
    store = SeriesStore(filled._opened.db)
    first, last = to_datetime(missing), to_datetime(missing + MINUTE)
    hole = Hole(start=first, end=last, evidence="asked twice", found_at=last)
    store.record_hole(SeriesKey("sim", "BTCUSDT", "1m"), hole)
    try:
        quiet = filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m")
        assert not any("trades" in one for one in quiet.notes)
        assert any("2 minutes" in one for one in quiet.notes)
    finally:
        store.forget_holes(SeriesKey("sim", "BTCUSDT", "1m"), missing, missing + MINUTE)


def test_every_assumption_of_a_run_stands_on_the_page(filled: Tidemark) -> None:
    page = (ROOT / "docs" / "backtesting.md").read_text()
    for name in filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m").assumptions:
        assert name in page or name in {"delay", "spread"}, name


@pytest.mark.parametrize("by", ["side", "reason", "strategy", "symbol", "weekday"])
def test_the_trades_apart_are_the_same_by_all_doors(filled: Tidemark, by: str, tmp_path: Path) -> None:
    parts = filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m").by(by)  # type: ignore[arg-type]
    file = tmp_path / "x.html"
    found = json.loads(told(*RUN, "--json", "--html", str(file)))["by"][by]
    assert [one["name"] for one in found] == parts["name"].to_list()
    assert [Decimal(one["profit"]) for one in found] == parts["profit"].to_list()
    shown, page = told(*RUN, "--by", by), file.read_text()
    for name in parts["name"]:
        assert name in shown
        assert f"<td>{name}</td>" in page


def test_what_each_strategy_adds_is_the_same_by_both_doors_and_beside_a_run_without_it(filled: Tidemark) -> None:
    two = ("macd_turtle", "rsi_reversal")
    found = filled.backtest(two, symbols="BTCUSDT", intervals="15m").contributions
    alone = filled.backtest("rsi_reversal", symbols="BTCUSDT", intervals="15m").summary
    assert found["strategy"].to_list() == list(two)
    assert found["return_without_pct"][0] == pytest.approx(alone.return_pct)
    of_command = json.loads(told(*two, *RUN[1:], "--contribution", "--json"))["contributions"]
    assert [one["without"]["sharpe"] for one in of_command] == pytest.approx(found["sharpe_without"].to_list())
    assert of_command[0]["correlations"]["rsi_reversal"] == pytest.approx(found["with_rsi_reversal"][0])
    shown = told(*two, *RUN[1:], "--contribution")
    assert "without macd_turtle" in shown
    refused = CliRunner().invoke(build(), ["backtest", *RUN, "--contribution"])
    assert refused.exit_code == 2
    assert "this is of macd_turtle alone" in " ".join(refused.output.split())


def test_shares_of_equal_risk_are_those_of_the_days_of_a_kept_run(filled: Tidemark) -> None:
    two = ("macd_turtle", "rsi_reversal")
    found = filled.backtest(two, symbols="BTCUSDT", intervals="15m")
    ran = CliRunner().invoke(build(), ["backtest", *two, *RUN[1:]])
    name = re.search(r"kept as run (\S+)", ran.stderr)
    assert name is not None
    done = CliRunner().invoke(build(), ["allocate", "--equal-risk", name[1], "--json"])
    assert done.exit_code == 0, done.output
    shares = {one: Decimal(share) for one, share in json.loads(done.stdout)["shares"].items()}
    first, last = found.equity["at"].dt.date()[0], found.equity["at"].dt.date()[-1]
    days = pl.DataFrame({"day": pl.date_range(first, last, eager=True)})
    unrest = {}
    for one in two:
        ended = found.trades.filter(pl.col("strategy") == one).select(
            pl.col("closed_at").fill_null(found.equity["at"][-1]).dt.date().alias("day"), pl.col("profit").cast(float)
        )
        by_day = days.join(ended.group_by("day").agg(pl.col("profit").sum()), on="day", how="left")
        unrest[one] = by_day["profit"].fill_null(0).std(ddof=0)
    total = sum(1 / one for one in unrest.values())
    assert {one: float(share) for one, share in shares.items()} == pytest.approx(
        {one: 100 / each / total for one, each in unrest.items()}, abs=0.1
    )
    assert CliRunner().invoke(build(), ["allocate", "--all"]).exit_code == 0
    unknown = CliRunner().invoke(build(), ["allocate", "--equal-risk", "nothing"])
    assert unknown.exit_code == 2
    assert "Traceback" not in unknown.output


def test_a_report_is_written_whole_or_not_at_all(filled: Tidemark, tmp_path: Path) -> None:
    found = filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m")
    found.report(tmp_path / "x.html")
    assert (tmp_path / "x.html").read_text().endswith("</html>\n")
    assert [one.name for one in tmp_path.iterdir()] == ["x.html"]
    assert "deepest drawdown" in found._repr_html_()
    with pytest.raises(UsageError, match=r"cannot be written .* name another file"):
        found.report(tmp_path / "none" / "x.html")


def test_the_curve_is_a_line_as_high_as_the_equity(filled: Tidemark) -> None:
    equity = filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m").equity["equity"]
    head, line, *rest = told(*RUN, "--curve").splitlines()
    assert head == f"equity from {equity.min():,.2f} to {equity.max():,.2f} USDT"
    assert len(line) == equity.len()
    assert line[equity.arg_max() or 0] == "█"
    assert line[equity.arg_min() or 0] == "▁"
    assert any("drawdown" in one for one in rest)


def test_why_these_months_is_the_same_by_all_doors(filled: Tidemark, tmp_path: Path) -> None:
    found = filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m")
    file = tmp_path / "x.html"
    by_command = json.loads(told(*RUN, "--why", "--json", "--html", str(file)))
    assert by_command["verdict"] == found.verdict
    assert [one["month"] for one in by_command["months"]] == found.why["month"].to_list()
    assert [one["because"] for one in by_command["months"]] == found.why["because"].to_list()
    assert found.why["volatility"].is_not_null().all()
    assert [Decimal(one["profit"]) for one in by_command["cells"]] == found.matrix["profit"].to_list()
    assert set(found.matrix["by"]) == {"strategy", "symbol", "side", "hour", "regime"}
    rows = list(csv.DictReader(io.StringIO(told(*RUN, "--why", "--csv"))))
    assert [one["name"] for one in rows] == found.matrix["name"].to_list()
    page, shown = file.read_text(), told(*RUN, "--why")
    for month in found.months["month"]:
        assert month in shown
    assert "Why these months" in page
    assert found.verdict in " ".join(shown.split())
    closed = found.trades.filter(pl.col("closed_at").is_not_null())["profit"].sum()
    assert found.matrix.filter(pl.col("by") == "side")["profit"].sum() == closed


def test_a_run_is_shown_before_it_is_kept_and_kept_although_nobody_reads_on(
    filled: Tidemark, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> str:
        raise UsageError("the database is gone")

    monkeypatch.setattr("pipeline.app.runs.keep", fails)
    done = CliRunner().invoke(build(), ["backtest", *RUN])
    assert "deepest drawdown" in done.stdout
    assert done.exit_code == 2
    assert "the database is gone" in done.output
    monkeypatch.undo()


def test_where_too_little_lies_before_the_first_signals_it_is_said(filled: Tidemark) -> None:
    whole, later = (filled.backtest("rsi_reversal", symbols="BTCUSDT", intervals="1m", days=days) for days in (10, 5))
    (note,) = [one for one in whole.notes if one.startswith("BTCUSDT 1m begins on ")]
    assert note.endswith(": the first signals rest on indicators that had not settled")
    assert not any("had not settled" in one for one in later.notes)


def test_the_rules_and_fees_are_those_of_their_day_and_what_is_not_known_of_them_is_said(filled: Tidemark) -> None:
    symbols, name = filled._opened.db["symbols"], {"_id": "sim:BTCUSDT"}
    known = symbols.find_one(name) or {}
    (recorded,) = known["recorded"][:1]
    one = filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m")
    assert any("rules of BTCUSDT are recorded from" in each for each in one.notes)
    coarse = {**recorded["filters"], "step_size": Decimal128("1"), "market_step_size": Decimal128("1")}
    begins, now = one.equity["at"][0], recorded["since"]
    then = {"since": begins - timedelta(days=1), "filters": coarse, "taker_fee": None}
    turns = begins + timedelta(days=3)
    since = {"since": turns, "filters": recorded["filters"], "taker_fee": Decimal128("0.001")}
    symbols.update_one(name, {"$set": {"recorded": [then, since]}})
    try:
        other = filled.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m")
        assert now > begins
        assert one.trades.height > 5
        assert other.trades.height > 5
        assert (other.trades["opened_at"] > turns).all(), "nobody could have bought less than a whole coin"
        paid = other.trades.filter(pl.col("closed_at").is_not_null()).to_dicts()
        worth = sum(one["quantity"] * (one["entry_price"] + one["exit_price"]) for one in paid if one["entries"] == 1)
        fees = sum(one["fees"] for one in paid if one["entries"] == 1)
        assert float(-fees / worth) == pytest.approx(0.001, rel=1e-4)
        assert any("rules of BTCUSDT changed on" in each for each in other.notes)
        assert any("paid for an order of BTCUSDT is not recorded before" in each for each in other.notes)
        assert not any("recorded from" in each for each in other.notes)
    finally:
        symbols.update_one(name, {"$set": {"recorded": known["recorded"]}})
