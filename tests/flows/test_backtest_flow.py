"""A backtest by its form: on a real server, over candles that a backfill stored, kept like any other."""

from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError
from pymongo.database import Database

import tidemark
from flows.backtest import BacktestChoice, run_backtest
from pipeline.errors import UsageError
from tests.flows.test_small_flows import newest_artifact

pytestmark = pytest.mark.usefixtures("settings_of_the_run")


def test_its_figures_are_a_page_and_the_run_is_kept(db: Database[Any]) -> None:
    with tidemark.open() as tm:
        tm.backfill("BTCUSDT", ["15m", "1m"], days=4, progress=False)
        by_door = tm.backtest("macd_turtle", symbols="BTCUSDT", intervals="15m", progress=False)
        done = run_backtest(BacktestChoice(strategies=["macd_turtle"], symbols=["BTCUSDT"], intervals=["15m"]))
        kept = tm.run(done["run"])
    assert done["return_pct"] == kept.figures["return_pct"] == by_door.summary.return_pct
    page = newest_artifact("backtest")
    assert done["run"] in page
    assert f"| return | {by_door.summary.return_pct:+,.2f} % |" in page
    assert "| month | return |" in page
    assert db["runs"].count_documents({}) == 1


def test_a_form_that_cannot_be_run_is_refused(db: Database[Any]) -> None:
    with pytest.raises(UsageError, match="tidemark backfill BTCUSDT --interval 1m"):
        run_backtest(BacktestChoice(strategies=["macd_turtle"], symbols=["BTCUSDT"], intervals=["15m"]))
    with pytest.raises(UsageError, match="days and start exclude each other"):
        run_backtest(BacktestChoice(days=3, start="2026-01-01"))
    with pytest.raises(ParameterTypeError):
        run_backtest({"equity": -1})  # type: ignore[arg-type]
    assert db["runs"].count_documents({}) == 0
