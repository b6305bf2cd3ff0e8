"""Entries that are limit orders, on a real database and a real exchange: they rest, they are filled, and none is left
behind."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from pipeline.settings import Risk

LIMIT = Risk(entry_order="limit", limit_seconds=60, max_error_percent=Decimal(100))
SHORTLY = LIMIT.model_copy(update={"limit_seconds": 2})
CANCEL = {"method": "DELETE", "path": "/fapi/v1/order"}
FAR = Decimal("0.996")
"""Of the price: nothing falls so far while a test lasts, and the price has not moved too much to be followed."""


def below(house: Any, share: Decimal = FAR) -> float:
    return float((house.price() * share).quantize(Decimal("0.1")))


def resting(house: Any) -> list[Any]:
    return house.trading.open_orders()


async def rests(house: Any) -> Any:
    """An entry rests at the exchange; its signal."""
    signal = await house.verdict(house.say("entry", price=below(house)))
    assert signal.verdict == "taken", signal.reason
    await house.until(lambda: resting(house) and house.orders(state="accepted", leg="entry"))
    return signal


async def explained(house: Any, signal: Any, why: str) -> None:
    """Nothing rests any more, and the signal says what became of it."""
    quantity = signal.decision.quantity
    said = f"filled 0 of {quantity.normalize():f} at {Decimal(str(signal.price)).normalize():f}: {why}"
    await house.until(lambda: house.signal(signal.id).reason == said)
    assert house.signal(signal.id).verdict == "taken"
    await house.until(lambda: house.orders(leg="entry")[-1].state == "cancelled")
    assert resting(house) == []
    await house.check()


async def test_what_is_not_filled_in_time_is_cancelled_at_the_exchange_and_said(house: Any) -> None:
    async with house.executor(risk=SHORTLY):
        signal = await rests(house)
        (order,) = house.orders()
        (placed,) = house.accepted()
        assert (order.type, order.price) == ("LIMIT", Decimal(str(signal.price)))
        assert (placed["type"], placed["time_in_force"], Decimal(placed["price"])) == ("LIMIT", "GTC", order.price)
        await explained(house, signal, "no more within 2 s")
        assert house.held() == 0


async def test_one_whose_price_is_there_is_filled_at_it_or_better_and_protected(house: Any) -> None:
    async with house.executor(risk=LIMIT):
        signal = await house.verdict(house.say("entry", price=below(house, Decimal("1.003"))))
        await house.until(lambda: (held := house.position()) and held.stop_order and house.held() == held.quantity)
        (order,) = house.orders(leg="entry")
        await house.until(lambda: house.orders(leg="entry")[0].fee)
        assert (order.state, order.filled) == ("filled", signal.decision.quantity)
        assert order.average_price <= order.price
        assert (house.signal(signal.id).verdict, house.signal(signal.id).reason) == ("taken", None)
        await house.check()


@pytest.mark.parametrize("fault", ["unknown_before", "timeout_after", "overloaded"])
async def test_a_cancel_that_fails_is_sent_until_it_is_done(house: Any, fault: str) -> None:
    async with house.executor(risk=SHORTLY):
        number = house.simulator.faults.add(fault, **CANCEL, next=1)
        signal = await rests(house)
        await explained(house, signal, "no more within 2 s")
        assert house.simulator.faults.struck(number) == 1


async def test_an_exit_ends_it_before_it_is_decided(house: Any) -> None:
    async with house.executor(risk=LIMIT):
        signal = await rests(house)
        leave = await house.verdict(house.say("exit"))
        assert (leave.verdict, leave.reason) == ("skipped", "no position to close")
        await explained(house, signal, "exit long was signalled")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("halt",), "halted"),
        (("mode", "signal-only"), "the mode was changed to signal-only"),
        (("trading", "BTCUSDT", "--off"), "trading of BTCUSDT is off"),
    ],
)
async def test_a_switch_ends_it_at_once(house: Any, run: Callable[..., Any], command: Any, why: str) -> None:
    async with house.executor(risk=LIMIT):
        signal = await rests(house)
        await asyncio.to_thread(run, *command)
        await explained(house, signal, why)


async def test_halt_with_flatten_leaves_nothing_that_rests(house: Any, run: Callable[..., Any]) -> None:
    async with house.executor(risk=LIMIT):
        await rests(house)
        await asyncio.to_thread(run, "halt", "--flatten")
        assert resting(house) == []
        await house.until(lambda: house.orders(leg="entry")[0].state == "cancelled")
        await house.check()


async def test_an_executor_that_ends_leaves_nothing_that_rests(house: Any) -> None:
    async with house.executor(risk=LIMIT):
        signal = await rests(house)
    assert resting(house) == []
    assert house.orders(leg="entry")[0].state == "cancelled"
    assert house.signal(signal.id).reason.endswith("the executor ends")


async def test_what_a_killed_executor_has_left_is_cancelled_by_the_next_when_its_time_is_over(
    house: Any, executors: Any
) -> None:
    limits = {"risk": {"entry_order": "limit", "limit_seconds": 8}}
    pid = executors.start(**limits)
    signal = await rests(house)
    executors.kill(pid)
    assert len(resting(house)) == 1
    executors.start(**limits)
    await explained(house, signal, "no more within 8 s")
    (placed,) = house.accepted()
    ended = next(one for one in house.ledger() if one["kind"] == "Ended")
    assert 7_900 < ended["time"] - placed["time"] < 15_000
