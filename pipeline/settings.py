"""Every setting, once: defaults, then `tidemark.toml`, then the environment (`TIDEMARK_*`). Reads; never writes.

`load()` is the only way in. A value that cannot be is refused with its name, the value and what is allowed; a name that
does not exist is refused with the nearest that does. Secrets are `SecretStr`, may come from a file (`..._FILE`), and
appear in no message. A manager of secrets is asked for those that are set nowhere.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from pipeline import timeline
from pipeline.errors import UsageError
from pipeline.secret_managers import ALLOWED, is_address, manager
from schemas.shared import Mode

PREFIX = "TIDEMARK_"
FILE_NAME = "tidemark.toml"
_CURLY = re.compile("[\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb]")
PRODUCTION_PHRASE = "I trade real money"
BINANCE_KEY = re.compile(r"[A-Za-z0-9]{32,128}")
"""Today's have 64 characters; nobody promises that for ever."""

IN_FILES = ("mongo_uri", "api_key", "api_secret", "notify_urls")
"""Settings that `<name>_file` may hold instead."""

MANAGED = (*IN_FILES, "proxy")
"""Settings that a manager of secrets may hold instead."""

SECRETS = (*IN_FILES, "proxy", "notify_urls")
"""Settings whose value is never shown. `secrets_of` gives the values."""

KEYS = ("api_key", "api_key_file", "api_secret", "api_secret_file", "private_key_file")
"""Settings that hold, or lead to, what it takes to trade."""

KEYLESS = {f"{PREFIX}API_KEY": "", f"{PREFIX}API_SECRET": ""}
"""Variables that say: no keys, wherever they could be had."""

OPEN_ENDED = (f"{PREFIX}STRATEGY_PARAMETERS__", f"{PREFIX}STRATEGIES__")
"""Variables whose names go on as strategies say: `..._PARAMETERS__MA_BREAKOUT__N`. Who makes strategies checks them."""

Environment = Literal["sim", "binance-um-demo", "binance-um"]
MarginType = Literal["isolated", "crossed"]


