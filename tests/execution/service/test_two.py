"""Two executors at once: one acts, the other takes over within seconds, and one that was overtaken sends nothing."""

import asyncio
import os
import signal
import time
from typing import Any

from pipeline.store.lease import LeaseStore

LIFE = 2.0


def holder(house: Any) -> str | None:
    return LeaseStore(house.db, "executor:sim", "").holder()


async def taken(house: Any, kind: str = "trial") -> Any:
    found = await house.verdict(house.say(kind))
    assert found.verdict == "taken", found.reason
    await house.check()
    return found


async def flat(house: Any) -> None:
    await house.until(lambda: house.held() == 0 and house.stops() == [] and not (house.position() or house).quantity)


async def test_the_standby_takes_over_when_the_other_dies_and_when_it_sleeps(house: Any, executors: Any) -> None:
    first = executors.start("first", lease_life=LIFE)
    await house.until(lambda: holder(house) == "first")
    second = executors.start("second", lease_life=LIFE)
    await taken(house)
    await taken(house, "exit")
    await flat(house)

    began = time.monotonic()
    executors.kill(first)
    await house.until(lambda: holder(house) == "second")
    assert time.monotonic() - began < LIFE + 10, "seconds, on a machine that is loaded"
    await taken(house)
    await taken(house, "exit")
    await flat(house)

    third = executors.start("third", lease_life=LIFE)
    os.kill(second, signal.SIGSTOP)
    await house.until(lambda: holder(house) == "third")
    name = house.say("trial")
    await house.verdict(name)
    os.kill(second, signal.SIGCONT)
    await house.until(lambda: "this term ends" in executors.log.read_text(encoding="utf-8"))
    await asyncio.sleep(LIFE)
    assert holder(house) == "third"
    await house.check()
    assert {one.fence for one in house.orders(signal=name)} == {3}
    assert third in executors.running


async def test_one_alone_that_slept_until_its_lease_and_its_listen_key_were_gone_acts_again(
    house: Any, executors: Any
) -> None:
    """It wakes to both at once, as on a machine that was suspended."""
    alone = executors.start("alone", lease_life=LIFE)
    await house.until(lambda: holder(house) == "alone")
    for _ in range(3):
        await taken(house)
        os.kill(alone, signal.SIGSTOP)
        house.simulator.expire_listen_keys()
        await house.until(lambda: holder(house) is None)
        os.kill(alone, signal.SIGCONT)
        await house.until(lambda: holder(house) == "alone")
        await taken(house, "exit")
        await flat(house)


async def test_a_holder_that_leaves_in_order_is_followed_at_once(house: Any, executors: Any) -> None:
    first = executors.start("first", lease_life=60.0)
    await house.until(lambda: holder(house) == "first")
    executors.start("second", lease_life=60.0)
    os.kill(first, signal.SIGTERM)
    executors.running.discard(first)
    await house.until(lambda: holder(house) == "second")
    await taken(house)


async def test_of_two_that_start_together_each_signal_gets_one_order(house: Any, executors: Any) -> None:
    for number in range(2):
        executors.start(f"number {number}", lease_life=LIFE)
    for kind in ("trial", "entry", "exit"):
        await taken(house, kind)
    await flat(house)
    await house.check()
    accepted = [one["client_id"] for one in house.accepted() if one["type"] == "MARKET"]
    assert len(accepted) == len(set(accepted)) == 3
