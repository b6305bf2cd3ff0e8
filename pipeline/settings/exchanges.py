"""What is said of one exchange alone: a table for each in `[exchanges]`; and what of it counts for another."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from pydantic import Field, SecretStr

from pipeline.errors import UsageError
from pipeline.exchange_names import EXCHANGES, OTHER_NAMES
from pipeline.settings.groups import Group
from pipeline.settings.secret import TABLES, secret_in
from pipeline.settings.values import AbsolutePath, Intervals, Proxy, StreamUrl, Symbols, Url
from schemas.shared import Mode

OF_MARKET: Final[Mapping[str, Mapping[str, Any]]] = {
    "um": {"symbols": ("BTCUSDT", "ETHUSDT", "SOLUSDT"), "taker_fee_percent": Decimal("0.05")},
    "cm": {"symbols": ("BTCUSD_PERP", "ETHUSD_PERP"), "taker_fee_percent": Decimal("0.05")},
    "spot": {"symbols": ("BTCUSDT", "ETHUSDT"), "taker_fee_percent": Decimal("0.1")},
}
"""What differs by market where nobody says it."""


class OfExchange(Group):
    """What is so at one exchange. What is not given is as it is for all of them."""

    symbols: Symbols | None = None
    intervals: Intervals | None = None
    sim_url: Url | None = None
    rest_url: Url | None = None
    stream_url: StreamUrl | None = None
    timeout: float | None = Field(default=None, ge=1, le=30)
    tries: int | None = Field(default=None, ge=1, le=20)
    weight_buffer: float | None = Field(default=None, ge=0.05, le=0.95)
    recv_window: int | None = Field(default=None, ge=500, le=60_000)
    proxy: Proxy | None = None
    keys: AbsolutePath | None = Field(
        default=None, description="a folder with the files `api_key` and `api_secret`, or `api_key` and `private_key`"
    )
    mode: Mode | None = None
    taker_fee_percent: Decimal | None = Field(default=None, ge=0, le=5)
    confirm_production: str | None = None


class Tables(Group):
    """A table for each exchange that differs."""

    sim: OfExchange = OfExchange()
    sim_cm: OfExchange = OfExchange()
    sim_spot: OfExchange = OfExchange()
    binance_um_demo: OfExchange = OfExchange()
    binance_cm_demo: OfExchange = OfExchange()
    binance_spot_demo: OfExchange = OfExchange()
    binance_spot_testnet: OfExchange = OfExchange()
    binance_um: OfExchange = OfExchange()
    binance_cm: OfExchange = OfExchange()
    binance_spot: OfExchange = OfExchange()

    def of(self, name: str) -> Mapping[str, Any]:
        """What is said of that exchange."""
        table: OfExchange = getattr(self, table_name(name))
        return {field: value for field in table.model_fields_set if (value := getattr(table, field)) is not None}


OWN: Final = (
    *(name for name in OfExchange.model_fields if name != "keys"),
    *("api_key", "api_secret", "private_key_file"),
)
"""Settings that may be others at another exchange."""


def table_name(exchange: str) -> str:
    """The exchange as a variable has it: `TIDEMARK_EXCHANGES__BINANCE_CM__SYMBOLS`."""
    return exchange.replace("-", "_")


def with_table_names(values: dict[str, Any]) -> dict[str, Any]:
    """The tables of a file as variables name them: `[exchanges.binance-cm]`."""
    tables = values.get(TABLES)
    if not isinstance(tables, dict):
        return values
    return values | {TABLES: {table_name(OTHER_NAMES.get(name, name)): table for name, table in tables.items()}}


def not_carried(given_for: str, name: str) -> dict[str, Any]:
    """What was said of one exchange and is not so at another: addresses, and the word that real money is meant; where
    the money is another, keys; where the market is another, symbols and fees. A simulator is one exchange for all."""
    if given_for == name:
        return {}
    given, other = EXCHANGES[given_for], EXCHANGES[name]
    changed: dict[str, Any] = {"rest_url": None, "stream_url": None, "confirm_production": ""}
    if given.market != other.market:
        changed |= OF_MARKET[other.market]
    if given.money != other.money:
        changed |= {"sim_url": None, "api_key": None, "api_secret": None, "private_key_file": None}
    return changed


def keys_in(folder: Path) -> dict[str, Any]:
    """The keys in a folder of an exchange's own."""
    try:
        key = SecretStr(secret_in("keys", folder / "api_key"))
        signs = folder / "private_key"
        if signs.exists():
            return {"api_key": key, "api_secret": None, "private_key_file": signs}
        secret = SecretStr(secret_in("keys", folder / "api_secret"))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return {"api_key": key, "api_secret": secret, "private_key_file": None}
