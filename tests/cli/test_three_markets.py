"""One installation, three markets of one simulated exchange: fetched, followed and asked for, each by its name."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.home_exchange import HomeExchange
from pipeline.simulator.handle import Simulator

Run = Callable[..., Any]
SERIES = {"sim": "BTCUSDT", "sim-cm": "BTCUSD_PERP", "sim-spot": "ETHUSDT"}


@pytest.fixture
def markets() -> Iterator[Simulator]:
    with Simulator.start(markets=("um", "cm", "spot")) as running:
        yield running


def test_each_market_is_fetched_and_read_by_its_name(tidemark: Run, db: Any, markets: Simulator) -> None:
    at = {"TIDEMARK_SIM_URL": markets.url}
    for name, symbol in SERIES.items():
        done = tidemark("backfill", symbol, "-i", "1h", "--days", "4", "--exchange", name, "--json", **at)
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)[0]["stored"] >= 95
    assert {(one["exchange"], one["symbol"]) for one in db.series.find()} == set(SERIES.items())
    for name, symbol in SERIES.items():
        rows = json.loads(tidemark("candles", symbol, "1h", "--exchange", name, "--json", **at).stdout)
        assert len(rows) == 20
        assert rows[0]["rsi"] is not None
        assert all(row["volume"] > 0 for row in rows if row["closed"]), "an hour may have begun just now"
        assert tidemark("audit", "--exchange", name, **at).exit_code == 0
        listed = json.loads(tidemark("symbols", "--exchange", name, "--json", **at).stdout)
        assert symbol in {one["symbol"] for one in listed}
        told = json.loads(tidemark("signals", "--exchange", name, "--json", **at).stdout)
        assert {one["exchange"] for one in told} <= {name}


def test_an_address_of_a_simulator_without_that_market_says_which_it_has(tidemark: Run, db: Any) -> None:
    refused = tidemark("backfill", "BTCUSD_PERP", "-i", "1h", "--exchange", "sim-cm")
    assert refused.exit_code == 1
    assert "the simulator has the markets um; not 'cm'" in refused.stderr


def test_the_exchange_of_a_folder_has_all_three(tidemark: Run, db: Any, home: Path) -> None:
    own = {"TIDEMARK_SIM_URL": ""}
    with HomeExchange(home).running("spot") as spot:
        assert spot == HomeExchange(home).urls["spot"]
        done = tidemark("backfill", "BTCUSD_PERP", "-i", "1d", "--days", "9", "--exchange", "sim-cm", **own)
        assert done.exit_code == 0, done.output
    assert HomeExchange(home).urls == {}


def test_what_is_live_at_one_is_not_behind_at_another(
    tidemark: Run, db: Any, markets: Simulator, chosen: dict[str, str], home: Path
) -> None:
    environ = {**chosen, "TIDEMARK_SIM_URL": markets.url, "TIDEMARK_INTERVALS": "1m", "TIDEMARK_HISTORY_DAYS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "pipeline.cli", "live", "--plain", "--exchange", name],
            cwd=home,
            env={"PATH": "/usr/bin:/bin", **environ, f"TIDEMARK_EXCHANGES__{_table(name)}__SYMBOLS": symbol},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, symbol in SERIES.items()
    ]
    try:
        deadline = time.monotonic() + 120
        while not _all_live(db):
            assert all(one.poll() is None for one in started)
            assert time.monotonic() < deadline
            time.sleep(0.2)
        told = json.loads(tidemark("status", "--exchange", "sim-cm", "--json", TIDEMARK_SIM_URL=markets.url).stdout)
        assert [one["symbol"] for one in told["series"]] == ["BTCUSD_PERP"]
        assert {one["exchange"] for one in told["processes"]} == set(SERIES)
        assert not any(one["stands_by"] for one in told["processes"])
    finally:
        for one in started:
            one.terminate()
        assert [one.wait(60) for one in started] == [0, 0, 0]


def _table(name: str) -> str:
    return name.upper().replace("-", "_")


def _all_live(db: Any) -> bool:
    found = {one["exchange"]: one for one in db.series.find({"interval": "1m", "last_frame": {"$ne": None}})}
    return found.keys() == SERIES.keys()
