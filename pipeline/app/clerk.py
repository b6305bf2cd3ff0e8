"""The database's part of a halt, done by a thread of its own, so that the exchange never waits for the database.

An answer is waited for as long as a database in order takes, and no longer. One that hangs keeps no command from its
end; one that has gone is looked for again with the next thing it is asked.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

import pymongo
from pymongo.database import Database
from pymongo.errors import PyMongoError

from pipeline.errors import AttentionError, TidemarkError
from pipeline.settings import Settings
from pipeline.store import connect
from pipeline.store.mongod.session import embedded, running

T = TypeVar("T")
Job = Callable[[Database[dict[str, Any]]], T]

WITHIN = 3.0
"""Seconds an answer is waited for."""
START_WITHIN = 10.0
"""The same where the embedded database has to be started first."""
_SOONER = 0.5
"""So much sooner the driver gives up, so that it is the driver that says why."""


class AwayError(AttentionError):
    """The database did not do it: it is away, hangs, or does not allow it. The message says which."""


class Clerk:
    """Has the database do one thing after the other, for the length of a `with` block."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._has_to_start = settings.mongo_uri is None and not embedded(settings).is_running
        self._jobs: queue.SimpleQueue[tuple[Job[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._owed: Future[Any] | None = None
        self._thread = threading.Thread(target=self._work, name="clerk", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._jobs.put(None)
        if not self._hangs:  # else it is left to itself
            self._thread.join(START_WITHIN)

    def leave(self, job: Job[T]) -> Future[T]:
        """Have it done, without waiting for it."""
        asked: Future[T] = Future()
        self._jobs.put((job, asked))
        return asked

    def wait(self, asked: "Future[T]") -> T:
        """The answer, if it comes soon."""
        patience, self._has_to_start = START_WITHIN if self._has_to_start else WITHIN, False
        try:
            return asked.result(patience)
        except TimeoutError:
            self._owed = asked
            raise AwayError(f"the database does not answer within {patience:g} s") from None
        except PyMongoError as error:
            raise AwayError(connect.in_words(error)) from None
        except TidemarkError as error:
            raise AwayError(str(error)) from None

    def ask(self, job: Job[T]) -> T:
        """Have it done, and wait for the answer. A database that still owes one is not waited for again."""
        if self._hangs:
            raise AwayError("the database does not answer")
        return self.wait(self.leave(job))

    @property
    def _hangs(self) -> bool:
        return self._owed is not None and not self._owed.done()

    def _work(self) -> None:
        with ExitStack() as ends:
            database = None
            while (asked := self._jobs.get()) is not None:
                job, answer = asked
                try:
                    with pymongo.timeout(WITHIN - _SOONER):
                        database = self._open(ends) if database is None else database
                        answer.set_result(job(database))
                except Exception as error:  # noqa: BLE001 - whoever waits for the answer gets it
                    answer.set_exception(error)

    def _open(self, ends: ExitStack) -> Database[dict[str, Any]]:
        client = ends.enter_context(connect.client(self._uri(ends)))
        client.admin.command("ping")
        return client[self._settings.database]

    def _uri(self, ends: ExitStack) -> str:
        """Of a server that may answer. An embedded one that hangs is not waited for, nor ended."""
        if self._settings.mongo_uri is None:
            server = embedded(self._settings)
            if server.is_running and not server.status().ready:
                raise AttentionError(f"the database in {self._settings.home} runs but does not answer")
        return ends.enter_context(running(self._settings))
