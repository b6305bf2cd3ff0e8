"""Several strategies in one contract: each has a book of its own, the exchange one position."""

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest

from pipeline.exchange.products.arithmetic import INVERSE, LINEAR, Arithmetic
from pipeline.execution.engine import books, guards
from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import Cancel, JournalIntent, Notify, Place, Query, Reconcile
from pipeline.execution.engine.state import (
    OrderRecord,
    PlanRecord,
    PositionRecord,
    PositionTold,
    TradeTold,
    TradingView,
    flat,
)
from pipeline.settings import Portfolio
from tests.execution.drill.markets import MARKETS
from tests.execution.drill.of_books import BookSchedule
from tests.execution.drill.schedule import Schedule
from tests.execution.drill.story import OWN
from tests.execution.driver import FILTERS, IDENTITY, POLICY, PRICE, SYMBOL, Driver, T, rules, signal
from tests.execution.model import COINS, DOLLARS, Exchange, Refused, Terms

BOOKS = replace(POLICY, portfolio=Portfolio(books=True))
RSI = {"name": "r1", "strategy": "rsi", "at": T + 1}
ONE = Decimal("0.001")
D = Decimal


def held(driver: Driver) -> dict[str, Decimal]:
    """What each strategy holds."""
    return {str(one.strategy): one.quantity for one in driver.position().books}


def stops(driver: Driver) -> dict[tuple[str | None, Decimal | None], Decimal | None]:
    """The stops that stand, or are to: of whom, at which price, for how much."""
    found = [one for one in driver.core.orders() if one.leg == "stop" and one.unsettled]
    return {(one.strategy, one.trigger_price): one.quantity for one in found}


def stand(driver: Driver) -> None:
    """What is intended is journaled, sent and stands; what is to go is gone."""
    for _ in range(12):
        driver.wait(1_100)
        for order in [one for one in driver.core.orders() if one.algo and one.state == "intended"]:
            driver(ev.IntentJournaled(order.id))
        for order in [one for one in driver.core.orders() if one.algo and one.state == "sent"]:
            driver.seen(order)
        for cancel in [one for one in driver.all if isinstance(one, Cancel)]:
            order = driver.core.order(cancel.order.id)
            if order is not None and order.unsettled:
                driver.seen(order, "cancelled")


def trades_of(driver: Driver) -> tuple[TradeTold, ...]:
    """The fills as the exchange lists them."""
    filled = [one for one in driver.core.orders() if one.filled]
    return tuple(TradeTold(one.exchange_id, one.side, one.filled, PRICE, D(0), D(0), one.seen_at) for one in filled)


def two(way: str = "long", atr: int = 600) -> Driver:
    """The ladder holds 0.222 long, with its stop at 59,400; the other strategy holds a position of its own."""
    driver = Driver(BOOKS)
    driver.protected()
    driver.protected(**RSI, side=way, atr=D(atr))
    stand(driver)
    return driver


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
    driver.wait(250)
    assert driver.one(JournalIntent).why == "its stop at 61200 was reached"
    driver.journal()
    order = driver.one(Place).order
    assert (order.side, order.quantity, order.reduce_only, order.strategy) == ("BUY", D("0.111"), False, "rsi")
    driver.seen(order, "filled", "0.111", average_price=D(61_201))
    driver.holds("0.222")
    assert held(driver) == {"macd": D("0.222")}


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


def beyond_the_stop_of_all():
    """Where one book is to be closed, whose close would open something, and the price has come to the stop of all."""
    driver = two("short")
    mine = next(one for one in driver.position().books if one.strategy == "macd")
    stop = driver.core.order(driver.position().stop_order)
    driver.core._reconciler._ledger.end(mine, "it is to end")
    driver(ev.PriceSeen(SYMBOL, stop.trigger_price - 1, driver.now))
    driver.wait(1_000)
    return driver, mine, stop


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


# What was decided, and does not fit any more


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


def test_what_was_closed_again_because_the_stop_of_all_is_told_late_is_its_own_to_close_again() -> None:
    position = replace(flat(SYMBOL), books=(book("a", "-0.2", 61_000), book("b", "0.05", 59_000)))
    stop = replace(order("stop", "BUY", "0.15", trigger=61_000), seen_at=T + 1)
    close = replace(order("exit", "BUY", "0.2", "a"), seen_at=T + 2)
    told = books.carried(position, [close], LINEAR, ONE, T + 3)
    position = books.carried(told, [close, stop], LINEAR, ONE, T + 3)
    assert {one.strategy: one.quantity for one in position.books} == {"b": D("0.05"), "a": D("0.15")}
    assert position.books[-1].closing == "more of it was closed than was held"


