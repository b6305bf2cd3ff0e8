"""What the switches tell the core: the changes, and nothing that the core knows better."""

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import TripBreaker
from pipeline.execution.engine.state import BreakerView
from pipeline.execution.runtime import documents
from pipeline.execution.runtime.inputs import Switches
from pipeline.store.control import Controls
from tests.execution.driver import SYMBOL, Driver, T

OTHER = BreakerView("slippage:ETHUSDT", "slipped", T, "ETHUSDT", T + 10**9)


def read(*breakers):
    return Controls(breakers={one.name: documents.breaker_document(one, "sim") for one in breakers})


def look(driver, switches, *breakers):
    for event in switches.changes(read(*breakers)):
        driver(event)
    return {one.name for one in driver.core.breakers()}


def test_a_breaker_that_trips_while_another_is_seen_to_be_reset_stays():
    driver, switches = Driver(), Switches("auto-execute", may_execute=True, mode="auto-execute")
    assert look(driver, switches, OTHER) == {OTHER.name}
    driver(ev.OrderRejected(driver.sent().id, -2015, "bad key"), 1)
    assert look(driver, switches) == {"key"}, "its write is still to come"
    key = next(one.breaker for one in driver.all if isinstance(one, TripBreaker))
    switches.tripped(key)
    assert look(driver, switches, key) == {"key"}
    assert look(driver, switches) == set(), "somebody has reset it"


def test_a_breaker_that_trips_anew_is_not_the_one_that_was_reset():
    driver, switches = Driver(), Switches("auto-execute", may_execute=True, mode="auto-execute")
    old = BreakerView(f"refused:{SYMBOL}", "earlier", T - 1, SYMBOL)
    anew = BreakerView(f"refused:{SYMBOL}", "later", T, SYMBOL)
    look(driver, switches, old)
    look(driver, switches, anew)
    driver(ev.BreakersSeen((), (old,)))
    assert driver.core.breakers() == (anew,)
