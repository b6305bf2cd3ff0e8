"""Several strategies in one contract: each has a book of its own, the exchange one position."""

from dataclasses import replace

import pytest

from pipeline.exchange.products.arithmetic import LINEAR
from pipeline.execution.engine import books
from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import JournalIntent, Notify, Place, Query
from pipeline.execution.engine.state import TradingView
from tests.execution.driver import FILTERS, PRICE, SYMBOL, Driver, T, rules, signal
from tests.execution.of_books import BOOKS, ONE, RSI, D, beyond_the_stop_of_all, held, stand, stops, two

# Two of one side


def test_each_holds_its_own_and_the_exchange_their_sum() -> None:
    driver = two()
    assert held(driver) == {"macd": D("0.222"), "rsi": D("0.111")}
    assert driver.position().quantity == D("0.333")


def test_the_farthest_stop_closes_all_and_a_nearer_one_only_its_own() -> None:
    assert stops(two()) == {(None, D(58_800)): None, ("macd", D(59_400)): D("0.222")}


def test_a_nearer_stop_that_is_refused_is_not_asked_for_each_second() -> None:
    """Its price is watched meanwhile, and the stop that closes all of it stands."""
    driver = two()
    driver.seen(guard := next(one for one in driver.core.orders() if one.leg == "stop" and one.strategy), "cancelled")
    asked = {guard.id}
    for _ in range(15):
        driver.wait(1_100)
        new = [one for one in driver.core.orders() if one.strategy and one.leg == "stop" and one.id not in asked]
        for order in new:
            driver(ev.IntentJournaled(order.id))
            driver(ev.OrderRejected(order.id, -4045, "reached max stop order limit"))
        asked.update(one.id for one in new)
    assert len(asked) == 2
    driver(ev.PriceSeen(SYMBOL, D(59_399), driver.now))
    driver.wait(250)
    assert driver.order("flatten").owner == ("macd", "1h")


def test_a_stop_that_fires_takes_from_its_own_book() -> None:
    driver = two()
    near = next(one for one in driver.core.orders() if one.leg == "stop" and one.strategy == "macd")
    driver.seen(near, "filled", "0.222", average_price=D(59_400))
    driver.holds("0.111")
    assert held(driver) == {"rsi": D("0.111")}
    assert [one.title for one in driver.all if isinstance(one, Notify) and "closed" in one.title] == [
        "BTCUSDT of macd 1h is closed"
    ]


def test_one_leaves_by_its_signal_and_the_other_stays() -> None:
    driver = two()
    order = driver.sent(name="x", kind="exit", at=T + 2, fresh_until=T + 600_000)
    assert (order.quantity, order.reduce_only, order.strategy) == (D("0.222"), True, "macd")
    driver.seen(order, "filled", "0.222", average_price=PRICE)
    driver.holds("0.111")
    stand(driver)
    assert held(driver) == {"rsi": D("0.111")}
    assert stops(driver) == {(None, D(58_800)): None}


def test_an_exit_of_one_that_holds_nothing_is_skipped() -> None:
    driver = two()
    driver(ev.SignalSeen(signal("t1", at=driver.now, fresh_until=driver.now + 60_000, strategy="turtle", kind="exit")))
    assert driver.verdict("t1").reason == "no position to close"


def test_what_closes_more_than_its_book_has_is_taken_from_the_others() -> None:
    """Its stop fired while its exit was on its way: the exchange has one position, and reduced it twice."""
    driver = two()
    order = driver.sent(name="x", kind="exit", at=T + 2, fresh_until=T + 600_000)
    near = next(one for one in driver.core.orders() if one.leg == "stop" and one.strategy == "macd")
    driver.seen(near, "filled", "0.222", average_price=D(59_400))
    driver.seen(order, "filled", "0.111", average_price=D(59_400))
    driver.holds(0)
    assert held(driver) == {}
    assert driver.position().quantity == 0


# Against each other


def test_one_that_is_against_the_other_reduces_what_is_held() -> None:
    driver = two("short")
    assert held(driver) == {"macd": D("0.222"), "rsi": D("-0.111")}
    assert driver.position().quantity == D("0.111")
    assert stops(driver) == {(None, D(59_400)): None}


