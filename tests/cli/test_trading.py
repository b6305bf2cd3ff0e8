"""`tidemark trading` takes no name that nobody knows: a slip of the pen would leave what was meant untouched.
And a key file that cannot be read is said in a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.store.symbols import SymbolStore
from tests.contracts import contract

Run = Callable[..., Any]


@pytest.fixture
def listed(db: Any) -> None:
    """What the exchange trades, as an ingester stored it."""
    SymbolStore(db).save(contract(name) for name in ("BTCUSDT", "BTCUSDC", "DOGEUSDT", "OLDUSDT"))


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("wrong", [["BTCUSTD", "--off"], ["btcustd"], ["BTCUSTD", "--leverage", "2"]])
def test_a_symbol_that_nobody_knows_is_refused_with_the_nearest(tidemark: Run, wrong: list[str]) -> None:
    refused = tidemark("trading", *wrong)
    assert refused.exit_code == 2
    assert "BTCUSTD" in refused.stderr
    assert "Did you mean BTCUSDT?" in refused.stderr
    assert json.loads(tidemark("trading", "--json").stdout) == []


@pytest.mark.usefixtures("listed")
def test_a_symbol_that_is_listed_is_taken(tidemark: Run) -> None:
    assert tidemark("trading", "dogeusdt", "--off").exit_code == 0
    (found,) = json.loads(tidemark("trading", "DOGEUSDT", "--json").stdout)
    assert (found["symbol"], found["enabled"]) == ("DOGEUSDT", False)


def test_where_nothing_is_stored_the_settings_say_which_symbols_there_are(tidemark: Run) -> None:
    assert tidemark("trading", "SOLUSDT", "--off").exit_code == 0
    refused = tidemark("trading", "SOLUSDC", "--off")
    assert refused.exit_code == 2
    assert "Did you mean SOLUSDT?" in refused.stderr


@pytest.mark.usefixtures("listed")
def test_a_strategy_that_nobody_knows_is_refused_with_the_nearest(tidemark: Run) -> None:
    refused = tidemark("trading", "BTCUSDT", "--strategy", "macd_turtel")
    assert refused.exit_code == 2
    assert "Did you mean macd_turtle?" in refused.stderr
    assert tidemark("trading", "BTCUSDT", "--strategy", "macd_turtle", "--strategy", "ma_breakout").exit_code == 0
    (found,) = json.loads(tidemark("trading", "--json").stdout)
    assert found["strategies"] == ["macd_turtle", "ma_breakout"]


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("option", "amount"),
    [("--max-position", "1e400"), ("--stop-atr", "1e9"), ("--stop-atr", "1e-400"), ("--take-profit-atr", "Infinity")],
)
def test_an_amount_that_cannot_be_meant_is_refused(tidemark: Run, option: str, amount: str) -> None:
    refused = tidemark("trading", "BTCUSDT", option, amount)
    assert refused.exit_code == 2
    assert amount in refused.stderr
    assert json.loads(tidemark("trading", "--json").stdout) == []


@pytest.mark.parametrize("content", [None, b"\xff\xfe not text"])
@pytest.mark.parametrize("command", [["execute"], ["halt", "--flatten"]])
def test_a_key_file_that_cannot_be_read_is_named(
    tidemark: Run, home: Path, command: list[str], content: bytes | None
) -> None:
    file = home / "key.pem"
    if content is not None:
        file.write_bytes(content)
    refused = tidemark(*command, TIDEMARK_API_KEY="k" * 64, TIDEMARK_PRIVATE_KEY_FILE=str(file))
    assert refused.exit_code in {2, 3}
    assert str(file) in refused.stderr.replace("\n", "")
    assert "TIDEMARK_PRIVATE_KEY_FILE" in refused.stderr


@pytest.mark.usefixtures("listed")
def test_intervals_may_be_chosen_and_one_that_there_is_not_is_refused(tidemark: Run) -> None:
    refused = tidemark("trading", "BTCUSDT", "--interval", "1hour")
    assert refused.exit_code == 2
    assert "unknown interval '1hour'" in refused.stderr
    assert tidemark("trading", "BTCUSDT", "--interval", "1h", "--interval", "1d").exit_code == 0
    (found,) = json.loads(tidemark("trading", "--json").stdout)
    assert found["intervals"] == ["1h", "1d"]
    assert "1h, 1d" in tidemark("trading").stdout
    assert tidemark("trading", "BTCUSDT", "--interval", "default").exit_code == 0
    (found,) = json.loads(tidemark("trading", "--json").stdout)
    assert found["intervals"] is None


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("what", ["stop", "take-profit"])
def test_a_distance_is_in_atr_or_in_percent(tidemark: Run, what: str) -> None:
    both = tidemark("trading", "BTCUSDT", f"--{what}-atr", "2", f"--{what}-percent", "1.5")
    assert both.exit_code == 2
    assert f"either --{what}-atr or --{what}-percent" in both.stderr
    name = what.replace("-", "_")
    for last, other in (("atr", "percent"), ("percent", "atr")):
        assert tidemark("trading", "BTCUSDT", f"--{what}-{last}", "1.5").exit_code == 0
        (found,) = json.loads(tidemark("trading", "--json").stdout)
        assert (found[f"{name}_{last}"], found[f"{name}_{other}"]) == ("1.5", None)
    refused = tidemark("trading", "BTCUSDT", f"--{what}-percent", "100000")
    assert refused.exit_code == 2
    assert f"{what}-percent must be a number" in refused.stderr


def test_in_production_nothing_is_switched_on_by_another_setting(tidemark: Run, monkeypatch: Any) -> None:
    monkeypatch.setenv("TIDEMARK_ENVIRONMENT", "binance-um")
    assert "none is" in tidemark("trading").stdout
    assert tidemark("trading", "BTCUSDT", "--leverage", "2").exit_code == 0
    (found,) = json.loads(tidemark("trading", "--json").stdout)
    assert found["enabled"] is None
    shown = tidemark("trading", "BTCUSDT", "--on").stdout
    assert "only what is switched on is traded: BTCUSDT" in shown


@pytest.mark.usefixtures("listed")
def test_a_symbol_has_a_profit_target_for_the_day(tidemark: Run) -> None:
    assert tidemark("trading", "BTCUSDT", "--daily-profit", "2", "--when-reached", "close").exit_code == 0
    (found,) = json.loads(tidemark("trading", "--json").stdout)
    assert (found["daily_profit_percent"], found["when_reached"]) == ("2", "close")
    assert tidemark("trading", "BTCUSDT", "--daily-profit", "default", "--when-reached", "stop").exit_code == 0
    (found,) = json.loads(tidemark("trading", "--json").stdout)
    assert (found["daily_profit_percent"], found["when_reached"]) == (None, "stop")
    for wrong in (["--daily-profit", "lots"], ["--daily-profit", "-1"], ["--when-reached", "dance"]):
        assert tidemark("trading", "BTCUSDT", *wrong).exit_code == 2


def test_the_account_has_a_profit_target_for_the_day(tidemark: Run, monkeypatch: Any) -> None:
    assert "no profit target" in tidemark("goal").stdout
    assert tidemark("goal", "--daily-profit", "3", "--when-reached", "close").exit_code == 0
    found = json.loads(tidemark("goal", "--json").stdout)
    assert (found["daily_profit_percent"], found["when_reached"]) == ("3", "close")
    assert tidemark("goal", "--daily-profit", "three").exit_code == 2
    monkeypatch.setenv("TIDEMARK_RISK__DAILY_PROFIT_PERCENT", "4")
    assert "4 %, then close" in tidemark("goal", "--daily-profit", "default").stdout