def test_what_the_books_have_followed_is_not_counted_when_it_is_told_later() -> None:
    position = replace(flat(SYMBOL), books=(book("a", "0.2"),), evened_at=T + 10)
    old = replace(order("flatten", "SELL", "0.1"), seen_at=T + 9)
    assert books.carried(position, [old], LINEAR, ONE, T + 20).books == position.books
    again = books.carried(
        books.carried(position, [old], LINEAR, ONE, T + 20), [replace(old, filled=D("0.15"))], LINEAR, ONE, T
    )
    more = replace(old, filled=D("0.16"), seen_at=T + 12)
    assert [one.quantity for one in books.carried(again, [more], LINEAR, ONE, T).books] == [D("0.19")]
    new = replace(old, seen_at=T + 11)
    assert [one.quantity for one in books.carried(position, [new], LINEAR, ONE, T + 20).books] == [D("0.1")]


def test_one_that_waits_to_be_closed_keeps_no_other_strategy_waiting() -> None:
    driver = two("short")
    driver(ev.PriceSeen(SYMBOL, D(61_201), driver.now))
    driver.wait(250)
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


def test_a_part_is_priced_by_what_it_cost_itself() -> None:
    plan = PlanRecord("a", D(60_000), D(300), D(1), D(1), None, T)
    entry = replace(order("entry", "BUY", "0.1"), plan=plan, average_price=D(60_000), seen_at=T)
    first = books.carried(flat(SYMBOL), [entry], LINEAR, ONE, T)
    whole = replace(entry, filled=D("0.2"), average_price=D(61_000), seen_at=T + 1)
    (held_now,) = books.carried(first, [whole], LINEAR, ONE, T).books
    assert held_now.entry_price == 61_000


# What others do


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


# One strategy alone


class Alone(Schedule):
    """Only one strategy speaks, and nothing is drawn as it comes: the same moments have the same chances."""

    books = False

    def draw(self, seed: int, rests: float) -> None:
        super().draw(seed, rests)
        self.faults = replace(self.faults.calm(), partial=0.3)
        self.delisted = []
        self.policy = replace(self.policy, portfolio=Portfolio(books=self.books))
        own = {name: one for name, one in self.signals.items() if (one.strategy, one.interval) == OWN}
        self.signals = own

    def quick(self, now: int) -> int:
        return now + 20

    def troubled(self, chance: float, now: int) -> bool:
        return Random(f"{now} {chance}").random() < chance


class AloneWithBooks(Alone):
    """The same, with books."""

    books = True


@pytest.mark.parametrize("market", MARKETS)
def test_of_one_strategy_every_order_is_what_it_was_without_books(market: str) -> None:
    for seed in range(60):
        assert done(Alone(seed, market=MARKETS[market])) == done(AloneWithBooks(seed, market=MARKETS[market]))


def done(schedule: Schedule) -> object:
    """Every order at the exchange, every verdict, and what it all has brought."""
    schedule.run()
    orders = [
        (one.client_id, one.side, one.quantity, one.trigger, one.kind, one.status, one.at, one.filled, one.reduce_only)
        for one in schedule.exchange.orders
    ]
    verdicts = {name: (one.verdict, one.reason) for name, one in schedule.journal.verdicts.items()}
    return orders, verdicts, schedule.exchange.wallet


# How fills are shared out


def book(strategy: str, quantity: str, stop: int | None = None) -> PositionRecord:
    signed = D(quantity)
    side = "long" if signed > 0 else "short"
    price = None if stop is None else D(stop)
    return PositionRecord(SYMBOL, signed, PRICE, side=side, strategy=strategy, interval="1h", stop_price=price)


