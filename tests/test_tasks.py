import asyncio

import pytest

from pipeline.tasks import cancel


@pytest.mark.timeout(30)
async def test_what_loses_a_cancellation_or_fails_for_one_has_ended_all_the_same():
    async def loses_one():
        for _ in range(2):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if asyncio.current_task().cancelling() > 1:
                    raise

    async def fails():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise ValueError("it was in the middle of something") from None

    tasks = [asyncio.create_task(one) for one in (loses_one(), fails(), asyncio.sleep(0))]
    await asyncio.sleep(0)
    await cancel(tasks)
    assert [one.done() for one in tasks] == [True, True, True]
    assert tasks[0].cancelled()
