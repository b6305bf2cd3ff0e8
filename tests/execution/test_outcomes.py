"""Table "Outcome of a request" of docs/execution.md: done, or failed for sure."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import (
    JournalIntent,
    JournalOrder,
    JournalPosition,
    Place,
    Query,
    QueryFills,
    WriteVerdict,
)
from pipeline.timeline import DAY, SECOND
from tests.execution.driver import POLICY, PRICE, SYMBOL, Driver, T, signal, trade

GONE = POLICY.surely_gone


# The protocol


def test_an_order_leaves_only_after_its_intent_is_journaled_and_only_once():
    driver = Driver()
    driver(ev.SignalSeen(signal()))
    order = driver.one(JournalIntent).order
    assert order.state == "intended"
    assert not driver.wait(3 * SECOND, 500) or not driver.got(Place)
    driver(ev.IntentJournaled(order.id))
    assert [type(one) for one in driver.last] == [Place, JournalOrder, WriteVerdict]
    assert driver(ev.IntentJournaled(order.id)) == []


@pytest.mark.parametrize(
    ("event", "later", "says"),
    [
        (None, 60_001, "not fresh any more"),
        (ev.HaltSeen(halted=True, flatten=False), 1, "halted"),
        (ev.ModeSeen("signal-only"), 1, "the mode was changed"),
    ],
)
def test_what_changed_while_the_journal_wrote_keeps_an_entry_from_leaving(event, later, says):
    driver = Driver()
    driver(ev.SignalSeen(signal()))
    order = driver.one(JournalIntent).order
    if event:
        driver(event)
    driver(ev.IntentJournaled(order.id), later)
    assert not driver.got(Place)
    assert (driver.state("entry"), driver.verdict().verdict) == ("abandoned", "skipped")
    assert says in driver.verdict().reason
    assert isinstance(driver.last[0], WriteVerdict), "the verdict is durable before the order is final"


def test_an_intent_that_exists_already_is_not_sent():
    driver = Driver()
    driver(ev.SignalSeen(signal()))
    order = driver.one(JournalIntent).order
    driver(ev.IntentRefused(order.id, exists=True, reason="duplicate key"))
    assert (driver.verdict().verdict, driver.verdict().orders) == ("taken", (order.id,))
    assert driver(ev.IntentJournaled(order.id)) == []
    driver(ev.SignalSeen(signal()))
    assert driver.wait(2 * SECOND) == []


def test_what_another_term_has_journaled_meanwhile_is_gone_on_with():
    """Its process slept between the intent and the request, or was overtaken there."""
    driver = Driver()
    driver(ev.SignalSeen(signal()))
    order = driver.one(JournalIntent).order
    driver(ev.IntentRefused(order.id, exists=True, reason="duplicate key", known=order))
    assert (driver.verdict().verdict, driver.verdict().orders) == ("taken", (order.id,))
    driver.wait(GONE + 5 * SECOND)
    assert driver.got(Query)
    driver(ev.OrderNotFound(order.id, driver.now))
    driver.wait(5 * SECOND)
    driver(ev.FillsSeen(SYMBOL, (), T - DAY, driver.now))
    driver.holds(0, by="query")
    assert driver.state("entry") == "abandoned"
    assert not any(isinstance(one, Place) for one in driver.all)


@pytest.mark.parametrize(
    ("event", "says"), [(None, "after it stopped being fresh"), (ev.HaltSeen(True, False), "halted")]
)
def test_an_intent_that_the_journal_may_have_is_given_up_there_when_its_signal_is(event, says):
    driver = Driver()
    driver(ev.SignalSeen(signal()))
    order = driver.one(JournalIntent).order
    driver(ev.IntentRefused(order.id, exists=False, reason="no answer"))
    if event:
        driver(event)
    driver(ev.SignalSeen(signal()), 2 * SECOND if event else 61 * SECOND)
    driver.wait(2 * SECOND)
    (given_up,) = [one for one in driver.all if isinstance(one, JournalOrder)]
    assert (given_up.order.id, given_up.order.state) == (order.id, "abandoned")
    assert says in given_up.detail
    assert driver.verdict().reason == given_up.detail


def test_without_the_journal_an_entry_is_not_sent_and_its_signal_is_decided_again_while_fresh():
    driver = Driver()
    driver(ev.SignalSeen(signal()))
    driver(ev.IntentRefused(driver.one(JournalIntent).order.id, exists=False, reason="no server"))
    assert not driver.got(Place)
    driver(ev.SignalSeen(signal()), 2 * SECOND)
    assert driver.one(JournalIntent)


def test_without_the_journal_a_stop_is_sent_all_the_same():
    driver = Driver()
    driver.filled()
    driver(ev.IntentRefused(driver.order("stop").id, exists=False, reason="no server"))
    assert driver.one(Place).order.leg == "stop"


def test_the_position_is_journaled_before_the_order_that_made_it():
    driver = Driver()
    order = driver.sent()
    driver.seen(order, "filled", order.quantity)
    kinds = [type(one) for one in driver.last]
    assert kinds.index(JournalPosition) < kinds.index(JournalOrder)


def test_an_entry_that_waits_to_be_sent_again_is_not_while_the_position_is_being_closed():
    driver = Driver()
    driver.protected(kind="trial")
    entry = driver.sent(name="s2", kind="entry")
    driver.seen(driver.order("stop"), "cancelled")
    driver.wait(SECOND)
    driver.journal()
    driver(ev.OrderRejected(driver.one(Place).order.id, -2021, "would trigger"), 1)
    driver(ev.OrderFailed(entry.id, "no connection"), 1)
    driver.wait(2 * SECOND)
    assert driver.state("entry") == "abandoned"
    assert [one for one in driver.all if isinstance(one, Place) and one.order.id == entry.id] == [Place(entry)]
    (given_up,) = [one for one in driver.all if isinstance(one, JournalOrder) and one.order.state == "abandoned"]
    assert given_up.detail.endswith("is not sent again: the position is being closed")


# Failed for sure


def test_an_entry_that_surely_did_not_arrive_is_sent_again_after_200_400_and_800_ms_then_given_up():
    driver = Driver()
    order = driver.sent()
    pauses = []
    for _ in range(3):
        driver(ev.OrderFailed(order.id, "overloaded"))
        failed_at = driver.now
        assert not driver.got(Place)
        while not driver.got(Place):
            driver(ev.Time(), 10)
        pauses.append(driver.now - failed_at)
    assert pauses == [200, 400, 800]
    driver(ev.OrderFailed(order.id, "overloaded"))
    assert driver.state("entry") == "abandoned"


@pytest.mark.parametrize("event", [ev.HaltSeen(halted=True, flatten=False), ev.ModeSeen("signal-only")])
def test_an_entry_is_not_sent_again_when_nothing_may_be_opened_any_more(event):
    driver = Driver()
    order = driver.sent()
    driver(ev.OrderFailed(order.id, "overloaded"))
    driver(event)
    assert not [one for one in driver.wait(5 * SECOND) if isinstance(one, Place)]
    assert driver.state("entry") == "abandoned"


def test_an_entry_that_would_be_late_is_not_sent_again():
    driver = Driver()
    order = driver.sent()
    driver(ev.OrderFailed(order.id, "rate limit", until=T + 61 * SECOND))
    assert driver.state("entry") == "abandoned"


def test_nothing_is_sent_again_before_the_exchange_allows_it():
    driver = Driver()
    order = driver.sent()
    driver(ev.OrderFailed(order.id, "rate limit", until=T + 30 * SECOND))
    assert not [one for one in driver.wait(29 * SECOND) if isinstance(one, Place)]
    assert [one for one in driver.wait(2 * SECOND) if isinstance(one, Place)]


def test_a_stop_that_surely_did_not_arrive_is_sent_again_for_as_long_as_something_is_held():
    driver = Driver(replace(POLICY, risk=POLICY.risk.model_copy(update={"unprotected_seconds": 1000})))
    driver.filled()
    driver.journal()
    stop = driver.one(Place).order
    for _ in range(20):
        driver(ev.OrderFailed(stop.id, "overloaded"))
        driver.wait(2 * SECOND + 250)
        assert driver.one(Place).order.id == stop.id
    driver(ev.OrderFailed(stop.id, "overloaded"))
    driver.holds(0)
    driver.wait(3 * SECOND)
    assert not driver.got(Place)
    assert driver.state("stop") == "abandoned"


def test_fee_profit_and_average_come_from_the_trades():
    driver = Driver()
    order = driver.filled()
    assert not any(isinstance(one, QueryFills) for one in driver.all), "what protects goes first"
    driver.journal()
    driver.seen(driver.order("stop"), "accepted")
    assert driver.one(QueryFills)
    driver.snapshot([driver.told(driver.order("stop"), "accepted")], order.quantity)
    assert driver.one(QueryFills), "an answer that never came is asked for again"
    trades = (trade(order, "0.1", 100), trade(order, "0.122", 100))
    driver(ev.FillsSeen(SYMBOL, trades, order.created_at, driver.now))
    kept = driver.order("entry")
    assert (kept.fee, kept.realized, kept.average_price) == (Decimal("0.2"), Decimal(4), PRICE)
    assert driver(ev.FillsSeen(SYMBOL, trades, order.created_at, driver.now)) == []
    driver.snapshot([], order.quantity)
    assert not driver.got(QueryFills)
