"""Tasks of the event loop that have to end."""

import asyncio
from collections.abc import Iterable
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
