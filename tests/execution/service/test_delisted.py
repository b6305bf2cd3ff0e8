"""A symbol is delisted while it is held: the exchange settles it, and whatever the executor heard of that, the journal
says so and another symbol goes on."""

from typing import Any

import pytest


@pytest.mark.parametrize("away", [False, True], ids=["it acts", "it was away"])
async def test_what_is_settled_is_told_once_in_its_own_words_and_another_symbol_goes_on(house: Any, away: bool) -> None:
    def settle() -> None:
        house.simulator.delist("BTCUSDT", "SETTLING")
        assert house.simulator.close_position(house.account.name, "BTCUSDT", "settlement") == 1

    def endings() -> list[str]:
        return [one.text for one in house.notes if one.title == "BTCUSDT is closed"]

    async with house.executor(symbols={"BTCUSDT", "ETHUSDT"}):
        await house.hold()
        if not away:
            settle()
            await house.until(endings)
    if away:
        settle()
    async with house.executor(symbols={"BTCUSDT", "ETHUSDT"}):
        await house.until(endings)
        await house.until(lambda: house.held() == 0 and not house.stops())
        await house.check()
        other = house.say("trial", symbol="ETHUSDT", price=float(house.price("ETHUSDT")))
        assert (await house.verdict(other)).verdict == "taken"
        await house.until(lambda: [one.symbol for one in house.stops()] == ["ETHUSDT"])
        await house.check()
        assert endings() == ["settled by the exchange: the contract has ended"]
        assert house.position().quantity == 0
