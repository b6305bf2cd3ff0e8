"""Several strategies in one contract, where the executor runs: the exchange has one position, the database each one's
own part of it, and every part its own stop.
"""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from pipeline.execution.engine.events import StreamBack
from pipeline.settings import Portfolio
from pipeline.store.control import ControlStore

Run = Callable[..., Any]

BOOKS = Portfolio(books=True)


def held(house: Any) -> dict[str, Decimal]:
    """What each strategy holds, as it is stored."""
    position = house.position()
    return {} if position is None else {one.strategy: one.quantity for one in position.books}


def stands(house: Any) -> bool:
    """Whether the books are what is held, and each that can has its stop at the exchange."""
    position = house.position()
    even = position is not None and sum(held(house).values(), Decimal(0)) == position.quantity == house.held()
    mine = [one for one in position.books if one.quantity * position.quantity > 0] if even else []
    wanted = {one.stop_price for one in mine}
    return even and wanted == {
        one.trigger_price for one in house.stops() if "STOP" in one.order_type and one.symbol == house.symbol
    }


async def test_two_hold_it_and_each_leaves_by_itself(house: Any) -> None:
    async with house.executor(portfolio=BOOKS):
        assert (await house.verdict(house.say("entry"))).verdict == "taken"
        atr = {"atr": round(float(house.price()) * 0.02, 1)}
        other = await house.verdict(house.say("entry", strategy="rsi", interval="15m", indicators=atr))
        assert other.verdict == "taken"
        await house.until(lambda: len(held(house)) == 2 and stands(house) and len(house.stops()) == 2)
        assert (await house.verdict(house.say("exit"))).verdict == "taken"
        await house.until(lambda: [*held(house)] == ["rsi"] and stands(house) and len(house.stops()) == 1)
    await house.check()


async def test_what_they_hold_against_each_other_is_not_held_at_the_exchange(house: Any) -> None:
    """A restart knows whose it is; a halt that closes ends both."""
    async with house.executor(portfolio=BOOKS):
        assert (await house.verdict(house.say("entry"))).verdict == "taken"
        await house.until(lambda: held(house) and stands(house))
        whole = house.held()
        assert (await house.verdict(house.say("trial", "short", strategy="rsi"))).verdict == "taken"
        await house.until(lambda: len(held(house)) == 2 and stands(house))
        assert 0 < house.held() < whole
        before = held(house)
    async with house.executor(portfolio=BOOKS):
        assert held(house) == before
        assert (await house.verdict(house.say("exit"))).verdict == "taken"
        await house.until(lambda: [*held(house)] == ["rsi"] and stands(house))
        assert house.held() == before["rsi"] < 0
        assert (await house.verdict(house.say("exit", "short", strategy="rsi"))).verdict == "taken"
        await house.until(lambda: not held(house) and not house.held() and not house.stops())
    await house.check()


@pytest.mark.parametrize("acts", [True, False], ids=["an executor acts", "none acts"])
async def test_a_close_of_one_symbol_ends_every_book_of_it_and_none_of_another(
    house: Any, run: Run, acts: bool
) -> None:
    """Two hold it against each other, and the exchange what is left of that."""
    async with house.executor(portfolio=BOOKS, symbols={house.symbol, house.other}):
        price = float(house.price(house.other))
        other = house.say(symbol=house.other, price=price, indicators={"atr": round(price * 0.01, 2)})
        for said in (house.say("entry"), other):
            assert (await house.verdict(said)).verdict == "taken"
        await house.until(lambda: held(house) and stands(house) and len(house.stops()) == 2)
        assert (await house.verdict(house.say("trial", "short", strategy="rsi"))).verdict == "taken"
        await house.until(lambda: len(held(house)) == 2 and stands(house))
        if acts:
            await closed(house, run)
            assert held(house) == {}
    if not acts:
        await closed(house, run)
        async with house.executor(portfolio=BOOKS):
            await house.until(lambda: not held(house))
    (left,) = json.loads(run("positions", "--json").stdout)["positions"]
    assert (left["symbol"], len(left["books"])) == (house.other, 1)
    await house.check()


@pytest.mark.parametrize("acts", [True, False], ids=["an executor acts", "none acts"])
async def test_a_halt_ends_what_is_held_against_each_other_where_the_exchange_holds_nothing(
    house: Any, run: Run, acts: bool
) -> None:
    limit(house)
    async with house.executor(portfolio=BOOKS):
        await cross(house)
        if acts:
            assert await flattened(run) == ["BTCUSDT"]
    if not acts:
        assert await flattened(run) == ["BTCUSDT"]
    assert held(house) == {}
    assert json.loads(run("positions", "--json").stdout)["positions"] == []
    run("resume")
    async with house.executor(portfolio=BOOKS):
        assert held(house) == {}
    await house.check()


async def test_an_exit_that_is_found_late_is_carried_out_where_the_exchange_holds_nothing(house: Any) -> None:
    limit(house)
    async with house.executor(portfolio=BOOKS) as executor:
        await cross(house)
        found = {"verdict": "expired", "fresh_until": None, "source": "history"}
        name = house.say("exit", **found)
        executor.term.tell(StreamBack())
        await house.until(lambda: [*held(house)] == ["rsi"] and stands(house))
        assert house.signal(name).verdict == "taken"
    await house.check()


async def closed(house: Any, run: Run) -> None:
    """By the command: nothing of the symbol is held, and only the other keeps its stop."""
    done = json.loads((await asyncio.to_thread(run, "close", house.symbol, "--json")).stdout)
    assert done["flattened"]["flat"]
    assert not house.held()
    assert {one.symbol for one in house.stops()} == {house.other}


def limit(house: Any) -> None:
    """Three lots each, wherever the price goes."""
    most = (house.price() * 2 * Decimal("0.0036")).quantize(Decimal(1))
    ControlStore(house.db, "sim").set_trading("BTCUSDT", {"max_position": most}, by="a person", now=datetime.now(UTC))


async def cross(house: Any) -> None:
    """Two hold as much against each other: the exchange holds nothing."""
    for number, (side, strategy) in enumerate((("long", "turtle"), ("short", "rsi"))):
        assert (await house.verdict(house.say("entry", side, strategy=strategy))).verdict == "taken"
        await house.until(lambda number=number: len(held(house)) == number + 1 and stands(house))
    assert house.held() == 0 < len(held(house))


async def flattened(run: Run) -> list[str]:
    """Where what strategies held against each other has ended with it."""
    done = json.loads((await asyncio.to_thread(run, "halt", "--flatten", "--json")).stdout)
    assert done["flattened"]["flat"]
    return done["flattened"]["crossed"]
