"""What must not keep the event loop waiting: requests of a moment, history, which may take minutes, and the searches of
Python for garbage.

Short and long work have threads of their own, so that a backfill of many series never delays a candle that is missing
now.
"""

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, TypeVar

from pipeline.tasks import cancel

log = logging.getLogger(__name__)

T = TypeVar("T")


class Background:
    """Tasks of the event loop, and the threads behind them."""

    def __init__(self, short_threads: int, long_threads: int) -> None:
        self._short = ThreadPoolExecutor(short_threads, thread_name_prefix="short")
        self._long = ThreadPoolExecutor(long_threads, thread_name_prefix="long")
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

    async def short(self, do: Callable[..., T], *arguments: Any) -> T:
        """Do it in a thread: a request or two, a short read of the database."""
        return await self._in(self._short, do, *arguments)

    async def long(self, do: Callable[..., T], *arguments: Any) -> T:
        """Do it in a thread of those for long work."""
        return await self._in(self._long, do, *arguments)

    async def _in(self, pool: Executor, do: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(pool, do, *arguments)

    def end(self) -> None:
        """Begin nothing more. Threads end with what they hold, which `ended` waits for: whoever calls this has told it
        to stop."""
        self._is_open = False
        for task in self._tasks:
            task.cancel()
        for pool in (self._short, self._long):
            pool.shutdown(wait=False, cancel_futures=True)

    async def ended(self) -> None:
        """Wait until nothing of it is left that could use a connection."""
        await cancel(self._tasks)
        for pool in (self._short, self._long):
            await asyncio.to_thread(pool.shutdown)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a job of the ingester failed: %s", error, exc_info=error)


def pause_garbage_searches() -> None:
    """Everything that lives now is searched for garbage once, and not again until `resume_garbage_searches`.

    The books of thousands of series are a great many objects. A search through all of them stops the event loop for a
    tenth of a second, under load nearly every second, and finds nothing."""
    gc.collect()
    gc.freeze()


def resume_garbage_searches() -> None:
    """Search everything again, as before."""
    gc.unfreeze()
