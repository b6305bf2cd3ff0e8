"""Several exchanges in one installation: what is said of one is not so at another."""

import os
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from pipeline.app.trading_access import may_execute
from pipeline.app.wiring import exchange_of, strategies_of
from pipeline.errors import UsageError
from pipeline.settings import Settings, load, secrets_of, without_keys

KEY, OTHER = "A1" * 32, "B2" * 32


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and an environment without settings."""
    for name in [name for name in os.environ if name.startswith("TIDEMARK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, text: str) -> Settings:
    (folder / "tidemark.toml").write_text(text)
    return load()


@pytest.mark.parametrize(
    ("environment", "symbols", "fee"),
    [
        ("binance-um-demo", ("BTCUSDT", "ETHUSDT", "SOLUSDT"), "0.05"),
        ("binance-cm", ("BTCUSD_PERP", "ETHUSD_PERP"), "0.05"),
        ("sim-spot", ("BTCUSDT", "ETHUSDT"), "0.1"),
    ],
)
def test_a_market_has_symbols_of_its_own(
    environment: str, symbols: tuple[str, ...], fee: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = load().at(environment)
    monkeypatch.setenv("TIDEMARK_ENVIRONMENT", environment)
    for settings in (at, load()):
        assert (settings.environment, settings.symbols) == (environment, symbols)
        assert settings.taker_fee_percent == Decimal(fee)


def test_what_is_said_of_an_exchange_counts_there_alone(folder: Path) -> None:
    settings = written(
        folder,
        'environment = "binance-um"\nsymbols = ["XRPUSDT"]\ntimeout = 7\nrest_url = "https://gateway/um"\n'
        '[exchanges.binance-um]\nweight_buffer = 0.3\nmode = "auto-execute"\n'
        '[exchanges.binance-cm]\nsymbols = ["btcusd_261225"]\nrest_url = "https://gateway/cm"\ntries = 2\n'
        'intervals = ["1h"]\nproxy = "http://proxy:1"\n',
    )
    um, cm, spot = (
        exchange_of(settings),
        exchange_of(settings.at("binance-cm")),
        exchange_of(settings.at("binance-spot")),
    )
    assert (um.rest_url, um.weight_buffer, um.read_timeout) == ("https://gateway/um", 0.3, 7)
    assert (cm.rest_url, cm.weight_buffer, cm.read_timeout, cm.retries) == ("https://gateway/cm", 0.6, 7, 1)
    assert (spot.rest_url, spot.proxy, cm.proxy) == ("https://api.binance.com", None, "http://proxy:1")
    assert settings.at("binance-cm").symbols == ("BTCUSD_261225",)
    assert [settings.at(one).mode for one in ("binance-um", "binance-cm")] == ["auto-execute", "signal-only"]
    assert settings.at("binance-um-demo").symbols == ("XRPUSDT",), "the same market, and nothing else is said"
    assert settings.at("binance-cm").at("binance-um") == settings


def test_a_variable_beats_the_table_of_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_EXCHANGES__BINANCE_CM__SYMBOLS", "ETHUSD_PERP")
    settings = written(folder, '[exchanges.binance-cm]\nsymbols = ["BTCUSD_PERP"]\ntries = 4\n').at("binance-cm")
    assert (settings.symbols, settings.tries) == (("ETHUSD_PERP",), 4)


def test_keys_go_to_no_other_money(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ENVIRONMENT", "binance-um"), ("API_KEY", KEY), ("API_SECRET", "hush")):
        monkeypatch.setenv(f"TIDEMARK_{name}", value)
    settings = load()
    keys = {
        name: settings.at(name).api_key for name in ("binance-cm", "binance-um-demo", "binance-spot-testnet", "sim")
    }
    assert keys == {"binance-cm": SecretStr(KEY), "binance-um-demo": None, "binance-spot-testnet": None, "sim": None}


def test_an_exchange_has_keys_of_its_own_in_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "cm").mkdir()
    (folder / "cm" / "api_key").write_text(OTHER + "\n")
    for name, value in (("ENVIRONMENT", "binance-um"), ("API_KEY", KEY), ("API_SECRET", "hush")):
        monkeypatch.setenv(f"TIDEMARK_{name}", value)
    monkeypatch.setenv("TIDEMARK_EXCHANGES__BINANCE_CM__KEYS", "cm")
    with pytest.raises(UsageError, match=r"keys = '.*api_secret' cannot be read: No such file"):
        load().at("binance-cm")
    (folder / "cm" / "api_secret").write_text("other")
    at = load().at("binance-cm")
    assert (at.api_key, at.api_secret) == (SecretStr(OTHER), SecretStr("other"))
    assert {OTHER, "other"} <= set(secrets_of(at))
    assert load().at("binance-spot").api_key == SecretStr(KEY)
    (folder / "cm" / "private_key").write_text("a PEM")
    at = load().at("binance-cm")
    assert (at.api_secret, at.private_key_file) == (None, folder / "cm" / "private_key")


def test_what_leads_to_keys_of_an_exchange_is_taken_out_too() -> None:
    held = {"TIDEMARK_EXCHANGES__BINANCE_CM__KEYS": "cm", "TIDEMARK_EXCHANGES__BINANCE_CM__TRIES": "2"}
    assert without_keys(held) == {"TIDEMARK_EXCHANGES__BINANCE_CM__TRIES": "2"}


def test_real_money_is_confirmed_for_each_market(folder: Path) -> None:
    said = 'confirm_production = "I trade real money"\n'
    settings = written(folder, f'environment = "binance-um"\n{said}[exchanges.binance-spot]\n{said}')
    asked = {name: may_execute(settings.at(name)) for name in ("binance-um", "binance-cm", "binance-spot", "sim-cm")}
    assert asked == {"binance-um": True, "binance-cm": False, "binance-spot": True, "sim-cm": True}


def test_no_proxy_of_an_exchange_is_shown(folder: Path) -> None:
    settings = written(folder, '[exchanges.binance-cm]\nproxy = "http://me:hunter2@proxy:1"\n')
    assert "hunter2" not in repr(settings)
    assert "http://me:hunter2@proxy:1" in secrets_of(settings)
    with pytest.raises(UsageError) as refused:
        written(folder, '[exchanges.binance-cm]\nproxy = "ftp://me:hunter2@proxy:1"\n')
    assert "exchanges.binance_cm.proxy" in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[exchanges.binance-cm]\ntimeoot = 1\n", "exchanges.binance_cm.timeoot in"),
        ("[exchanges.binance]\ntimeout = 1\n", "exchanges.binance in"),
        ('[exchanges.sim-cm]\nrest_url = "https://h"\n', "[exchanges.sim-cm]: rest_url and stream_url are"),
        ("[exchanges.binance-cm]\ntimeout = 99\n", "exchanges.binance_cm.timeout in"),
    ],
)
def test_what_cannot_be_said_of_an_exchange(text: str, said: str, folder: Path) -> None:
    with pytest.raises(UsageError) as refused:
        written(folder, text)
    assert said in str(refused.value)
    assert str(refused.value).count("\n") == 0


def test_those_that_are_run(folder: Path) -> None:
    settings = written(folder, 'environment = "sim-um"\nalso = ["sim-cm", "sim", "sim-spot"]\n')
    assert settings.every == ("sim", "sim-cm", "sim-spot")
    with pytest.raises(UsageError, match=r"unknown exchange 'binance-cn'. Did you mean 'binance-cm'"):
        settings.at("binance-cn")


def test_a_strategy_runs_on_the_markets_it_is_for(folder: Path) -> None:
    (folder / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\n"
        "import numpy as np\n\n\n@dataclass(frozen=True)\nclass Falls:\n"
        '    name: ClassVar[str] = "falls"\n    markets: ClassVar[frozenset[str]] = frozenset({"um", "cm"})\n'
        '    needs: ClassVar[tuple[str, ...]] = ("close",)\n    lookback: ClassVar[int] = 1\n\n'
        '    def signals(self, columns):\n        return np.zeros(len(columns["close"]), dtype=np.int8)\n'
    )
    settings = written(folder, 'strategies = ["macd_cross"]\nstrategy_paths = ["mine.py:Falls"]\n')
    run = {name: [one.name for one in strategies_of(settings.at(name))] for name in ("sim", "sim-cm", "sim-spot")}
    assert run == {"sim": ["macd_cross", "falls"], "sim-cm": ["macd_cross", "falls"], "sim-spot": ["macd_cross"]}


@pytest.mark.parametrize(("environment", "said"), [('["sim"]', "environment in"), ("7", "environment in")])
def test_an_exchange_is_named_by_a_word(environment: str, said: str, folder: Path) -> None:
    with pytest.raises(UsageError, match=said):
        written(folder, f"environment = {environment}\n")
