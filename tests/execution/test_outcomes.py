"""Tables "Outcome of a request" and "Refusals" of docs/execution.md."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import (
    Cancel,
    JournalIntent,
    JournalOrder,
    JournalPosition,
    Notify,
    Place,
    Query,
    QueryFills,
    QueryNumber,
    QueryPositions,
    Reconcile,
    WriteVerdict,
)
from pipeline.execution.engine.refusals import Reaction, reaction
from pipeline.execution.engine.state import OrderTold, PositionTold, TradeTold
from pipeline.timeline import DAY, MINUTE, SECOND
from tests.execution.driver import POLICY, PRICE, SYMBOL, Driver, T, signal

GONE = POLICY.surely_gone
FLAT = PositionTold(SYMBOL, Decimal(0), Decimal(0))


def trade(order, quantity, number=77, side=None, at=None):
    return TradeTold(number, side or order.side, Decimal(quantity), PRICE, Decimal("0.1"), Decimal(2), at or T + 5)


def lost(driver, order):
    """The answer was lost, and the exchange does not know the id for as long as a copy could still arrive."""
    driver(ev.OrderUnknown(order.id, "timeout"), 1)
    driver.wait(GONE)
    driver(ev.OrderNotFound(order.id, driver.now))
    driver.wait(5 * SECOND)


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


# Unknown


@pytest.mark.parametrize("unknown", ["told", "silence"])
def test_an_entry_that_is_unknown_is_asked_for_and_never_sent_again(unknown):
    driver = Driver()
    order = driver.sent()
    if unknown == "told":
        driver(ev.OrderUnknown(order.id, "timeout"))
    driver.wait(40 * SECOND)
    assert driver.state("entry") == "unknown"
    assert {one.order.id for one in driver.got(Query)} == {order.id}
    assert driver.got(QueryPositions), "it may have opened something that needs a stop"
    assert not driver.got(Place)


def test_questions_come_soon_at_first_and_then_less_often():
    driver = Driver()
    order = driver.sent()
    driver(ev.OrderUnknown(order.id, "timeout"))
    asked = [driver.now for _ in range(0, 30 * SECOND, 50) if driver(ev.Time(), 50) and driver.got(Query)]
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps[:4] == [250, 500, 1000, 2000]
    assert set(gaps[5:]) == {4000}


def test_found_by_query_it_is_followed():
    driver = Driver()
    order = driver.sent()
    driver(ev.OrderUnknown(order.id, "timeout"))
    driver(ev.OrderSeen(driver.told(order, "filled", order.quantity), "query"))
    assert driver.state("entry") == "filled"
    assert driver.one(JournalIntent).order.leg == "stop"


def test_not_found_proves_nothing_while_a_copy_can_still_arrive():
    driver = Driver()
    order = driver.sent()
    driver(ev.OrderUnknown(order.id, "timeout"))
    gone_at = driver.now + GONE
    driver.wait(30 * SECOND)
    driver(ev.OrderNotFound(order.id, gone_at - 1))
    driver.wait(5 * SECOND)
    assert driver.got(Query)
    assert not driver.got(QueryFills)
    assert driver.state("entry") == "unknown"
    driver(ev.OrderNotFound(order.id, gone_at))
    driver.wait(5 * SECOND)
    assert driver.got(QueryFills)
    assert driver.got(QueryPositions)


@pytest.mark.parametrize("first", ["fills", "position"])
def test_an_entry_is_given_up_only_when_query_trades_and_position_agree(first):
    driver = Driver()
    order = driver.sent()
    lost(driver, order)
    answers = {
        "fills": ev.FillsSeen(SYMBOL, (), order.created_at - SECOND, driver.now),
        "position": ev.PositionsSeen((FLAT,), driver.now, "query"),
    }
    driver(answers.pop(first))
    assert driver.state("entry") == "unknown"
    driver(*answers.values())
    assert driver.state("entry") == "abandoned"
    assert not any(isinstance(one, Place) for one in driver.wait(60 * SECOND)), "a late entry is worse than none"


def test_trades_of_an_earlier_question_or_an_earlier_time_prove_nothing():
    driver = Driver()
    order = driver.sent()
    lost(driver, order)
    driver(ev.FillsSeen(SYMBOL, (), order.created_at + 1, driver.now))
    driver(ev.FillsSeen(SYMBOL, (), order.created_at - SECOND, driver.now - 60 * SECOND))
    driver(ev.PositionsSeen((FLAT,), driver.now, "query"))
    assert driver.state("entry") == "unknown"


@pytest.mark.parametrize(("quantity", "state"), [("0.222", "filled"), ("0.1", "expired")])
def test_trades_that_nobody_else_claims_are_its_own(quantity, state):
    driver = Driver()
    order = driver.sent()
    lost(driver, order)
    driver(ev.PositionsSeen((replace(FLAT, quantity=Decimal(quantity)),), driver.now, "query"))
    fills = ev.FillsSeen(SYMBOL, (trade(order, quantity),), order.created_at - SECOND, driver.now)
    driver(fills)
    assert driver.one(QueryNumber) == QueryNumber(SYMBOL, 77)
    assert driver.state("entry") == "unknown", "whose they are can be asked"
    driver(ev.NumberNotFound(77))
    driver(fills)
    kept = driver.order("entry")
    assert (kept.state, kept.filled, kept.exchange_id) == (state, Decimal(quantity), 77)


def test_what_somebody_opened_just_before_a_lost_entry_is_not_taken_for_its_fill():
    """Nothing was ever held of the symbol: that is known since all that is open was read, not since the entry left."""
    driver = Driver()
    driver.now += SECOND
    theirs = replace(trade(driver.sent(), "0.3", at=driver.now - 500), exchange_id=55)
    order = driver.order("entry")
    driver(ev.OrderSeen(OrderTold("web", SYMBOL, "BUY", "filled", Decimal("0.3"), theirs.at, exchange_id=55), "stream"))
    driver.holds("0.3")
    lost(driver, order)
    driver(ev.FillsSeen(SYMBOL, (theirs,), T, driver.now))
    driver(ev.PositionsSeen((replace(FLAT, quantity=Decimal("0.3")),), driver.now, "query"))
    assert driver.state("entry") == "abandoned"


def test_trades_that_do_not_make_up_what_is_held_are_not_all_that_there_are():
    driver = Driver()
    order = driver.sent()
    lost(driver, order)
    driver(ev.NumberNotFound(77))
    driver(ev.PositionsSeen((replace(FLAT, quantity=order.quantity),), driver.now, "query"))
    since, first, rest = order.created_at - SECOND, trade(order, "0.1"), trade(order, order.quantity - Decimal("0.1"))
    driver(ev.FillsSeen(SYMBOL, (first,), since, driver.now))
    assert driver.state("entry") == "unknown"
    driver(ev.FillsSeen(SYMBOL, (first, rest), since, driver.now))
    assert (driver.state("entry"), driver.order("entry").filled) == ("filled", order.quantity)


def test_of_a_close_whose_symbol_is_gone_the_trades_that_are_likely_its_own_say_what_became_of_it():
    """A stop of ours may have made them as well: of neither anything can be asked any more."""
    driver = Driver()
    held = driver.protected().quantity
    driver(ev.HaltSeen(halted=True, flatten=True))
    driver.journal()
    close = driver.one(Place).order
    lost(driver, close)
    driver.snapshot()
    driver(ev.NumberNotFound(77))
    driver(ev.FillsSeen(SYMBOL, (trade(close, held),), close.created_at - SECOND, driver.now))
    driver(ev.PositionsSeen((FLAT,), driver.now, "query"))
    assert driver.state("flatten") == "unknown"
    driver(ev.SymbolGone(SYMBOL, driver.now))
    assert (driver.state("flatten"), driver.order("flatten").filled) == ("filled", held)


def test_an_order_in_doubt_whose_symbol_is_gone_waits_for_no_proof():
    """Nothing of it can be asked any more; but not before no copy of it can arrive any more."""
    driver = Driver()
    order = driver.sent()
    driver(ev.OrderUnknown(order.id, "timeout"))
    driver(ev.SymbolGone(SYMBOL, driver.now, order.id))
    assert driver.state("entry") == "unknown"
    driver.wait(POLICY.surely_gone + SECOND)
    driver(ev.SymbolGone("ETHUSDT", driver.now))
    assert driver.state("entry") == "unknown"
    driver(ev.SymbolGone(SYMBOL, driver.now))
    assert driver.state("entry") == "abandoned"


@pytest.mark.parametrize("name", ["settlement_autoclose-1", "web_1"])
def test_what_an_order_of_another_has_traded_is_not_its_doing(name):
    """A close that never arrived, and somebody else has done what it should have done."""
    driver = Driver()
    held = driver.protected().quantity
    driver(ev.HaltSeen(halted=True, flatten=True))
    driver.journal()
    close = driver.one(Place).order
    lost(driver, close)
    driver(ev.PositionsSeen((FLAT,), driver.now, "query"))
    fills = ev.FillsSeen(SYMBOL, (trade(close, held),), close.created_at - SECOND, driver.now)
    driver(fills)
    assert driver.one(QueryNumber).number == 77
    driver(ev.OrderSeen(OrderTold(name, SYMBOL, "SELL", "filled", held, driver.now, exchange_id=77), "query"))
    driver(fills)
    assert (driver.state("flatten"), driver.order("flatten").filled) == ("abandoned", 0)


def test_a_position_that_was_read_after_the_trades_proves_nothing_until_they_are_read_again():
    driver = Driver()
    order = driver.sent()
    lost(driver, order)
    driver.wait(POLICY.surely_listed)
    driver(ev.FillsSeen(SYMBOL, (), order.created_at - SECOND, driver.now))
    moved = ev.PositionsSeen((replace(FLAT, quantity=order.quantity),), driver.now + 1, "query")
    driver(moved, 1)
    assert driver.state("entry") == "unknown"
    driver(ev.FillsSeen(SYMBOL, (), order.created_at - SECOND, driver.now))
    assert driver.state("entry") == "filled"


def test_after_a_restart_trades_of_others_explain_how_the_position_moved():
    """Nobody knows whether what the journal has of the position is from before them or after."""
    driver = Driver()
    held = driver.protected().quantity
    driver(ev.HaltSeen(halted=True, flatten=True))
    driver.journal()
    later = Driver(ready=False, orders=driver.core.orders(), positions=driver.core.positions())
    later.snapshot()
    close = later.order("flatten")
    lost(later, close)
    later(ev.OrderSeen(OrderTold("web_1", SYMBOL, "SELL", "filled", held, later.now, exchange_id=77), "query"))
    later(ev.FillsSeen(SYMBOL, (trade(close, held),), close.created_at - DAY, later.now))
    later(ev.PositionsSeen((FLAT,), later.now, "query"))
    assert (later.state("flatten"), later.order("flatten").filled) == ("abandoned", 0)


def restarted_closing():
    """A close whose end an earlier term has not heard of, what it was to close, and that others traded that day."""
    driver = Driver()
    held = driver.protected().quantity
    driver(ev.HaltSeen(halted=True, flatten=True))
    driver.journal()
    later = Driver(ready=False, orders=driver.core.orders(), positions=driver.core.positions())
    later.snapshot()
    close = later.order("flatten")
    lost(later, close)
    told = OrderTold("web_1", SYMBOL, "BUY", "filled", held, later.now, exchange_id=77)
    later(ev.OrderSeen(told, "query"))
    later(ev.OrderSeen(replace(told, side="SELL", exchange_id=78), "query"))
    theirs = (trade(close, held, side="BUY", at=T - 9), trade(close, held, number=78, at=T - 8))
    return later, close, theirs


def tell(driver, close, trades):
    driver(ev.FillsSeen(SYMBOL, trades, close.created_at - DAY, driver.now))
    driver(ev.PositionsSeen((FLAT,), driver.now, "query"))


def test_after_a_restart_a_close_whose_trades_are_not_listed_yet_is_not_absent_for_what_others_traded():
    later, close, theirs = restarted_closing()
    before = (*theirs, trade(later.order("entry"), close.quantity, later.order("entry").exchange_id, at=T))
    tell(later, close, before)
    assert later.state("flatten") == "unknown", "none of these trades made it flat"
    later(ev.NumberNotFound(79))
    tell(later, close, (*before, trade(close, close.quantity, 79)))
    assert (later.state("flatten"), later.order("flatten").filled) == ("filled", close.quantity)


def test_what_somebody_else_did_is_not_its_doing_before_it_is_listed():
    """Its position moved as the order would have moved it, and the trade that did it is listed later."""
    driver = Driver()
    order = driver.sent()
    lost(driver, order)
    moved = ev.PositionsSeen((replace(FLAT, quantity=order.quantity),), driver.now, "query")
    driver(ev.FillsSeen(SYMBOL, (), order.created_at - SECOND, driver.now))
    driver(moved)
    assert driver.state("entry") == "unknown"
    told = OrderTold("web_1", SYMBOL, "BUY", "filled", order.quantity, driver.now, exchange_id=77)
    driver(ev.OrderSeen(told, "query"))
    driver(ev.FillsSeen(SYMBOL, (trade(order, order.quantity),), order.created_at - SECOND, driver.now))
    driver(moved)
    assert driver.state("entry") == "abandoned"


def test_it_is_absent_where_nothing_of_it_is_listed_for_a_minute():
    later, close, theirs = restarted_closing()
    before = (*theirs, trade(later.order("entry"), close.quantity, later.order("entry").exchange_id, at=T))
    for _ in range(MINUTE // SECOND - 6):
        tell(later, close, before)
        later.wait(SECOND)
    assert later.state("flatten") == "unknown"
    later.wait(2 * SECOND)
    tell(later, close, before)
    assert later.state("flatten") == "abandoned"


@pytest.mark.parametrize(
    "foreign",
    [
        {"side": "SELL"},
        {"quantity": "0.223"},  # more than was asked for
        {"at": T - 10 * SECOND},
    ],
)
def test_trades_that_cannot_be_its_own_are_not_taken(foreign):
    driver = Driver()
    order = driver.sent()
    lost(driver, order)
    found = trade(order, **({"quantity": "0.1"} | foreign))
    made = Decimal(0) if found.at < T else found.quantity if found.side == "BUY" else -found.quantity
    driver(ev.PositionsSeen((replace(FLAT, quantity=made),), driver.now, "query"))
    driver(ev.FillsSeen(SYMBOL, (found,), order.created_at - SECOND, driver.now))
    assert driver.state("entry") == "abandoned"


def test_a_position_that_moved_its_way_is_its_doing_where_no_trade_says_so_for_a_minute():
    driver = Driver()
    order = driver.sent()
    lost(driver, order)
    for state in ("unknown", "filled"):
        driver(ev.FillsSeen(SYMBOL, (), order.created_at - SECOND, driver.now))
        driver(ev.PositionsSeen((replace(FLAT, quantity=order.quantity),), driver.now, "query"))
        assert driver.state("entry") == state
        driver.wait(POLICY.surely_listed)
    assert (driver.state("entry"), driver.order("entry").filled) == ("filled", order.quantity)
    assert driver.position().stop_price == Decimal(59_400)


def test_what_was_held_for_a_while_and_is_gone_was_traded_though_no_trade_is_listed_yet():
    driver = Driver()
    order = driver.sent()
    lost(driver, order)
    driver.holds(order.quantity)
    driver(ev.PositionsSeen((FLAT,), driver.now, "query"))
    driver(ev.FillsSeen(SYMBOL, (), order.created_at - SECOND, driver.now))
    driver(ev.PositionsSeen((FLAT,), driver.now, "query"))
    assert driver.state("entry") == "unknown"
    closed = trade(order, order.quantity, 78, "SELL", driver.now)
    listed = (trade(order, order.quantity), closed)
    driver(
        ev.OrderSeen(OrderTold("web_1", SYMBOL, "SELL", "filled", closed.quantity, driver.now, exchange_id=78), "query")
    )
    driver(ev.NumberNotFound(77))
    driver(ev.FillsSeen(SYMBOL, listed, order.created_at - SECOND, driver.now))
    assert (driver.state("entry"), driver.order("entry").filled) == ("filled", order.quantity)


def test_a_stop_that_is_unknown_is_asked_for_and_sent_again_under_the_same_id():
    driver = Driver()
    driver.filled()
    driver.journal()
    stop = driver.one(Place).order
    driver(ev.OrderUnknown(stop.id, "timeout"))
    driver.wait(SECOND)
    assert driver.got(Query)
    driver(ev.OrderNotFound(stop.id, driver.now))
    assert driver.one(Place).order.id == stop.id
    assert driver.order("stop").attempts == 2


def test_a_stop_that_is_unknown_and_not_needed_any_more_is_given_up():
    driver = Driver()
    order = driver.filled()
    driver.journal()
    stop = driver.one(Place).order
    driver(ev.OrderUnknown(stop.id, "timeout"))
    driver.holds(0)
    driver(ev.OrderNotFound(stop.id, driver.now))
    assert driver.state("stop") == "unknown"
    driver(ev.OrderNotFound(stop.id, driver.now + GONE), GONE)
    assert driver.state("stop") == "abandoned"
    assert order.quantity


def test_a_close_that_is_unknown_is_proven_absent_before_there_is_another():
    driver = Driver()
    held = driver.protected().quantity
    driver(ev.HaltSeen(halted=True, flatten=True))
    driver.journal()
    close = driver.one(Place).order
    lost(driver, close)
    assert not driver.got(JournalIntent)
    driver(ev.FillsSeen(SYMBOL, (), close.created_at - SECOND, driver.now))
    driver.holds(held, by="query")
    assert driver.core.order(close.id).state == "abandoned"
    again = driver.one(JournalIntent).order
    assert (again.leg, again.quantity) == ("flatten", held)
    assert again.id != close.id


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


# Refusals

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
