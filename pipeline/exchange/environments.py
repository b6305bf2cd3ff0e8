"""Where we trade and how carefully: addresses, limits, timeouts and retries. The code is the same everywhere.

Holds no key and reads no setting: the command line builds one from the settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from pipeline.errors import UsageError
from pipeline.exchange.products.cm import CM
from pipeline.exchange.products.product import Product, Site
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.exchange_names import EXCHANGES, REAL_MONEY, UnknownExchangeError, exchange_named, is_production


@dataclass(frozen=True, slots=True)
class Environment:
    """One place to trade. What is spent where the name says nothing of a demo, a testnet or a simulator is real."""

    name: str
    rest_url: str
    stream_url: str
    archive_url: str | None
    product: Product = UM
    weight_limit: int = 2400
    """Request weight a minute that the exchange allows to one IP address."""
    weight_buffer: float = 0.8
    """The share of the weight that bulk work may use up; the rest is for whoever else shares the address."""
    connect_timeout: float = 5.0
    read_timeout: float = 10.0
    retries: int = 5
    recv_window: int = 5_000
    proxy: str | None = None
    message_url: str | None = None
    """Where it is asked by messages on a websocket, if it is."""

    @property
    def is_production(self) -> bool:
        """Whether orders cost real money."""
        return is_production(self.name)

    @property
    def stream_proxy(self) -> str | None:
        """The proxy as `websockets` wants it: a name and a password decoded, as `requests` decodes them itself."""
        parts = urlsplit(self.proxy or "")
        if not parts.username:
            return self.proxy
        name, password, host = unquote(parts.username), unquote(parts.password or ""), parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{name}:{password}@{host}"


PRODUCTS: Final[Mapping[str, Product]] = MappingProxyType({one.name: one for one in (UM, CM, SPOT)})

_FIRST_PORT: Final = 9876
"""Where the first market of a simulator is that nobody has given another address; each further one has the next."""

_PATIENT: Final = MappingProxyType({"weight_buffer": 0.8, "read_timeout": 30.0, "retries": 2})
_CAREFUL: Final = MappingProxyType({"weight_buffer": 0.6, "read_timeout": 15.0, "retries": 4})
_QUICK: Final = MappingProxyType({"connect_timeout": 2.0, "read_timeout": 5.0, "retries": 4})
_MANNERS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {"sim": _QUICK, "demo": _PATIENT, "testnet": _PATIENT, REAL_MONEY: _CAREFUL}
)


def _environment(name: str) -> Environment:
    product, money = PRODUCTS[EXCHANGES[name].market], EXCHANGES[name].money
    site = product.sites.get(money) or _here(product)
    manners = _MANNERS[money]
    return Environment(
        name, site.rest, site.streams, site.archive, product, site.weight, message_url=site.messages, **manners
    )


def _here(product: Product) -> Site:
    host = f"127.0.0.1:{_FIRST_PORT + list(PRODUCTS).index(product.name)}"
    real = product.sites[REAL_MONEY]
    messages = None if real.messages is None else f"ws://{host}{urlsplit(real.messages).path}"
    return Site(f"http://{host}", f"ws://{host}", real.weight, f"http://{host}", messages)


ENVIRONMENTS: Final[Mapping[str, Environment]] = MappingProxyType({name: _environment(name) for name in EXCHANGES})
SIM: Final = ENVIRONMENTS["sim"]
DEMO: Final = ENVIRONMENTS["binance-um-demo"]
PRODUCTION: Final = ENVIRONMENTS["binance-um"]


def environment(name: str, *, url: str | None = None, proxy: str | None = None) -> Environment:
    """The environment of that name. `url` replaces the address of REST and streams (and of the archive, if it has
    one), for a simulator elsewhere or a gateway of one's own."""
    try:
        found = ENVIRONMENTS[exchange_named(name)]
    except UnknownExchangeError as error:
        raise UsageError(str(error)) from None
    if url is not None:
        found = at(found, url)
    return replace(found, proxy=proxy)


def at(place: Environment, url: str) -> Environment:
    """The same environment served from another address."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise UsageError(f"{url!r} is not an address of an exchange; write it as http://host:port or https://host")
    base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    return replace(
        place,
        rest_url=base,
        stream_url=base.replace("http", "ws", 1),
        message_url=place.message_url and base.replace("http", "ws", 1) + urlsplit(place.message_url).path,
        archive_url=base if place.archive_url else None,
    )