def test_the_stop_of_what_faces_the_position_is_watched() -> None:
    """An order for it would open something at the exchange once the other is gone."""
    driver = two("short")
    driver(ev.PriceSeen(SYMBOL, D(61_201), driver.now))
    assert driver.one(JournalIntent).why == "its stop at 61200 was reached"
    driver.journal()
    order = driver.one(Place).order
    assert (order.side, order.quantity, order.reduce_only, order.strategy) == ("BUY", D("0.111"), False, "rsi")
    driver.seen(order, "filled", "0.111", average_price=D(61_201))
    driver.holds("0.222")
    assert held(driver) == {"macd": D("0.222")}


@pytest.mark.parametrize("told", [["filled"], ["partially_filled", "expired"]], ids=["at once", "and then its end"])
def test_what_a_stop_leaves_of_its_own_is_closed_also_where_the_price_has_come_back(told: list[str]) -> None:
    """The stop closes what all of them come to, and half of it was another's against it."""
    driver = two("short")
    stop = driver.core.order(driver.position().stop_order)
    for state in told:
        assert [one for one in driver.core.orders() if one.leg == "flatten"] == []
        driver.seen(stop, state, "0.111", average_price=D(59_400))
        driver.holds("0")
        driver.wait(250)
    order = driver.order("flatten")
    assert (order.side, order.quantity, order.owner) == ("SELL", D("0.111"), ("macd", "1h"))


def test_it_is_not_closed_twice_while_a_fill_is_on_its_way() -> None:
    """The closing stop has fired, and only the position was told."""
    driver = Driver(BOOKS)
    driver.protected()
    driver.holds(0)
    driver(ev.PriceSeen(SYMBOL, D(59_000), driver.now))
    driver.wait(4_000)
    assert not [one for one in driver.core.orders() if one.leg == "flatten"]


def test_it_is_not_closed_beside_the_stop_of_all_that_has_fired_and_has_no_end_yet() -> None:
    driver = two()
    for stop in [one for one in driver.core.orders() if one.leg == "stop" and one.unsettled]:
        driver.seen(stop, "partially_filled")
    driver(ev.PriceSeen(SYMBOL, D(58_000), driver.now))
    driver.wait(3_000)
    assert [one for one in driver.core.orders() if one.leg == "flatten"] == []
    (closing,) = [one for one in driver.core.orders() if one.close_position and one.fired]
    driver.seen(closing, "expired")
    driver.wait(1_000)
    assert driver.order("flatten").owner == ("rsi", "1h")


def test_what_would_open_something_is_not_closed_while_nobody_knows_whether_the_stop_of_all_has_fired() -> None:
    driver = two("short")
    driver.seen(next(one for one in driver.core.orders() if one.close_position and one.unsettled), "cancelled")
    driver.wait(1_100)
    (stop,) = [one for one in driver.core.orders() if one.close_position and one.unsettled]
    driver(ev.IntentJournaled(stop.id))
    driver(ev.OrderUnknown(stop.id, "timeout"))
    driver(ev.PriceSeen(SYMBOL, D(59_399), driver.now))
    driver.wait(1_000)
    assert driver.position().books[0].closing == "its stop at 59400 was reached"
    assert not [one for one in driver.core.orders() if one.leg == "flatten"]
    driver.seen(stop, "filled", "0.111", average_price=D(59_399))
    driver.holds("0")
    driver.wait(1_000)
    assert driver.order("flatten").quantity == D("0.111")


def test_beyond_the_stop_of_all_it_is_asked_whether_that_has_fired_before_a_close_that_would_open_something() -> None:
    driver, mine, stop = beyond_the_stop_of_all()
    assert {one.order.id for one in driver.got(Query)} == {stop.id}
    assert [one for one in driver.core.orders() if one.leg == "flatten"] == []
    driver(ev.OrderSeen(driver.told(stop), "query"))
    driver.wait(1_000)
    assert driver.order("flatten").owner == mine.owner