def _split(value: Any) -> Any:
    """A list in one environment variable: `BTCUSDT,ETHUSDT`, spaces for commas, or JSON."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("["):
        return json.loads(text)
    return text.replace(",", " ").split()


def _strategy_names(value: Any) -> Any:
    if isinstance(value, str) and value.strip().startswith("{"):
        value = json.loads(value)
    if not isinstance(value, dict):
        return _split(value)
    odd = {name: table for name, table in value.items() if not isinstance(table, dict) or table.keys() - {"intervals"}}
    if odd:
        tables = ", ".join(f"[strategy_parameters.{name}]" for name in odd)
        raise ValueError(
            f"a table of a strategy to run holds its intervals alone; what it is to go by is written in {tables}"
        )
    return value


def _some(intervals: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if intervals is not None and not intervals:
        raise ValueError("names at least one interval; a strategy that is not to run is left out")
    return intervals


def _words(value: Any) -> Any:
    """A list in one environment variable or file, by white space alone: an address may hold commas."""
    if isinstance(value, str) and not value.strip().startswith("["):
        return value.split()
    return _split(value)


def _four_rising(periods: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    if list(periods) != sorted(set(periods)) or not 2 <= periods[0] <= periods[-1] <= 500:
        raise ValueError("must be four rising periods from 2 to 500")
    return periods


def _four(value: Any) -> Any:
    periods = _split(value)
    if isinstance(periods, list | tuple) and len(periods) != 4:
        raise ValueError("must be four rising periods from 2 to 500")
    return periods


def _symbol(text: str) -> str:
    symbol = text.strip().upper()
    if not symbol.replace("_", "").isalnum():
        raise ValueError(f"{text!r} is no symbol; write it as the exchange does, for example BTCUSDT")
    return symbol


def _unique(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _mongo_uri(uri: SecretStr) -> SecretStr:
    if not uri.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must begin with mongodb:// or mongodb+srv://")
    return uri


def _proxy(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    if not _is_proxy(url.get_secret_value()):
        raise ValueError(
            "must look like http://name:password@host:port; name and password may be percent-encoded, and hold ASCII "
            "characters other than / ? # [ ] and white space"
        )
    return url


def _is_proxy(text: str) -> bool:
    try:
        parts = urlsplit(text)
        names = unquote(f"{parts.username or ''}{parts.password or ''}", errors="strict")
        reaches = parts.hostname is not None and parts.port != 0
    except ValueError:  # its words would show the password
        return False
    is_bare = not (parts.path.strip("/") or parts.query or parts.fragment)
    return reaches and is_bare and names.isascii() and not any(one in "/?#[]" or one <= " " for one in names)


def _api_key(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("must be one word of plain letters and digits, copied whole and without quotes or line breaks")
    return key


def _manager(address: str) -> str:
    if not is_address(address):
        raise ValueError(f"must be {ALLOWED}")
    return address


def _notify_urls(urls: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
    if not all("://" in url.get_secret_value() for url in urls):
        raise ValueError("each must look like service://..., several are separated by spaces")
    return urls


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return text.rstrip("/")


def _stream_url(text: str) -> str:
    if not text.startswith(("ws://", "wss://")):
        raise ValueError("must begin with ws:// or wss://")
    return text.rstrip("/")


def _path(path: Path) -> Path:
    return path.expanduser().absolute()


Url = Annotated[str, AfterValidator(_url)]
StreamUrl = Annotated[str, AfterValidator(_stream_url)]
AbsolutePath = Annotated[Path, AfterValidator(_path)]
Symbol = Annotated[str, AfterValidator(_symbol)]
IntervalCode = Annotated[str, AfterValidator(lambda code: timeline.interval(code).code)]
Percent = Annotated[Decimal, Field(gt=0, le=100)]


class Group(BaseModel):
    """Settings that belong together: a table in `tidemark.toml`, `TIDEMARK_<GROUP>__<NAME>` in the environment."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Indicators(Group):
    """Periods, in candles. They are recorded with the data that was computed with them."""

    rsi: int = Field(default=14, ge=2, le=400)
    macd_fast: int = Field(default=12, ge=2, le=400)
    macd_slow: int = Field(default=26, ge=2, le=400)
    macd_signal: int = Field(default=9, ge=1, le=400)
    sma: Annotated[tuple[int, int, int, int], NoDecode, BeforeValidator(_four), AfterValidator(_four_rising)] = (
        7,
        20,
        60,
        120,
    )
    atr: int = Field(default=14, ge=1, le=400)
    atr_kind: Literal["wilder", "simple"] = "wilder"
    bollinger: int = Field(default=20, ge=2, le=400)
    bollinger_deviations: float = Field(default=2.0, gt=0, le=10)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.macd_fast >= self.macd_slow:
            raise ValueError(f"macd_fast ({self.macd_fast}) must be shorter than macd_slow ({self.macd_slow})")
        return self


class Risk(Group):
    """What a position may cost. Percentages are of equity; a unit is equity x unit_percent / (ATR x leverage)."""

    unit_percent: Percent = Decimal(1)
    leverage: int = Field(default=3, ge=1, le=125)
    margin_type: MarginType = Field(default="isolated", description="isolated: a position can lose its own margin only")
    trial_units: Decimal = Field(default=Decimal("0.5"), gt=0)
    entry_units: Decimal = Field(default=Decimal(2), gt=0)
    add_units: Decimal = Field(default=Decimal(1), gt=0)
    max_units: Decimal = Field(default=Decimal(4), gt=0)
    entry_order: Literal["market", "limit"] = Field(
        default="market", description="limit: entries rest at their signal's price"
    )
    limit_seconds: int = Field(
        default=60, ge=1, description="so long, while the signal is fresh; the rest is cancelled"
    )
    stop_atr: Decimal = Field(default=Decimal(2), gt=0)
    take_profit_atr: Decimal | None = Field(default=None, gt=0)
    turn: Literal["trials", "entries"] = Field(
        default="trials", description="what turns a position round: trials, while it is one; or entries as well"
    )
    max_position_percent: Decimal | None = Field(
        default=None, gt=0, description="notional of one position; unset: its share of the margin"
    )
    margin_cushion_percent: Decimal = Field(default=Decimal(5), ge=0, lt=100, description="margin that is never used")
    max_open_positions: int = Field(default=5, ge=1)
    max_orders_per_minute: int = Field(default=30, ge=1)
    max_slippage_percent: Percent = Decimal("0.5")
    max_error_percent: Percent = Decimal(20)
    daily_loss_percent: Percent = Decimal(5)
    daily_profit_percent: Percent | None = None
    stale_feed_seconds: int = Field(default=90, ge=1)
    unprotected_seconds: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.trial_units <= self.entry_units <= self.max_units:
            raise ValueError("trial_units <= entry_units <= max_units must hold")
        return self


