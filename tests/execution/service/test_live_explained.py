"""What went otherwise live is named: an order that was refused, a signal that was seen late, a position that somebody
closed by hand. By the question, and by the command."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.exchange.trading import NewOrder
from pipeline.settings import Portfolio
from pipeline.timeline import MINUTE, SECOND, to_datetime
from schemas.signals import Kind, Side
from tests.execution.service import test_live_equals_backtest as day
from tests.execution.service.conftest import House
from tests.execution.service.explained import explained

house = day.house
LATE = 40 * SECOND
ENTRY = {"method": "POST", "path": "/fapi/v1/order"}
MINUTES = 6
ATR = 0.01
"""Of the price: no stop is reached."""
NEAR = 0.0012
"""A stop below is reached in the fourth minute."""
PAST = 5
"""A tenth of a second later, in a backtest, the price has gone no farther."""


async def traded(house: House) -> list[str]:
    """A refused entry and an exit; an entry that is seen late, and closed by hand before its exit."""
    async with house.executor(risk=day.RISK, recv_window=60_000):
        number = house.simulator.faults.add("answer_code", code=-2019, **ENTRY, next=1)
        refused = await say(house, 1, "entry", "long")
        await house.until(lambda: house.simulator.faults.struck(number))
        left = await say(house, 2, "exit", "long")
        late = await say(house, 3, "entry", "short", after=LATE)
        await house.until(
            lambda: house.held() and house.stops() and (position := house.position()) and position.quantity
        )
        by_hand = NewOrder(symbol=house.symbol, side="BUY", client_id="by-hand", quantity=-house.held())
        house.trading.place_order(by_hand)
        await house.until(lambda: not house.held() and not house.stops())
        closed = await say(house, 5, "exit", "short")
        await house.until(lambda: house.simulator.now() > day.begin() + MINUTES * MINUTE)
        await house.until(lambda: all(one.state in {"cancelled", "expired"} for one in house.orders(leg="stop")))
    return [refused, left, late, closed]


async def say(
    house: House, number: int, kind: Kind, side: Side, after: int = 0, strategy: str = "turtle", part: float = ATR
) -> str:
    """At the close of that minute, or so long after it; it has its verdict when this returns."""
    close = day.begin() + number * MINUTE
    await house.until(lambda: house.simulator.now() > close + after)
    paid = float(house.simulator.truth_klines(house.symbol, "1m", close - MINUTE, close - 1)[0][4])
    moments = {"at": to_datetime(close), "candle": to_datetime(close - MINUTE), "interval": "1m"}
    moments["fresh_until"] = to_datetime(close + 5 * MINUTE)
    atr = {"atr": round(paid * part, 1)}
    name = house.say(kind, side, price=paid, indicators=atr, strategy=strategy, **moments)
    await house.verdict(name)
    return name


@pytest.mark.parametrize("house", ["sim"], indirect=True)
async def test_a_refused_order_a_late_signal_and_a_close_by_hand_are_named(
    house: House, mongo_uri: str, home: Path, run: Callable[..., Any]
) -> None:
    refused, _, late, _ = await traded(house)
    start, end = day.begin() - MINUTE, day.begin() + MINUTES * MINUTE
    found = explained(house, mongo_uri, home, day.RISK, start, end)
    by_signal = {one.signal: one for one in found.rows}
    assert by_signal.keys() == {refused, late}
    assert [one.cause for one in by_signal[refused].costs] == ["refused"]
    assert "-2019" in by_signal[refused].costs[0].words
    assert by_signal[refused].live is None
    assert by_signal[late].by_cause.keys() >= {"late", "hand"}
    assert [one.rest for one in found.rows] == [0, 0]
    assert found.live - found.paper == sum(found.by_cause.values()) != 0

    said = json.loads(run("explain", "--since", "2026-11-10", "--json").stdout)
    (account,) = said["accounts"]
    assert Decimal(account["rest"]) == 0
    assert Decimal(account["difference"]) == sum(Decimal(one["money"]) for one in account["causes"].values())
    assert {one["cause"] for each in account["trades"] for one in each["causes"]} == set(found.by_cause)
    told = run("explain", "--since", "2026-11-10").stdout
    assert house.symbol in run("explain", "--since", "2026-11-10", "--slippage").stdout
    for words in ("refused", "hand", "late", "rest", "of 4 signals had the same verdict"):
        assert words in told


@pytest.mark.parametrize("house", ["sim"], indirect=True)
async def test_what_two_strategies_held_against_each_other_is_explained_for_each(
    house: House, mongo_uri: str, home: Path
) -> None:
    """One position at the exchange, and two in the journal. The price falls to the stop of what faces that position:
    the executor alone sees it, live and in the backtest."""
    books = Portfolio(books=True)
    async with house.executor(risk=day.RISK, recv_window=60_000, portfolio=books):
        first = await say(house, 1, "trial", "long", part=NEAR)
        second = await say(house, 2, "entry", "short", strategy="rsi", part=NEAR)
        await say(house, 4, "exit", "short", strategy="rsi")
        await house.until(lambda: house.simulator.now() > day.begin() + 5 * MINUTE)
        await house.until(lambda: not house.held() and not house.stops())
    start, end = day.begin() - MINUTE, day.begin() + 5 * MINUTE
    found = explained(house, mongo_uri, home, day.RISK, start, end, portfolio=books)
    assert [(one.signal, one.strategy, one.side) for one in found.rows] == [
        (first, "turtle", "long"), (second, "rsi", "short"),
    ]  # fmt: skip
    assert [one.live is None or one.paper is None for one in found.rows] == [False, False]
    assert [one.rest for one in found.rows] == [0, 0], found.rows
    assert [one.leg for one in house.orders(strategy="turtle")] == ["flatten"]
    words = " ".join(one.words for one in found.rows[0].costs if one.cause == "slippage")
    filled, trigger = map(Decimal, re.findall(r"the backtest at (\S+) from (\S+)", words)[-1])
    assert 0 < trigger - filled < PAST
    assert found.alike == 3
