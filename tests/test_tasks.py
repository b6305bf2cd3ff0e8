import asyncio
import contextlib

import pytest

from pipeline.tasks import cancel, until_one_ends


async def loses_one():
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()


@pytest.mark.timeout(30)
async def test_what_loses_a_cancellation_or_fails_for_one_has_ended_all_the_same():
    async def loses_what_comes_alone():
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

    tasks = [asyncio.create_task(one) for one in (loses_what_comes_alone(), fails(), asyncio.sleep(0))]
    await asyncio.sleep(0)
    await cancel(tasks)
    assert [one.done() for one in tasks] == [True, True, True]
    assert tasks[0].cancelled()


@pytest.mark.timeout(30)
async def test_who_is_cancelled_meanwhile_leaves_none_behind():
    task = asyncio.create_task(loses_one())
    await asyncio.sleep(0)
    cancelling = asyncio.create_task(cancel([task]))
    await asyncio.sleep(0)
    cancelling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelling
    assert task.done()


@pytest.mark.timeout(30)
async def test_what_loses_a_cancellation_keeps_nobody_from_his_end():
    async def breaks():
        raise EOFError

    with pytest.raises(EOFError):
        await until_one_ends(loses_one(), breaks())
    await until_one_ends(loses_one(), asyncio.sleep(0))
