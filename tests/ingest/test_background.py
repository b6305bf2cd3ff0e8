"""What works beside the event loop ends with whoever began it."""

import asyncio
import threading

from pipeline.ingest.background import Background


async def test_it_has_ended_when_its_threads_have() -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    background = Background(1, 1)

    def work() -> None:
        begun.set()
        assert go_on.wait(10)
        ended.set()

    async def job() -> None:
        await background.long(work)

    async def waits_for_its_turn() -> None:
        await background.long(ended.clear)

    background.start(job())
    background.start(waits_for_its_turn())
    assert await asyncio.to_thread(begun.wait, 10)
    background.end()
    ending = asyncio.create_task(background.ended())
    await asyncio.sleep(0.05)
    assert not ending.done()
    go_on.set()
    async with asyncio.timeout(10):
        await ending
    assert ended.is_set(), "what waited for its turn was not begun"
    background.start(job())