def order(leg: str, side: str, filled: str, strategy: str | None = None, trigger: int | None = None) -> OrderRecord:
    return OrderRecord(
        f"{leg}-{strategy}-{filled}", SYMBOL, "s", leg, side, "MARKET", D(filled), T, T, interval="1h",
        strategy=strategy, filled=D(filled), average_price=PRICE, trigger_price=None if trigger is None else D(trigger),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "made", "after"),
    [
        ({"a": "0.2", "b": "0.1"}, order("flatten", "SELL", "0.3"), {}),
        ({"a": "0.2", "b": "0.1"}, order("flatten", "SELL", "0.15"), {"a": "0.1", "b": "0.05"}),
        ({"a": "0.2", "b": "0.1"}, order("flatten", "SELL", "0.001"), {"a": "0.199", "b": "0.1"}),
        ({"a": "0.2", "b": "0.1"}, order("exit", "SELL", "0.05", "a"), {"a": "0.15", "b": "0.1"}),
        ({"a": "0.2", "b": "0.1"}, order("exit", "SELL", "0.25", "a"), {"b": "0.05"}),
        ({"a": "0.2", "b": "0.1"}, order("exit", "SELL", "0.1", "gone"), {"a": "0.133", "b": "0.067"}),
        ({"a": "0.1", "b": "-0.1"}, order("stop", "SELL", "0.15", "a"), {"a": "-0.05", "b": "-0.1"}),
        ({"a": "0.1"}, order("exit", "BUY", "0.05", "a"), {"a": "0.15"}),
        ({"a": "0.2", "b": "-0.1"}, order("exit", "BUY", "0.1", "b"), {"a": "0.2"}),
        ({"a": "0.2", "b": "-0.1"}, order("flatten", "SELL", "0.1"), {}),
        ({"a": "0.2", "b": "-0.1"}, order("flatten", "SELL", "0.05"), {"a": "0.15", "b": "-0.1"}),
        ({"a": "-0.2", "b": "-0.1"}, order("stop", "BUY", "0.15", trigger=1), {"a": "-0.1", "b": "-0.05"}),
        ({"a": "0.0005", "b": "0.0005"}, order("flatten", "SELL", "0.0007"), {"b": "0.0003"}),
    ],
    ids=[
        "all", "half of all", "one lot", "a part of its own", "more than its own", "of one that has none",
        "more than anybody has", "told after its own has turned",
        "the one that faces it", "a close of the whole", "a part of the whole", "a stop of the whole", "dust",
    ],
)  # fmt: skip
def test_a_fill_is_shared_out(before: dict[str, str], made: OrderRecord, after: dict[str, str]) -> None:
    position = replace(flat(SYMBOL), books=tuple(book(name, each) for name, each in before.items()))
    shared = books.carried(position, [made], LINEAR, ONE, T)
    assert {one.strategy: one.quantity for one in shared.books} == {name: D(each) for name, each in after.items()}
    assert books.carried(shared, [made], LINEAR, ONE, T + 1) is shared


def test_a_stop_of_the_whole_takes_from_those_first_whose_price_it_was() -> None:
    position = replace(flat(SYMBOL), books=(book("a", "0.2", 59_000), book("b", "0.1", 58_000)))
    shared = books.carried(position, [order("stop", "SELL", "0.15", trigger=58_000)], LINEAR, ONE, T)
    assert {one.strategy: one.quantity for one in shared.books} == {"a": D("0.15")}


@pytest.mark.parametrize(
    ("before", "exchange", "after"),
    [
        ({"a": "0.2", "b": "0.1"}, "0", {}),
        ({"a": "0.2", "b": "-0.1"}, "0", {}),
        ({"a": "0.2", "b": "0.1"}, "0.15", {"a": "0.1", "b": "0.05"}),
        ({"a": "0.2", "b": "-0.1"}, "0.05", {"a": "0.15", "b": "-0.1"}),
        ({"a": "0.2", "b": "0.1"}, "0.6", {"a": "0.4", "b": "0.2"}),
        ({"a": "0.2", "b": "-0.1"}, "-0.1", {"b": "-0.1"}),
    ],
    ids=["liquidated", "liquidated, one faced it", "auto-deleveraged", "reduced", "added by hand", "more than it had"],
)
def test_the_books_follow_the_exchange(before: dict[str, str], exchange: str, after: dict[str, str]) -> None:
    position = replace(
        flat(SYMBOL), quantity=D(exchange), books=tuple(book(name, each) for name, each in before.items())
    )
    even = {one.strategy: one.quantity for one in books.evened(position, ONE)}
    assert even == {name: D(each) for name, each in after.items()}


