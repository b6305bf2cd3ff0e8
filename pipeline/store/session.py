"""The database of a run: the one the settings name, else the embedded one, started if it does not run yet.

A process opens it once, at its start, and holds it to its end.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.database import Database

from pipeline.settings import Settings
from pipeline.store import connect
from pipeline.store.connect import Document
from pipeline.store.prepare import prepare
from pipeline.store.server import Server


def embedded(settings: Settings) -> Server:
    """The server in the data folder of these settings; not started."""
    return Server(settings.home, port=settings.mongo_port, minimum_free_mb=settings.minimum_free_mb)


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """The URI of a server that answers, for the length of a `with` block. It holds the password: never print it."""
    if settings.mongo_uri is not None:
        yield settings.mongo_uri.get_secret_value()
    else:
        with embedded(settings).running() as uri:
            yield uri


@contextmanager
def database(settings: Settings) -> Iterator[Database[Document]]:
    """The prepared database, for the length of a `with` block."""
    with running(settings) as uri, connect.client(uri) as client:
        connect.require(client, uri)
        db = client[settings.database]
        prepare(db)
        yield db
