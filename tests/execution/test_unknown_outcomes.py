"""Table "Outcome of a request" of docs/execution.md: nobody knows whether it arrived."""

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import JournalIntent, Place, Query, QueryFills, QueryNumber, QueryPositions
from pipeline.execution.engine.state import OrderTold, PositionTold
from pipeline.timeline import DAY, MINUTE, SECOND
from tests.execution.driver import POLICY, PRICE, SYMBOL, Driver, T, trade
from tests.execution.of_books import BOOKS

GONE = POLICY.surely_gone
FLAT = PositionTold(SYMBOL, Decimal(0), Decimal(0))


def lost(driver, order):
    """The answer was lost, and the exchange does not know the id for as long as a copy could still arrive."""
    driver(ev.OrderUnknown(order.id, "timeout"), 1)
    driver.wait(GONE)
    driver(ev.OrderNotFound(order.id, driver.now))
    driver.wait(5 * SECOND)


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


def lost_close():
    """A close whose end an earlier term has not heard of, and how much it was to close."""
    driver = Driver()
    held = driver.protected().quantity
    driver(ev.HaltSeen(halted=True, flatten=True))
    driver.journal()
    later = Driver(ready=False, orders=driver.core.orders(), positions=driver.core.positions())
    later.snapshot()
    close = later.order("flatten")
    lost(later, close)
    return later, close, held


def test_after_a_restart_trades_of_others_explain_how_the_position_moved():
    """Nobody knows whether what the journal has of the position is from before them or after."""
    later, close, held = lost_close()
    later(ev.OrderSeen(OrderTold("web_1", SYMBOL, "SELL", "filled", held, later.now, exchange_id=77), "query"))
    later(ev.FillsSeen(SYMBOL, (trade(close, held),), close.created_at - DAY, later.now))
    later(ev.PositionsSeen((FLAT,), later.now, "query"))
    assert (later.state("flatten"), later.order("flatten").filled) == ("abandoned", 0)


def restarted_closing():
    """The same, and what others traded that day: as much as it was to close, one way and the other."""
    later, close, held = lost_close()
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


@pytest.mark.parametrize("side", ["long", "short"])
def test_trades_that_are_worse_than_its_limit_are_not_taken(side):
    """Another order of ours is in doubt as well, and it has done that."""
    driver = Driver(replace(POLICY, risk=POLICY.risk.model_copy(update={"entry_order": "limit", "limit_seconds": 20})))
    order = driver.sent(side=side)
    lost(driver, order)
    driver.snapshot()
    driver(ev.NumberNotFound(77))
    worse = replace(trade(order, order.quantity), price=order.price + (1 if side == "long" else -1))
    back = trade(order, order.quantity, 78, side="SELL" if side == "long" else "BUY")
    told = OrderTold("web_1", SYMBOL, back.side, "filled", back.quantity, driver.now, exchange_id=78)
    driver(ev.OrderSeen(told, "query"))
    driver(ev.PositionsSeen((FLAT,), driver.now, "query"))
    driver(ev.FillsSeen(SYMBOL, (worse, back), order.created_at - SECOND, driver.now))
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


@pytest.mark.parametrize("every", [5 * SECOND, None], ids=["of what has fired nobody tells", "it is told"])
def test_a_stop_that_was_given_up_is_asked_for_with_each_comparison_where_nobody_tells_that_it_has_fired(every):
    """It came late, and had fired when it was asked for: its order has closed what somebody else held by then."""
    driver = Driver(replace(BOOKS, look_at_stops_every=every))
    held = driver.filled().quantity
    driver.journal()
    stop = driver.one(Place).order
    driver(ev.OrderUnknown(stop.id, "timeout"))
    driver.holds(0)
    driver(ev.OrderNotFound(stop.id, driver.now + GONE), GONE)
    assert driver.state("stop") == "abandoned"
    asked = set() if every is None else {stop.id}
    for _ in range(2):
        driver.snapshot()
        assert {one.order.id for one in driver.got(Query)} == asked
    driver(ev.OrderSeen(driver.told(stop, "filled", held, quantity=held, average_price=stop.trigger_price), "query"))
    assert (driver.state("stop"), driver.order("stop").filled) == ("filled", held)
    driver.snapshot()
    assert driver.got(Query) == []


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


def test_what_is_told_of_a_position_is_of_no_earlier_than_its_last_change():
    """Asked for before an entry was filled, and read afterwards: its trade is in it, and leaves nothing to explain."""
    driver = Driver()
    entry = driver.sent()
    driver.seen(entry)
    asked_at, filled_at = driver.now, driver.now + SECOND
    held = PositionTold(SYMBOL, entry.quantity, PRICE, filled_at)
    driver(ev.PositionsSeen((held,), asked_at, "query"), 2 * SECOND)
    driver(ev.HaltSeen(halted=True, flatten=True))
    driver.journal()
    close = next(one.order for one in driver.got(Place) if one.order.leg == "flatten")
    lost(driver, close)
    bought = trade(entry, entry.quantity, driver.order("entry").exchange_id, at=filled_at)
    driver(ev.FillsSeen(SYMBOL, (bought,), close.created_at - MINUTE, driver.now))
    driver(ev.PositionsSeen((held,), driver.now, "query"))
    assert driver.core.order(close.id).state == "abandoned"


def test_what_a_first_copy_of_a_refused_stop_may_have_traded_is_asked_for_again_before_it_is_a_lost_closes():
    """The exchange can name no order for a while. A second copy was refused, the first came late and has fired."""
    driver = Driver()
    held = driver.filled().quantity
    driver.journal()
    stop = next(one.order for one in driver.got(Place) if one.order.leg == "stop")
    driver(ev.OrderUnknown(stop.id, "timeout"))
    driver.wait(SECOND)
    driver(ev.OrderNotFound(stop.id, driver.now))
    driver(ev.OrderRejected(stop.id, -2021, "would trigger"))
    driver.journal()
    close = next(one.order for one in driver.got(Place) if one.order.leg == "flatten")
    lost(driver, close)
    driver(ev.NumberNotFound(77))
    fired = ev.FillsSeen(SYMBOL, (trade(close, held),), close.created_at - MINUTE, driver.now)
    driver(fired)
    driver(fired)
    assert driver.one(QueryNumber).number == 77
    driver(ev.OrderSeen(driver.told(stop, "filled", held, exchange_id=77, average_price=stop.trigger_price), "query"))
    driver(fired)
    driver(ev.PositionsSeen((FLAT,), driver.now, "query"))
    states = [driver.core.order(one.id).state for one in (stop, close)]
    assert states == ["filled", "abandoned"]


def test_an_answer_that_was_read_between_two_parts_of_one_millisecond_is_not_newer_than_the_stream():
    driver = Driver()
    order = driver.sent()
    asked_at, driver.now = driver.now, driver.now + 100
    told = [
        (replace(FLAT, quantity=one, changed_at=driver.now), driver.now) for one in (Decimal("0.05"), order.quantity)
    ]
    for position, at in told:
        driver.seen(order, "filled", position.quantity, average_price=PRICE, at=at)
        driver(ev.PositionsSeen((position,), at, "stream"))
    driver(ev.PositionsSeen((told[0][0],), asked_at, "query"), 20)
    assert driver.position().quantity == order.quantity
