"""Tables "Mismatches" and "Restart" of docs/execution.md."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import (
    Cancel,
    JournalIntent,
    Notify,
    Place,
    Query,
    QueryFills,
    QueryPositions,
    Reconcile,
    WriteVerdict,
)
from pipeline.execution.engine.state import OrderTold, PositionRecord, PositionTold, TradeTold
from pipeline.timeline import DAY, SECOND
from tests.execution.driver import ACCOUNT, IDENTITY, POLICY, PRICE, SYMBOL, Driver, T, signal

GONE = POLICY.surely_gone


def standing():
    """A driver with a protected position, and what the exchange would list."""
    driver = Driver()
    held = driver.protected().quantity
    return driver, held, driver.told(driver.order("stop"))


def crashed(leg="entry"):
    """The journal's record of an order that was under way, made by another life."""
    life = Driver()
    if leg == "entry":
        life(ev.SignalSeen(signal()))
        return life.order("entry")
    life.protected()
    if leg == "exit":
        life.sent(name="s2", kind="exit")
    if leg == "flatten":
        life(ev.HaltSeen(halted=True, flatten=True))
    return life.order(leg)


def by_hand(quantity):
    """Somebody's own trade."""
    side = "BUY" if Decimal(quantity) > 0 else "SELL"
    return TradeTold(7, side, abs(Decimal(quantity)), PRICE, Decimal(0), Decimal(0), T)


def position():
    life = Driver()
    life.protected()
    return life.position()


# When it is compared


def test_compared_at_start_after_each_connection_and_every_minute():
    driver = Driver(ready=False)
    driver(ev.Time())
    assert driver.one(Reconcile)
    driver.snapshot()
    assert driver(ev.StreamBack(), SECOND)[0] == Reconcile("the user stream is back")
    driver.snapshot()
    assert not [one for one in driver.wait(59 * SECOND, 1000) if isinstance(one, Reconcile)]
    assert [one for one in driver.wait(2 * SECOND, 1000) if isinstance(one, Reconcile)]


def test_a_comparison_that_is_not_answered_is_asked_for_again():
    driver = Driver(ready=False)
    driver(ev.Time())
    driver.wait(6 * SECOND)
    assert driver.one(Reconcile)
    driver(ev.ReconcileFailed("no answer"))
    assert driver.one(Notify).text.endswith("Nothing is opened until it could be")
    driver.wait(6 * SECOND)
    assert driver.one(Reconcile)


# Orders


def test_open_in_the_journal_and_not_at_the_exchange_is_asked_for_at_once():
    driver, held, _ = standing()
    stop = driver.order("stop")
    driver.snapshot([], held)
    assert driver.one(Query).order.id == stop.id
    driver(ev.OrderSeen(driver.told(stop, "cancelled"), "query"))
    assert driver.state("stop") == "cancelled"
    driver.wait(SECOND)
    assert driver.one(JournalIntent).order.leg == "stop"


def test_a_stop_that_the_exchange_does_not_know_at_all_is_replaced():
    driver, held, _ = standing()
    driver.snapshot([], held)
    driver(ev.OrderNotFound(driver.order("stop").id, driver.now))
    assert driver.state("stop") == "abandoned"
    driver.wait(SECOND)
    assert driver.one(JournalIntent).order.leg == "stop"


def forgotten():
    """A stop stands, and the exchange has said that there is none."""
    driver, held, stop = standing()
    driver.snapshot([], held)
    driver(ev.OrderNotFound(stop.id, driver.now))
    return driver, held, stop


def test_a_stop_that_the_exchange_shows_again_stands_again():
    driver, held, stop = forgotten()
    driver.snapshot([driver.told(stop)], held)
    assert (driver.state("stop"), driver.position().stop_order) == ("accepted", stop.id)
    assert not [one for one in driver.wait(20 * SECOND) if isinstance(one, JournalIntent)]


def test_a_stop_beside_which_no_other_is_taken_stands_again():
    driver, _, stop = forgotten()
    driver.wait(SECOND)
    driver.journal()
    driver(ev.OrderRejected(driver.one(Place).order.id, -4130, "a closing stop stands"))
    assert driver.core.order(stop.id).state == "accepted"
    later = driver.wait(20 * SECOND)
    assert not [one for one in later if isinstance(one, JournalIntent | Reconcile)]
    assert (driver.position().stop_order, driver.position().closing) == (stop.id, None)


def test_what_is_forgotten_is_asked_for_with_every_comparison_and_its_end_is_adopted():
    driver, held, stop = forgotten()
    driver.snapshot([], held)
    assert [one.order.id for one in driver.got(Query)] == [stop.id]
    driver(ev.OrderSeen(driver.told(stop, "cancelled"), "query"))
    assert driver.core.order(stop.id).state == "cancelled"
    driver.snapshot([], held)
    assert not driver.got(Query)


