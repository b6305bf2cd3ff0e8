"""Table "Refusals" of docs/execution.md."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import (
    Cancel,
    JournalIntent,
    Notify,
    Place,
    Query,
    QueryPositions,
    Reconcile,
)
from pipeline.execution.engine.refusals import Reaction, reaction
from pipeline.timeline import SECOND
from tests.execution.driver import POLICY, PRICE, SYMBOL, Driver, T

ENTRY_REFUSALS = [
    *((code, None) for code in (-2010, -2018, -2019, -2025, -4016, -4024, -4045, -4131, -5021, -5022, -9999)),
    *(
        (code, "refused:BTCUSDT")
        for code in (
            -1102, -1106, -1111, -1115, -1116, -1117, -1121, -1130,
            -4003, -4004, -4005, -4014, -4015, -4023, -4120, -4164,
        )
    ),
    *((code, "key") for code in (-1022, -2014, -2015)),
    (-4061, "position-mode"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "breaker"), ENTRY_REFUSALS)
def test_an_entry_that_is_refused_is_over_and_what_a_person_must_mend_trips(code, breaker):
    driver = Driver()
    order = driver.sent()
    driver(ev.OrderRejected(order.id, code, "because"))
    assert (driver.state("entry"), driver.order("entry").error_code) == ("rejected", code)
    assert driver.breakers() == ({breaker} if breaker else set())
    assert any(f"{code} because" in one.text for one in driver.got(Notify))
    assert not [one for one in driver.wait(30 * SECOND) if isinstance(one, Place)]


@pytest.mark.parametrize("code", [-1001, -1003, -1008, -1015, -1021, -5028])
def test_a_refusal_that_passes_is_waited_out(code):
    driver = Driver()
    order = driver.sent()
    driver(ev.OrderRejected(order.id, code, "later"))
    driver.wait(SECOND)
    assert driver.one(Place).order.id == order.id


def test_an_id_that_exists_is_asked_for():
    driver = Driver()
    order = driver.sent()
    driver(ev.OrderRejected(order.id, -4116, "duplicated"))
    driver.wait(SECOND)
    assert driver.got(Query)
    assert not driver.got(Place)


@pytest.mark.parametrize("code", [-2022, -4118])
def test_nothing_to_reduce_asks_for_the_position(code):
    driver = Driver()
    driver.protected()
    driver(ev.HaltSeen(halted=True, flatten=True))
    driver.journal()
    driver(ev.OrderRejected(driver.order("flatten").id, code, "refused"))
    assert driver.one(QueryPositions)
    driver.wait(5 * SECOND)
    assert driver.got(QueryPositions)
    assert not driver.got(JournalIntent), "what is believed to be held is in doubt"
    driver.holds(driver.position().quantity, by="query")
    assert driver.one(JournalIntent).order.leg == "flatten"


def test_a_close_that_is_refused_is_tried_again_after_a_second():
    driver = Driver()
    driver.protected()
    driver(ev.HaltSeen(halted=True, flatten=True))
    driver.journal()
    driver(ev.OrderRejected(driver.order("flatten").id, -4131, "nobody to trade with"))
    assert not driver.got(JournalIntent)
    driver.wait(SECOND)
    assert driver.one(JournalIntent).order.leg == "flatten"
    assert not driver.got(Cancel), "its stop stays"


def tries_of_closing(driver):
    """When a close is sent within half a minute, each of them refused, in seconds."""
    begun, at, done = driver.now, [], list(driver.last)
    for _ in range(300):
        for placed in [one.order for one in done if isinstance(one, Place)]:
            at += [(driver.now - begun) // SECOND] if placed.leg == "flatten" else []
            driver(ev.OrderRejected(placed.id, -4131, "nobody to trade with"))
        done = driver(ev.Time(), 100)
        done += driver.journal()
    return at


def test_a_close_is_tried_less_and_less_often_while_a_stop_stands():
    driver = Driver()
    driver.protected()
    driver(ev.HaltSeen(halted=True, flatten=True))
    driver.journal()
    assert tries_of_closing(driver) == [0, 1, 3, 7, 15]


def test_the_close_of_a_naked_position_is_tried_every_other_second():
    driver = Driver()
    driver.filled()
    driver.journal()
    driver(ev.OrderRejected(driver.order("stop").id, -2010, "refused"))
    driver.journal()
    tries = tries_of_closing(driver)
    assert len(tries) > 12
    assert max(later - earlier for earlier, later in pairwise(tries)) <= 3


def test_a_close_that_waited_beside_a_stop_waits_no_longer_than_the_naked_when_it_is_gone():
    driver = Driver()
    driver.protected()
    driver(ev.HaltSeen(halted=True, flatten=True))
    driver.journal()
    tries_of_closing(driver)
    driver.seen(driver.order("stop"), "cancelled")
    assert [one.order.leg for one in driver.wait(2 * SECOND) if isinstance(one, JournalIntent)].count("flatten") == 1


@pytest.mark.parametrize("code", [-2021, -4142, -4045, -1111, -2019, -2015, -9999])
def test_a_closing_stop_that_is_refused_closes_the_position(code):
    driver = Driver()
    held = driver.filled().quantity
    driver.journal()
    driver(ev.OrderRejected(driver.order("stop").id, code, "refused"))
    close = driver.one(JournalIntent).order
    assert (close.leg, close.side, close.quantity, close.reduce_only) == ("flatten", "SELL", held, True)


@pytest.mark.parametrize(("code", "asks"), [(-4130, Reconcile), (-2022, QueryPositions)])
def test_a_closing_stop_that_is_refused_because_we_do_not_know_enough_asks_first(code, asks):
    driver = Driver()
    driver.filled()
    driver.journal()
    driver(ev.OrderRejected(driver.order("stop").id, code, "refused"))
    assert driver.one(asks)
    assert driver.position().closing is None
    driver.wait(SECOND)
    assert driver.one(JournalIntent).order.leg == "stop"


def test_a_closing_stop_that_is_refused_for_another_is_looked_for_with_growing_pauses():
    driver = Driver(replace(POLICY, risk=POLICY.risk.model_copy(update={"unprotected_seconds": 60})))
    driver.filled()
    driver.journal()
    at, done = [], list(driver.last)
    for _ in range(400):
        for placed in [one for one in done if isinstance(one, Place)]:
            at.append((driver.now - T) // SECOND)
            assert [
                one
                for one in driver(ev.OrderRejected(placed.order.id, -4130, "it stands"))
                if isinstance(one, Reconcile)
            ]
        done = driver(ev.Time(), 100)
        done += driver.journal()
    assert at == [0, 1, 3, 7, 15, 31]


def test_the_stop_of_the_next_position_does_not_wait_for_what_the_last_one_was_refused():
    driver = Driver(replace(POLICY, risk=POLICY.risk.model_copy(update={"unprotected_seconds": 600})))
    driver.filled()
    driver.journal()
    for _ in range(4):
        driver(ev.OrderRejected(driver.order("stop").id, -2022, "nothing to reduce"))
        driver.wait(10 * SECOND)
        driver.journal()
    driver(ev.OrderRejected(driver.order("stop").id, -2022, "nothing to reduce"))
    driver.holds(0, by="query")
    assert driver.position().signal is None
    driver(ev.PriceSeen(SYMBOL, PRICE, driver.now))
    driver.filled(name="s2", at=driver.now, fresh_until=driver.now + 60_000)
    assert [one.order.leg for one in driver.last if isinstance(one, JournalIntent)] == ["stop"]


def test_a_take_profit_that_is_reached_already_closes_and_another_refusal_does_not():
    policy = replace(POLICY, risk=POLICY.risk.model_copy(update={"take_profit_atr": Decimal(3)}))
    for code, closes in ((-2021, True), (-4045, False)):
        driver = Driver(policy)
        driver.filled()
        driver.journal()
        driver.seen(driver.order("stop"))
        driver(ev.OrderRejected(driver.order("take_profit").id, code, "refused"))
        assert bool(driver.position().closing) is closes
        if not closes:
            assert not [one for one in driver.wait(29 * SECOND) if isinstance(one, JournalIntent)]
            assert [one for one in driver.wait(2 * SECOND) if isinstance(one, JournalIntent)]


def test_a_late_refusal_of_an_order_that_is_known_changes_nothing():
    driver = Driver()
    order = driver.sent()
    driver.seen(order, "filled", order.quantity)
    driver(ev.OrderRejected(order.id, -2010, "late"))
    driver(ev.OrderUnknown(order.id, "late"))
    driver(ev.OrderFailed(order.id, "late"))
    driver(ev.OrderNotFound(order.id, driver.now + 60 * SECOND))
    assert driver.state("entry") == "filled"


def test_a_cancel_that_fails_asks_and_tries_again():
    driver = Driver()
    order = driver.protected()
    driver.holds(0)
    stop = driver.one(Cancel).order
    driver(ev.CancelFailed(stop.id, "-2011"))
    assert driver.one(Query).order.id == stop.id
    driver.wait(3 * SECOND)
    assert driver.one(Cancel).order.id == stop.id
    driver.seen(stop, "cancelled")
    assert driver.position().signal is None
    assert order.id


def test_every_code_of_the_table_has_its_word():
    assert reaction(-4116) is Reaction.EXISTS
    assert reaction(-123456) is Reaction.GIVE_UP
