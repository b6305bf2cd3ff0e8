"""The database of a run: the one the settings name, else the embedded one, started if it does not run yet.

A process opens it once, at its start, and holds it to its end.
"""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psutil
from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipeline.errors import AttentionError, TidemarkError
from pipeline.settings import Settings
from pipeline.store import connect
from pipeline.store.connect import Document
from pipeline.store.mongod.server import Server
from pipeline.store.prepare import prepare

log = logging.getLogger(__name__)

_LOOKED_AT_EVERY: Final = 0.5


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
def kept_up(settings: Settings) -> Iterator[str]:
    """The same for whoever looks after other processes: an embedded server that dies meanwhile is started again."""
    if settings.mongo_uri is not None:
        with running(settings) as uri:
            yield uri
        return
    server, leaving = embedded(settings), threading.Event()
    with server.running() as uri:
        upkeep = threading.Thread(target=_keep_up, args=(server, leaving), name="keep-up-database", daemon=True)
        upkeep.start()
        try:
            yield uri
        finally:
            leaving.set()
            upkeep.join()


def _keep_up(server: Server, leaving: threading.Event) -> None:
    while not leaving.wait(_LOOKED_AT_EVERY):
        try:
            if server.revive():
                log.warning("the database had died and was started again")
        except (TidemarkError, PyMongoError, psutil.Error, OSError) as error:
            log.error("the database died and cannot be started again yet: %s", error)


@contextmanager
def database(settings: Settings) -> Iterator[Database[Document]]:
    """The prepared database, for the length of a `with` block. Where it fails in the middle, a person is told why."""
    with running(settings) as uri, connect.client(uri) as client:
        connect.require(client, uri)
        db = client[settings.database]
        try:
            prepare(db)
            yield db
        except PyMongoError as error:
            raise AttentionError(connect.in_words(error)) from None
