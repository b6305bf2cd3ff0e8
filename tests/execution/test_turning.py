"""A signal that turns a position: section "Turning" of docs/execution.md. Two orders of one signal, one verdict."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import Cancel, JournalIntent, Place
from pipeline.execution.engine.state import Policy
from pipeline.timeline import MINUTE
from tests.execution.driver import POLICY, PRICE, RISK, Driver, T, signal

ENTRIES = replace(POLICY, risk=RISK.model_copy(update={"turn": "entries"}))
BACK = {"kind": "trial", "side": "short", "at": T + 10, "fresh_until": T + MINUTE}


def holding(policy: Policy = POLICY, **changes):
    """A position of the strategy, its stop standing."""
    driver = Driver(policy)
    driver.protected(**{"kind": "trial"} | changes)
    return driver


def closing(driver, **changes):
    """The signal the other way came, and its closing order is on its way."""
    driver(ev.SignalSeen(signal("s2", **BACK | changes)), 1)
    driver.journal()
    return driver.one(Place).order


def closed(driver, order):
    """It is filled, the exchange says flat, and the stop is cancelled; the effects of that."""
    driver.seen(order, "filled", order.quantity, average_price=PRICE)
    driver.holds(0)
    for cancel in driver.got(Cancel):
        driver.last = driver.seen(cancel.order, "cancelled")
    return driver.last


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_trial_the_other_way_turns_a_trial(side):
    other = "short" if side == "long" else "long"
    driver = holding(side=side)
    assert driver.position().trial
    first = closing(driver, side=other)
    assert (first.leg, first.reduce_only, first.turns, first.signal) == ("exit", True, True, "s2")
    assert driver.verdict("s2") is None, "it is written when the opening is decided"
    closed(driver, first)
    driver.journal()
    second = driver.one(Place).order
    assert (second.leg, second.side, second.signal) == ("trial", "SELL" if other == "short" else "BUY", "s2")
    verdict = driver.verdict("s2")
    assert (verdict.verdict, verdict.orders, verdict.decision.quantity) == (
        "taken",
        (first.id, second.id),
        second.quantity,
    )
    driver.seen(second, "filled", second.quantity, average_price=PRICE)
    driver.holds(second.quantity if other == "long" else -second.quantity)
    held = driver.position()
    assert (held.side, held.trial, held.signal, held.interval) == (other, True, "s2", "1h")


def test_nothing_is_opened_before_the_close_is_settled_and_the_exchange_says_flat():
    driver = holding()
    order = closing(driver)
    driver.seen(order, "partially_filled", Decimal("0.02"), average_price=PRICE)
    driver.holds("0.035")
    driver.wait(2_000)
    driver.seen(order, "filled", order.quantity, average_price=PRICE)
    driver.wait(2_000)
    assert not [one for one in driver.all if isinstance(one, JournalIntent) and one.order.leg == "trial"][1:]
    driver.holds(0)
    assert not driver.got(JournalIntent), "its stop is still open"
    for cancel in driver.got(Cancel):
        driver.seen(cancel.order, "cancelled")
    assert driver.one(JournalIntent).order.leg == "trial"


@pytest.mark.parametrize("kind", ["entry", "add"])
def test_past_its_trial_a_trial_the_other_way_is_skipped(kind):
    driver = holding()
    more = driver.sent(name="s1b", kind="entry")
    driver.seen(more, "filled", more.quantity, average_price=PRICE)
    driver.holds(Decimal("0.222"))
    driver.journal()
    driver.wait(5_000)
    assert not driver.position().trial
    for placed in [one for one in driver.all if isinstance(one, Place) and one.order.algo]:
        if driver.core.order(placed.order.id).state == "sent":
            driver.seen(placed.order)
    driver(ev.SignalSeen(signal("s2", **BACK)), 1)
    assert "only an entry the other way closes it" in driver.verdict("s2").reason


@pytest.mark.parametrize("kind", ["trial", "entry"])
def test_an_entry_the_other_way_closes_and_does_not_turn(kind):
    driver = holding(kind=kind)
    order = closing(driver, kind="entry")
    assert not order.turns
    assert driver.verdict("s2").orders == (order.id,)
    closed(driver, order)
    driver.wait(2_000)
    assert not [one for one in driver.all if isinstance(one, JournalIntent) and one.order.side == "SELL"][3:]
    assert {one.leg for one in driver.core.orders() if one.signal == "s2"} == {"exit"}


def test_where_the_settings_say_so_an_entry_turns_as_well():
    driver = holding(ENTRIES, kind="entry")
    order = closing(driver, kind="entry")
    closed(driver, order)
    driver.journal()
    assert (driver.one(Place).order.leg, driver.one(Place).order.side) == ("entry", "SELL")
    assert driver.verdict("s2").orders == (order.id, driver.one(Place).order.id)


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (ev.HaltSeen(halted=True, flatten=False), "halted"),
        (ev.PriceSeen("BTCUSDT", PRICE * Decimal("0.99"), T + 5), "the price moved"),
        (ev.ModeSeen("signal-only"), "signal-only: nothing is sent"),
    ],
)
def test_what_forbids_the_opening_leaves_it_closed_and_says_why(event, says):
    driver = holding()
    order = closing(driver)
    driver(event)
    closed(driver, order)
    verdict = driver.verdict("s2")
    assert (verdict.verdict, verdict.orders) == ("taken", (order.id,))
    assert verdict.reason.startswith("closed, and not turned: ")
    assert says in verdict.reason
    assert verdict.decision.quantity == order.quantity, "what was done"


def test_a_close_that_takes_too_long_is_all_that_is_done():
    driver = holding()
    order = closing(driver)
    driver.now = T + MINUTE + 1
    closed(driver, order)
    verdict = driver.verdict("s2")
    assert (verdict.verdict, verdict.orders) == ("taken", (order.id,))
    assert "stopped being fresh" in verdict.reason


def test_a_trial_that_came_late_closes_and_opens_nothing():
    driver = holding()
    driver(ev.SignalSeen(signal("s2", **BACK | {"fresh_until": T + 20}, last_word=True)), MINUTE)
    driver.journal()
    order = driver.one(Place).order
    assert (order.leg, order.turns, driver.verdict("s2").verdict) == ("exit", False, "taken")


def again(life, *, quantity, **changes):
    """A new process after that life, with what the journal has; the signal is seen again."""
    stops = [life.told(one) for one in life.core.orders() if one.leg == "stop" and one.stands]
    driver = Driver(ready=False, orders=life.core.orders(), positions=life.core.positions())
    driver.now = life.now
    driver.snapshot(stops if quantity else [], quantity)
    driver(ev.SignalSeen(signal("s2", **BACK | changes)), 1)
    return driver


def test_a_crash_between_close_and_opening_goes_on_with_the_opening():
    life = holding()
    order = closing(life)
    life.seen(order, "filled", order.quantity, average_price=PRICE)
    life.holds(0)
    driver = again(life, quantity=None)
    driver.wait(1_000)
    for stop in [one for one in driver.core.orders() if one.leg == "stop" and one.unsettled]:
        driver.seen(stop, "cancelled")
    driver.wait(250)
    intent = [one.order for one in driver.all if isinstance(one, JournalIntent)]
    assert [(one.leg, one.signal) for one in intent] == [("trial", "s2")]
    driver(ev.IntentJournaled(intent[0].id), 1)
    assert driver.verdict("s2").orders == (order.id, intent[0].id)


def test_a_crash_between_close_and_opening_after_which_it_is_late_leaves_the_closing_order():
    life = holding()
    order = closing(life)
    closed(life, order)
    ended = [replace(one, state="filled") if one.id == order.id else one for one in life.core.orders()]
    ended = [one for one in ended if (one.signal, one.leg) != ("s2", "trial")]
    driver = Driver(ready=False, orders=ended, positions=life.core.positions())
    driver.now = T + MINUTE + 1
    driver.snapshot()
    assert driver.verdict("s2") is None
    driver(ev.SignalSeen(signal("s2", **BACK)), 1)
    assert (driver.verdict("s2").verdict, driver.verdict("s2").orders) == ("taken", (order.id,))
    assert not driver.got(JournalIntent)


def test_a_crash_after_the_opening_was_journaled_writes_the_verdict_with_both_orders():
    life = holding()
    order = closing(life)
    closed(life, order)
    opening = life.one(JournalIntent).order
    driver = again(life, quantity=None)
    assert driver.verdict("s2").orders == (order.id, opening.id)
    assert not any(isinstance(one, JournalIntent) for one in driver.all)


def test_a_close_that_the_stop_has_made_needless_is_no_obstacle_to_the_opening():
    driver = holding()
    driver(ev.SignalSeen(signal("s2", **BACK)), 1)
    (intent,) = driver.got(JournalIntent)
    stop = driver.order("stop")
    driver.seen(stop, "filled", Decimal("0.055"), average_price=PRICE)
    driver.holds(0)
    driver(ev.IntentJournaled(intent.order.id), 1)
    assert driver.state("exit") == "abandoned"
    driver.wait(500)
    driver.last = [one for one in driver.all if isinstance(one, JournalIntent) and one.order.signal == "s2"]
    assert [one.order.leg for one in driver.last] == ["exit", "trial"]


def test_a_journal_that_refuses_the_opening_is_asked_again_and_nothing_is_closed_twice():
    driver = holding()
    order = closing(driver)
    closed(driver, order)
    (intent,) = driver.got(JournalIntent)
    driver(ev.IntentRefused(intent.order.id, exists=False, reason="no server"))
    intents = [one.order for one in driver.wait(3_000) if isinstance(one, JournalIntent)]
    assert [one.leg for one in intents] == ["trial"]
    driver(ev.IntentJournaled(intents[0].id), 1)
    assert driver.verdict("s2").orders == (order.id, intents[0].id)


def test_a_journal_that_refuses_the_close_is_asked_again():
    driver = holding()
    driver(ev.SignalSeen(signal("s2", **BACK)), 1)
    (intent,) = driver.got(JournalIntent)
    driver(ev.IntentRefused(intent.order.id, exists=False, reason="no server"))
    intents = [one.order for one in driver.wait(3_000) if isinstance(one, JournalIntent)]
    assert [(one.leg, one.id) for one in intents] == [("exit", intent.order.id)]
    assert driver.verdict("s2") is None
