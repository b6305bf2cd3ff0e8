"""Several strategies in one contract: what somebody else does to it, and what is found again after a restart."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import Notify, Place, Query, Recall, Reconcile
from pipeline.execution.engine.state import PositionTold, TradeTold, TradingView
from tests.execution.driver import IDENTITY, PRICE, SYMBOL, Driver, T, signal
from tests.execution.of_books import BOOKS, RSI, D, beyond_the_stop_of_all, held, stand, trades_of, two


def test_what_the_exchange_liquidates_is_taken_pro_rata_once_it_is_sure() -> None:
    driver = two()
    driver.holds("0.222", by="query")
    assert held(driver) == {"macd": D("0.222"), "rsi": D("0.111")}
    driver.wait(2_500)
    assert driver.got(Reconcile)
    for _ in range(2):
        orders = [driver.told(one) for one in driver.core.orders() if one.leg == "stop" and one.unsettled]
        driver.snapshot(orders, D("0.222"))
    assert held(driver) == {"macd": D("0.148"), "rsi": D("0.074")}


@pytest.mark.parametrize("stood", [True, False], ids=["it had stood", "it came late, and nobody tells of it"])
def test_what_a_stop_has_closed_that_was_given_up_is_its_owners(stood: bool) -> None:
    """It is asked for with each comparison: before what is missing is taken from all, its answer is there."""
    driver = two()
    near = next(one for one in driver.core.orders() if one.leg == "stop" and one.strategy == "macd")
    driver.core._memory.doubt(near, driver.now)
    driver(ev.OrderNotFound(near.id, driver.now), 1)
    assert driver.core.order(near.id).forgotten
    if not stood:
        driver.core._memory.policy = replace(BOOKS, look_at_stops_every=600_000)
        driver.core._memory.keep(replace(driver.core.order(near.id), exchange_id=None))
    driver.holds("0.111", by="query")
    for _ in range(2):
        driver.wait(2_500)
        orders = [driver.told(one) for one in driver.core.orders() if one.leg == "stop" and one.unsettled]
        driver.snapshot(orders, D("0.111"))
        assert near.id in {one.order.id for one in driver.got(Query)}
        assert held(driver) == {"macd": D("0.222"), "rsi": D("0.111")}
    driver.seen(near, "filled", "0.222", average_price=near.trigger_price)
    assert held(driver) == {"rsi": D("0.111")}


def test_what_somebody_adds_is_shared_out_as_well() -> None:
    driver = two()
    driver.holds("0.666", by="query")
    for _ in range(2):
        orders = [driver.told(one) for one in driver.core.orders() if one.leg == "stop" and one.unsettled]
        driver.snapshot(orders, D("0.666"))
    assert held(driver) == {"macd": D("0.444"), "rsi": D("0.222")}


def test_after_a_restart_the_books_are_what_they_were() -> None:
    before = two("short")
    after = Driver(BOOKS, orders=before.core.orders(), positions=before.core.positions())
    after(ev.PositionsSeen((PositionTold(SYMBOL, D("0.111"), PRICE),), after.now, "query"))
    assert held(after) == held(before)


def test_an_entry_that_is_found_again_is_its_owners_with_the_stop_that_its_signal_would_have() -> None:
    """The journal is from before it. Until its past is known nobody's book has it."""
    before = two()
    (entry,) = [one for one in before.core.orders() if one.leg == "entry" and one.owner[0] == "rsi"]
    known = [one for one in before.core.orders() if one.id != entry.id]
    then = before.position()
    old = replace(then, quantity=D("0.222"), books=then.books[:1], counted=then.counted[:1])
    after = Driver(BOOKS, orders=known, positions=[old], ready=False)
    after.snapshot([after.told(one) for one in known if one.leg == "stop" and one.unsettled], D("0.333"))
    found = after.told(entry, "filled", "0.111", average_price=PRICE)
    after(ev.OrderSeen(found, "query"), 1)
    assert held(after) == {"macd": D("0.222")}
    after.recalled(found, trades=trades_of(before), signals=(signal("r1", strategy="rsi", at=T + 1, atr=D(600)),))
    assert {one.strategy: (one.quantity, one.stop_price, one.atr) for one in after.position().books} == {
        "macd": (D("0.222"), D(59_400), D(300)), "rsi": (D("0.111"), D(58_800), D(600)),
    }  # fmt: skip


