"""The executor while the primary of its database is killed: it goes on, and its journal is what the exchange knows."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest


@pytest.fixture
def db(kept: Any) -> Any:
    """The house stands on three servers."""
    return kept


async def held_under_a_stop(house: Any) -> bool:
    def so() -> bool:
        found = house.position()
        return bool(found and found.quantity and found.stop_order and not found.unprotected_since)

    return await house.until(so)


async def test_the_executor_goes_on_when_the_primary_is_killed(house: Any, cluster: Any) -> None:
    async with house.executor():
        price = house.price()
        trial = await house.verdict(house.say("trial"))
        assert trial.verdict == "taken"
        await held_under_a_stop(house)

        killing = asyncio.create_task(asyncio.to_thread(cluster.kill_primary))
        entry = await asyncio.to_thread(house.say, "entry", price=float(price * Decimal("1.002")))
        dead = await killing
        taken = await house.verdict(entry)
        assert taken.verdict == "taken", taken.reason
        await held_under_a_stop(house)
        assert await asyncio.to_thread(cluster.primary) != dead

        assert (await house.verdict(house.say("exit"))).verdict == "taken"
        await house.until(lambda: house.held() == 0 and house.stops() == [])
        await house.check()
    assert [one.leg for one in house.orders() if not one.algo] == ["trial", "entry", "exit"]
