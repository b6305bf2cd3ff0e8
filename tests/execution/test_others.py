"""Other installations on the account: their orders are left alone, and beside them nothing is opened."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.effects import (
    Cancel,
    JournalIntent,
    JournalOrder,
    Notify,
    Place,
    Query,
    ResetBreaker,
    TripBreaker,
)
from pipeline.execution.engine.others import OTHERS, others_in, said
from pipeline.execution.engine.state import OrderTold
from pipeline.timeline import SECOND
from tests.execution.driver import IDENTITY, SYMBOL, Driver, T, signal

THEIRS = Identity("sim", "theirs")
STOP = OrderTold(
    THEIRS.order_id("s1", "stop", 1), SYMBOL, "SELL", "accepted", Decimal(0), T, algo=True, exchange_id=5,
    trigger_price=Decimal(59_400), close_position=True,
)  # fmt: skip


@pytest.mark.parametrize("name", [STOP.id, "tm-s-11629fc01e2bda6444400a315919"])
@pytest.mark.parametrize("held", [None, "0.5"])
@pytest.mark.parametrize("mode", ["signal-only", "auto-execute"])
def test_their_orders_are_reported_once_and_nothing_is_sent(mode, held, name):
    driver = Driver(mode=mode, ready=False)
    for _ in range(3):
        driver.snapshot([replace(STOP, id=name)], held and Decimal(held))
        driver.wait(5 * SECOND)
    assert not [one for one in driver.all if isinstance(one, Cancel | Place | Query | JournalIntent | JournalOrder)]
    titles = [one.title for one in driver.all if isinstance(one, Notify)]
    assert len([one for one in titles if one.startswith("installation")]) == 1
    assert driver.core.orders() == ()


def test_beside_them_nothing_is_opened_until_they_are_gone():
    driver = Driver()
    driver.snapshot([STOP])
    assert driver.one(TripBreaker).breaker.name == OTHERS
    driver(ev.SignalSeen(signal()))
    assert "breaker other-installation: 1 order of another Tidemark installation (theirs)" in driver.verdict().reason
    driver.snapshot([STOP])
    assert not driver.got(TripBreaker), "it is tripped"
    driver.snapshot([])
    assert driver.one(ResetBreaker).name == OTHERS
    driver(ev.SignalSeen(signal("s2")))
    assert driver.one(JournalIntent)


def test_it_is_no_use_to_reset_it_by_hand():
    driver = Driver()
    driver.snapshot([STOP])
    driver(ev.BreakersSeen((), reset=driver.core.breakers()))
    assert driver.one(TripBreaker).breaker.name == OTHERS


def test_in_signal_only_it_trips_when_the_mode_is_switched():
    driver = Driver(mode="signal-only")
    driver.snapshot([STOP])
    assert not driver.got(TripBreaker)
    driver(ev.SignalSeen(signal()))
    assert driver.verdict().reason == "signal-only: nothing is sent"
    driver(ev.ModeSeen("auto-execute"))
    assert driver.one(TripBreaker).breaker.name == OTHERS
    driver(ev.ModeSeen("signal-only"))
    assert driver.one(ResetBreaker).name == OTHERS


def test_what_is_held_is_kept_and_closed_beside_them():
    driver = Driver()
    held = driver.protected().quantity
    stop = driver.told(driver.order("stop"))
    driver.snapshot([stop, replace(STOP, symbol="ETHUSDT")], held)
    driver.sent(name="s2", kind="exit")
    assert driver.order("exit").state == "sent"


def test_what_was_taken_over_is_ours():
    heir = replace(IDENTITY, taken_over=frozenset({"theirs"}))
    assert others_in(IDENTITY, [STOP]) == {"theirs": (STOP,)}
    assert others_in(heir, [STOP]) == {}


def test_what_is_found_is_said_in_a_sentence():
    more = [STOP, replace(STOP, symbol="ETHUSDT"), replace(STOP, id="web_1"), replace(STOP, id="tm-s-1")]
    assert said(others_in(IDENTITY, more)) == (
        f"2 orders of another Tidemark installation (theirs) on this account: BTCUSDT, ETHUSDT; "
        f"1 order of another Tidemark installation (unnamed) on this account: {SYMBOL}"
    )