@pytest.mark.parametrize("told", ["0", "0.1"])
def test_what_was_told_before_its_fill_and_a_restart_between_the_two_is_counted_once(told: str) -> None:
    """Told of the first fills or of none; the journal has the position, and from before it had a book."""
    before = Driver(BOOKS)
    entry = before.sent()
    if D(told):
        before(ev.OrderSeen(before.told(entry, "partially_filled", told, average_price=PRICE), "stream"), 1)
    before.holds("0.222")
    orders, (position,) = before.core.orders(), before.core.positions()
    bare = replace(position, books=(), counted=())
    after = Driver(BOOKS, orders=orders, positions=[bare], ready=False)
    after.snapshot([], D("0.222"))
    assert held(after) == ({"macd": D(told)} if D(told) else {})
    after(ev.OrderSeen(after.told(entry, "filled", "0.222", average_price=PRICE), "query"), 1)
    assert held(after) == {"macd": D("0.222")}


def test_what_is_found_again_from_before_anything_was_held_is_in_no_book() -> None:
    driver = Driver(BOOKS)
    entry = driver.protected()
    now = driver.core.order(entry.id)
    opened = replace(now, id=IDENTITY.order_id("r0", "entry"), exchange_id=901)
    closed = replace(now, id=IDENTITY.order_id("r0", "flatten"), exchange_id=902, side="SELL")
    past = [driver.told(one, "filled", "0.1", at=T - 9, average_price=PRICE) for one in (opened, closed)]
    traded = [TradeTold(one.exchange_id, one.side, one.filled, PRICE, D(0), D(0), one.at) for one in past]
    traded += trades_of(driver)
    driver(ev.OrderSeen(past[0], "query"), 1)
    for _ in range(2):  # at first the newest trade may not be listed yet
        driver.recalled(*past, trades=tuple(traded), signals=(signal("r0", strategy="rsi", at=T - 10),))
        assert held(driver) == {"macd": D("0.222")}
        driver.wait(driver.core._memory.policy.surely_listed)
    assert driver.core.order(closed.id).filled == D("0.1")


@pytest.mark.parametrize("given_up", [True, False], ids=["given up", "in doubt"])
def test_what_the_past_tells_was_filled_of_an_order_that_is_not_known_any_more_is_counted(given_up: bool) -> None:
    """Before what is held is explained by it: that may be from before the fill."""
    if given_up:
        driver, _, order = beyond_the_stop_of_all()
        driver(ev.OrderNotFound(order.id, driver.now), 1)
        driver.holds("0.111", by="query")
    else:
        driver = two("short")
        order = driver.sent(name="x", kind="exit", at=T + 2, fresh_until=T + 600_000)
        driver(ev.OrderUnknown(order.id, "timeout"), 1)
    assert driver.core.order(order.id).state == ("abandoned" if given_up else "unknown")
    traded = trades_of(driver)
    told = driver.told(order, "filled", "0.111", average_price=PRICE)
    last = TradeTold(told.exchange_id, "SELL", told.filled, PRICE, D(0), D(0), told.at)
    driver.recalled(told, trades=(*traded, last))
    assert held(driver) == {"macd": D("0.111"), "rsi": D("-0.111")}


def test_what_one_has_closed_a_second_time_is_his_where_only_the_past_tells_of_the_first() -> None:
    """The stop of all had closed it unheard. Nothing is in the books by then, and the newest entry of the side that is
    held was another's, whose book has ended since."""
    driver = two("short")
    stop = driver.core.order(driver.position().stop_order)
    leaves = driver.sent(name="x", kind="exit", at=T + 2, fresh_until=T + 600_000)
    driver(ev.PriceSeen(SYMBOL, D(61_201), driver.now))
    driver.journal()
    watched = driver.one(Place).order
    fired_at = driver.now
    driver.seen(stop, "cancelled", at=fired_at)
    for order, left in ((leaves, "-0.222"), (watched, "-0.111")):
        driver.seen(order, "filled", order.quantity, average_price=PRICE, at=driver.now + 1)
        driver.holds(left)
    assert held(driver) == {}
    fired = driver.told(stop, "filled", "0.111", algo=False, average_price=PRICE, at=fired_at)
    closed = TradeTold(fired.exchange_id, "SELL", fired.filled, PRICE, D(0), D(0), fired_at)
    driver.recalled(fired, trades=tuple(sorted((*trades_of(driver), closed), key=lambda one: one.at)))
    assert held(driver) == {"macd": D("-0.111")}
    order = driver.order("flatten")
    assert (order.side, order.quantity, order.strategy) == ("BUY", D("0.111"), "macd")