def test_what_was_placed_after_the_lists_were_read_is_not_missing():
    driver, held, _ = standing()
    driver(ev.Snapshot((), (), (replace(ACCOUNT, at=driver.now),), T))
    assert not driver.got(Query)
    assert held


def test_an_order_in_doubt_that_is_listed_is_adopted():
    driver = Driver()
    driver.filled()
    driver.journal()
    stop = driver.one(Place).order
    driver(ev.OrderUnknown(stop.id, "timeout"))
    driver.snapshot([driver.told(stop)], driver.position().quantity)
    assert driver.state("stop") == "accepted"


def test_an_abandoned_order_that_turns_up_is_adopted_told_and_protected():
    driver = Driver()
    order = driver.sent()
    driver(ev.OrderFailed(order.id, "rate limit", until=T + 61 * SECOND))
    assert driver.state("entry") == "abandoned"
    driver.seen(order, "filled", order.quantity)
    assert driver.state("entry") == "filled"
    assert any("was given up, and exists" in one.text for one in driver.got(Notify))
    assert driver.one(JournalIntent).order.leg == "stop"


@pytest.mark.parametrize("leg", ["stop", "take_profit"])
def test_what_was_to_protect_an_earlier_position_on_the_other_side_is_cancelled(leg):
    driver = Driver()
    driver.protected()
    stop = driver.order("stop")
    assert stop.side == "SELL"
    name = IDENTITY.order_id("old", leg, 1)
    stray = OrderTold(
        name, SYMBOL, "BUY", "accepted", Decimal(0), T, algo=True, exchange_id=5,
        trigger_price=Decimal(60_600), close_position=True,
    )  # fmt: skip
    driver.snapshot([stray, driver.told(stop)], driver.position().quantity)
    assert driver.one(Cancel).order.id == name
    assert driver.position().stop_order == stop.id


@pytest.mark.parametrize("leg", ["stop", "take_profit"])
def test_ours_and_not_in_the_journal_is_adopted_and_cancelled_unless_it_protects(leg):
    name = IDENTITY.order_id("old", leg, 1)
    told = OrderTold(
        name, SYMBOL, "SELL", "accepted", Decimal(0), T, algo=True, exchange_id=5,
        trigger_price=Decimal(59_400), close_position=True,
    )  # fmt: skip
    flat = Driver(ready=False)
    flat.snapshot([told])
    assert flat.order(leg).state == "accepted"
    assert any("was found again" in one.title for one in flat.got(Notify))
    assert not flat.got(Cancel), "it may belong to something"
    flat.recalled(told)
    assert flat.one(Cancel).order.id == name

    held = replace(position(), take_profit_price=Decimal(59_400))
    kept = Driver(ready=False, positions=[held])
    kept.snapshot([told], held.quantity)
    assert not kept.got(Cancel)
    assert leg not in {one.order.leg for one in kept.got(JournalIntent)}


@pytest.mark.parametrize(("side", "quantity"), [("SELL", "0.5"), ("BUY", "-0.5")])
def test_a_stop_of_ours_under_what_is_not_ours_stands_until_nothing_is_held_that_it_would_close(side, quantity):
    name = IDENTITY.order_id("old", "stop", 1)
    told = OrderTold(
        name, SYMBOL, side, "accepted", Decimal(0), T, algo=True, exchange_id=5,
        trigger_price=PRICE - Decimal(quantity) * 600, close_position=True,
    )  # fmt: skip
    driver = Driver(ready=False)
    driver.snapshot([told], Decimal(quantity))
    driver.recalled(told, trades=[by_hand(quantity)])
    assert driver.order("stop").state == "accepted"
    assert not driver.position().ours
    assert not [one for one in [*driver.all, *driver.wait(5 * SECOND)] if isinstance(one, Cancel)]
    driver.holds(0)
    assert driver.one(Cancel).order.id == name


def test_an_order_that_is_not_ours_is_left_alone_and_reported_once():
    driver = Driver()
    theirs = OrderTold("web_123", SYMBOL, "BUY", "accepted", Decimal(0), T, exchange_id=5)
    driver.snapshot([theirs])
    assert [one.title for one in driver.got(Notify)] == ["order web_123"]
    driver.snapshot([theirs])
    assert driver.last == []


def test_more_filled_at_the_exchange_is_taken_over():
    driver = Driver()
    order = driver.sent()
    driver.seen(order, "partially_filled", "0.1")
    driver.snapshot([driver.told(driver.order("entry"), "partially_filled", "0.2")], Decimal("0.2"))
    assert driver.order("entry").filled == Decimal("0.2")


