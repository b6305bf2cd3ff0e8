"""Section "Protection" and the switches of docs/execution.md."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import (
    Cancel,
    JournalIntent,
    JournalPosition,
    Notify,
    Place,
    Query,
    QueryPositions,
    Reconcile,
)
from pipeline.execution.engine.protect import (
    CancelProtection,
    PlaceProtection,
    stop_of,
    stop_steps,
    target_steps,
    tightened,
)
from pipeline.execution.engine.state import OrderRecord, PositionRecord
from pipeline.timeline import SECOND
from tests.execution.driver import POLICY, PRICE, SYMBOL, Driver, signal

WANTED, OLD = Decimal(59_700), Decimal(59_400)
HELD = PositionRecord(SYMBOL, Decimal(2), PRICE, side="long", signal="s1", stop_price=WANTED, as_of=1)
WITH_TARGET = replace(POLICY, risk=POLICY.risk.model_copy(update={"take_profit_atr": Decimal(3)}))


def stop(name, trigger, quantity=None, state="accepted", leg="stop"):
    whole = quantity is None
    return OrderRecord(
        name, SYMBOL, "s1", leg, "SELL", "STOP_MARKET", None if whole else Decimal(quantity), 0, 0,
        state=state, algo=True, trigger_price=trigger, close_position=whole, reduce_only=not whole,
    )  # fmt: skip


def steps(*orders, position=HELD):
    """The next steps in words: +closing@price, +bridge@price, -name."""
    words = []
    for step in stop_steps(position, orders):
        match step:
            case PlaceProtection("stop", trigger, None):
                words.append(f"+closing@{trigger}")
            case PlaceProtection("stop", trigger, quantity):
                words.append(f"+{quantity}@{trigger}")
            case CancelProtection(order):
                words.append(f"-{order.id}")
    return words


CLOSING, BRIDGE = stop("closing", WANTED), stop("bridge", WANTED, 2)
OLD_CLOSING = stop("old", OLD)
ENTRY = OrderRecord("e", SYMBOL, "s2", "add", "BUY", "MARKET", Decimal(1), 0, 0, state="sent")


@pytest.mark.parametrize(
    ("orders", "next_steps"),
    [
        ([], ["+closing@59700"]),
        ([CLOSING], []),
        ([OLD_CLOSING], ["+2@59700"]),
        ([OLD_CLOSING, BRIDGE], ["-old"]),
        ([BRIDGE], ["+closing@59700"]),
        ([CLOSING, BRIDGE], ["-bridge"]),
        ([CLOSING, BRIDGE, stop("b2", OLD, 1)], ["-bridge", "-b2"]),
        ([OLD_CLOSING, stop("small", WANTED, 1)], ["+2@59700"]),
        ([OLD_CLOSING, stop("elsewhere", OLD + 1, 2)], ["+2@59700"]),
        *(([OLD_CLOSING, replace(BRIDGE, state=doubt)], []) for doubt in ("intended", "sent", "unknown")),
        ([replace(CLOSING, state="sent")], []),
        ([replace(CLOSING, state="cancelled")], ["+closing@59700"]),
        ([replace(CLOSING, state="filled")], ["+closing@59700"]),
        ([OLD_CLOSING, ENTRY], []),  # it may grow: a bridge would be too small
        ([OLD_CLOSING, BRIDGE, ENTRY], []),
        ([ENTRY], ["+closing@59700"]),  # and yet it is protected at once
    ],
)
def test_the_next_step_of_the_stop(orders, next_steps):
    assert steps(*orders) == next_steps


def test_no_bridge_is_laid_before_the_quantity_is_known():
    unsure = replace(HELD, entered_at=5, as_of=1)
    assert steps(OLD_CLOSING, position=unsure) == []
    assert steps(position=unsure) == ["+closing@59700"]


def test_following_the_steps_one_always_stands():
    """From any mixture of stops, every outcome one after the other, to one closing stop at the wanted price."""
    orders = [OLD_CLOSING, stop("small", WANTED, 1)]
    for number in range(9):
        found = stop_steps(HELD, orders)
        if not found:
            break
        match found[0]:
            case PlaceProtection(_, trigger, quantity):
                assert quantity is not None or not any(one.close_position for one in orders), "-4130"
                orders.append(stop(f"n{number}", trigger, quantity))
            case CancelProtection(order):
                orders.remove(order)
        assert stop_of(HELD, orders) is not None
    assert [(one.close_position, one.trigger_price) for one in orders] == [(True, WANTED)]


@pytest.mark.parametrize(
    ("old", "new", "long", "stop_price"),
    [(None, 5, True, 5), (4, 5, True, 5), (6, 5, True, 6), (6, 5, False, 5), (4, 5, False, 4)],
)
def test_a_stop_never_loosens(old, new, long, stop_price):
    assert tightened(old if old is None else Decimal(old), Decimal(new), long=long) == stop_price


def test_the_take_profit_goes_before_the_new_one_comes():
    position = replace(HELD, take_profit_price=Decimal(61_000))
    target = stop("tp", Decimal(61_000), leg="take_profit")
    moved = replace(target, trigger_price=Decimal(60_900))
    assert target_steps(position, []) == [PlaceProtection("take_profit", Decimal(61_000))]
    assert target_steps(position, [target]) == []
    assert target_steps(position, [moved]) == [CancelProtection(moved)]
    assert target_steps(position, [replace(moved, state="unknown")]) == []
    assert target_steps(HELD, []) == []


# Through the core


@pytest.mark.parametrize(("side", "closes", "trigger"), [("long", "SELL", 59_400), ("short", "BUY", 60_600)])
def test_the_stop_follows_the_first_fill_before_the_quantity_is_known(side, closes, trigger):
    driver = Driver()
    order = driver.sent(side=side)
    driver.seen(order, "partially_filled", "0.001")
    placed = driver.one(JournalIntent).order
    assert (placed.leg, placed.side, placed.trigger_price) == ("stop", closes, Decimal(trigger))
    assert (placed.algo, placed.close_position, placed.quantity) == (True, True, None)


def test_an_account_update_that_comes_first_is_protected_too():
    driver = Driver()
    driver.sent()
    driver.holds("0.1")
    assert driver.one(JournalIntent).order.leg == "stop"
    assert driver.position().ours


def test_stop_and_take_profit_are_placed_together():
    driver = Driver(WITH_TARGET)
    driver.filled()
    placed = [one.order for one in driver.got(JournalIntent)]
    assert [(one.type, one.trigger_price) for one in placed] == [
        ("STOP_MARKET", Decimal(59_400)),
        ("TAKE_PROFIT_MARKET", Decimal(60_900)),
    ]


def bridged(driver):
    """A position grew, and its stop was moved: the bridge, and the new stop that stands beside it."""
    first = driver.protected()
    old = driver.order("stop")
    driver(ev.PriceSeen(SYMBOL, PRICE + 300, driver.now))
    add = driver.filled(name="s2", kind="add", price=PRICE + 300)
    bridge = driver.one(JournalIntent).order
    assert (bridge.quantity, bridge.reduce_only) == (first.quantity + add.quantity, True)
    assert bridge.trigger_price == Decimal(59_700)
    driver.journal()
    driver.seen(bridge)
    assert driver.one(Cancel).order.id == old.id
    driver.seen(old, "cancelled")
    driver.wait(SECOND)
    new = driver.one(JournalIntent).order
    assert (new.close_position, new.trigger_price) == (True, Decimal(59_700))
    driver.journal()
    driver.seen(new)
    assert driver.one(Cancel).order.id == bridge.id
    return bridge, new


def test_an_add_moves_the_stop_over_a_bridge():
    driver = Driver()
    bridge, new = bridged(driver)
    assert driver.position().stop_order == new.id
    driver.seen(bridge, "cancelled")
    assert driver.wait(10 * SECOND, 1000) == []


def test_a_bridge_stays_while_the_stop_beside_it_may_be_gone():
    driver = Driver()
    bridge, new = bridged(driver)
    driver(ev.CancelFailed(bridge.id, "no answer"), 5 * SECOND)
    held = driver.position().quantity
    driver.snapshot([driver.told(bridge)], held)
    assert new.id in [one.order.id for one in driver.got(Query)]
    assert driver.got(Cancel) == []
    driver(ev.OrderSeen(driver.told(new), "query"))
    assert driver.one(Cancel).order.id == bridge.id


def test_the_old_stop_stays_while_nobody_can_know_that_the_bridge_stands():
    """Somebody may have cancelled it while the stream was down, and nothing was compared since."""
    driver = Driver()
    driver.protected()
    old = driver.order("stop")
    driver(ev.PriceSeen(SYMBOL, PRICE + 300, driver.now))
    driver.filled(name="s2", kind="add", price=PRICE + 300)
    bridge = driver.one(JournalIntent).order
    driver.journal()
    driver.seen(bridge)
    driver(ev.CancelFailed(old.id, "the request limit is used up"))
    driver(ev.StreamBack())
    driver(ev.ReconcileFailed("the request limit is used up"))
    assert not [one for one in driver.wait(6 * SECOND) if isinstance(one, Cancel)]
    driver.snapshot([driver.told(old)], driver.position().quantity)
    assert (driver.one(Query).order.id, driver.got(Cancel)) == (bridge.id, [])
    driver(ev.OrderSeen(driver.told(bridge), "query"))
    assert driver.one(Cancel).order.id == old.id


@pytest.mark.parametrize(("code", "closes"), [(-2021, True), (-4045, False)])
def test_a_bridge_that_is_refused(code, closes):
    driver = Driver()
    driver.protected()
    driver(ev.PriceSeen(SYMBOL, PRICE + 300, driver.now))
    driver.filled(name="s2", kind="add", price=PRICE + 300)
    driver.journal()
    driver(ev.OrderRejected(driver.order("stop").id, code, "refused"))
    assert bool(driver.position().closing) is closes
    assert not driver.got(Cancel), "the old stop stands"
    if not closes:
        assert not [one for one in driver.wait(29 * SECOND) if isinstance(one, JournalIntent)]
        assert [one for one in driver.wait(2 * SECOND) if isinstance(one, JournalIntent)]


@pytest.mark.parametrize("quantity", ["200", "0.2225"])
def test_no_bridge_is_laid_where_no_one_order_closes_all(quantity):
    held = replace(HELD, quantity=Decimal(quantity))
    old = replace(OLD_CLOSING, created_at=1)
    driver = Driver(ready=False, orders=[old], positions=[held])
    driver.snapshot([driver.told(old)], held.quantity)
    assert not [one for one in driver.wait(60 * SECOND, 1000) if isinstance(one, JournalIntent | Cancel)]
    assert driver.state("stop") == "accepted"


def test_a_stop_that_somebody_cancelled_is_placed_again():
    driver = Driver()
    driver.protected()
    driver.seen(driver.order("stop"), "cancelled")
    driver.wait(SECOND)
    assert driver.one(JournalIntent).order.leg == "stop"


def test_a_position_without_its_stop_for_too_long_is_closed_and_trips():
    driver = Driver()
    held = driver.filled().quantity
    driver.journal()
    driver(ev.OrderUnknown(driver.order("stop").id, "timeout"))
    before = [one for one in driver.wait(9 * SECOND) if isinstance(one, JournalIntent)]
    assert before == []
    driver.wait(2 * SECOND)
    close = driver.one(JournalIntent).order
    assert (close.leg, close.quantity) == ("flatten", held)
    assert "unprotected:BTCUSDT" in driver.breakers()
    driver(ev.SignalSeen(signal("s2")))
    driver.holds(0)
    driver.seen(close, "filled", held)
    driver(ev.OrderNotFound(driver.order("stop").id, driver.now + 60 * SECOND))
    driver.holds(0)
    assert "breaker unprotected" in driver.verdict("s2").reason


def test_how_long_it_was_unprotected_survives_a_restart():
    since = replace(HELD, unprotected_since=1_760_000_000_000 - 11 * SECOND)
    driver = Driver(ready=False, positions=[since])
    driver.snapshot(quantity=HELD.quantity)
    assert "unprotected:BTCUSDT" in driver.breakers()
    assert "flatten" in {one.order.leg for one in driver.got(JournalIntent)}


def test_a_close_waits_until_the_quantity_is_known():
    driver = Driver()
    order = driver.sent()
    driver.seen(order, "filled", order.quantity)
    driver(ev.HaltSeen(halted=True, flatten=True))
    assert [one.order.leg for one in driver.got(JournalIntent)] != ["flatten"]
    driver.wait(SECOND)
    assert driver.got(QueryPositions)
    driver.holds(order.quantity)
    assert "flatten" in {one.order.leg for one in driver.got(JournalIntent)}


def test_a_large_position_is_closed_lot_by_lot_and_its_stop_goes_last():
    driver = Driver(ready=False, positions=[replace(HELD, quantity=Decimal(200))])
    driver(ev.HaltSeen(halted=True, flatten=True))
    driver.snapshot(quantity=Decimal(200))
    closes = []
    left = Decimal(200)
    driver.journal()
    for _ in range(2):
        close = driver.order("flatten")
        closes.append(close.quantity)
        left -= close.quantity
        driver.seen(close, "filled", close.quantity)
        assert not driver.got(Cancel)
        driver.holds(left)
        driver.last = [*driver.last, *driver.wait(2 * SECOND)]
        driver.journal()
    assert closes == [120, 80]
    assert driver.state("stop") in {"sent", "unknown"}


def test_dust_is_told_and_keeps_its_stop():
    driver = Driver(ready=False, positions=[replace(HELD, quantity=Decimal("0.0004"))])
    driver(ev.HaltSeen(halted=True, flatten=True))
    driver.snapshot(quantity=Decimal("0.0004"))
    assert any("less than a lot" in one.text for one in driver.got(Notify))
    assert [one.order.leg for one in driver.got(JournalIntent)] == ["stop"]


def test_when_the_stop_was_hit_everything_else_is_cancelled_and_the_position_cleared():
    driver = Driver(WITH_TARGET)
    held = driver.protected().quantity
    assert driver.state("take_profit") == "accepted"
    driver.seen(driver.order("stop"), "filled", held)
    assert not driver.got(JournalIntent), "no new stop while the exchange has not said what is left"
    driver.holds(0)
    assert driver.one(Cancel).order.leg == "take_profit"
    driver.seen(driver.order("take_profit"), "cancelled")
    assert driver.one(JournalPosition).position.signal is None
    driver(ev.SignalSeen(signal("s2")))
    assert driver.one(JournalIntent).order.leg == "entry"


def test_what_stands_is_not_cancelled_while_an_entry_may_still_be_filled():
    driver = Driver()
    driver.protected()
    driver(ev.PriceSeen(SYMBOL, PRICE + 300, driver.now))
    add = driver.sent(name="s2", kind="add", price=PRICE + 300)
    driver.holds(0)
    assert not driver.got(Cancel)
    driver(ev.OrderRejected(add.id, -2019, "no margin"))
    assert driver.one(Cancel).order.leg == "stop"


# Switches


def test_halt_opens_nothing_and_keeps_the_stops():
    driver = Driver()
    order = driver.sent()
    driver(ev.HaltSeen(halted=True, flatten=False))
    driver.seen(order, "filled", order.quantity)
    driver.journal()
    assert driver.one(Place).order.leg == "stop"
    assert driver.position().closing is None


def test_flatten_closes_reduce_only_and_then_cancels():
    driver = Driver()
    held = driver.protected().quantity
    driver(ev.HaltSeen(halted=True, flatten=True))
    close = driver.one(JournalIntent).order
    assert (close.leg, close.side, close.quantity, close.reduce_only) == ("flatten", "SELL", held, True)
    assert not driver.got(Cancel)
    driver.journal()
    driver.seen(close, "filled", held)
    driver.holds(0)
    assert driver.one(Cancel).order.leg == "stop"


def test_an_entry_that_fills_after_flatten_is_closed_too():
    driver = Driver()
    order = driver.sent()
    driver(ev.HaltSeen(halted=True, flatten=True))
    driver.seen(order, "filled", order.quantity)
    driver.holds(order.quantity)
    assert "flatten" in {one.order.leg for one in driver.got(JournalIntent)}


def test_an_exit_signal_closes_and_goes_on_closing_until_it_is_flat():
    driver = Driver()
    held = driver.protected().quantity
    exits = driver.sent(name="s2", kind="exit")
    driver(ev.OrderRejected(exits.id, -4131, "nobody to trade with"))
    driver.wait(2 * SECOND)
    again = driver.one(JournalIntent).order
    assert (again.leg, again.quantity) == ("flatten", held)


def test_in_signal_only_mode_what_is_held_keeps_its_stop():
    driver = Driver()
    driver.filled()
    driver(ev.ModeSeen("signal-only"))
    driver.last = driver.all[-3:]
    driver(ev.IntentJournaled(driver.order("stop").id))
    assert driver.one(Place).order.leg == "stop"


def test_an_executor_that_lost_its_lease_does_nothing_any_more():
    driver = Driver()
    driver(ev.SignalSeen(signal()))
    order = driver.one(JournalIntent).order
    driver(ev.LeaseLost())
    assert driver(ev.IntentJournaled(order.id)) == []
    assert driver.holds(5) == []
    assert driver.wait(60 * SECOND, 1000) == []


def test_a_stop_that_has_fired_protects_no_more_and_is_asked_for_until_its_order_has_ended():
    driver = Driver(replace(POLICY, risk=POLICY.risk.model_copy(update={"unprotected_seconds": 600})))
    stop = driver.protected() and driver.order("stop")
    held = driver.position().quantity
    driver.seen(stop, "partially_filled")
    assert (driver.position().stop_order, driver.position().unprotected_since) == (None, driver.now)
    asked = [one.order.id for one in driver.wait(6_000) if isinstance(one, Query)]
    assert asked == [stop.id] * 5, "after 0.25, 0.5, 1, 2 and 4 s"
    assert not driver.got(JournalIntent), "its order may close all of it at any moment"
    driver(ev.OrderSeen(driver.told(stop, "expired", held / 2, algo=False, exchange_id=9), "query"))
    driver.holds(held / 2)
    driver.wait(1_000)
    assert driver.order("stop").id != stop.id
    assert driver.order("stop").state == "intended"


def test_nothing_is_decided_while_a_stop_has_fired():
    driver = Driver()
    driver.protected()
    driver.seen(driver.order("stop"), "partially_filled")
    driver(ev.SignalSeen(signal("s2", kind="exit", last_word=True)))
    assert driver.verdict("s2") is None


@pytest.mark.parametrize("by", [3_600_000, -3_600_000, 15_000, -15_000])
def test_a_clock_that_is_put_forward_or_back_closes_nothing_and_keeps_no_stop_waiting(by):
    driver = Driver()
    driver.filled()
    driver.journal()
    driver(ev.OrderFailed(driver.order("stop").id, "-1021"))
    driver.now += by
    driver(ev.Time())
    assert driver.got(Reconcile)
    assert driver.position().closing is None
    sent = [one.order.leg for one in driver.wait(2_000) if isinstance(one, Place)]
    assert sent == ["stop"]
    driver(ev.OrderRejected(driver.order("stop").id, -4130, "one stands"))
    driver.wait(7_000)
    assert driver.position().closing is None
    driver.wait(4_000)
    assert driver.position().closing is not None, "10 s without a stop, by whichever clock"
