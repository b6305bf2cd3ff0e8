"""What large answers took goes back to the system once there is a pause.

After five answers of 300 days of minutes the server held 70 MB of nothing. Given back after each of them, the next
would take half as long again, for it begins with fetching the memory anew.
"""

import asyncio
from typing import Final

from pipeline.memory import give_back

EVERY: Final = 10.0


async def give_back_for_ever() -> None:
    """Until it is cancelled."""
    while True:
        await asyncio.sleep(EVERY)
        await asyncio.to_thread(give_back)
