"""A portfolio that was traded live is what a backtest of it trades: three strategies on three symbols in one account,
by shares of the equity and under caps of all positions together. Each signal has the same verdict for the same reason.
`DAY_MINUTES` makes the day longer."""

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import pytest
from pymongo.database import Database

from pipeline.research.backtest.exact import ExactRun
from pipeline.research.backtest.run import _kind_of, run
from pipeline.settings import Portfolio
from pipeline.store.control import ControlStore
from pipeline.timeline import MINUTE, to_datetime
from schemas.signals import Kind, Side
from tests.execution.service import test_live_equals_backtest as day
from tests.execution.service.conftest import House

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
SHARES = {"first": Decimal(60), "second": Decimal(40)}
CAPS = Portfolio(gross_percent=Decimal(27), side_percent=Decimal(25))
ROOM = Portfolio(gross_percent=Decimal(52), side_percent=Decimal(50), books=True)
"""For all of them, where the second strategy may hold what the first one does."""
LENGTH = int(os.environ.get("DAY_MINUTES", "4"))
ATR = 0.01
"""Of the price: no stop is reached in so short a day."""
STORY: Final[tuple[tuple[tuple[int, str, Kind, Side], ...], ...]] = (
    ((0, "first", "trial", "long"), (1, "second", "trial", "long"), (2, "third", "trial", "long")),
    ((0, "first", "entry", "long"), (0, "second", "entry", "long"), (2, "second", "entry", "long")),
    ((0, "second", "exit", "long"), (1, "second", "exit", "long"), (2, "first", "trial", "short")),
    ((0, "first", "exit", "long"), (2, "first", "exit", "short")),
)
"""At one close after the other, again and again: symbol, strategy, and what it says. The third strategy has no share;
the second is not heard of what the first one holds; and of the third symbol its entry goes beyond a cap."""


@pytest.fixture
def house(db: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with day.hurried_house(db, monkeypatch, "sim", *SYMBOLS) as made:
        yield made


async def traded(house: House, portfolio: Portfolio) -> list[str]:
    """Let the strategies speak at the closes of minutes, each after what became of the one before."""
    said: list[str] = []
    async with house.executor(risk=day.RISK, recv_window=60_000, symbols=set(SYMBOLS), portfolio=portfolio):
        for number in range(LENGTH):
            close = day.begin() + (number + 1) * MINUTE
            await house.until(lambda: house.simulator.now() > close)  # noqa: B023 - it is over before the next
            for place, (symbol, strategy, kind, side) in enumerate(STORY[number % len(STORY)]):
                paid = float(house.simulator.truth_klines(SYMBOLS[symbol], "1m", close - MINUTE, close - 1)[0][4])
                moments = {"at": to_datetime(close), "candle": to_datetime(close - MINUTE), "interval": "1m"}
                moments["fresh_until"] = to_datetime(close + 5 * MINUTE)
                of_it = {"symbol": SYMBOLS[symbol], "strategy": strategy, "indicators": {"atr": paid * ATR}}
                name = f"signal {close} {place}"
                said.append(house.say(kind, side, price=paid, name=name, **of_it, **moments))
                await house.verdict(name)
        await house.until(lambda: house.simulator.now() > day.begin() + (LENGTH + 1) * MINUTE)
        await house.check()
    return said


@pytest.mark.parametrize("books", [False, True], ids=["one a symbol", "books"])
async def test_several_strategies_with_shares_and_caps_come_to_the_same_live_and_in_a_backtest(
    house: House, books: bool
) -> None:
    portfolio = ROOM if books else CAPS
    ControlStore(house.db, "sim").set_allocation(SHARES, by="a test", now=datetime.now(UTC))
    said = await traded(house, portfolio)
    asked = day.question(house, said, *SYMBOLS, length=LENGTH)
    asked = replace(asked, shares=SHARES, policy=replace(asked.policy, portfolio=portfolio))
    paper = ExactRun(asked).run()
    live = {one: (house.signal(one).verdict, _kind_of(house.signal(one).reason)) for one in said}
    assert live == {one: (paper.verdicts[one].verdict, _kind_of(paper.verdicts[one].reason)) for one in said}
    reasons = " ".join(why for _, why in live.values())
    beyond = () if books else ("held by first", "would come to n % of the equity")
    for wanted in ("no share of the equity", *beyond):
        assert wanted in reasons, reasons
    assert ("held by" in reasons) is not books
    assert sorted(day.own_ids(house.orders())) == sorted(day.own_ids(paper.orders.values()))
    steps = {one.symbol: one.filters.step_size for one in asked.symbols if one.filters}
    for name in day.own_ids(house.orders()):
        (mine,), other = house.orders(_id=name), paper.orders[name]
        assert mine.quantity == pytest.approx(other.quantity, rel=Decimal("0.01"), abs=steps[mine.symbol]), name
    if books:
        together = {one.strategy for one in run(asked).outcome.trades if one.symbol == SYMBOLS[0]}
        assert together == {"first", "second"}
        return
    trades = [run(asked, exact=exact).outcome for exact in (False, True)]
    assert [one.engine for one in trades] == ["fast", "exact"]
    fast, exact = ([(one.signal, one.quantity, one.profit) for one in each.trades] for each in trades)
    assert [one[:2] for one in fast] == [one[:2] for one in exact]