def test_what_the_past_tells_to_stand_is_in_doubt_no_more() -> None:
    """The exchange does not know it by its name, and lists it."""
    driver = two()
    order = driver.sent(name="x", kind="exit", at=T + 2, fresh_until=T + 600_000)
    driver(ev.OrderUnknown(order.id, "timeout"), 1)
    driver.recalled(driver.told(order), trades=trades_of(driver))
    assert driver.core.order(order.id).state == "accepted"


def test_what_the_past_tells_of_a_stop_whose_copy_stands_is_of_the_one_before() -> None:
    """It was sent twice: the first has fired, and the second came after it."""
    driver = two()
    stop = driver.core.order(driver.position().stop_order)
    first = driver.told(stop, "filled", "0.1", algo=False, exchange_id=stop.exchange_id - 1, at=stop.seen_at - 1)
    driver.recalled(first, trades=trades_of(driver))
    assert driver.core.order(stop.id) == stop


def test_what_has_been_closed_and_is_not_told_yet_is_not_found_again() -> None:
    driver = two()
    stop = driver.core.order(driver.position().stop_order)
    closed = driver.told(stop, "filled", "0.333", average_price=D(58_800))
    driver(ev.OrderSeen(closed, "query"), 1)
    driver.recalled(closed, trades=trades_of(driver))
    assert (held(driver), driver.position().quantity) == ({}, D("0.333"))
    driver.holds(0, by="query")
    assert [one.title for one in driver.all if isinstance(one, Notify) and "closed" in one.title] == [
        "BTCUSDT of macd 1h is closed",
        "BTCUSDT of rsi 1h is closed",
    ]


@pytest.mark.parametrize(("price", "taken"), [(59_300, "unknown"), (59_900, "filled")])
def test_what_nobody_can_name_may_have_been_traded_by_a_stop_that_fires_at_its_price(price: int, taken: str) -> None:
    """An entry the other way was lost in the same moment, and the exchange answers nothing by an order's number."""
    driver = Driver(BOOKS)
    held_of_it = driver.protected().quantity
    stand(driver)
    entry = driver.sent(**RSI, side="short")
    driver(ev.OrderUnknown(entry.id, "timeout"), 1)
    driver.wait(BOOKS.surely_gone + 60)
    driver(ev.OrderNotFound(entry.id, driver.now))
    driver.wait(5_000)
    driver(ev.NumberNotFound(77))
    sold = TradeTold(77, "SELL", held_of_it, D(price), D(0), D(0), entry.created_at + 5)
    driver(ev.FillsSeen(SYMBOL, (sold,), T, driver.now))
    driver(ev.PositionsSeen((PositionTold(SYMBOL, D(0), D(0)),), driver.now, "query"))
    assert driver.core.order(entry.id).state == taken


def test_what_somebody_sells_is_his_where_our_fill_after_it_is_told_before_it() -> None:
    """The answer to our entry comes before the stream tells of him: for a moment the position is older than a fill."""
    driver = Driver(BOOKS)
    held_of_it = driver.protected(kind="trial").quantity
    stand(driver)
    entry = driver.sent(name="e", at=T + 2, fresh_until=T + 600_000)
    sold_at, driver.now = driver.now, driver.now + 30
    bought = driver.told(entry, "filled", entry.quantity, average_price=PRICE, at=sold_at + 10)
    driver(ev.OrderSeen(bought, "answer"))
    for at, quantity in ((sold_at, held_of_it - 1), (sold_at + 10, held_of_it - 1 + entry.quantity)):
        driver(ev.PositionsSeen((PositionTold(SYMBOL, quantity, PRICE),), at, "stream"), 1)
    past = sorted(
        (*trades_of(driver), TradeTold(900, "SELL", D(1), PRICE, D(0), D(0), sold_at)), key=lambda one: one.at
    )
    for _ in range(3):
        driver.wait(6_000)
        if driver.got(Recall):
            driver.recalled(bought, trades=past)
        driver.snapshot([driver.told(one) for one in driver.core.orders() if one.stands], quantity)
    assert (driver.position().ours, driver.position().books) == (False, ())