def test_nearer_stops_are_for_no_more_than_is_held() -> None:
    mine = (book("a", "0.2", 58_000), book("b", "0.1", 59_000), book("c", "-0.25", 62_000))
    position = replace(flat(SYMBOL), quantity=D("0.05"), side="long", books=mine)
    assert [(one.book.strategy, one.trigger, one.quantity) for one in guards.wanted(position)] == [
        ("b", D(59_000), D("0.05"))
    ]


@pytest.mark.parametrize(("terms", "arithmetic"), [(DOLLARS, LINEAR), (COINS, INVERSE)], ids=["dollars", "coins"])
def test_after_any_history_the_books_add_up_to_the_position_and_their_profits_to_the_wallet(
    terms: Terms, arithmetic: Arithmetic
) -> None:
    """To the last unit of what the exchange itself counts: the profits are counted from the books' fills alone."""
    for seed in range(250):
        history(Random(seed), terms, arithmetic)


def history(random: Random, terms: Terms, arithmetic: Arithmetic) -> None:
    exchange = Exchange(D(60_000), T, terms)
    position = flat(SYMBOL)
    cash: dict[object, Decimal] = {}
    began = exchange.wallet
    for number in range(random.randrange(2, 14)):
        exchange.move(D(60_000 + random.randrange(-900, 900)))
        made = drawn(random, number, position, terms)
        exchange.part = random.choice([None, terms.step * 3])
        try:
            placed = exchange.place(made)
        except Refused:  # nothing was there to reduce
            continue
        exchange.fill_rest()
        before = {one.owner: one.quantity for one in position.books}
        done = replace(made, filled=placed.filled, average_price=terms.price(placed.cost / placed.filled))
        position = books.carried(replace(position, quantity=exchange.position), [done], arithmetic, terms.step, T)
        if books.total(position.books) != exchange.position:
            position = replace(position, books=books.evened(position, terms.step))
        after = {one.owner: one.quantity for one in position.books}
        for owner in {*before, *after}:
            change = after.get(owner, D(0)) - before.get(owner, D(0))
            cash[owner] = cash.get(owner, D(0)) - change * placed.cost / placed.filled
        assert books.total(position.books) == exchange.position
    worth = sum((one.quantity * terms.value(exchange.price) for one in position.books), D(0))
    fees = sum((one.fee or D(0) for one in exchange.trades), D(0))
    earned = exchange.wallet - began + fees + exchange.unrealized
    assert abs(sum(cash.values(), D(0)) + worth - earned) < D("1e-18")


def drawn(random: Random, number: int, position: PositionRecord, terms: Terms) -> OrderRecord:
    """An entry of one of three strategies, the close of one of them, or of all that is held."""
    strategy = random.choice("abc")
    mine = next((one for one in position.books if one.strategy == strategy), None)
    quantity = terms.step * random.randrange(1, 30)
    if mine is None:
        side = random.choice(["BUY", "SELL"])
        plan = PlanRecord(strategy, D(60_000), D(300), D(1), D(1), None, T)
        return replace(order("entry", side, "0"), id=f"o{number}", quantity=quantity, plan=plan, filled=D(0))
    if random.random() < 0.2 and position.quantity:
        side = "SELL" if position.quantity > 0 else "BUY"
        whole = replace(order("flatten", side, "0"), id=f"o{number}", quantity=abs(position.quantity), filled=D(0))
        return replace(whole, reduce_only=True)
    side = "SELL" if mine.quantity > 0 else "BUY"
    return replace(order("exit", side, "0", strategy), id=f"o{number}", quantity=abs(mine.quantity), filled=D(0))


def test_the_schedules_of_books_reach_what_they_are_for() -> None:
    """Strategies hold against each other, and each closes in its own way."""
    crossed = closed = guarded = 0
    for seed in range(120):
        schedule = BookSchedule(seed)
        schedule.run()
        orders = schedule.journal.orders.values()
        crossed += schedule.crossed > 0
        closed += any(one.leg == "exit" and not one.reduce_only and one.filled for one in orders)
        guarded += any(one.leg == "stop" and one.strategy and one.state == "filled" for one in orders)
    assert (crossed > 15, closed > 3, guarded > 1) == (True, True, True), (crossed, closed, guarded)
