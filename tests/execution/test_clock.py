"""What a clock that is put forward or back changes in the executor's memory: nothing."""

import pytest

from pipeline.execution.engine import events as ev
from pipeline.timeline import HOUR, MINUTE, SECOND
from tests.execution.driver import Driver


def settled() -> tuple[Driver, str]:
    """A core that closed what it held, and the order that it had opened it with."""
    driver = Driver()
    entry = driver.protected()
    driver.seen(driver.order("stop"), "filled", entry.quantity)
    driver.holds(0)
    assert not any(one.unsettled for one in driver.core.orders())
    return driver, entry.id


def minutes(driver: Driver, number: int) -> None:
    for _ in range(number * MINUTE // (5 * SECOND)):
        driver(ev.Time(), 5 * SECOND)


@pytest.mark.parametrize("by", [-HOUR, HOUR, -11 * MINUTE, 0])
def test_what_is_settled_is_remembered_for_ten_minutes_by_whichever_clock(by: int) -> None:
    driver, entry = settled()
    driver(ev.Time(), by)
    minutes(driver, 9)
    assert driver.core.order(entry) is not None
    minutes(driver, 2)
    assert driver.core.order(entry) is None


@pytest.mark.parametrize("by", [-HOUR, HOUR])
def test_what_is_settled_after_the_clock_was_put_right_is_remembered_as_long(by: int) -> None:
    driver = Driver()
    driver.protected()
    driver(ev.Time(), by)
    driver(ev.Time(), by)
    stop = driver.order("stop").id
    driver.seen(driver.order("stop"), "filled", driver.position().quantity)
    driver.holds(0)
    minutes(driver, 9)
    assert driver.core.order(stop) is not None
    minutes(driver, 2)
    assert driver.core.order(stop) is None