# Positions


def test_a_position_that_an_entry_under_way_made_is_protected_at_once():
    driver = Driver()
    order = driver.sent()
    driver(ev.OrderUnknown(order.id, "timeout"))
    driver.snapshot([], Decimal("0.1"))
    assert driver.position().ours
    assert driver.one(JournalIntent).order.leg == "stop"


@pytest.mark.parametrize("quantity", ["0.5", "-0.5"])
def test_a_position_that_is_not_ours_is_left_alone_and_reported_once(quantity):
    driver = Driver()
    driver.snapshot([], Decimal(quantity))
    driver.recalled(trades=[by_hand(quantity)])
    assert [one.title for one in driver.got(Notify)] == ["position BTCUSDT"]
    assert not driver.position().ours
    driver(ev.HaltSeen(halted=True, flatten=True))
    assert driver.wait(30 * SECOND, 1000) == []
    driver(ev.HaltSeen(halted=False, flatten=False))
    driver(ev.PriceSeen(SYMBOL, PRICE, driver.now))
    driver(ev.SignalSeen(signal()))
    assert "somebody else holds" in driver.verdict().reason
    driver.holds(0)
    driver(ev.SignalSeen(signal("s2")))
    assert driver.one(JournalIntent)


def test_another_quantity_is_adopted_and_told():
    driver, _, stop = standing()
    driver.snapshot([stop], Decimal("0.3"))
    assert driver.position().quantity == Decimal("0.3")
    assert any("changed" in one.title for one in driver.got(Notify))
    assert not driver.got(JournalIntent), "the stop covers any quantity"


def test_a_position_that_is_gone_is_cleared():
    driver, _, stop = standing()
    driver.snapshot([stop])
    assert driver.one(Cancel).order.id == stop.id
    driver.seen(driver.order("stop"), "cancelled")
    assert driver.position().signal is None


def test_a_position_turned_round_by_somebody_is_theirs():
    driver, _, stop = standing()
    driver.snapshot([stop], Decimal("-0.3"))
    driver.recalled(stop, trades=[replace(by_hand("-0.3"), at=driver.now)])
    assert not driver.position().ours
    assert driver.one(Cancel).order.id == stop.id


def test_a_stop_that_never_arrived_is_not_sent_under_what_is_not_ours():
    stop = replace(crashed("stop"), state="unknown")
    driver = Driver(ready=False, orders=[stop])
    driver.snapshot(quantity=Decimal("0.5"))
    driver.recalled(trades=[by_hand("0.5")])
    driver.wait(SECOND)
    driver(ev.OrderNotFound(stop.id, T + GONE))
    assert driver.state("stop") == "abandoned"
    assert not [one for one in driver.all if isinstance(one, Place)]


def test_an_older_statement_is_ignored():
    driver, held, _ = standing()
    driver(ev.PositionsSeen((PositionTold(SYMBOL, Decimal(9), PRICE),), T - SECOND, "stream"))
    assert driver.position().quantity == held


def test_a_quantity_older_than_the_last_fill_is_asked_for():
    driver = Driver()
    order = driver.sent()
    driver.seen(order, "filled", order.quantity)
    assert not driver.position().settled
    driver.wait(SECOND)
    assert driver.got(QueryPositions)
    driver.holds(order.quantity)
    assert driver.position().settled
    driver.wait(5 * SECOND)
    assert not driver.got(QueryPositions)


def test_a_position_told_between_two_parts_of_a_fill_is_not_taken_for_its_end():
    """All parts of a market order may carry one millisecond, and the answer may come before the stream."""
    driver = Driver()
    driver.protected()
    close = driver.sent(name="s2", kind="exit")
    filled = driver.told(close, "filled", close.quantity)
    driver(ev.OrderSeen(filled, "answer"), 1)
    for left in (close.quantity / 2, Decimal(0)):
        driver(ev.PositionsSeen((PositionTold(SYMBOL, left, PRICE),), filled.at, "stream"), 1)
        assert not driver.got(JournalIntent)
        assert not driver.position().settled
    driver(ev.OrderSeen(filled, "stream"), 1)
    assert driver.position().settled
    assert driver.one(Cancel).order.leg == "stop"


@pytest.mark.parametrize("left", [0, 1])
def test_where_the_stream_never_tells_the_fill_the_position_is_asked_for(left):
    driver = Driver()
    driver.protected()
    close = driver.sent(name="s2", kind="exit")
    filled = driver.told(close, "filled", close.quantity)
    driver(ev.OrderSeen(filled, "answer"), 1)
    driver(ev.PositionsSeen((PositionTold(SYMBOL, Decimal(left), PRICE),), filled.at, "stream"), 1)
    driver.wait(SECOND)
    assert driver.got(QueryPositions)
    driver.holds(left, by="query")
    assert driver.position().settled
    assert [one.order.leg for one in driver.got(JournalIntent)] == ["flatten"] * left


