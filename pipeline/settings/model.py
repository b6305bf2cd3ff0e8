"""Every setting with its default and what it may be."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from pipeline.errors import UsageError
from pipeline.exchange_names import (
    EXCHANGES,
    OTHER_NAMES,
    UnknownExchangeError,
    exchange_named,
    is_simulated,
    market_of,
)
from pipeline.secret_managers import ALLOWED
from pipeline.settings.exchanges import OF_MARKET, OWN, Tables, keys_in, not_carried, table_name
from pipeline.settings.groups import Indicators, Portfolio, Risk, Strategies
from pipeline.settings.secret import IN_FILES, PREFIX, TABLES, secret_in
from pipeline.settings.values import (
    AbsolutePath,
    ApiKey,
    ExchangeName,
    ExchangeNames,
    Intervals,
    MongoUri,
    NotifyUrls,
    Paths,
    Proxy,
    SecretManager,
    StreamUrl,
    Symbols,
    Url,
)
from schemas.shared import Mode

PRODUCTION_PHRASE = "I trade real money"
BINANCE_KEY = re.compile(r"[A-Za-z0-9]{32,128}")
"""Today's have 64 characters; nobody promises that for ever."""


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

    secrets: SecretManager | None = Field(
        default=None, description=f"a manager that has the secrets which are set nowhere else: {ALLOWED}"
    )

    mongo_uri: MongoUri | None = None
    mongo_uri_file: AbsolutePath | None = None
    mongo_port: int | None = Field(
        default=None, ge=1024, le=65_535, description="of the embedded database; unset: 27417, or a free one"
    )
    database: str = Field(default="tidemark", pattern=r"^[A-Za-z0-9_-]{1,38}$")
    async_driver: Literal["pymongo", "motor"] = "pymongo"

    environment: ExchangeName = Field(default="sim", description="the exchange that is meant where none is named")
    also: ExchangeNames = Field(default=(), description="further exchanges that `tidemark up` and the flows are to run")
    exchanges: Tables = Field(default=Tables(), description="a table for each exchange that differs")
    sim_url: Url | None = Field(default=None, description="a simulator that runs already, instead of the folder's own")
    rest_url: Url | None = Field(default=None, description="of a gateway of your own, instead of the environment's")
    stream_url: StreamUrl | None = Field(default=None, description="likewise, of the streams")
    timeout: float | None = Field(
        default=None,
        ge=1,
        le=30,
        description="seconds an answer of the exchange is waited for; unset: as the environment",
    )
    tries: int | None = Field(
        default=None, ge=1, le=20, description="how often a question is asked that gets no answer; unset: likewise"
    )
    weight_buffer: float | None = Field(
        default=None, ge=0.05, le=0.95, description="the share of the request weight that bulk work may use; likewise"
    )
    recv_window: int | None = Field(
        default=None, ge=500, le=60_000, description="how old a signed request may be, in ms; the exchange advises 5000"
    )
    proxy: Proxy | None = None
    api_key: ApiKey | None = None
    api_key_file: AbsolutePath | None = None
    api_secret: SecretStr | None = None
    api_secret_file: AbsolutePath | None = None
    private_key_file: AbsolutePath | None = Field(default=None, description="RSA or Ed25519 key in PEM, for signing")

    symbols: Symbols = Field(
        default=OF_MARKET["um"]["symbols"], description="of `environment`; another market has its own where none is set"
    )
    intervals: Intervals = ("15m", "1h", "1d")
    stream: Literal["kline", "continuousKline"] = Field(
        default="kline", description="continuousKline follows the pair's perpetual contract instead of its symbol"
    )
    history_days: int = Field(default=300, ge=1, le=5_000)
    indicators: Indicators = Indicators()
    strategies: Strategies = Field(
        default=(), description="names of those to run, or a table of each with its intervals; empty: all that have one"
    )
    strategy_paths: Paths = Field(default=(), description="strategies of your own, as path/to/file.py:Name")

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
        default=OF_MARKET["um"]["taker_fee_percent"],
        ge=0,
        le=5,
        description="what an order costs in a symbol of which the account was not asked for its own",
    )
    notify_urls: NotifyUrls = Field(
        default=(), description="where new signals and alarms are sent: addresses as Apprise writes them"
    )
    notify_urls_file: AbsolutePath | None = None
    notify_per_minute: int = Field(default=6, ge=1, le=600, description="more messages than this are put into one")

    mode: Mode = "signal-only"
    confirm_production: str = Field(default="", description=f"must read {PRODUCTION_PHRASE!r} to trade in production")
    risk: Risk = Risk()
    portfolio: Portfolio = Portfolio()
    sweep: bool = Field(
        default=False, description="let the flow `sweep` have the keys, which otherwise only the executor has"
    )

    log: Literal["human", "json"] = "human"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    _told: dict[str, Any] = PrivateAttr(default_factory=dict)

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
                values[name] = secret_in(f"{name}_file", Path(path).expanduser())
        return values

    @model_validator(mode="before")
    @classmethod
    def _as_its_market(cls, values: Any) -> Any:
        """Another market than USD-M has other symbols where none are named."""
        said = str(values.get("environment"))
        name = OTHER_NAMES.get(said, said)
        return {**(OF_MARKET[market_of(name)] if name in EXCHANGES else {}), **values}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        self._told = {name: getattr(self, name) for name in ("environment", *OWN)}
        for name in EXCHANGES:
            if self.exchanges.of(name) and (wrong := _contradiction(self._at(name, reads=False))) is not None:
                raise ValueError(f"[{TABLES}.{name}]: {wrong}")
        if (wrong := _contradiction(self)) is not None:
            raise ValueError(wrong)
        if self.api_secret and self.private_key_file:
            raise ValueError("api_secret and private_key_file are both set; keep the one your key was made with")
        return self

    @property
    def is_first(self) -> bool:
        """Whether they are for the exchange that is meant where none is named."""
        return bool(self.environment == self._told["environment"])

    @property
    def every(self) -> tuple[str, ...]:
        """The exchanges that are run."""
        return tuple(dict.fromkeys((self._told["environment"], *self.also)))

    def own(self, name: str) -> str:
        """The variable that gives this setting to this exchange."""
        table = "" if self.is_first else f"{TABLES}__{table_name(self.environment)}__"
        return f"{PREFIX}{table}{name}".upper()

    def at(self, name: str | None = None) -> Self:
        """These settings for that exchange, or, without a name, for their own. Neither addresses nor the word that real
        money is meant count for another exchange than they were given for, and keys for none with other money."""
        try:
            return self._at(self.environment if name is None else exchange_named(name))
        except UnknownExchangeError as error:
            raise UsageError(str(error)) from None

    def _at(self, name: str, *, reads: bool = True) -> Self:
        own = dict(self.exchanges.of(name))
        folder = own.pop("keys", None)
        keys = keys_in(folder) if folder is not None and reads else {}
        told = {**self._told, "environment": name, **not_carried(self._told["environment"], name)}
        return self.model_copy(update={**told, **keys, **own})


def _contradiction(settings: Settings) -> str | None:
    """What cannot be so together."""
    key = settings.api_key
    if key and not is_simulated(settings.environment) and not BINANCE_KEY.fullmatch(key.get_secret_value()):
        return (
            f"api_key has {len(key.get_secret_value())} characters and is no key of Binance's: those are "
            "64 letters and digits. Copy it again, whole"
        )
    if is_simulated(settings.environment) and (settings.rest_url or settings.stream_url):
        return "rest_url and stream_url are addresses of Binance; the one of a simulator is sim_url"
    return None