class StrategyIntervals(Group):
    """Where a strategy runs: on candles of these lengths. Not given: on all that are stored."""

    intervals: Annotated[tuple[IntervalCode, ...] | None, BeforeValidator(_split), AfterValidator(_some)] = None


class Settings(BaseSettings):
    """What a run goes by. Frozen; `repr` shows no secret."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        validate_default=True,
    )

    home: AbsolutePath = Field(default=Path(".tidemark"), description="everything the program writes lives here")
    minimum_free_mb: int = Field(default=512, ge=0, description="less free space than this stops the start")

    secrets: Annotated[str, AfterValidator(_manager)] | None = Field(
        default=None, description=f"a manager that has the secrets which are set nowhere else: {ALLOWED}"
    )

    mongo_uri: Annotated[SecretStr, AfterValidator(_mongo_uri)] | None = None
    mongo_uri_file: AbsolutePath | None = None
    mongo_port: int | None = Field(
        default=None, ge=1024, le=65_535, description="of the embedded database; unset: 27417, or a free one"
    )
    database: str = Field(default="tidemark", pattern=r"^[A-Za-z0-9_-]{1,38}$")
    async_driver: Literal["pymongo", "motor"] = "pymongo"

    environment: Environment = "sim"
    sim_url: Url | None = Field(default=None, description="a simulator that runs already, instead of the folder's own")
    rest_url: Url | None = Field(default=None, description="of a gateway of your own, instead of the environment's")
    stream_url: StreamUrl | None = Field(default=None, description="likewise, of the streams")
    timeout: float | None = Field(
        default=None,
        ge=1,
        le=30,
        description="seconds an answer of the exchange is waited for; unset: as the environment",
    )
    recv_window: int | None = Field(
        default=None, ge=500, le=60_000, description="how old a signed request may be, in ms; the exchange advises 5000"
    )
    proxy: Annotated[SecretStr, AfterValidator(_proxy)] | None = None
    api_key: Annotated[SecretStr, AfterValidator(_api_key)] | None = None
    api_key_file: AbsolutePath | None = None
    api_secret: SecretStr | None = None
    api_secret_file: AbsolutePath | None = None
    private_key_file: AbsolutePath | None = Field(default=None, description="RSA or Ed25519 key in PEM, for signing")

    symbols: Annotated[tuple[Symbol, ...], NoDecode, BeforeValidator(_split), AfterValidator(_unique)] = (
        "BTCUSDT",
        "ETHUSDT",
        "SOLUSDT",
    )
    intervals: Annotated[tuple[IntervalCode, ...], NoDecode, BeforeValidator(_split), AfterValidator(_unique)] = (
        "15m",
        "1h",
        "1d",
    )
    stream: Literal["kline", "continuousKline"] = Field(
        default="kline", description="continuousKline follows the pair's perpetual contract instead of its symbol"
    )
    history_days: int = Field(default=300, ge=1, le=5_000)
    indicators: Indicators = Indicators()
    strategies: Annotated[
        Annotated[tuple[str, ...], Tag("list")] | Annotated[dict[str, StrategyIntervals], Tag("table")],
        Discriminator(lambda value: "table" if isinstance(value, dict) else "list"),
        NoDecode,
        BeforeValidator(_strategy_names),
    ] = Field(
        default=(), description="names of those to run, or a table of each with its intervals; empty: all that have one"
    )
    strategy_paths: Annotated[tuple[AbsolutePath, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(), description="strategies of your own, as path/to/file.py:Name"
    )

    strategy_parameters: dict[str, dict[str, bool | int | float | str]] = Field(
        default_factory=dict, description="a table for each strategy whose parameters are not their defaults"
    )

    fresh_seconds: int = Field(
        default=300, ge=1, le=86_400, description="a signal may be acted on for half its candle, and at most this long"
    )
    open_signals: bool = Field(
        default=False, description="also show what strategies would say if the open candle closed as it is"
    )

    returns_per_minute: int = Field(
        default=20_000,
        ge=0,
        le=1_000_000,
        description="how many signals, the newest, have their stored returns refreshed; who reads gets exact ones",
    )

    taker_fee_percent: Decimal = Field(
        default=Decimal("0.05"),
        ge=0,
        le=5,
        description="of one order: for `performance`, and where the account's own is not known",
    )
    notify_urls: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_words), AfterValidator(_notify_urls)] = (
        Field(default=(), description="where new signals and alarms are sent: addresses as Apprise writes them")
    )
    notify_urls_file: AbsolutePath | None = None
    notify_per_minute: int = Field(default=6, ge=1, le=600, description="more messages than this are put into one")

    mode: Mode = "signal-only"
    confirm_production: str = Field(default="", description=f"must read {PRODUCTION_PHRASE!r} to trade in production")
    risk: Risk = Risk()
    sweep: bool = Field(
        default=False, description="let the flow `sweep` have the keys, which otherwise only the executor has"
    )

    log: Literal["human", "json"] = "human"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        return sources["env_settings"], sources["init_settings"]

    @model_validator(mode="before")
    @classmethod
    def _read_secret_files(cls, values: Any) -> Any:
        for name in IN_FILES:
            path = values.get(f"{name}_file")
            if path and values.get(name):
                raise ValueError(f"{name} and {name}_file are both set; keep one")
            if path:
                values[name] = _secret_from(name, Path(path).expanduser())
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.api_key and self.environment != "sim" and not BINANCE_KEY.fullmatch(self.api_key.get_secret_value()):
            raise ValueError(
                f"api_key has {len(self.api_key.get_secret_value())} characters and is no key of Binance's: those are "
                "64 letters and digits. Copy it again, whole"
            )
        if self.environment == "sim" and (self.rest_url or self.stream_url):
            raise ValueError("rest_url and stream_url are addresses of Binance; the one of a simulator is sim_url")
        if self.api_secret and self.private_key_file:
            raise ValueError("api_secret and private_key_file are both set; keep the one your key was made with")
        return self


def secrets_of(settings: Settings) -> list[str]:
    """What must not be read in a log."""
    values = (getattr(settings, name) for name in SECRETS)
    each = (one for value in values if value for one in (value if isinstance(value, tuple) else (value,)))
    return [secret.get_secret_value() for secret in each]


def without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables for a process that has no business with the account."""
    return {name: value for name, value in environ.items() if not _holds_key(name)}


