"""Where we trade and how carefully: addresses, limits, timeouts and retries. The code is the same everywhere.

Holds no key and reads no setting: the command line builds one from the settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote, urlsplit

from pipeline.errors import UsageError
from pipeline.exchange.products.product import Product, Site
from pipeline.exchange.products.um import UM


@dataclass(frozen=True, slots=True)
class Environment:
    """One place to trade. Money spent on `binance-um` is real; everything else is play."""

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

    @property
    def is_production(self) -> bool:
        """Whether orders cost real money."""
        return self.name == "binance-um"

    @property
    def stream_proxy(self) -> str | None:
        """The proxy as `websockets` wants it: a name and a password decoded, as `requests` decodes them itself."""
        parts = urlsplit(self.proxy or "")
        if not parts.username:
            return self.proxy
        name, password, host = unquote(parts.username), unquote(parts.password or ""), parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{name}:{password}@{host}"


SIM: Final = Environment(
    name="sim",
    rest_url="http://127.0.0.1:9876",
    stream_url="ws://127.0.0.1:9876",
    archive_url="http://127.0.0.1:9876",
    connect_timeout=2.0,
    read_timeout=5.0,
    retries=4,
)


def _at_site(name: str, product: Product, site: Site) -> Environment:
    return Environment(name, site.rest, site.streams, site.archive, product, site.weight)


DEMO: Final = _at_site("binance-um-demo", UM, UM.sites["demo"])
PRODUCTION: Final = replace(_at_site("binance-um", UM, UM.sites["production"]), weight_buffer=0.6, retries=8)

ENVIRONMENTS: Final[Mapping[str, Environment]] = MappingProxyType({one.name: one for one in (SIM, DEMO, PRODUCTION)})


def environment(name: str, *, url: str | None = None, proxy: str | None = None) -> Environment:
    """The environment of that name. `url` replaces the address of REST and streams (and of the archive, if it has
    one), for a simulator elsewhere or a gateway of one's own."""
    found = ENVIRONMENTS.get(name)
    if found is None:
        raise UsageError(f"unknown environment {name!r}. Allowed: {', '.join(ENVIRONMENTS)}")
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
        archive_url=base if place.archive_url else None,
    )
