"""Several strategies or intervals speak at one close: who wins, as docs/execution.md says."""

import itertools
from decimal import Decimal as D

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.state import AccountView
from tests.execution.driver import Driver, rules, signal
from tests.execution.test_ladder import settle

SAID = [("1h", "macd_cross"), ("15m", "rsi_reversal"), ("1d", "bollinger"), ("15m", "bollinger")]


def word(interval, strategy, driver):
    return signal(
        f"sim:BTCUSDT:{interval}:{strategy}", kind="entry", interval=interval, strategy=strategy, at=driver.now,
        fresh_until=driver.now + 60_000,
    )  # fmt: skip


@pytest.mark.parametrize("order", list(itertools.permutations(SAID))[::5])
def test_of_those_that_are_there_together_the_first_by_interval_and_name_opens(order):
    driver = Driver(ready=False)
    driver(rules())
    for one in [word(*said, driver) for said in order]:
        driver(ev.SignalSeen(one))
    driver.last = driver(
        ev.Snapshot((), (), (AccountView("USDT", D(10_000), D(10_000), driver.now, D(10_000)),), driver.now)
    )
    settle(driver)
    for _ in range(4):
        driver.last = driver(ev.Time(), 1_000)
        settle(driver)
    assert driver.verdict("sim:BTCUSDT:15m:bollinger").verdict == "taken"
    for interval, strategy in SAID[:-1]:
        assert driver.verdict(f"sim:BTCUSDT:{interval}:{strategy}").reason == "held by bollinger 15m"


def test_the_one_that_comes_first_opens_whatever_its_name():
    driver = Driver()
    early, late = word("1h", "macd_cross", driver), word("15m", "bollinger", driver)
    asked = driver(ev.SignalSeen(early), 1)
    driver(ev.SignalSeen(late))
    driver.last = asked
    settle(driver)
    for _ in range(4):
        driver.last = driver(ev.Time(), 1_000)
        settle(driver)
    assert driver.verdict(early.id).verdict == "taken"
    assert driver.verdict(late.id).reason == "held by macd_cross 1h"