def test_what_nobody_can_name_is_of_the_order_in_doubt_whose_quantity_it_has() -> None:
    """An entry that was lost would be filled in part by it, and a close by a person to the end."""
    driver = Driver(BOOKS)
    held_of_it = driver.protected(**RSI, atr=D(600)).quantity
    stand(driver)
    entry = driver.sent(side="short")
    driver(ev.OrderUnknown(entry.id, "timeout"), 1)
    driver(ev.TradingSeen(SYMBOL, TradingView(close_asked=driver.now)), 1)
    driver.journal()
    closes = driver.order("flatten")
    assert (closes.side, closes.quantity) == (entry.side, held_of_it)
    driver(ev.OrderUnknown(closes.id, "timeout"), 1)
    driver(ev.NumberNotFound(77))
    for _ in range(2):
        driver.wait(BOOKS.surely_gone + BOOKS.surely_listed + 5_000)
        for order in (entry, closes):
            driver(ev.OrderNotFound(order.id, driver.now))
        sold = TradeTold(77, "SELL", held_of_it, PRICE, D(0), D(0), closes.created_at + 5)
        driver(ev.PositionsSeen((PositionTold(SYMBOL, D(0), D(0)),), driver.now, "query"))
        driver(ev.FillsSeen(SYMBOL, (sold,), T, driver.now))
    assert driver.core.order(entry.id).filled == 0
    assert driver.core.order(closes.id).state == "filled"


def test_what_somebody_has_added_is_not_his_where_what_a_book_holds_the_other_way_is_among_what_made_it() -> None:
    """What our orders have put into it since nothing was held they have taken out again, and the books stand."""
    driver = Driver(BOOKS)
    driver.protected(name="t1", strategy="turtle", side="short")
    driver.filled()
    stand(driver)
    left = driver.sent(name="x", strategy="turtle", side="short", kind="exit", at=T + 2, fresh_until=T + 600_000)
    driver.seen(left, "filled", "0.222", average_price=PRICE)
    driver.holds("0.222")
    driver.holds("0.322")  # somebody has bought
    by_hand = TradeTold(900, "BUY", D("0.1"), PRICE, D(0), D(0), driver.now)
    stand(driver)
    for _ in range(2):
        driver.snapshot([driver.told(one) for one in driver.core.orders() if one.waits], D("0.322"))
    driver.protected(**RSI, side="short")
    assert held(driver) == {"macd": D("0.322"), "rsi": D("-0.222")}
    driver.wait(driver.core._memory.policy.surely_listed)
    driver.recalled(trades=sorted((*trades_of(driver), by_hand), key=lambda one: one.at))
    assert held(driver) == {"macd": D("0.322"), "rsi": D("-0.222")}


@pytest.mark.parametrize(
    ("meanwhile", "is_left"),
    [
        ({"name": "t1", "strategy": "turtle", "side": "short"}, {"macd": D("0.222"), "turtle": D("-0.222")}),
        ({"name": "t1", "kind": "exit"}, {}),
    ],
    ids=["held against each other", "closed"],
)
def test_what_somebody_has_added_is_ours_only_where_more_is_left_than_the_journal_knows_of(
    meanwhile: dict[str, object], is_left: dict[str, object]
) -> None:
    """It is from before another strategy's entry, which opened what he has added to, and is closed."""
    driver = Driver(BOOKS)
    driver.protected()
    stand(driver)
    orders, positions = driver.core.orders(), driver.core.positions()
    fresh = {"at": T + 2, "fresh_until": T + 600_000}
    leaves = {"name": "x", "strategy": "rsi", "kind": "exit"} | fresh
    first = driver.sent(**meanwhile | fresh)
    driver.seen(first, "filled", first.quantity, average_price=PRICE)
    driver.holds(0)
    stand(driver)
    driver.snapshot()
    opened = driver.protected(**RSI)
    stand(driver)
    driver.seen(driver.sent(**leaves), "filled", opened.quantity, average_price=PRICE)
    *ours, last = trades_of(driver)
    by_hand = TradeTold(900, "BUY", D("0.1"), PRICE, D(0), D(0), last.at)
    told = [driver.told(one, "filled", one.filled, average_price=PRICE) for one in driver.core.orders() if one.filled]
    said = [signal(**one) for one in ({}, meanwhile | fresh, RSI, leaves)]
    after = Driver(BOOKS, orders=orders, positions=positions, ready=False)
    after.snapshot([after.told(one) for one in orders if one.waits], D("0.1"))
    after.recalled(*told, trades=(*ours, by_hand, last), signals=said)
    assert (held(after), after.position().ours) == (is_left, bool(is_left))


