"""Section "Limit entries" of docs/execution.md: an entry that rests at its signal's price, for how long, what ends it
earlier, and what is said of it."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import (
    Cancel,
    Explain,
    JournalIntent,
    JournalOrder,
    Place,
    Query,
    QueryFills,
    Reconcile,
)
from pipeline.execution.engine.state import AccountView, BreakerView, Holding, PositionTold, TradeTold, TradingView
from pipeline.timeline import SECOND
from tests.execution.driver import FILTERS, POLICY, PRICE, RISK, SYMBOL, Driver, T, rules, signal

LIMIT = replace(POLICY, risk=RISK.model_copy(update={"entry_order": "limit", "limit_seconds": 20}))
LOT = FILTERS.market_step_size
SIDES = pytest.mark.parametrize(("side", "sign"), [("long", 1), ("short", -1)])


def limits(**journal):
    return Driver(LIMIT, **journal)


def resting(**changes):
    """An entry rests at the exchange."""
    driver = limits()
    order = driver.sent(**changes)
    driver.seen(order)
    return driver, driver.order(order.leg)


def partly(**changes):
    """0.004 of it was filled, and that has its stop; the rest rests."""
    driver, order = resting(**changes)
    driver.seen(order, "partially_filled", "0.004", average_price=order.price)
    held = "0.004" if order.side == "BUY" else "-0.004"
    driver.journal()
    for placed in driver.got(Place):
        driver.seen(placed.order)
    driver.holds(held)
    return driver, driver.order(order.leg)


def cancelled(driver, order, filled=0, **more):
    return driver.seen(order, "cancelled", filled, **more)


def cancels(driver):
    return [one.order.id for one in driver.got(Cancel)]


# What is sent


@SIDES
@pytest.mark.parametrize(
    ("price", "long", "short"), [("60000.07", "60000.0", "60000.1"), ("60000.1", "60000.1", "60000.1")]
)
def test_an_entry_is_a_limit_order_at_the_signals_price_on_the_tick_in_our_favour(side, sign, price, long, short):
    order = limits().sent(side=side, price=D(price))
    assert (order.type, order.price) == ("LIMIT", D(long if sign > 0 else short))
    assert order.plan.price == D(price)
    assert order.plan.cancel_at == order.created_at + 20 * SECOND


def test_it_rests_no_longer_than_its_signal_is_fresh():
    assert limits().sent(fresh_until=T + 5_000).plan.cancel_at == T + 5_000


def test_as_shipped_entries_are_market_orders():
    order = Driver().sent()
    assert (order.type, order.price, order.plan.cancel_at) == ("MARKET", None, None)


@SIDES
def test_a_price_that_moved_away_is_waited_for_and_not_refused(side, sign):
    driver = limits()
    away = PRICE * (1 + D("0.02") * sign)
    driver(ev.PriceSeen(SYMBOL, away, T + 1))
    order = driver.sent(side=side)
    assert order.price == PRICE
    assert order.plan.stop_price == PRICE - sign * 600, "the stop goes by what it would be filled at"


@SIDES
def test_a_price_that_gapped_through_fills_at_once_and_the_stop_goes_by_it(side, sign):
    driver = limits()
    better = PRICE - sign * 1_000
    driver(ev.PriceSeen(SYMBOL, better, T + 1))
    order = driver.sent(side=side)
    assert (order.price, order.plan.stop_price) == (PRICE, better - sign * 600)


def test_outside_the_band_around_the_price_nothing_is_sent():
    driver = limits()
    driver(ev.PriceSeen(SYMBOL, PRICE * D("0.94"), T + 1))
    driver(ev.SignalSeen(signal()), 1)
    assert "band" in driver.verdict().reason


@pytest.mark.parametrize("price", ["0.04", "99.9", "1000000.1"])
def test_a_limit_that_is_no_price_of_the_exchange_is_not_sent(price):
    driver = limits()
    driver(ev.PriceSeen(SYMBOL, D(price), T + 1))
    driver(ev.SignalSeen(signal(price=D(price), atr=D("0.001"))), 1)
    assert "outside the exchange's prices 100 to 1000000" in driver.verdict().reason


def test_the_least_notional_counts_at_the_limit_price():
    """0.001 is worth less than 50 at the limit of 49,999, and more at the newest price, for which it would be sold."""
    few = POLICY.risk.model_copy(update={"entry_order": "limit", "max_position_percent": None})
    driver = Driver(replace(LIMIT, risk=few))
    driver(ev.TradingSeen(SYMBOL, TradingView(max_position=D("100.4"))))
    driver(ev.PriceSeen(SYMBOL, D(50_100), T + 1))
    driver(ev.SignalSeen(signal(side="short", price=D(49_999), kind="entry")), 1)
    assert "worth 50.00, and the least is 50" in driver.verdict().reason


@SIDES
@pytest.mark.parametrize("moved", ["-0.004", "0", "0.004"])
def test_a_unit_that_a_cap_makes_small_fits_at_the_limit_too(side, sign, moved):
    """The margin is taken for the dearer of price and limit."""
    few = POLICY.risk.model_copy(update={"entry_order": "limit", "max_units": D(2), "max_position_percent": None})
    driver = Driver(replace(LIMIT, risk=few))
    driver(ev.TradingSeen(SYMBOL, TradingView(max_position=D(5_030))))
    newest = PRICE * (1 + D(moved))
    driver(ev.PriceSeen(SYMBOL, newest, T + 1))
    order = driver.sent(side=side)
    dearer = PRICE if side == "long" else max(newest, PRICE)
    assert 0 <= D(5_030) - order.quantity * dearer < LOT * dearer


@pytest.mark.parametrize(
    ("changes", "quantity"),
    [
        ({"step_size": D("0.01"), "market_step_size": D("0.001")}, "0.22"),
        ({"market_step_size": D("0.01")}, "0.22"),  # what a limit order opens, a market order closes
    ],
)
def test_a_quantity_is_in_lots_that_both_kinds_of_order_take(changes, quantity):
    driver = limits()
    driver(rules(filters=FILTERS.model_copy(update=changes)))
    assert driver.sent(atr=D(300)).quantity == D(quantity)


# How long it rests


def test_what_is_not_filled_by_then_is_cancelled_and_said():
    driver, order = resting()
    driver.wait(19 * SECOND)
    assert cancels(driver) == []
    driver.wait(SECOND + 250)
    assert cancels(driver) == [order.id]
    cancelled(driver, order)
    assert driver.one(Explain) == Explain("s1", f"filled 0 of {order.quantity} at 60000: no more within 20 s")
    assert driver.verdict().verdict == "taken"
    assert driver.last.index(driver.one(Explain)) < driver.last.index(driver.one(JournalOrder))
    assert driver.core.positions() == ()


def test_a_part_is_a_position_and_protected_at_the_first_fill():
    driver, order = resting()
    driver.seen(order, "partially_filled", "0.004", average_price=PRICE)
    (stop,) = [one.order for one in driver.got(JournalIntent)]
    assert (stop.leg, stop.close_position, stop.quantity) == ("stop", True, None)
    driver.journal()
    driver.seen(driver.one(Place).order)
    driver.holds("0.004")
    driver.wait(20 * SECOND)
    cancelled(driver, order, "0.004", average_price=PRICE)
    assert driver.one(Explain).reason == f"filled 0.004 of {order.quantity} at 60000: no more within 20 s"
    held = driver.position()
    assert (held.quantity, held.stop_order, held.signal) == (D("0.004"), stop.id, "s1")


def test_one_that_is_filled_whole_is_no_news():
    driver, order = resting()
    driver.seen(order, "filled", order.quantity, average_price=PRICE)
    assert driver.got(Explain) == []


def test_a_cancel_that_is_lost_is_asked_for_and_sent_again():
    driver, order = resting()
    driver.wait(20 * SECOND + 250)
    assert cancels(driver) == [order.id]
    driver(ev.CancelFailed(order.id, "timeout"), 10)
    assert driver.one(Query).order.id == order.id
    driver(ev.OrderSeen(driver.told(order), "query"), 10)
    driver.wait(2 * SECOND)
    assert cancels(driver) == [order.id]


def test_one_that_is_filled_while_it_is_cancelled_is_held():
    driver, order = resting()
    driver.wait(20 * SECOND + 250)
    driver(ev.CancelFailed(order.id, "-2011"), 10)
    driver(ev.OrderSeen(driver.told(order, "filled", order.quantity, average_price=PRICE), "query"), 10)
    assert [one.order.leg for one in driver.got(JournalIntent)] == ["stop"]
    assert driver.state("entry") == "filled"


def test_a_fill_that_is_told_after_the_cancel_counts_and_is_said():
    driver, order = resting()
    driver.wait(20 * SECOND + 250)
    cancelled(driver, order)
    cancelled(driver, order, "0.004", average_price=PRICE)
    assert driver.one(Explain).reason == f"filled 0.004 of {order.quantity} at 60000: no more within 20 s"
    assert [one.order.leg for one in driver.got(JournalIntent)] == ["stop"]


def test_the_next_term_cancels_by_what_the_journal_says():
    driver, order = resting()
    later = Driver(LIMIT, orders=driver.core.orders(), positions=driver.core.positions(), ready=False)
    later.now = T + 21 * SECOND
    later(ev.Time())
    assert cancels(later) == [], "nothing before the exchange was compared"
    later.snapshot([later.told(order)])
    assert cancels(later) == [order.id]
    cancelled(later, order)
    assert later.one(Explain).reason == f"filled 0 of {order.quantity} at 60000: no more within 20 s"


@pytest.mark.parametrize("filled", ["0", "0.004"])
def test_the_next_term_finds_that_the_exchange_has_ended_it_and_protects_what_was_filled(filled):
    driver, order = resting()
    later = Driver(LIMIT, orders=driver.core.orders(), positions=driver.core.positions(), ready=False)
    later.now = T + 3_600 * SECOND
    later.snapshot(quantity=D(filled))
    assert later.one(Query).order.id == order.id
    later(ev.OrderSeen(later.told(order, "expired", filled, average_price=PRICE), "query"), 10)
    assert later.state("entry") == "expired"
    assert later.one(Explain).reason == f"filled {filled} of {order.quantity} at 60000: expired at the exchange"
    stops = [one.order for one in later.all if isinstance(one, JournalIntent) and one.order.leg == "stop"]
    assert bool(stops) == (filled != "0")


def test_one_that_comes_late_after_it_was_given_up_is_followed_while_it_may_rest_else_cancelled():
    for age, ends in [(10 * SECOND, False), (21 * SECOND, True)]:
        _driver, order = resting()
        given_up = replace(order, state="abandoned", exchange_id=None)
        later = Driver(LIMIT, orders=[given_up], ready=False)
        later.now = T + age
        later.snapshot([later.told(given_up)])
        assert later.state("entry") == "accepted"
        assert bool(cancels(later)) == ends


def test_one_whose_plan_is_lost_is_cancelled():
    _driver, order = resting()
    later = Driver(LIMIT, ready=False)
    later.snapshot([replace(later.told(order), price=order.price)])
    assert later.order("entry").type == "LIMIT"
    assert cancels(later) == [order.id]


def test_a_request_that_was_held_up_until_then_is_not_sent():
    driver = limits()
    driver(ev.SignalSeen(signal()), 1)
    intent = driver.one(JournalIntent).order
    driver(ev.IntentJournaled(intent.id), 21 * SECOND)
    assert driver.got(Place) == []
    assert driver.state("entry") == "abandoned"


def test_one_that_surely_did_not_arrive_is_not_sent_again_after_that():
    driver = limits()
    order = driver.sent(fresh_until=T + 120_000)
    driver(ev.OrderFailed(order.id, "overloaded", T + 30 * SECOND), 10)
    assert driver.state("entry") == "abandoned"


def test_a_clock_that_is_put_back_does_not_let_it_rest_longer():
    driver, order = resting()
    driver.wait(10 * SECOND)
    driver.now -= 3_600 * SECOND
    driver.wait(11 * SECOND)
    assert cancels(driver) == [order.id]


# What ends it earlier


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (ev.HaltSeen(halted=True, flatten=False), "halted"),
        (ev.HaltSeen(halted=True, flatten=True), "halted"),
        (ev.ModeSeen("signal-only"), "the mode was changed to signal-only"),
        (ev.TradingSeen(SYMBOL, TradingView(enabled=False)), "trading of BTCUSDT is off"),
        (ev.TradingSeen(SYMBOL, TradingView(close_asked=T)), "BTCUSDT is being closed"),
        (ev.BreakersSeen((BreakerView("daily-loss", "5 %", T),)), "breaker daily-loss: 5 %"),
        (ev.BreakersSeen((BreakerView("slippage:BTCUSDT", "1 %", T, SYMBOL),)), "breaker slippage:BTCUSDT: 1 %"),
        (ev.Leaving(), "the executor ends"),
    ],
)
def test_whatever_keeps_entries_from_being_opened_ends_one_that_rests(event, says):
    driver, order = resting()
    driver(event, 1)
    driver.wait(250)
    found = [one.order.id for one in driver.all if isinstance(one, Cancel)]
    assert found == [order.id]
    cancelled(driver, order)
    assert driver.one(Explain).reason == f"filled 0 of {order.quantity} at 60000: {says}"


def test_a_breaker_of_another_symbol_ends_nothing():
    driver, _ = resting()
    driver(ev.BreakersSeen((BreakerView("slippage:ETHUSDT", "1 %", T, "ETHUSDT"),)), 1)
    driver.wait(500)
    assert not any(isinstance(one, Cancel) for one in driver.all)


@SIDES
@pytest.mark.parametrize(
    ("kind", "leg", "turned", "ends"),
    [
        ("exit", "entry", False, True),
        ("entry", "entry", True, True),
        ("trial", "trial", True, True),
        ("trial", "entry", True, False),  # it closes nothing but a trial
        ("add", "entry", True, False),
        ("entry", "trial", False, False),
    ],
)
def test_what_would_close_what_it_opens_ends_it_first(side, sign, kind, leg, turned, ends):
    other = "short" if side == "long" else "long"
    driver, order = resting(kind=leg, side=side)
    driver(ev.SignalSeen(signal("s2", kind=kind, side=other if turned else side, at=T + 5)), 1)
    assert bool(cancels(driver)) == ends
    assert driver.verdict("s2") is None, "it waits until the end of the other is known"
    if ends:
        cancelled(driver, order)
        said = f"{kind} {other if turned else side} was signalled"
        assert driver.one(Explain).reason == f"filled 0 of {order.quantity} at 60000: {said}"


def test_an_exit_closes_the_part_that_was_filled_once_the_rest_is_cancelled():
    driver, order = partly()
    driver(ev.SignalSeen(signal("s2", kind="exit", at=T + 5)), 1)
    assert cancels(driver) == [order.id]
    assert driver.got(JournalIntent) == []
    cancelled(driver, order, "0.004", average_price=PRICE)
    (close,) = [one.order for one in driver.got(JournalIntent)]
    assert (close.leg, close.type, close.quantity) == ("exit", "MARKET", D("0.004"))


@pytest.mark.parametrize("changes", [{"strategy": "turtle"}, {"interval": "15m"}])
def test_what_another_strategy_or_interval_says_ends_nothing(changes):
    driver, _ = resting()
    driver(ev.SignalSeen(signal("s2", kind="exit", at=T + 5, **changes)), 1)
    assert cancels(driver) == []


def test_a_late_exit_that_is_not_the_last_word_ends_nothing():
    driver, _ = resting()
    driver(ev.SignalSeen(signal("s2", kind="exit", at=T - 9, fresh_until=T - 1)), 1)
    assert cancels(driver) == []


def test_the_rest_goes_with_the_position_that_it_belongs_to():
    driver, order = partly()
    driver.seen(driver.order("stop"), "filled", "0.004")
    driver.holds(0)
    assert cancels(driver) == [order.id]
    cancelled(driver, order, "0.004", average_price=PRICE)
    assert driver.one(Explain).reason.endswith("of 0.222 at 60000: the position is closed")
    assert driver.position().signal is None


def test_a_position_that_is_closed_for_whatever_reason_does_not_grow():
    driver, order = partly()
    stop = driver.order("stop")
    driver.seen(stop, "cancelled")
    driver.wait(SECOND)
    driver.journal()
    again = driver.one(Place).order
    driver(ev.OrderRejected(again.id, -2021, "would trigger"), 1)
    assert cancels(driver) == [order.id]


def test_one_that_a_comparison_has_missed_is_asked_for_until_it_is_seen_and_no_longer():
    driver, order = partly()
    driver.snapshot([driver.told(driver.order("stop"))], quantity=D("0.004"))
    assert driver.one(Query).order.id == order.id
    driver(ev.OrderSeen(driver.told(order, "partially_filled", "0.004", average_price=order.price), "query"), 10)
    driver.wait(5 * SECOND)
    assert driver.got(Query) == []


# Nobody knows whether it arrived


def test_one_that_is_unknown_is_given_up_only_when_the_list_of_open_orders_does_not_have_it():
    driver = limits()
    order = driver.sent(fresh_until=T + 120_000)
    driver(ev.OrderUnknown(order.id, "timeout"), 10)
    driver.wait(8 * SECOND)
    driver(ev.OrderNotFound(order.id, driver.now), 10)
    driver.wait(SECOND)
    assert driver.got(Reconcile)
    assert driver.got(QueryFills) == []
    before = driver.now
    driver.snapshot()
    assert driver.got(QueryFills), "it may have been filled before the list was read"
    driver(ev.FillsSeen(SYMBOL, (), T - SECOND, before), 10)
    driver(ev.PositionsSeen((PositionTold(SYMBOL, D(0), PRICE),), before, "query"), 10)
    assert driver.state("entry") == "unknown", "what was read before the list proves nothing"
    driver.holds(0, "query")
    driver(ev.FillsSeen(SYMBOL, (), T - SECOND, driver.now), 10)
    assert driver.state("entry") == "abandoned"


def test_one_that_rested_and_was_filled_is_not_cancelled_before_its_trades_are_listed():
    """The exchange does not know its id any more, what is held has moved, and no trade says so yet."""
    driver, order = resting()
    held = order.quantity
    driver.now += 10
    driver.snapshot([], quantity=held)
    driver(ev.OrderNotFound(order.id, driver.now), 10)
    driver.wait(SECOND)
    driver.snapshot([], quantity=held)
    driver.holds(held, "query")
    driver(ev.FillsSeen(SYMBOL, (), T - SECOND, driver.now), 10)
    assert driver.state("entry") == "accepted"
    made = TradeTold(order.exchange_id, "BUY", held, PRICE, D(1), D(0), T + 20)
    driver(ev.FillsSeen(SYMBOL, (made,), T - SECOND, driver.now), 10)
    assert (driver.state("entry"), driver.order("entry").filled) == ("filled", held)


def test_one_that_is_unknown_and_rests_is_found_in_the_list():
    driver = limits()
    order = driver.sent(fresh_until=T + 120_000)
    driver(ev.OrderUnknown(order.id, "timeout"), 10)
    driver.wait(8 * SECOND)
    driver(ev.OrderNotFound(order.id, driver.now), 10)
    driver.snapshot([driver.told(order)])
    assert driver.state("entry") == "accepted"
    driver.wait(12 * SECOND)
    assert order.id in cancels(driver)


# What is free


def counted(driver, *, filled="0", free=1_000):
    """The exchange says what the account is worth while the order rests, and keeps the margin for it."""
    told = AccountView("USDT", D(10_000), D(free), driver.now, D(10_000), D(10_000), holdings(driver, filled))
    driver(ev.AccountSeen(told), 10)


def holdings(driver, held):
    return (Holding(SYMBOL, D(held), PRICE, PRICE, driver.now),)


def fills(driver, order, filled, *, state="partially_filled", told=True):
    driver.seen(order, state, filled, average_price=PRICE)
    if told:
        driver(ev.AccountChanged("USDT", D(10_000), holdings(driver, filled), driver.now, earned=True))


def free(driver):
    worth = driver.core._worth.of("USDT")
    return worth.now().available - worth.reserved()


def margin(quantity):
    return D(quantity) * PRICE / RISK.leverage


def fees(quantity):
    return 2 * D(quantity) * PRICE * LIMIT.taker_fee


def test_before_the_account_tells_of_it_what_rests_is_spent():
    driver, order = resting()
    assert free(driver) == 10_000 - margin(order.quantity) - fees(order.quantity)


def test_what_rests_and_is_counted_by_the_exchange_is_not_counted_twice():
    driver, order = resting()
    counted(driver)
    assert free(driver) == 1_000 - fees(order.quantity)


def test_the_margin_of_what_rested_is_free_once_it_is_cancelled():
    driver, order = resting()
    counted(driver)
    cancelled(driver, order)
    assert free(driver) == 1_000 + margin(order.quantity)


@pytest.mark.parametrize("told", [True, False])
def test_what_was_filled_since_takes_the_margin_that_was_kept_for_it(told):
    driver, order = resting()
    counted(driver)
    fills(driver, order, "0.1", told=told)
    assert free(driver) == 1_000 - fees(order.quantity if not told else order.quantity - D("0.1"))
    driver.now += 10
    cancelled(driver, order, "0.1", average_price=PRICE)
    assert free(driver) == 1_000 + margin(order.quantity - D("0.1")) - (0 if told else fees("0.1"))


def test_of_what_was_filled_in_part_and_is_closed_nothing_is_kept():
    driver, order = partly()
    counted(driver, filled="0.004")
    fills(driver, order, order.quantity, state="filled")
    driver(ev.AccountChanged("USDT", D(10_000), holdings(driver, "0"), driver.now + 1, earned=True), 2)
    assert free(driver) == 1_000 + margin(order.quantity)


def test_the_rest_that_was_cancelled_is_not_spent():
    driver = limits()
    counted(driver, free=10_000)
    order = driver.sent()
    driver.seen(order)
    fills(driver, order, "0.1")
    driver.now += 10
    cancelled(driver, order, "0.1", average_price=PRICE)
    assert free(driver) == 10_000 - margin("0.1")