def take_keys(environ: MutableMapping[str, str]) -> dict[str, str]:
    """The variables that hold keys. There, keys are set to nothing: what is started from now on neither has them nor
    asks a manager of secrets for them."""
    taken = {name: environ.pop(name) for name in list(environ) if _holds_key(name)}
    environ.update(KEYLESS)
    return taken


def _holds_key(variable: str) -> bool:
    return variable.upper().removeprefix(PREFIX).lower() in KEYS and variable.upper().startswith(PREFIX)


def load(folder: Path | None = None) -> Settings:
    """The settings in force in `folder` (default: the working folder), or `UsageError` that says what to mend."""
    chosen = os.environ.get(f"{PREFIX}CONFIG")
    path = Path(chosen).expanduser() if chosen else (folder or Path.cwd()) / FILE_NAME
    values = _read_toml(path, required=bool(chosen))
    problems = [*_unknown_variables(os.environ), *_unknown_keys(Settings, values, path)]
    if not problems:
        try:
            return Settings(**values, **_from_manager(values))
        except ValidationError as error:
            problems = list(dict.fromkeys(_explain(detail, path) for detail in error.errors(include_url=False)))
        except SettingsError as error:
            problems = [f"{error}: not valid JSON"]
    # Outside the handler on purpose: a chained ValidationError still holds what was typed, secrets included.
    raise UsageError("\n".join(problems))