def test_what_somebody_has_added_is_his_where_all_that_is_left_of_ours_faces_it() -> None:
    """The journal is from before two entries, of which one has left since."""
    driver = Driver(BOOKS)
    driver.protected()
    stand(driver)
    orders, positions = driver.core.orders(), driver.core.positions()
    said = [signal()]

    def trades(change: Decimal, **what: object) -> Decimal:
        what = {"at": driver.now, "fresh_until": driver.now + 600_000} | what
        said.append(signal(**what))
        order = driver.sent(**what)
        driver.seen(order, "filled", order.quantity, average_price=PRICE)
        left = change + (order.quantity if order.side == "BUY" else -order.quantity)
        driver.holds(left)
        stand(driver)
        driver.snapshot([driver.told(one) for one in driver.core.orders() if one.waits], left)
        return left

    trades(D("0.222"), name="x", kind="exit")
    both = trades(trades(D(0), **RSI), name="t1", strategy="turtle", kind="trial", side="short")
    left = trades(both, name="y", strategy="rsi", kind="exit")
    *ours, last = trades_of(driver)
    by_hand = TradeTold(900, "BUY", D("0.5"), PRICE, D(0), D(0), last.at)
    told = [driver.told(one, "filled", one.filled, average_price=PRICE) for one in driver.core.orders() if one.filled]
    after = Driver(BOOKS, orders=orders, positions=positions, ready=False)
    after.snapshot([after.told(one) for one in orders if one.waits], left + D("0.5"))
    after.recalled(*told, trades=(*ours, by_hand, last), signals=said)
    assert (held(driver), after.position().ours) == ({"turtle": left}, False)


def test_what_is_in_the_books_is_not_counted_again_after_somebody_else_has_held_something() -> None:
    """The stop of all was placed before one of the entries that it has closed."""
    driver = two(atr=300)
    stop = driver.core.order(driver.position().stop_order)
    driver.seen(stop, "filled", driver.position().quantity, average_price=D(59_400))
    driver.holds(0)
    driver.holds("-0.1")
    driver.holds(0)
    assert held(driver) == {}


def test_where_the_journal_is_lost_what_is_held_is_of_one_that_has_entered_its_side() -> None:
    before = two("short")
    filled = [one for one in before.core.orders() if one.filled]
    after = Driver(BOOKS, ready=False)
    after.snapshot(
        [before.told(one) for one in before.core.orders() if one.leg == "stop" and one.unsettled], D("0.111")
    )
    said = (signal(), signal("r1", strategy="rsi", at=T + 1, side="short", atr=D(600)))
    told = [before.told(one, "filled", one.filled, average_price=PRICE) for one in filled]
    after.recalled(*told, trades=trades_of(before), signals=said)
    assert held(after) == {"macd": D("0.111")}


def test_what_was_held_before_there_were_books_is_one() -> None:
    before = Driver()
    before.protected()
    after = Driver(BOOKS, orders=before.core.orders(), positions=before.core.positions(), ready=False)
    after.snapshot([after.told(one) for one in before.core.orders() if one.leg == "stop"], D("0.222"))
    assert held(after) == {"macd": D("0.222")}


def test_without_books_there_are_none_again() -> None:
    before = two()
    after = Driver(orders=before.core.orders(), positions=before.core.positions(), ready=False)
    assert after.position().books == ()
    assert after.position().stop_price == D(58_800)
