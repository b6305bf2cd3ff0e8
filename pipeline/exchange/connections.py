"""Connections that say whether a request ever left: what fails while one is made is told apart from what fails later.

Which error it is does not matter for that: after the handshake even a record that cannot be read may be the answer to a
request that was carried out. Connecting is never tried again here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError


class NotConnectedError(Exception):
    """No connection came about, by way of a proxy and with its encryption where they are wanted: nothing of the request
    has left. The cause says what failed."""


@contextmanager
def _connecting() -> Iterator[None]:
    try:
        yield
    except (OSError, HTTPException, HTTPError) as error:
        raise NotConnectedError from error


class _Connection(HTTPConnection):
    def connect(self) -> None:
        with _connecting():
            super().connect()


class _SecureConnection(HTTPSConnection):
    def connect(self) -> None:
        with _connecting():
            super().connect()


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS: Final = {"http": _Pool, "https": _SecurePool}


class Adapter(HTTPAdapter):
    """What a session sends by: at most `connections` of ours, kept open, and nothing sent twice."""

    def __init__(self, connections: int) -> None:
        super().__init__(pool_connections=2, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Begin without connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> PoolManager:
        """The connections by way of that proxy."""
        manager: PoolManager = super().proxy_manager_for(*arguments, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager
