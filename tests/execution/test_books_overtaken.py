"""Several strategies in one contract: what was decided, and does not fit any more."""

from dataclasses import replace

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import Cancel, JournalIntent, Place, QueryPositions
from pipeline.execution.engine.state import OrderRecord, PositionTold, TradingView
from tests.execution.driver import PRICE, SYMBOL, Driver, T, signal
from tests.execution.of_books import BOOKS, RSI, D, held, stand, two


def test_a_close_that_waited_is_not_sent_for_more_than_is_left_of_its_book() -> None:
    """It opens something where others hold the other way: the stop has taken a part of it meanwhile."""
    driver = two("short")
    order = driver.sent(name="x", kind="exit", at=T + 2, fresh_until=T + 600_000)
    driver(ev.OrderFailed(order.id, "429", driver.now + 10_000))
    stop = next(one for one in driver.core.orders() if one.leg == "stop" and one.close_position and one.unsettled)
    driver.seen(stop, "filled", "0.111", average_price=D(59_400))
    driver.holds(0)
    driver.wait(12_000)
    assert driver.core.order(order.id).state == "abandoned"
    (rest,) = [one for one in driver.core.orders() if one.leg == "flatten"]
    assert (rest.side, rest.quantity, rest.strategy) == ("SELL", D("0.111"), "macd")


def test_what_was_closed_beyond_its_book_is_its_own_to_close_again_and_not_another_ones() -> None:
    """The same, and the close was carried out: the other one holds what it held."""
    driver = two("short")
    order = driver.sent(name="x", kind="exit", at=T + 2, fresh_until=T + 600_000)
    stop = next(one for one in driver.core.orders() if one.leg == "stop" and one.close_position and one.unsettled)
    driver.seen(stop, "filled", "0.111", average_price=D(59_400))
    driver.holds(0)
    driver.seen(order, "filled", "0.222", average_price=PRICE)
    driver.holds("-0.222")
    for _ in range(6):  # its past is asked for, and nobody answers
        stand(driver)
    assert held(driver) == {"rsi": D("-0.111"), "macd": D("-0.111")}
    back = driver.order("flatten")
    assert (back.side, back.quantity, back.strategy) == ("BUY", D("0.111"), "macd")


def two_stops_and_an_entry(entry_order: str) -> tuple[Driver, list[OrderRecord]]:
    """The exchange had forgotten the stop of a book for a while, and another stands at its price; an entry of the same
    strategy has left."""
    driver = Driver(replace(BOOKS, risk=BOOKS.risk.model_copy(update={"entry_order": entry_order})))
    driver.protected(kind="trial")
    driver.protected(**RSI, atr=D(600))
    stand(driver)
    first = next(one for one in driver.core.orders() if one.leg == "stop" and one.strategy and one.unsettled)
    driver.core._memory.doubt(first, driver.now)
    driver(ev.OrderNotFound(first.id, driver.now), 1)
    driver.journal()
    again = driver.one(Place).order
    driver.seen(again)
    return driver, [first, again, driver.sent(name="e", price=PRICE - 100, at=T + 2, fresh_until=T + 900_000)]


@pytest.mark.parametrize("told", [(0, 1, 2), (1, 0, 2), (0, 2, 1), (2, 0, 1), (2, 1, 0)])
def test_what_its_stop_closes_beyond_its_book_is_of_what_its_entry_opens_meanwhile(told: tuple[int, ...]) -> None:
    """Both stops fire around the entry that rested. Until its end is known nothing is taken from the other strategy,
    and nobody waits for it longer."""
    driver, (first, again, entry) = two_stops_and_an_entry("limit")
    driver.seen(entry)
    began, driver.now = driver.now, driver.now + 10
    filled = [first, entry, again]
    for step, each in enumerate(told):
        driver.seen(filled[each], "filled", filled[each].quantity, average_price=PRICE - 100, at=began + each)
        assert held(driver)["rsi"] == D("0.111")
        is_awaited = step == 1 and entry is filled[told[2]]
        assert [one.order.id for one in driver.got(Cancel)] == [entry.id] * is_awaited
    assert held(driver) == {"rsi": D("0.111"), "macd": entry.quantity - again.quantity}


@pytest.mark.parametrize(("entry_order", "wait"), [("market", 0), ("limit", 5_000)])
def test_it_waits_for_no_entry_that_may_not_be_there_and_seconds_for_one_that_does_not_go(
    entry_order: str, wait: int
) -> None:
    driver, (first, again, entry) = two_stops_and_an_entry(entry_order)
    if entry_order == "limit":
        driver.seen(entry)
    for order in (first, again):
        driver.seen(order, "filled", order.quantity, average_price=PRICE - 100)
    driver.holds("0.056")
    assert held(driver) == {"rsi": D("0.111") if wait else D("0.056")}
    driver.wait(wait)
    assert held(driver) == {"rsi": D("0.056")}


def test_it_is_not_of_what_an_entry_opens_that_was_made_later() -> None:
    """After a gap they are told at once."""
    driver, (first, again, entry) = two_stops_and_an_entry("market")
    long_before = entry.created_at - 2_000
    for order in (first, again):
        told = driver.told(order, "filled", order.quantity, average_price=PRICE - 100, at=long_before)
        driver.core._memory.keep(replace(order, filled=told.filled, state="filled", seen_at=told.at))
    driver.seen(entry, "filled", entry.quantity, average_price=PRICE)
    assert held(driver) == {"rsi": D("0.056"), "macd": entry.quantity}


