"""`tidemark backtest` at markets that are not counted in dollars, over what was fetched of them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.simulator.handle import Simulator

Run = Callable[..., Any]
CM = ("--exchange", "sim-cm")
FEW = ("--trials", "2", "--walk-forward", "0", "--objective", "return_pct")
RULE = ("macd_turtle", "--symbol", "BTCUSD_PERP", "-i", "15m")


@pytest.fixture
def markets() -> Iterator[Simulator]:
    with Simulator.start(markets=("um", "cm", "spot")) as running:
        yield running


def test_contracts_of_a_coin_are_counted_in_it_and_in_dollars(
    tidemark: Run, db: Any, markets: Simulator, home: Path
) -> None:
    at = {"TIDEMARK_SIM_URL": markets.url}
    for symbol, code in (("BTCUSD_PERP", "15m"), ("BTCUSD_PERP", "1m"), ("ETHUSD_PERP", "1m")):
        done = tidemark("backfill", symbol, "-i", code, "--days", "4", *CM, **at)
        assert done.exit_code == 0, done.output

    done = tidemark("backtest", *RULE, *CM, "--json", **at)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    summary = found["summary"]["pessimistic"]
    assert (found["engine"], summary["asset"]) == ("fast", "BTC")
    assert summary["trades"] > 5
    assert 0.01 < summary["equity_start"] < 1, "as many coins as 10,000 dollars bought"
    profits = sum(float(one["profit"]) for one in found["trades"])
    held = any(one["closed_at"] is None for one in found["trades"])
    assert held or summary["equity_end"] - summary["equity_start"] == pytest.approx(profits, abs=1e-6)
    (dollars,) = [one for one in found["notes"] if one.startswith("in dollars: ")]
    assert f"{summary['equity_end']:.8f} BTC are " in dollars

    exact = json.loads(tidemark("backtest", *RULE, *CM, "--exact", "--json", "--no-store", **at).stdout)
    assert exact["summary"]["pessimistic"]["equity_end"] == pytest.approx(summary["equity_end"], abs=1e-9)
    assert [one["opened_at"] for one in exact["trades"]] == [one["opened_at"] for one in found["trades"]]

    report = home / "coins.html"
    told = tidemark("backtest", *RULE, *CM, "--equity", "0.5", "--trades", "--html", str(report), **at)
    assert "trades, in BTC" in told.stdout
    assert "0.5" in report.read_text()
    name = json.loads(tidemark("runs", *CM, "--json", **at).stdout)[0]["id"]
    assert "0.50000000" in tidemark("runs", "show", name, *CM, **at).stdout
    assert "the same to the bit" in tidemark("rerun", name, *CM, **at).stdout

    both = tidemark("backtest", *RULE, "--symbol", "ETHUSD_PERP", *CM, **at)
    assert both.exit_code == 2
    assert "BTCUSD_PERP in BTC; ETHUSD_PERP in ETH" in " ".join(both.output.split())
    poor = tidemark("backtest", *RULE, "--equity", "0.0001", *CM, **at)
    assert poor.exit_code == 2
    assert "an equity of 0.0001 BTC cannot pay one unit" in " ".join(poor.output.split())


def test_coins_are_bought_and_sold_and_searched(tidemark: Run, db: Any, markets: Simulator) -> None:
    at, spot = {"TIDEMARK_SIM_URL": markets.url}, ("--exchange", "sim-spot")
    for code in ("15m", "1m"):
        done = tidemark("backfill", "ETHUSDT", "-i", code, "--days", "3", *spot, **at)
        assert done.exit_code == 0, done.output
    asked = ("macd_turtle", "--symbol", "ETHUSDT", "-i", "15m")
    done = tidemark("backtest", *asked, *spot, "--json", **at)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    summary = found["summary"]["pessimistic"]
    assert (found["engine"], found["assumptions"]["engine"]) == ("fast", "the executor's rules, compiled")
    assert {one["side"] for one in found["trades"]} == {"long"}
    assert any(one.startswith("nothing is sold short") for one in summary["skipped"])
    assert summary["funding"] == 0
    profits = sum(float(one["profit"]) for one in found["trades"] if one["closed_at"] is not None)
    held = [one for one in found["trades"] if one["closed_at"] is None]
    assert held or summary["equity_end"] - summary["equity_start"] == pytest.approx(profits, abs=1e-6)
    assert not any("mark price" in one for one in found["notes"])
    exact = json.loads(tidemark("backtest", *asked, *spot, "--exact", "--json", "--no-store", **at).stdout)
    assert [one["opened_at"] for one in exact["trades"]] == [one["opened_at"] for one in found["trades"]]
    assert exact["summary"]["pessimistic"]["equity_end"] == pytest.approx(summary["equity_end"], abs=1e-6)
    searched = tidemark("search", *asked, *spot, *FEW, "--json", **at)
    assert searched.exit_code == 0, searched.output
