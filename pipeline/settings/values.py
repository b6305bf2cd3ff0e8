"""How a value may be written, and what it is refused for.

Each type says what is allowed and how to mend what is not; none shows a value that may be a secret.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from pipeline import timeline
from pipeline.exchange_names import Exchange, exchange_named
from pipeline.secret_managers import ALLOWED, is_address


def split(value: Any) -> Any:
    """A list in one environment variable: `BTCUSDT,ETHUSDT`, spaces for commas, or JSON."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("["):
        return json.loads(text)
    return text.replace(",", " ").split()


def _some(intervals: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if intervals is not None and not intervals:
        raise ValueError("names at least one interval; a strategy that is not to run is left out")
    return intervals


def _words(value: Any) -> Any:
    """A list in one environment variable or file, by white space alone: an address may hold commas."""
    if isinstance(value, str) and not value.strip().startswith("["):
        return value.split()
    return split(value)


def _four_rising(periods: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    if list(periods) != sorted(set(periods)) or not 2 <= periods[0] <= periods[-1] <= 500:
        raise ValueError("must be four rising periods from 2 to 500")
    return periods


def _four(value: Any) -> Any:
    periods = split(value)
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


def _exchange(value: Any) -> Any:
    return exchange_named(value) if isinstance(value, str) else value


Url = Annotated[str, AfterValidator(_url)]
StreamUrl = Annotated[str, AfterValidator(_stream_url)]
AbsolutePath = Annotated[Path, AfterValidator(_path)]
Paths = Annotated[tuple[AbsolutePath, ...], NoDecode, BeforeValidator(split)]
Symbol = Annotated[str, AfterValidator(_symbol)]
Symbols = Annotated[tuple[Symbol, ...], NoDecode, BeforeValidator(split), AfterValidator(_unique)]
IntervalCode = Annotated[str, AfterValidator(lambda code: timeline.interval(code).code)]
Intervals = Annotated[tuple[IntervalCode, ...], NoDecode, BeforeValidator(split), AfterValidator(_unique)]
SomeIntervals = Annotated[tuple[IntervalCode, ...] | None, BeforeValidator(split), AfterValidator(_some)]
ExchangeName = Annotated[Exchange, BeforeValidator(_exchange)]
ExchangeNames = Annotated[tuple[ExchangeName, ...], NoDecode, BeforeValidator(split), AfterValidator(_unique)]
Percent = Annotated[Decimal, Field(gt=0, le=100)]
FourPeriods = Annotated[tuple[int, int, int, int], NoDecode, BeforeValidator(_four), AfterValidator(_four_rising)]
MongoUri = Annotated[SecretStr, AfterValidator(_mongo_uri)]
Proxy = Annotated[SecretStr, AfterValidator(_proxy)]
ApiKey = Annotated[SecretStr, AfterValidator(_api_key)]
NotifyUrls = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_words), AfterValidator(_notify_urls)]
SecretManager = Annotated[str, AfterValidator(_manager)]