def test_equity_is_what_the_exchange_says():
    driver = Driver()
    driver(ev.AccountSeen(replace(ACCOUNT, equity=Decimal(5_000), day_start=Decimal(5_000), at=driver.now)))
    assert driver.sent().quantity == Decimal("0.111")


def test_an_older_account_is_ignored():
    driver = Driver()
    driver(ev.AccountSeen(replace(ACCOUNT, equity=Decimal(5_000), at=T - SECOND)))
    assert driver.sent().quantity == Decimal("0.222")


# Restart


def test_before_the_first_comparison_nothing_is_sent():
    driver = Driver(ready=False, orders=[crashed("stop")], positions=[position()])
    sent = driver.wait(20 * SECOND, 500)
    assert {type(one) for one in sent} <= {Reconcile}


@pytest.mark.parametrize("state", ["intended", "sent", "unknown"])
def test_an_entry_under_way_is_unknown_after_a_restart(state):
    order = replace(crashed(), state=state)
    driver = Driver(ready=False, orders=[order])
    assert any(isinstance(one, WriteVerdict) and one.orders == (order.id,) for one in driver.all)
    driver.snapshot()
    driver.wait(SECOND)
    assert driver.got(Query)
    driver(ev.OrderNotFound(order.id, T + GONE - 1))
    driver.wait(4 * SECOND)
    assert not driver.got(QueryFills)
    driver(ev.OrderNotFound(order.id, T + GONE))
    driver.wait(250)
    assert driver.got(QueryFills), "at once"
    assert not any(isinstance(one, Place) for one in driver.all)
    assert driver(ev.SignalSeen(signal())) == [], "decided"


@pytest.mark.parametrize("state", ["intended", "sent", "unknown"])
def test_a_stop_under_way_is_sent_again_after_a_restart_if_it_is_not_there(state):
    stop = replace(crashed("stop"), state=state)
    held = position()
    driver = Driver(ready=False, orders=[stop], positions=[held])
    driver.snapshot(quantity=held.quantity)
    driver.wait(SECOND)
    assert driver.got(Query)
    assert not driver.got(Place)
    driver(ev.OrderNotFound(stop.id, driver.now))
    assert driver.one(Place).order.id == stop.id


@pytest.mark.parametrize(("leg", "closing"), [("flatten", "halt with flatten"), ("exit", "signal s1"), ("exit", None)])
@pytest.mark.parametrize("state", ["intended", "sent", "unknown"])
def test_a_close_under_way_is_proven_absent_after_a_restart_before_there_is_another(state, leg, closing):
    """Also where the process died between the intent of an exit and the note on its position."""
    close = replace(crashed(leg), state=state)
    stop, held = crashed("stop"), replace(position(), closing=closing)
    driver = Driver(ready=False, orders=[stop, close], positions=[held])
    driver.snapshot([driver.told(stop)], held.quantity)
    driver.wait(20 * SECOND, 500)
    assert not driver.got(JournalIntent)
    driver(ev.OrderNotFound(close.id, driver.now))
    driver.wait(5 * SECOND)
    driver(ev.FillsSeen(SYMBOL, (), close.created_at - DAY, driver.now))
    driver.holds(held.quantity, by="query")
    assert driver.one(JournalIntent).order.leg == "flatten"


def test_a_position_that_was_being_closed_goes_on_closing():
    held = replace(position(), closing="signal s2")
    stop = crashed("stop")
    driver = Driver(ready=False, orders=[stop], positions=[held])
    driver.snapshot([driver.told(stop)], held.quantity)
    assert driver.one(JournalIntent).order.leg == "flatten"


def test_what_stood_and_stands_is_left_as_it_is():
    held, stop = position(), crashed("stop")
    driver = Driver(ready=False, orders=[stop], positions=[held])
    driver.snapshot([driver.told(stop)], held.quantity)
    assert not driver.got(JournalIntent)
    assert not driver.got(Cancel)
    assert driver.position().stop_order == stop.id


def test_a_position_without_a_stop_gets_one():
    held = position()
    driver = Driver(ready=False, positions=[held])
    driver.snapshot(quantity=held.quantity)
    placed = driver.one(JournalIntent).order
    assert (placed.leg, placed.trigger_price) == ("stop", held.stop_price)


def test_a_position_that_ended_meanwhile_is_cleared():
    driver = Driver(ready=False, positions=[position()])
    driver.snapshot()
    assert driver.position() == PositionRecord(SYMBOL, as_of=driver.position().as_of)
