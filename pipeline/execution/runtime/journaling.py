"""Makes durable what the core decided, in the order given. What waits while the disk has something is written together
after that, for the price of one wait.

While the database is away, or refuses a write for certain, the others queue behind it and no new intent is taken.
Nothing is skipped, and nothing overtakes anything. It sends nothing and decides nothing.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice, takewhile
from typing import Any, Final

import pymongo
from pymongo.errors import BulkWriteError, PyMongoError, WriteError

from pipeline.execution.engine.effects import JournalIntent, Notify
from pipeline.execution.engine.events import Event, IntentJournaled, IntentRefused
from pipeline.execution.runtime import documents
from pipeline.execution.runtime.writing import Together, Write, Writing

log = logging.getLogger(__name__)

InThread = Callable[..., Awaitable[Any]]
MOST_TOGETHER: Final = 50
AGAIN_AFTER = 0.5
AGAIN_AT_MOST = 60.0
WRITE_WITHIN = 1.5
_FOR_CERTAIN = (WriteError, BulkWriteError, ValueError)
"""It would be refused again: the document is not what it should be."""


class Journaling:
    """What one term writes. `add` may be called from the loop's thread alone; `run` in a task of the term."""

    def __init__(
        self,
        writing: Writing,
        tell: Callable[[Event], None],
        written: Callable[[Write], None],
        in_thread: InThread,
        notify: Callable[[Notify], None],
    ) -> None:
        self._writing = writing
        self._tell = tell
        self._written = written
        self._in_thread = in_thread
        self._notify = notify
        self._waiting: deque[Write] = deque()
        self._wake = asyncio.Event()
        self._is_behind = False
        self._is_refused = False

    @property
    def is_busy(self) -> bool:
        """Whether something is about to be durable."""
        return bool(self._waiting) and not self._is_behind

    def add(self, write: Write) -> None:
        """Write it, behind all that was added before. While the journal is behind it takes no intents: the core sends
        then what protects, and opens nothing."""
        if self._is_behind and isinstance(write, JournalIntent):
            self._refuse(write, "the journal is behind")
            return
        self._waiting.append(write)
        self._wake.set()

    async def run(self) -> None:
        """Write until cancelled. What the database does not take is tried again; what it refuses for certain, with
        growing pauses: a person may mend it."""
        pause = AGAIN_AFTER
        while True:
            await self._wake.wait()
            while self._waiting and await self._are_written(self._next()):
                pause = AGAIN_AFTER
            if not self._waiting:
                self._is_behind = False
                self._wake.clear()
                continue
            self._fall_behind()
            await asyncio.sleep(pause)
            pause = min(pause * 2, AGAIN_AT_MOST) if self._is_refused else AGAIN_AFTER

    def _next(self) -> Sequence[Write]:
        """What is written together: all that waits, as far as it can be; one by one while the journal is behind."""
        most = 1 if self._is_behind else MOST_TOGETHER
        together = list(takewhile(lambda one: isinstance(one, Together), islice(self._waiting, most)))
        return together or [self._waiting[0]]

    async def _are_written(self, writes: Sequence[Write]) -> bool:
        """False where one of them is still the next to be written."""
        if len(writes) > 1 and await self._are_written_together(writes):
            return True
        for write in writes:
            if not await self._is_written(write):
                return False
        return True

    async def _are_written_together(self, writes: Sequence[Write]) -> bool:
        """False where nobody knows which of them are: written again, each is what it was."""
        try:
            found = await self._in_thread(_bounded, self._writing.all, writes)
        except (PyMongoError, *_FOR_CERTAIN) as error:
            log.debug("%d writes are made one by one: %s", len(writes), error)
            return False
        for write, is_new in zip(writes, found, strict=True):
            await self._is_durable(write, is_new=is_new)
        return True

    async def _is_written(self, write: Write) -> bool:
        try:
            is_new = await self._in_thread(_bounded, self._writing.one, write)
        except (PyMongoError, *_FOR_CERTAIN) as error:
            self._complain(error)
            if isinstance(write, JournalIntent):
                self._waiting.popleft()
                self._refuse(write, str(error)[:200])
                return True
            return False
        if self._is_behind:
            self._is_refused = False
        await self._is_durable(write, is_new=is_new)
        return True

    async def _is_durable(self, write: Write, *, is_new: bool) -> None:
        self._waiting.popleft()
        if isinstance(write, JournalIntent):
            if not is_new:
                await self._already_there(write)
                return
            self._tell(IntentJournaled(write.order.id))
        self._written(write)

    async def _already_there(self, intent: JournalIntent) -> None:
        order_id = intent.order.id
        try:
            found = await self._in_thread(_bounded, self._writing.durable.journal.get, order_id)
        except PyMongoError as error:
            self._refuse(intent, str(error)[:200])
            return
        known = None if found is None else documents.order_record(found)
        self._tell(IntentRefused(order_id, exists=True, reason="an order of that id is in the journal", known=known))

    def _refuse(self, intent: JournalIntent, reason: str) -> None:
        self._tell(IntentRefused(intent.order.id, exists=False, reason=reason))

    def _fall_behind(self) -> None:
        """What waits is kept, but for intents."""
        self._is_behind = True
        intents = [one for one in self._waiting if isinstance(one, JournalIntent)]
        self._waiting = deque(one for one in self._waiting if not isinstance(one, JournalIntent))
        for intent in intents:
            self._refuse(intent, "the journal is behind")

    def _complain(self, error: Exception) -> None:
        """A database that is away comes back; one that refuses what we write has to be seen to by a person."""
        reason = str(error)[:200]
        log.warning("the database did not take a write of the executor: %s; trying again", reason)
        if isinstance(error, _FOR_CERTAIN) and not self._is_refused:
            self._is_refused = True
            told = f"{reason}. Nothing is opened until it takes it; what is held keeps its stop and is closed by it"
            self._notify(Notify("error", "the journal refuses a write", told))


def _bounded(write: Callable[..., Any], *arguments: Any) -> Any:
    """A write that ends soon, one way or the other: the lease does not wait for a database that is away."""
    with pymongo.timeout(WRITE_WITHIN):
        return write(*arguments)