def test_where_the_stop_of_all_is_gone_what_is_held_is_told_before_a_close_that_would_open_something() -> None:
    """It may have fired: the exchange does not know it, nor yet the order that it became."""
    driver, mine, stop = beyond_the_stop_of_all()
    driver(ev.OrderNotFound(stop.id, driver.now), 1)
    driver.wait(1_000)
    assert [one for one in driver.core.orders() if one.leg == "flatten"] == []
    driver.holds("0.111", by="query")
    driver.wait(1_000)
    assert driver.order("flatten").owner == mine.owner


@pytest.mark.parametrize(
    ("other", "fired", "closes"),
    [
        ("short", "0", [("exit", "0.222")]), ("short", "0.111", [("flatten", "0.111")]),
        ("long", "0", [("exit", "0.222")]), ("long", "0.222", []),
    ],
)  # fmt: skip
def test_it_is_asked_whether_a_stop_that_the_price_has_come_to_has_fired_before_a_signal_closes_its_book(
    other: str, fired: str, closes: list[tuple[str, str]]
) -> None:
    """Both together would sell 0.333 of 0.222, or what the other strategy holds."""
    driver = two(other)
    before = driver.position().quantity
    stop = next(one for one in driver.core.orders() if one.waits and one.trigger_price == D(59_400))
    driver(ev.PriceSeen(SYMBOL, D(59_399), driver.now))
    driver(ev.SignalSeen(signal("x", kind="exit", at=driver.now, fresh_until=driver.now + 60_000)), 1)
    driver.wait(250)
    assert driver.one(Query).order.id == stop.id
    assert not [one for one in driver.core.orders() if one.leg in {"exit", "flatten"}]
    driver(ev.OrderSeen(driver.told(stop, "filled" if D(fired) else "accepted", fired), "query"), 1)
    driver.holds(before - D(fired))
    driver.wait(250)
    made = [one for one in driver.core.orders() if one.leg in {"exit", "flatten"}]
    assert [(one.leg, str(one.quantity)) for one in made] == closes


def test_an_entry_of_before_its_book_began_that_is_found_again_is_not_in_it() -> None:
    driver = Driver(BOOKS)
    entry, position = driver.protected(), driver.position()
    before = position.books[0].opened_at - 1
    old = replace(
        driver.core.order(entry.id), id="old", signal="s0", side="SELL", filled=D("0.055"), created_at=before,
        seen_at=before,
    )  # fmt: skip
    carried = books.carried(position, [old], LINEAR, ONE, driver.now)
    assert (carried.books, carried.counted[-1].order) == (position.books, "old")


def test_an_entry_is_its_owners_where_the_clock_that_his_book_began_by_has_been_set_back() -> None:
    driver = Driver(BOOKS)
    entry, position = driver.protected(), driver.position()
    ahead = books.changed(position, replace(position.books[0], opened_at=driver.now + 3_600_000))
    more = replace(
        driver.core.order(entry.id), id="new", signal="s2", filled=D("0.055"), created_at=driver.now,
        seen_at=driver.now,
    )  # fmt: skip
    assert [one.quantity for one in books.carried(ahead, [more], LINEAR, ONE, driver.now).books] == [D("0.277")]


def test_what_is_worth_too_little_to_be_closed_against_the_others_waits() -> None:
    """The exchange takes as little as it comes only where it reduces what is held."""
    driver = Driver(BOOKS)
    driver(rules(filters=FILTERS.model_copy(update={"min_notional": D(7_000)})))
    driver.protected()
    driver.protected(**RSI, side="short", atr=D(500))
    stand(driver)
    driver(ev.PriceSeen(SYMBOL, D(52_000), driver.now))
    driver(
        ev.SignalSeen(signal("x", kind="exit", side="short", strategy="rsi", at=driver.now, fresh_until=T + 900_000))
    )
    assert driver.verdict("x").reason.startswith("too small: 0.133 is worth 6916.00")
    assert not driver.got(Place)


