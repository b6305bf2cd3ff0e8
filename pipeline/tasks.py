"""Tasks of the event loop that have to end."""

import asyncio
from collections.abc import Iterable
from typing import Any

_AGAIN_AFTER = 0.5


async def cancel(tasks: Iterable["asyncio.Future[Any]"]) -> None:
    """Cancel until they have ended, however. Once may not do: a library may take a cancellation for its own time-out,
    and lose it."""
    told = set(tasks)
    waiting = told
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=_AGAIN_AFTER)
    for task in told:
        if not task.cancelled():
            task.exception()  # looked at: else it would be said that nobody did
