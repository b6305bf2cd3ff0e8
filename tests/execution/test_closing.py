"""What a person asks of one symbol: that it be closed, or that nothing be opened there. Both are among its trading
settings, and the core takes them up as they are told."""

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import Cancel, CloseDone, JournalIntent, Place
from pipeline.execution.engine.machine import Core
from pipeline.execution.engine.state import TradingView
from tests.execution.driver import IDENTITY, POLICY, SYMBOL, Driver, T, rules, signal

ASKED = TradingView(close_asked=T + 50)
OFF = TradingView(enabled=False)


def test_a_position_is_closed_reduce_only_and_its_stop_stands_until_it_is_flat():
    driver = Driver()
    driver.protected()
    driver(ev.TradingSeen(SYMBOL, ASKED))
    driver.journal()
    closing = driver.one(Place).order
    assert (closing.leg, closing.reduce_only) == ("flatten", True)
    driver.seen(closing, "filled", closing.quantity)
    assert driver.got(Cancel) == []
    driver.holds(0)
    assert [one.order.leg for one in driver.got(Cancel)] == ["stop"]
    assert driver.got(CloseDone) == [], "its stop is still open"
    driver.seen(driver.order("stop"), "cancelled")
    assert driver.one(CloseDone) == CloseDone(SYMBOL, T + 50)


def test_what_was_done_is_not_done_again():
    driver = Driver()
    driver(ev.TradingSeen(SYMBOL, ASKED))
    assert driver.one(CloseDone) == CloseDone(SYMBOL, T + 50), "nothing is held"
    driver.protected()
    driver(ev.TradingSeen(SYMBOL, TradingView(close_asked=T + 50, leverage=3)))
    driver(ev.Time(), 250)
    assert driver.order("stop").stands
    assert [one for one in driver.core.orders() if one.leg == "flatten"] == []
    driver(ev.TradingSeen(SYMBOL, TradingView(close_asked=T + 90)))
    assert driver.one(JournalIntent).order.leg == "flatten", "asked anew"


@pytest.mark.parametrize("mode", ["signal-only", "auto-execute"])
def test_it_is_closed_in_either_mode(mode):
    driver = Driver()
    driver.protected()
    driver(ev.ModeSeen(mode))
    driver(ev.TradingSeen(SYMBOL, ASKED))
    driver.journal()
    assert driver.one(Place).order.leg == "flatten"


def test_it_is_not_begun_before_the_exchange_was_compared():
    driver = Driver(ready=False)
    driver(ev.TradingSeen(SYMBOL, ASKED))
    assert driver.got(CloseDone) == []
    driver.snapshot()
    assert driver.one(CloseDone).symbol == SYMBOL


def test_a_restart_goes_on_closing():
    driver = Driver()
    driver.protected()
    driver(ev.TradingSeen(SYMBOL, ASKED))
    orders = [one for one in driver.core.orders() if one.leg != "flatten"]
    again = Core(
        POLICY, driver.now, identity=IDENTITY, mode="auto-execute", orders=orders, positions=driver.core.positions()
    )
    driver.core = again
    driver(rules())
    driver(ev.TradingSeen(SYMBOL, ASKED))
    held = driver.position().quantity
    driver.snapshot([driver.told(one) for one in orders if one.leg == "stop"], held)
    assert driver.one(JournalIntent).order.leg == "flatten"


@pytest.mark.parametrize(
    ("trading", "reason"), [(ASKED, f"{SYMBOL} is being closed"), (OFF, f"trading of {SYMBOL} is off")]
)
def test_an_entry_that_is_only_journaled_does_not_leave(trading, reason):
    driver = Driver()
    driver(ev.SignalSeen(signal()), 1)
    intent = driver.one(JournalIntent)
    driver(ev.TradingSeen(SYMBOL, trading))
    assert driver.got(CloseDone) == [], "something is under way"
    driver(ev.IntentJournaled(intent.order.id), 1)
    assert driver.got(Place) == []
    assert (driver.verdict().verdict, driver.verdict().reason) == ("skipped", reason)


def test_an_entry_whose_answer_was_lost_is_closed_when_it_is_filled():
    driver = Driver()
    order = driver.sent()
    driver(ev.TradingSeen(SYMBOL, ASKED))
    assert driver.got(CloseDone) == []
    driver.seen(order, "filled", order.quantity, average_price=order.plan.price)
    driver.holds(order.quantity)
    assert [one.leg for one in driver.core.orders()] == ["entry", "stop", "flatten"], "it has a stop until it is flat"


def test_a_signal_waits_until_it_is_closed():
    driver = Driver()
    driver.protected()
    driver(ev.TradingSeen(SYMBOL, ASKED))
    driver(ev.SignalSeen(signal("s2", at=T + 100)), 1)
    assert driver.verdict("s2") is None


def test_a_symbol_that_is_off_keeps_its_stop():
    driver = Driver()
    driver.protected()
    driver(ev.TradingSeen(SYMBOL, OFF))
    driver.wait(2_000)
    assert driver.order("stop").stands
    assert [one for one in driver.core.orders() if one.leg == "flatten"] == []