def test_what_its_strategy_says_of_what_cannot_be_closed_yet_is_decided_and_keeps_no_other_waiting() -> None:
    driver = two("short")
    driver(rules(filters=FILTERS.model_copy(update={"min_notional": D(7_000)}), asof=driver.now))
    driver(ev.PriceSeen(SYMBOL, D(61_201), driver.now))
    driver.wait(250)
    assert [one.closing for one in driver.position().books] == [None, "its stop at 61200 was reached"]
    soon = driver.now + 500
    driver(
        ev.SignalSeen(
            signal("r2", kind="exit", side="short", strategy="rsi", at=driver.now, fresh_until=soon, last_word=True)
        )
    )
    driver(ev.SignalSeen(signal("m", strategy="turtle", at=driver.now + 1, fresh_until=driver.now + 60_000)))
    driver.wait(1_000)
    assert driver.verdict("r2").verdict == "expired"
    assert driver.verdict("m") or [one for one in driver.core.orders() if one.signal == "m"]
    assert not [one for one in driver.core.orders() if one.owner[0] == "rsi" and one.leg in {"exit", "flatten"}]


def test_a_turn_whose_close_is_refused_is_decided_when_it_is_late_and_keeps_no_other_waiting() -> None:
    """The exchange takes nothing as small as the book, and the executor has not heard of it."""
    driver = Driver(BOOKS)
    driver.protected()
    driver.protected(**RSI, kind="trial", side="short")
    stand(driver)
    soon = driver.now + 2_000
    close = driver.sent(name="r2", kind="trial", strategy="rsi", at=driver.now, fresh_until=soon)
    assert (close.leg, close.turns, close.reduce_only) == ("exit", True, False)
    driver(ev.OrderRejected(close.id, -4164, "order's notional must be no smaller than 7000"), 1)
    driver(ev.SignalSeen(signal("m", strategy="turtle", at=driver.now, fresh_until=driver.now + 60_000)), 1)
    driver.wait(2_250)
    driver(ev.IntentJournaled(driver.order("flatten").id))
    driver(ev.OrderRejected(driver.order("flatten").id, -4164, "order's notional must be no smaller than 7000"), 1)
    verdict = driver.verdict("r2")
    assert (verdict.verdict, verdict.orders) == ("taken", (close.id,))
    assert verdict.reason.startswith("to be closed, and not turned: seen ")
    assert driver.verdict("m").reason.startswith("breaker refused:BTCUSDT")
    assert held(driver)["rsi"] == D("-0.055")


def test_what_is_left_when_the_others_are_gone_has_its_stop() -> None:
    driver = two("short")
    order = driver.sent(name="x", kind="exit", at=T + 2, fresh_until=T + 600_000)
    assert (order.quantity, order.reduce_only) == (D("0.222"), False)
    driver.seen(order, "filled", "0.222", average_price=PRICE)
    driver.holds("-0.111")
    stand(driver)
    assert held(driver) == {"rsi": D("-0.111")}
    assert stops(driver) == {(None, D(61_200)): None}


def test_nothing_is_held_and_both_are_kept() -> None:
    driver = two("short", 300)
    assert (held(driver), driver.position().quantity) == ({"macd": D("0.222"), "rsi": D("-0.222")}, 0)
    assert stops(driver) == {}
    assert driver.core.keeps()


def test_what_is_held_against_each_other_ends_with_a_close_by_a_person() -> None:
    driver = two("short", 300)
    driver(ev.TradingSeen(SYMBOL, TradingView(close_asked=driver.now)))
    driver.wait(1_000)
    assert held(driver) == {}
    assert "BTCUSDT is crossed" in [one.title for one in driver.all if isinstance(one, Notify)]


def test_a_close_by_a_person_ends_all_of_them() -> None:
    driver = two("short")
    driver(ev.TradingSeen(SYMBOL, TradingView(close_asked=driver.now)))
    driver.journal()
    order = driver.order("flatten")
    assert (order.side, order.quantity, order.strategy) == ("SELL", D("0.111"), None)
    driver.seen(order, "filled", "0.111", average_price=PRICE)
    driver.holds(0)
    stand(driver)
    assert held(driver) == {}
