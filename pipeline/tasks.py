"""Tasks of the event loop that have to end."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

_AGAIN_AFTER = 0.5


async def cancel(tasks: Iterable["asyncio.Future[Any]"]) -> None:
    """Cancel until they have ended, however. Once may not do: a library may take a cancellation for its own time-out,
    and lose it. Who is cancelled meanwhile leaves none of them behind either."""
    told = set(tasks)
    waiting, hurry = told, None
    while waiting:
        for task in waiting:
            task.cancel()
        try:
            await asyncio.wait(waiting, timeout=_AGAIN_AFTER)
        except asyncio.CancelledError as error:
            hurry = error
        waiting = {task for task in waiting if not task.done()}
    for task in told:
        if not task.cancelled():
            task.exception()  # looked at: else it would be said that nobody did
    if hurry is not None:
        raise hurry


async def until_one_ends(*work: Coroutine[Any, Any, Any]) -> None:
    """Carry these until one ends, raise what it raised, if anything, and leave none behind. Not a `TaskGroup`: that
    cancels once, and who is told to end at the moment of a failure would hear of the failure alone."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel(tasks)
    for task in done:
        task.result()
