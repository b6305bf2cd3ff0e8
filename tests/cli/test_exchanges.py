"""Several exchanges in one installation: every command can be told which of them it is about."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from pipeline.app.beside import Place, remembered
from pipeline.cli.app import build
from pipeline.exchange.environments import ENVIRONMENTS
from pipeline.exchange.products.spot import SPOT
from pipeline.simulator.handle import Simulator
from pipeline.store.control import ControlStore
from pipeline.store.watchlist import Watchlist
from schemas.series import SeriesKey

Run = Callable[..., Any]

WITHOUT = {
    "demo", "up", "sim", "shell", "backup", "restore", "check-strategy", "new-strategy", "web", "page",
}  # fmt: skip
"""Commands that are about all exchanges, or about none."""


def commands() -> list[str]:
    return [name for name, one in get_command(build()).commands.items() if not hasattr(one, "commands")]


@pytest.mark.parametrize("name", sorted(set(commands()) - WITHOUT))
def test_every_command_can_be_told_which_exchange_is_meant(name: str) -> None:
    options = [option for one in get_command(build()).commands[name].params for option in one.opts]
    assert {"--exchange", "--environment"} <= set(options)


def test_an_exchange_that_there_is_not_is_refused_with_the_nearest(tidemark: Run) -> None:
    refused = tidemark("signals", "--exchange", "binance-cn")
    assert refused.exit_code == 2
    assert "unknown exchange 'binance-cn'. Did you mean 'binance-cm'? Allowed: sim, sim-cm" in refused.stderr


def test_what_is_watched_is_watched_at_its_exchange(tidemark: Run, db: Any) -> None:
    now = datetime.now(UTC)
    for exchange, symbol in (("sim", "BTCUSDT"), ("binance-cm", "BTCUSD_PERP")):
        Watchlist(db, exchange).watch([SeriesKey(exchange, symbol, "1h")], now)
    gone = tidemark("unwatch", "--all", "--exchange", "binance-cm", "--json")
    assert gone.exit_code == 0, gone.output
    assert Watchlist(db, "binance-cm").wanted() == set()
    assert {one.symbol for one in Watchlist(db, "sim").wanted()} == {"BTCUSDT"}


@pytest.mark.parametrize(
    "asked",
    [["execute"], ["close", "BTCUSDT"], ["account", "--now"], ["orders", "--now"]],
    ids=" ".join,
)
def test_where_nothing_is_traded_yet_no_account_is_touched(
    tidemark: Run, db: Any, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shut = replace(ENVIRONMENTS["sim-spot"], product=replace(SPOT, is_traded=False))
    monkeypatch.setattr("pipeline.exchange.environments.ENVIRONMENTS", {**ENVIRONMENTS, "sim-spot": shut})
    refused = tidemark(*asked, "--exchange", "sim-spot")
    assert refused.exit_code == 2
    assert "sim-spot: Tidemark keeps candles and signals of spot, and does not trade them yet" in refused.stderr


def test_where_nobody_can_say_how_it_is_counted_no_past_is_traded(
    tidemark: Run, db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut = replace(ENVIRONMENTS["sim-spot"], product=replace(SPOT, is_backtested=False))
    monkeypatch.setattr("pipeline.exchange.environments.ENVIRONMENTS", {**ENVIRONMENTS, "sim-spot": shut})
    refused = tidemark("backtest", "--exchange", "sim-spot")
    assert refused.exit_code == 2
    assert "sim-spot: Tidemark does not backtest spot yet" in refused.stderr


def test_switches_are_those_of_the_exchange(tidemark: Run, db: Any) -> None:
    done = tidemark("mode", "signal-only", "--exchange", "binance-cm", "--json")
    assert json.loads(done.stdout)["environment"] == "binance-cm"
    assert ControlStore(db, "binance-cm").read().mode is not None
    assert ControlStore(db, "sim").read().mode is None


def test_real_money_of_one_market_is_not_that_of_another(tidemark: Run, db: Any) -> None:
    said = {"TIDEMARK_ENVIRONMENT": "binance-um", "TIDEMARK_CONFIRM_PRODUCTION": "I trade real money"}
    assert tidemark("mode", "auto-execute", TIDEMARK_SIM_URL="", **said).exit_code == 0
    refused = tidemark("mode", "auto-execute", "--exchange", "binance-cm", TIDEMARK_SIM_URL="", **said)
    assert refused.exit_code == 3
    assert "real money at binance-cm" in refused.stderr
    assert 'TIDEMARK_EXCHANGES__BINANCE_CM__CONFIRM_PRODUCTION="I trade real money"' in refused.stderr


def halted(db: Any, *names: str) -> list[str]:
    return [name for name in names if ControlStore(db, name).read().halt is not None]


def test_a_halt_that_names_no_exchange_is_one_at_all_of_this_installation(tidemark: Run, db: Any, home: Path) -> None:
    places = [Place("binance-um-demo"), Place("sim-cm", "http://127.0.0.1:1")]
    (home / "executor.json").write_text(
        json.dumps([{"environment": one.environment, "exchange": one.exchange} for one in places])
    )
    ControlStore(db, "binance-um").identify("abc123")
    done = tidemark("halt", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [told["environment"], *(one["environment"] for one in told["elsewhere"])] == [
        "binance-um-demo", "sim-cm", "binance-um",
    ]  # fmt: skip
    assert halted(db, "sim", "sim-cm", "binance-um-demo", "binance-um") == ["sim-cm", "binance-um-demo", "binance-um"]
    assert tidemark("halt", "--exchange", "sim").exit_code == 0
    assert halted(db, "sim") == ["sim"]


def test_one_exchange_that_cannot_be_closed_keeps_no_other_open(tidemark: Run, db: Any, home: Path) -> None:
    places = [Place("binance-um-demo"), Place("sim-cm", "http://127.0.0.1:1"), Place("sim-spot"), Place("sim")]
    (home / "executor.json").write_text(
        json.dumps([{"environment": one.environment, "exchange": one.exchange} for one in places])
    )
    home_exchange = tidemark("halt", "--flatten", "--json", TIDEMARK_SIM_URL="")
    assert home_exchange.exit_code == 3
    told = json.loads(home_exchange.stdout)
    flat = {one["environment"]: one["flattened"] and one["flattened"]["flat"] for one in (told, *told["elsewhere"])}
    assert flat == {"binance-um-demo": False, "sim": True, "sim-cm": False, "sim-spot": True}
    assert "binance-um-demo: not everything is closed" in home_exchange.stderr
    assert "needs TIDEMARK_EXCHANGES__BINANCE_UM_DEMO__KEYS" in home_exchange.stderr
    assert "sim-cm: not everything is closed" in home_exchange.stderr
    assert halted(db, "sim", "sim-cm", "binance-um-demo") == ["sim", "sim-cm", "binance-um-demo"]


def test_what_an_older_version_remembered_of_its_place_is_read(home: Path) -> None:
    (home / "executor.json").write_text('{"environment": "binance-um", "exchange": null, "installation": "abc123"}')
    assert remembered(home) == {"binance-um": Place("binance-um", None, "abc123")}


def test_the_doctor_looks_at_each_exchange_that_is_run(tidemark: Run, db: Any) -> None:
    with Simulator.start(markets=("um", "cm", "spot")) as running:
        at = {"TIDEMARK_SIM_URL": running.url, "TIDEMARK_ALSO": "sim-cm,sim-spot"}
        told = json.loads(tidemark("doctor", "--only", "exchange", "--json", **at).stdout)
        found = [one["found"] for one in told["findings"] if one["check"] == "exchange"]
        assert found == ["sim: sim answers", "sim-cm: sim-cm answers", "sim-spot: sim-spot answers"]
        alone = json.loads(tidemark("doctor", "--only", "exchange", "--exchange", "sim-cm", "--json", **at).stdout)
        assert alone["findings"][0]["found"] == "sim-cm answers"
    away = tidemark("doctor", "--only", "exchange", TIDEMARK_ALSO="sim-cm")
    assert away.exit_code == 3
    assert "sim-cm: the simulator has the markets um; not 'cm'" in away.stdout
