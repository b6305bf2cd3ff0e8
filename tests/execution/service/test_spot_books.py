"""Several strategies on spot, where the executor runs: each has coins of its own, and a pair of its own over them."""

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from pipeline.settings import Portfolio
from tests.execution.service.spot import SYMBOL, SpotHouse

BOOKS = Portfolio(books=True)


@pytest.fixture
def house(spot: SpotHouse, monkeypatch: pytest.MonkeyPatch) -> SpotHouse:
    monkeypatch.setenv("TIDEMARK_PORTFOLIO__BOOKS", "true")
    return spot


def held(house: SpotHouse) -> dict[str, Decimal]:
    """What each strategy holds, as it is stored."""
    position = house.position()
    return {} if position is None else {str(one.strategy): one.quantity for one in position.books}


async def two_hold(house: SpotHouse) -> dict[str, Decimal]:
    await house.hold()
    name = house.say("trial", strategy="rsi", interval="15m")
    await house.until(lambda: house.verdict(name) != "fresh")
    assert house.verdict(name) == "taken", house.signal(name).reason
    await house.until(lambda: len(held(house)) == 2)
    await house.calm()
    return held(house)


async def test_each_has_its_pair_outlives_a_restart_and_leaves_by_itself(house: SpotHouse) -> None:
    async with house.executor(portfolio=BOOKS):
        before = await two_hold(house)
        names = {one.name for one in house.standing()}
        assert sorted(one.type for one in house.standing()) == ["STOP_LOSS", "STOP_LOSS", "TAKE_PROFIT", "TAKE_PROFIT"]
    async with house.executor(portfolio=BOOKS):
        await house.calm()
        assert (held(house), {one.name for one in house.standing()}) == (before, names)
        house.say("exit")
        await house.until(lambda: [*held(house)] == ["rsi"])
        await house.calm()
        left = {one.name for one in house.standing()}
        assert left < names, "what stands for the other was not touched"
        house.say("exit", strategy="rsi", interval="15m")
        await house.closed()


async def test_a_lost_journal_gives_each_its_own_back_and_a_halt_ends_both(
    house: SpotHouse, run: Callable[..., Any]
) -> None:
    async with house.executor(portfolio=BOOKS):
        before, names = await two_hold(house), {one.name for one in house.standing()}
    house.db.orders.delete_many({})
    house.db.positions.delete_many({})
    for _ in range(2):
        async with house.executor(portfolio=BOOKS):
            await house.until(lambda: held(house) == before)
            await house.calm()
            assert {one.name for one in house.standing()} == names, "what stands is for just so much as one holds"
    shown = await asyncio.to_thread(run, "positions", "--json")
    (position,) = json.loads(shown.stdout)["positions"]
    assert {one["strategy"] for one in position["books"]} == {"turtle", "rsi"}
    table = (await asyncio.to_thread(run, "positions")).output
    assert all(words in table for words in ("2 strategies", "rsi", "turtle")), table
    done = json.loads((await asyncio.to_thread(run, "halt", "--flatten", "--json")).stdout)
    assert (done["flattened"]["flat"], done["flattened"]["problems"]) == (True, [])
    assert [one["symbol"] for one in done["closed"]] in ([SYMBOL], [SYMBOL, SYMBOL])
    await house.closed()
