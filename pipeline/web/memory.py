"""What large answers took goes back to the system once there is a pause.

By itself glibc keeps what was freed: after five answers of 300 days of minutes the server held 70 MB of nothing. Given
back after each of them, the next would take half as long again, for it begins with fetching the memory anew.
"""

import asyncio
import ctypes
from typing import Final

EVERY: Final = 10.0


async def give_back_for_ever() -> None:
    """Until it is cancelled; elsewhere than on glibc there is nothing to do."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    while trim is not None:
        await asyncio.sleep(EVERY)
        await asyncio.to_thread(trim, 0)
