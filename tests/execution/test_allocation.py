"""Section "Several strategies, one account" of docs/execution.md."""

from decimal import Decimal as D

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import JournalIntent
from pipeline.execution.engine.state import Policy
from pipeline.settings import Risk
from tests.execution.driver import PRICE, SYMBOL, Driver, signal
from tests.execution.test_ladder import settle

UNCAPPED = Risk(max_position_percent=D(1_000), unit_percent=D(1))


def driven(*events, risk=UNCAPPED):
    driver = Driver(Policy("sim", risk))
    for event in events:
        driver(event)
    return driver


def unit_of(driver, name="s1", strategy="macd"):
    """That of an entry, if it is taken."""
    driver(ev.SignalSeen(signal(name, strategy=strategy, at=driver.now, fresh_until=driver.now + 60_000)), 1)
    found = driver.got(JournalIntent)
    return found[0].order.plan.unit_quantity if found else None


@pytest.mark.parametrize("risk", [UNCAPPED, Risk(max_position_percent=D(20)), Risk(unit_percent=D(50))])
def test_a_strategy_goes_by_its_share_as_if_it_were_all_there_is(risk):
    """Whether the risk, a share of the equity or one of the margin decides how large it is."""
    whole, part = driven(risk=risk), driven(ev.AllocationSeen({"macd": D(25), "rsi": D(50)}), risk=risk)
    assert unit_of(part) * 4 == pytest.approx(unit_of(whole), rel=D("1e-20"))


def test_what_has_no_share_opens_nothing_and_what_is_allocated_no_more_goes_by_all_of_it():
    driver = driven(ev.AllocationSeen({"rsi": D(50)}))
    assert unit_of(driver) is None
    reason = "no share of the equity is allocated to macd (tidemark allocate)"
    assert (driver.verdict().verdict, driver.verdict().reason) == ("skipped", reason)
    driver(ev.AllocationSeen(None))
    assert unit_of(driver, "s2") == unit_of(driven())


def test_what_is_held_keeps_its_unit_and_is_closed_whatever_is_allocated_then():
    driver = driven()
    whole = unit_of(driver)
    driver(ev.IntentJournaled(driver.order("entry").id), 1)
    settle(driver)
    driver(ev.AllocationSeen({"macd": D(10)}))
    higher = PRICE + 400
    driver(ev.PriceSeen(SYMBOL, higher, driver.now), 1)
    add = signal("s2", kind="add", price=higher, at=driver.now, fresh_until=driver.now + 60_000)
    driver(ev.SignalSeen(add), 1)
    assert driver.one(JournalIntent).order.plan.unit_quantity == whole
    driver(ev.IntentJournaled(driver.order("add").id), 1)
    settle(driver)
    driver.wait(3_000)
    settle(driver)
    driver(ev.AllocationSeen({"rsi": D(10)}))
    driver(ev.SignalSeen(signal("s3", kind="exit", at=driver.now, fresh_until=driver.now + 60_000)), 1)
    assert driver.order("exit").signal == "s3"
