"""Work that must not keep the event loop waiting: errands of a moment, and history, which may take minutes.

They have pools of their own, so that a backfill of many series never delays a candle that is missing now.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")


class Jobs:
    """Tasks of the event loop, and the threads behind them."""

    def __init__(self, errands: int, histories: int) -> None:
        self._errands = ThreadPoolExecutor(errands, thread_name_prefix="errand")
        self._histories = ThreadPoolExecutor(histories, thread_name_prefix="history")
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = True

    def start(self, job: Coroutine[Any, Any, None]) -> None:
        """Let it run; nobody waits for it. What it does not catch itself is a mistake of ours, and logged as one. After
        the end nothing is begun: the next start finds what was left."""
        if not self._is_open:
            job.close()
            return
        task = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def errand(self, do: Callable[..., T], *arguments: Any) -> T:
        """Do it in a thread: a request or two, a short read of the database."""
        return await self._in(self._errands, do, *arguments)

    async def history(self, do: Callable[..., T], *arguments: Any) -> T:
        """Do it in a thread of those for long work."""
        return await self._in(self._histories, do, *arguments)

    async def _in(self, pool: Executor, do: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, do, *arguments)

    def end(self) -> None:
        """Begin nothing more. Threads end with what they hold: whoever calls this has told it to stop."""
        self._is_open = False
        for task in self._tasks:
            task.cancel()
        for pool in (self._errands, self._histories):
            pool.shutdown(wait=False, cancel_futures=True)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a job of the ingester failed: %s", error, exc_info=error)
