import json
import os
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from pipeline.app.wiring import exchange_of, intervals_of, strategies_of
from pipeline.errors import UsageError
from pipeline.exchange.environments import PRODUCTION
from pipeline.settings import KEYLESS, Settings, load, take_keys, without_keys


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and an environment without settings."""
    for name in [name for name in os.environ if name.startswith("TIDEMARK_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(f"TIDEMARK_{name}", value)
    with pytest.raises(UsageError) as error:
        load()
    assert error.value.exit_code == 2
    assert error.value.__cause__ is None
    assert error.value.__context__ is None
    return str(error.value)


def test_keys_are_taken_out_of_an_environment_and_nothing_else() -> None:
    held = {f"TIDEMARK_{name}": "x" for name in ("API_KEY", "API_SECRET", "API_KEY_FILE", "PRIVATE_KEY_FILE")}
    others = {"TIDEMARK_HOME": "here", "API_KEY": "of something else", "PATH": "/bin"}
    environ = held | {"tidemark_api_secret_file": "x"} | others
    assert without_keys(environ) == others
    assert take_keys(environ).keys() == held.keys() | {"tidemark_api_secret_file"}
    assert environ == others | KEYLESS


def test_the_defaults_are_safe_and_local(folder: Path) -> None:
    settings = load()
    assert settings.home == folder / ".tidemark"
    assert (settings.environment, settings.mode, settings.mongo_uri) == ("sim", "signal-only", None)
    assert settings.symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    assert settings.intervals == ("15m", "1h", "1d")
    assert settings.history_days == 300
    assert settings.indicators.sma == (7, 20, 60, 120)


def test_the_file_beats_the_default_and_the_environment_beats_the_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "tidemark.toml").write_text(
        'symbols = ["ADAUSDT"]\nhistory_days = 10\n[risk]\nleverage = 2\nunit_percent = "0.5"\n'
    )
    monkeypatch.setenv("TIDEMARK_HISTORY_DAYS", "20")
    monkeypatch.setenv("TIDEMARK_RISK__LEVERAGE", "4")
    settings = load()
    assert settings.symbols == ("ADAUSDT",)
    assert settings.history_days == 20
    assert (settings.risk.leverage, settings.risk.unit_percent) == (4, Decimal("0.5"))


def test_another_file_can_be_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "other.toml").write_text('database = "elsewhere"')
    monkeypatch.setenv("TIDEMARK_CONFIG", str(folder / "other.toml"))
    assert load().database == "elsewhere"


@pytest.mark.parametrize(
    "text", ["btcusdt,ETHUSDT", "BTCUSDT ETHUSDT", " BTCUSDT , ETHUSDT,btcusdt", '["BTCUSDT","ETHUSDT"]']
)
def test_a_list_in_the_environment(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_SYMBOLS", text)
    assert load().symbols == ("BTCUSDT", "ETHUSDT")


def test_a_list_of_numbers_and_of_paths_in_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_INDICATORS__SMA", "5,10,20,50")
    monkeypatch.setenv("TIDEMARK_STRATEGY_PATHS", "mine.py,/other.py")
    assert load().indicators.sma == (5, 10, 20, 50)
    assert load().strategy_paths == (folder / "mine.py", Path("/other.py"))


def test_parameters_of_strategies(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tidemark.toml").write_text(
        'strategies = ["ma_breakout"]\n[strategy_parameters.ma_breakout]\nn = 60\n'
        "[strategy_parameters.rsi_reversal]\nlow = 25.5\nhigh = 80\n"
    )
    monkeypatch.setenv("TIDEMARK_STRATEGY_PARAMETERS__RSI_REVERSAL__HIGH", "75")
    settings = load()
    assert settings.strategies == ("ma_breakout",)
    assert settings.strategy_parameters == {"ma_breakout": {"n": 60}, "rsi_reversal": {"low": 25.5, "high": "75"}}


def test_parameters_written_in_the_wrong_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tidemark.toml").write_text("[strategies.ma_breakout]\nn = 60\n")
    said = refused(monkeypatch)
    assert said.startswith(f"strategies in {folder / 'tidemark.toml'} = {{'ma_breakout': {{'n': 60}}}}: a table of")
    assert said.endswith("is written in [strategy_parameters.ma_breakout]")


def test_which_strategies_run_where(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tidemark.toml").write_text(
        '[strategies.macd_cross]\nintervals = ["15m", "1h"]\n[strategies.bollinger]\n'
    )
    assert intervals_of(load()) == {"macd_cross": ("15m", "1h")}
    assert [one.name for one in strategies_of(load())] == ["macd_cross", "bollinger"]
    monkeypatch.setenv("TIDEMARK_STRATEGIES__BOLLINGER__INTERVALS", "1d 1h")
    assert intervals_of(load()) == {"macd_cross": ("15m", "1h"), "bollinger": ("1d", "1h")}
    monkeypatch.setenv("TIDEMARK_STRATEGIES", "rsi_reversal")
    monkeypatch.delenv("TIDEMARK_STRATEGIES__BOLLINGER__INTERVALS")
    assert (load().strategies, intervals_of(load())) == (("rsi_reversal",), {})


@pytest.mark.parametrize(
    ("intervals", "says"),
    [
        ('["15x"]', "unknown interval '15x'. Did you mean '15m'?"),
        ("[]", "names at least one interval; a strategy that is not to run is left out"),
    ],
)
def test_a_strategy_that_could_run_nowhere(
    folder: Path, monkeypatch: pytest.MonkeyPatch, intervals: str, says: str
) -> None:
    (folder / "tidemark.toml").write_text(f"[strategies.macd_cross]\nintervals = {intervals}\n")
    said = refused(monkeypatch)
    assert says in said
    assert said.count("\n") == 0


def test_a_group_as_json_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_RISK", json.dumps({"leverage": 7}))
    assert load().risk.leverage == 7


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_SIM_URL", "")
    assert load().sim_url is None


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ENVIRONMENT", "simm", "Did you mean 'sim'? Allowed: sim, sim-cm, sim-spot, binance-um-demo, "),
        ("ALSO", "binance-cm,binanse-spot", "unknown exchange 'binanse-spot'. Did you mean 'binance-spot'?"),
        ("TRIES", "0", "greater than or equal to 1"),
        ("WEIGHT_BUFFER", "0.96", "less than or equal to 0.95"),
        ("EXCHANGES__BINANCE_CM__TIMEOUT", "31", "less than or equal to 30"),
        ("EXCHANGES__SIM_CM__SYMBOLS", "BTC/USD", "'BTC/USD' is no symbol"),
        ("MODE", "auto", "'signal-only' or 'auto-execute'"),
        ("ASYNC_DRIVER", "asyncpg", "'pymongo' or 'motor'"),
        ("HISTORY_DAYS", "0", "greater than or equal to 1"),
        ("HISTORY_DAYS", "many", "valid integer"),
        ("INTERVALS", "1h,15x", "unknown interval '15x'. Did you mean '15m'?"),
        ("SYMBOLS", "BTC/USDT", "'BTC/USDT' is no symbol"),
        ("SYMBOLS", '["BTC', "Unterminated string"),
        ("SIM_URL", "localhost:9876", "must begin with http:// or https://"),
        ("REST_URL", "fapi.binance.com", "must begin with http:// or https://"),
        ("STREAM_URL", "https://fstream.binance.com", "must begin with ws:// or wss://"),
        ("TIMEOUT", "0.5", "greater than or equal to 1"),
        ("TIMEOUT", "31", "less than or equal to 30"),
        ("RECV_WINDOW", "499", "greater than or equal to 500"),
        ("RECV_WINDOW", "60001", "less than or equal to 60000"),
        ("DATABASE", "a.b", "should match pattern"),
        ("RISK__LEVERAGE", "200", "less than or equal to 125"),
        ("RISK__UNIT_PERCENT", "0", "greater than 0"),
        ("INDICATORS__SMA", "7,20", "four rising periods"),
        ("INDICATORS__ATR_KIND", "median", "'wilder' or 'simple'"),
        ("INDICATORS__SMA", "7,20,20,60", "four rising periods"),
        ("LOG", "xml", "'human' or 'json'"),
    ],
)
def test_a_bad_value_names_the_setting_the_value_and_what_is_allowed(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = refused(monkeypatch, **{name: value})
    assert text.startswith(f"TIDEMARK_{name} = ")
    assert value in text
    assert said in text


def test_addresses_and_patience_of_an_exchange_are_those_of_its_environment_or_ones_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TIDEMARK_ENVIRONMENT", "binance-um")
    assert exchange_of(load()) == PRODUCTION
    chosen = {"REST_URL": "https://gateway/um/", "STREAM_URL": "wss://gateway", "TIMEOUT": "4", "RECV_WINDOW": "2500"}
    for name, value in chosen.items():
        monkeypatch.setenv(f"TIDEMARK_{name}", value)
    place = exchange_of(load())
    assert (place.rest_url, place.stream_url) == ("https://gateway/um", "wss://gateway")
    assert (place.read_timeout, place.recv_window) == (4.0, 2_500)
    assert (place.name, place.archive_url) == (PRODUCTION.name, PRODUCTION.archive_url)


@pytest.mark.parametrize(("name", "value"), [("REST_URL", "http://elsewhere"), ("STREAM_URL", "ws://elsewhere")])
def test_a_simulator_has_one_address(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "sim_url" in refused(monkeypatch, ENVIRONMENT="sim", **{name: value})


def test_a_bad_value_in_the_file_names_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tidemark.toml").write_text("[risk]\nleverage = 0\n")
    assert refused(monkeypatch).startswith(f"risk.leverage in {folder / 'tidemark.toml'} = 0: must be")


def test_every_problem_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(refused(monkeypatch, MODE="x", LOG="y", HISTORY_DAYS="z").splitlines()) == 3


def test_values_that_contradict_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(monkeypatch, INDICATORS__MACD_FAST="30")
    assert "macd_fast (30) must be shorter than macd_slow (26)" in text


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ENVIROMENT", "Did you mean TIDEMARK_ENVIRONMENT?"),
        ("RISK__LEVERGE", "Did you mean TIDEMARK_RISK__LEVERAGE?"),
        ("STRATEGY_PARAMETER__RSI_REVERSAL", "Did you mean TIDEMARK_STRATEGY_PARAMETERS?"),
        ("XYZZY", "Allowed: TIDEMARK_CONFIG, TIDEMARK_HOME,"),
    ],
)
def test_an_unknown_variable_is_refused(name: str, hint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert f"TIDEMARK_{name} is not a setting. {hint}" in refused(monkeypatch, **{name: "1"})


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("symbol = []", "is not a setting. Did you mean symbols?"),
        ("[risk]\nleverge = 1", "risk.leverge in"),
        ("[risc]\nleverage = 1", "Did you mean risk?"),
    ],
)
def test_an_unknown_key_is_refused(text: str, hint: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tidemark.toml").write_text(text)
    assert hint in refused(monkeypatch)


def test_an_unknown_key_within_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    text = refused(monkeypatch, RISK='{"leverge": 1}')
    assert text == "risk.leverge is not a setting. Did you mean risk.leverage?"


@pytest.mark.parametrize("text", ["symbols = [", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_refused(text: str | bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tidemark.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert "tidemark.toml cannot be read as TOML: " in refused(monkeypatch)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "history_days = 9\nsymbols = [\u201cBTCUSDT\u201d]",
            "(at line 2, column 12): symbols. Write straight quotes (\" or '), not \u201c",
        ),
        ("api_secret = \u2018hushhush\u2019", "(at line 1, column 14): api_secret. Write straight quotes"),
        ("history_days = 9\n[risk\nleverage = 2", "(at line 2, column 6): [risk."),
    ],
)
def test_a_slip_in_the_file_is_shown_by_its_line_and_setting_but_never_by_its_value(
    text: str, says: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "tidemark.toml").write_text(text)
    said = refused(monkeypatch)
    assert says in said
    assert "hush" not in said


def test_a_named_file_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "nowhere.toml, which does not exist" in refused(monkeypatch, CONFIG="nowhere.toml")


URI = "mongodb://user:hunter2@db.example/?replicaSet=a"


def test_secrets_come_from_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("mongo_uri", URI), ("api_key", "key"), ("api_secret", "hunter2")):
        (folder / name).write_text(f"{text}\n")
        monkeypatch.setenv(f"TIDEMARK_{name.upper()}_FILE", name)
    settings = load()
    assert settings.mongo_uri == SecretStr(URI)
    assert settings.api_key == SecretStr("key")
    assert settings.api_secret == SecretStr("hunter2")


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read: No such file or directory"), (" \n", "is empty")]
)
def test_a_secret_file_that_gives_no_secret(
    content: str | None, said: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if content is not None:
        (folder / "secret").write_text(content)
    assert said in refused(monkeypatch, API_SECRET_FILE=str(folder / "secret"))


def test_a_secret_and_its_file_are_one_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "api_key and api_key_file are both set" in refused(monkeypatch, API_KEY="hunter2", API_KEY_FILE="file")


def secrets_of(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TIDEMARK_MONGO_URI", URI)
    monkeypatch.setenv("TIDEMARK_API_KEY", "hunter2")
    monkeypatch.setenv("TIDEMARK_API_SECRET", "hunter2")
    monkeypatch.setenv("TIDEMARK_PROXY", "http://user:hunter2@proxy:8080")
    return load()


def test_no_secret_is_ever_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = secrets_of(monkeypatch)
    shown = [repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()]
    assert all("hunter2" not in text for text in shown)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONGO_URI", "postgres://user:hunter2@h/"),
        ("PROXY", "ftp://user:hunter2@h"),
        ("HISTORY_DAYS", "none"),
        ("INDICATORS__MACD_FAST", "30"),
    ],
)
def test_no_error_shows_a_secret(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets_of(monkeypatch)
    assert "hunter2" not in refused(monkeypatch, **{name: value})


def test_pydantic_itself_shows_no_secret_either() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(mongo_uri=SecretStr("postgres://user:hunter2@h/"), api_key="hunter2", history_days="hunter2")
    assert "hunter2" not in str(refused.value)


def test_settings_do_not_change_under_way() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().mode = "auto-execute"  # type: ignore[misc]


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "k\u00e9y", "tab\tbed"])
def test_a_key_that_was_copied_wrongly_is_refused_before_it_is_sent(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    said = refused(monkeypatch, API_KEY=key)
    assert "TIDEMARK_API_KEY: must be one word" in said
    assert key not in said


@pytest.mark.parametrize("key", ["a" * 31, "A1" * 32 + "-", "a" * 129])
def test_at_binance_a_key_looks_like_a_key(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    said = refused(monkeypatch, API_KEY=key, ENVIRONMENT="binance-um-demo")
    assert f"api_key has {len(key)} characters and is no key of Binance's" in said
    assert key not in said


def test_a_key_of_binance_is_taken_and_the_simulator_has_keys_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMARK_API_KEY", "sim-key")
    assert load().api_key == SecretStr("sim-key")
    monkeypatch.setenv("TIDEMARK_API_KEY", "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A")
    monkeypatch.setenv("TIDEMARK_ENVIRONMENT", "binance-um")
    assert load().api_key is not None


@pytest.mark.parametrize(
    "proxy",
    [
        "http://", "http://:8080", "http://me:hunter2@", "http://me:hunter2@proxy:port", "http://me:hunter2@proxy/path",
        "http://me:hunter2%2F@proxy:1", "http://me:hunter2%20@proxy:1", "http://me:hunter2%C3%A4@proxy:1",
        "http://me:hunter2%FF@proxy:1", "http://me:hunter2[@proxy:1", "http://me:hunter2\uff0f@proxy:1",
    ],
)  # fmt: skip
def test_a_proxy_that_rest_and_streams_cannot_both_use_is_refused_and_not_shown(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = refused(monkeypatch, PROXY=proxy)
    assert told.startswith("TIDEMARK_PROXY: must look like http://name:password@host:port")
    assert "hunter2" not in told