def test_the_position_is_asked_for_where_the_price_is_beyond_a_stop_of_all_that_was_to_stand_in_for_another() -> None:
    """The one before is not known any more: it may have fired, and a close of one book's own would open something."""
    driver = two("short")
    stop = driver.core.order(driver.position().stop_order)
    driver.core._memory.doubt(stop, driver.now)
    driver(ev.OrderNotFound(stop.id, driver.now), 1)
    driver.holds(driver.position().quantity, by="query")
    driver.journal()
    again = next(one.order for one in driver.got(Place) if one.order.close_position)
    driver(ev.OrderRejected(again.id, -2021, "would trigger"), 1)
    assert driver.got(QueryPositions)


def test_the_books_stay_where_what_is_told_of_the_position_is_of_before_a_fill_that_is_known() -> None:
    """Between two closes it lay the other way for a moment, on which no strategy holds anything any more."""
    driver = two("short")
    began = driver.now
    exits = driver.sent(name="x", kind="exit", at=T + 2, fresh_until=T + 600_000)
    driver(ev.PriceSeen(SYMBOL, D(61_201), driver.now))
    driver.journal()
    back = driver.one(Place).order
    assert (back.side, back.quantity, back.strategy) == ("BUY", D("0.111"), "rsi")
    driver.seen(back, "filled", "0.111", average_price=D(61_201), at=began + 20)
    for at, quantity in ((began + 10, "-0.089"), (began + 20, "0.022")):
        driver(ev.PositionsSeen((PositionTold(SYMBOL, D(quantity), D(61_201)),), at, "stream"), 1)
    driver.seen(exits, "partially_filled", "0.2", average_price=D(61_201), at=began + 10)
    assert held(driver) == {"macd": D("0.022")}


def test_one_that_waits_to_be_closed_keeps_no_other_strategy_waiting() -> None:
    driver = two("short")
    driver(ev.PriceSeen(SYMBOL, D(61_201), driver.now))
    driver.journal()
    driver(ev.OrderRejected(driver.one(Place).order.id, -2019, "margin is insufficient"))
    driver(ev.SignalSeen(signal("x", kind="exit", at=driver.now, fresh_until=driver.now + 60_000)))
    driver.journal()
    assert driver.verdict("x").verdict == "taken"


def test_an_exit_waits_for_no_entry_that_another_strategy_lets_rest() -> None:
    """Nor for what that strategy says meanwhile; its own entry that rests is cancelled first."""
    driver = Driver(replace(BOOKS, risk=BOOKS.risk.model_copy(update={"entry_order": "limit"})))
    driver.protected()
    resting = driver.sent(**RSI, price=PRICE - 100)
    driver.seen(resting)
    driver(ev.SignalSeen(signal("r2", kind="add", strategy="rsi", at=T + 2, fresh_until=T + 900_000)))
    assert driver.verdict("r2") is None
    closing = driver.sent(name="x", kind="exit", at=T + 3, fresh_until=T + 900_000)
    assert (closing.owner, closing.quantity) == (("macd", "1h"), D("0.222"))
    assert driver.core.order(resting.id).rests


@pytest.mark.parametrize("is_told_first", [False, True], ids=["the entry later", "the entry first"])
def test_what_is_held_once_a_book_has_ended_is_not_closed_for_its_sake(is_told_first: bool) -> None:
    """Another strategy's entry was filled beside its exit: the position is told of both before their orders are."""
    driver = Driver(replace(BOOKS, risk=BOOKS.risk.model_copy(update={"entry_order": "limit"})))
    driver.protected()
    entry = driver.sent(**RSI, price=PRICE - 100)
    driver.seen(entry)
    leaves = driver.sent(name="x", kind="exit", at=T + 2, fresh_until=T + 600_000)
    filled_at = driver.now
    driver.holds(entry.quantity)
    for order in (entry, leaves) if is_told_first else (leaves, entry):
        driver.wait(500)
        driver.seen(order, "filled", order.quantity, average_price=PRICE - 100, at=filled_at)
    stand(driver)
    assert [one for one in driver.core.orders() if one.leg == "flatten"] == []
    assert held(driver) == {"rsi": entry.quantity}


def test_what_is_held_the_other_way_makes_no_room_for_it_may_leave_first() -> None:
    """Of the symbol's limit, and before the price at which it would be liquidated."""
    alone, facing = Driver(BOOKS), two("short")
    for driver in (alone, facing):
        driver(ev.TradingSeen(SYMBOL, TradingView(max_position=D(14_000))))
        driver(ev.SignalSeen(signal("m", strategy="turtle", at=driver.now, fresh_until=driver.now + 60_000)))
    assert alone.got(JournalIntent)
    assert facing.verdict("m").reason.startswith("no room: the symbol's max_position leaves 680")


def test_a_book_whose_interval_is_not_known_is_closed_by_its_strategy() -> None:
    before = Driver()
    before.protected()
    known = [replace(one, interval=None) for one in before.core.positions()]
    after = Driver(BOOKS, orders=before.core.orders(), positions=known, ready=False)
    after.snapshot([after.told(one) for one in before.core.orders() if one.leg == "stop"], D("0.222"))
    closing = after.sent(name="x", kind="exit", at=after.now, fresh_until=after.now + 60_000)
    assert (closing.quantity, closing.owner) == (D("0.222"), ("macd", None))
