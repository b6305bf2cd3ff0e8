"""How often the exchange was compared with the journal, and what counts as the two not being equal."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import Reconcile
from pipeline.execution.engine.state import OrderTold
from pipeline.timeline import MINUTE, SECOND
from tests.execution.driver import IDENTITY, Driver


def stand_apart(driver: Driver, held: Decimal, stop: OrderTold) -> None:
    """The stop is gone, and nobody told."""
    driver.snapshot([], held)


def be_sold(driver: Driver, held: Decimal, stop: OrderTold) -> None:
    """Half of the position is gone."""
    driver.snapshot([stop], held / 2)


def change_state(driver: Driver, held: Decimal, stop: OrderTold) -> None:
    """The stop has fired."""
    driver.snapshot([replace(stop, state="partially_filled", at=driver.now)], held)


def find_again(driver: Driver, held: Decimal, stop: OrderTold) -> None:
    """An order of ours that the journal does not have."""
    driver.snapshot([stop, replace(stop, id=IDENTITY.order_id("other", "stop"), exchange_id=77)], held)


def agree(driver: Driver, held: Decimal, stop: OrderTold) -> None:
    """As the journal has it."""
    driver.snapshot([stop], held)


def be_a_stranger(driver: Driver, held: Decimal, stop: OrderTold) -> None:
    """An order of somebody else."""
    driver.snapshot([stop, replace(stop, id="somebody", exchange_id=77)], held)


@pytest.mark.parametrize(
    ("compare", "corrections"),
    [(agree, 0), (be_a_stranger, 0), (stand_apart, 1), (be_sold, 1), (change_state, 1), (find_again, 1)],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_what_is_set_right_is_counted(compare: Callable[[Driver, Decimal, OrderTold], None], corrections: int) -> None:
    driver = Driver()
    held = driver.protected().quantity
    compare(driver, held, driver.told(driver.order("stop")))
    assert driver.core.corrections == corrections


def test_an_order_in_doubt_that_is_found_is_resolved_and_not_set_right() -> None:
    driver = Driver()
    order = driver.sent()
    assert order.in_doubt
    driver.snapshot([driver.told(order)])
    assert driver.order("entry").state == "accepted"
    assert driver.core.corrections == 0


@pytest.mark.parametrize(("before", "again"), [(300, 5 * SECOND), (0, MINUTE)], ids=["perhaps before", "since"])
def test_what_was_compared_as_of_before_the_stream_was_back_is_compared_again_soon(before: int, again: int) -> None:
    """The exchange's clock is known to some milliseconds: what is asked at once is surely only of before."""
    driver = Driver()
    driver(ev.StreamBack())
    driver(ev.Snapshot((), (), (), driver.now - before), 0)
    compared = driver.now
    while not driver.got(Reconcile):
        driver.wait(250)
    assert driver.now - compared == again
