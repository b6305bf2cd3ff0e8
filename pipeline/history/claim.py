"""Who fetches the missing candles of a series: one at a time, so that none is fetched twice.

It saves work and guards nothing: two that fetch the same, because one could not renew its claim in time, do no harm.
"""

import logging
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import psutil
from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipeline.exchange.errors import StoppedError
from pipeline.store.lease import Grant, LeaseStore
from schemas.series import SeriesKey

log = logging.getLogger(__name__)

LIFE: Final = 15.0
"""Seconds until the claim of one that died is free."""
_ASKED_EVERY: Final = 1.0


@contextmanager
def claimed(
    database: Database[dict[str, Any]], key: SeriesKey, stop: threading.Event, *, life: float = LIFE
) -> Iterator[None]:
    """Nobody else fetches candles of the series for the length of a `with` block; who does is waited for.
    `StoppedError` where `stop` is set meanwhile."""
    holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    lease = LeaseStore(database, f"history:{key}", holder, life=life)
    fence = _won(lease, key, stop)
    done = threading.Event()
    keeper = threading.Thread(target=_keep, args=(lease, fence, done), name=f"claim {key}", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        with suppress(PyMongoError):  # it lapses
            lease.forget(fence)


def _won(lease: LeaseStore, key: SeriesKey, stop: threading.Event) -> int:
    told = ""
    here = socket.gethostname()
    while not isinstance(found := lease.acquire(), Grant):
        if found.holder != told:
            told = found.holder
            host, process, _ = told.rsplit(":", 2)
            if host == here and not psutil.pid_exists(int(process)):
                lease.forget_of(told)
                continue
            log.info("%s: process %s on %s sees to its candles; waiting for that", key, process, host)
        if stop.wait(_ASKED_EVERY):
            raise StoppedError(f"{key}: told to stop while another process saw to its candles")
    return found.fence


def _keep(lease: LeaseStore, fence: int, done: threading.Event) -> None:
    """Renew it, for as long as the database lets us and nobody else took it."""
    while not done.wait(lease.life / 5):
        try:
            if lease.renew(fence) is None:
                return
        except PyMongoError as error:
            log.debug("a claim could not be renewed: %s", error)
