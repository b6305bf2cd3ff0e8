"""Who may act: the lease, renewed while the process lives, and asked right before each request leaves.

It never sends anything and decides nothing about orders.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pymongo
from pymongo.errors import PyMongoError

from pipeline.exchange.answers import Call
from pipeline.exchange.errors import StoppedError
from pipeline.store.lease import Grant, HeldBy, LeaseStore

log = logging.getLogger(__name__)


class Leadership:
    """The lease of this process. Thread-safe: requests leave from worker threads."""

    def __init__(self, store: LeaseStore, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._grant: Grant | None = None

    @property
    def fence(self) -> int | None:
        """Our fence while we hold the lease for sure."""
        with self._lock:
            if self._grant is None or self._clock() >= self._grant.good_until:
                return None
            return self._grant.fence

    def permit(self, call: Call) -> None:
        """Let a request pass that only reads; one that changes something passes only while we hold the lease."""
        if not call.only_reads and "listenKey" not in call.path and self.fence is None:
            raise StoppedError(f"{call}: this process does not hold the executor's lease; nothing was sent")

    async def win(self) -> int:
        """Wait until nobody else acts, then act. The fence."""
        told = ""
        while True:
            try:
                found = await self._ask()
            except PyMongoError as error:
                log.warning("the lease cannot be asked for: %s; nothing is done until it can", str(error)[:200])
                await asyncio.sleep(1)
                continue
            if isinstance(found, Grant):
                self._set(found)
                return found.fence
            told = _say_once(found, told)
            await asyncio.sleep(self._store.life / 10)

    async def _ask(self) -> Grant | HeldBy:
        """Ask once. Who is told to stop meanwhile gives back what the answer brings: nobody else would."""
        asking = asyncio.ensure_future(asyncio.to_thread(self._store.acquire))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            with suppress(PyMongoError):
                found = await asking
                if isinstance(found, Grant):
                    self._set(found)
                    await self.leave()
            raise

    async def hold(self) -> str:
        """Renew until that fails; why it did. A database that is away is not waited for longer than the lease lasts:
        who waits on believes to act, takes signals over, and can send nothing."""
        while True:
            asked = self._clock()
            with self._lock:
                grant = self._grant
            if grant is None or asked >= grant.good_until:
                return "the lease ran out before it could be renewed"
            try:
                renewed = await asyncio.to_thread(self._renew, grant, grant.good_until - asked)
            except PyMongoError as error:
                log.warning("the lease could not be renewed: %s; trying again while it lasts", str(error)[:200])
            else:
                self._set(renewed)
                if renewed is None:
                    return "another executor has taken the lease"
            await asyncio.sleep(max(0.0, asked + self._store.life / 5 - self._clock()))

    def _renew(self, grant: Grant, left: float) -> Grant | None:
        """One try takes no more than half of what is left, so that there is time for another."""
        with pymongo.timeout(min(left, max(left / 2, self._store.life / 5))):
            return self._store.renew(grant.fence)

    async def leave(self) -> None:
        """Let a standby act at once."""
        fence = self.fence
        self._set(None)
        if fence is None:
            return
        try:
            await asyncio.to_thread(self._store.release, fence)
        except PyMongoError as error:
            log.warning("the lease could not be released: %s; it runs out by itself", str(error)[:200])

    def _set(self, grant: Grant | None) -> None:
        with self._lock:
            self._grant = grant


def _say_once(found: HeldBy, told: str) -> str:
    if found.holder != told:
        log.info("%s acts as executor; standing by", found.holder)
    return found.holder