def _from_manager(values: Mapping[str, Any]) -> dict[str, Any]:
    """What the manager of secrets has of all that is set nowhere else."""
    variables = {name.upper(): value for name, value in os.environ.items()}
    address = variables.get(f"{PREFIX}SECRETS") or values.get("secrets")
    if not isinstance(address, str) or not is_address(address):
        return {}

    def is_set(name: str) -> bool:
        return bool(variables.get(f"{PREFIX}{name}_FILE".upper()) or {name, f"{name}_file"} & values.keys())

    signs_otherwise = {"api_secret"} if variables.get(f"{PREFIX}PRIVATE_KEY_FILE") else set()
    wanted = [name for name in MANAGED if f"{PREFIX}{name}".upper() not in variables and not is_set(name)]
    asked = manager(address)
    found = {name: asked.secret(name) for name in wanted if name not in signs_otherwise}
    return {name: value for name, value in found.items() if value is not None}


def _read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.exists():
        if required:
            raise UsageError(f"{PREFIX}CONFIG names {path}, which does not exist; create it or unset the variable")
        return {}
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text)
    except OSError as error:
        reason = error.strerror or str(error)
    except ValueError as error:
        reason = _with_setting(text, str(error))
    raise UsageError(f"{path} cannot be read as TOML: {reason}")


def _with_setting(text: str, reason: str) -> str:
    """The reason with its setting (never the value, which may be a secret), and how to mend curly quotes."""
    place = re.search(r"at line (\d+)", reason)
    if place is None:
        return reason
    line = text.splitlines()[int(place[1]) - 1]
    curly = _CURLY.search(line)
    hint = f" Write straight quotes (\" or '), not {curly[0]}" if curly else ""
    return f"{reason}: {line.partition('=')[0].strip()}.{hint}"


def _secret_from(name: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(f"{name}_file = {str(path)!r} cannot be read: {error.strerror}") from None
    if not text:
        raise ValueError(f"{name}_file = {str(path)!r} is empty")
    return text


def _variables(model: type[BaseModel] = Settings, prefix: str = PREFIX) -> Iterator[str]:
    for name in model.model_fields:
        yield f"{prefix}{name.upper()}"
        group = _group(model, name)
        if group:
            yield from _variables(group, f"{prefix}{name.upper()}__")


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[str]:
    known = [f"{PREFIX}CONFIG", *_variables()]
    for name in sorted(environ):
        if name.startswith(PREFIX) and name.upper() not in known and not name.upper().startswith(OPEN_ENDED):
            near = get_close_matches(name.removeprefix(PREFIX), [each.removeprefix(PREFIX) for each in known], n=1)
            hint = f"Did you mean {PREFIX}{near[0]}?" if near else f"Allowed: {', '.join(known)}."
            yield f"{name} is not a setting. {hint}"


def _unknown_keys(model: type[BaseModel], values: Mapping[str, Any], path: Path, prefix: str = "") -> Iterator[str]:
    for name, value in values.items():
        if name not in model.model_fields:
            yield f"{prefix}{name} in {path} is not a setting.{_did_you_mean(name, list(model.model_fields))}"
            continue
        group = _group(model, name)
        if group and isinstance(value, dict):
            yield from _unknown_keys(group, value, path, f"{prefix}{name}.")


def _did_you_mean(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]}?" if near else f" Allowed: {', '.join(known)}."


def _explain(detail: ErrorDetails, path: Path) -> str:
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    places = [str(part) for part in detail["loc"] if isinstance(part, str)]
    known = {_dotted(variable): variable for variable in _variables()}
    if detail["type"] == "extra_forbidden":
        return f"{'.'.join(places)} is not a setting.{_did_you_mean('.'.join(places), list(known))}"
    name = next((name for name in (".".join(places[:2]), ".".join(places[:1])) if name in known), None)
    if name is None:
        return message
    if "." not in name and _group(Settings, name):
        return f"{name}: {message}"
    variable = known[name]
    where = variable if variable in os.environ else f"{name} in {path}"
    shown = "" if name in SECRETS else f" = {os.environ.get(variable, detail['input'])!r}"
    return f"{where}{shown}: {message}"


def _dotted(variable: str) -> str:
    return variable.removeprefix(PREFIX).lower().replace("__", ".")


def _group(model: type[BaseModel], name: str) -> type[Group] | None:
    annotation = model.model_fields[name].annotation
    return annotation if isinstance(annotation, type) and issubclass(annotation, Group) else None
