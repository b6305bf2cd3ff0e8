"""A symbol's own profit target for the day: tables "Limits and breakers" of docs/execution.md."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import Place, TripBreaker
from pipeline.execution.engine.state import AccountView, Holding, TradingView
from pipeline.timeline import DAY
from tests.execution.driver import PRICE, SYMBOL, Driver, T, rules, signal

TWO_PERCENT = TradingView(daily_profit_percent=Decimal(2))
HELD = Decimal("0.222")


def worth(driver, *, earned="0", quantity=HELD, **changes):
    """The account as the exchange and the books have it: 10,000 when the day began."""
    holding = Holding(SYMBOL, quantity, PRICE, PRICE, driver.now)
    equity = Decimal(10_000) + Decimal(earned)
    account = AccountView(
        "USDT",
        equity,
        equity,
        driver.now,
        Decimal(10_000),
        equity,
        (holding,) if quantity else (),
        {SYMBOL: Decimal(earned)},
    )
    return ev.AccountSeen(replace(account, **changes))


def holding(trading=TWO_PERCENT, **changes):
    """A long position, and the target."""
    driver = Driver()
    driver(ev.TradingSeen(SYMBOL, trading))
    driver.protected()
    driver(worth(driver, **changes))
    return driver


@pytest.mark.parametrize(
    ("earned", "up", "reached"),
    [("0", 900, False), ("0", 901, True), ("-60", 901, False), ("100", 450, False), ("100", 451, True)],
)
def test_realised_fees_funding_and_unrealised_count_together(earned, up, reached):
    driver = holding(earned=earned)
    driver(ev.PriceSeen(SYMBOL, PRICE + up, driver.now), 1)
    assert bool(driver.got(TripBreaker)) is reached
    if reached:
        breaker = driver.one(TripBreaker).breaker
        assert (breaker.name, breaker.symbol) == (f"daily-profit:{SYMBOL}", SYMBOL)
        assert breaker.until == (T // DAY + 1) * DAY
        assert "the target 2 %" in breaker.reason


def test_what_was_earned_counts_when_nothing_is_held_any_more():
    driver = holding(quantity=Decimal(0), earned="199.99")
    assert driver.breakers() == set()
    driver(worth(driver, quantity=Decimal(0), earned="200"), 1)
    assert driver.breakers() == {f"daily-profit:{SYMBOL}"}


def test_only_that_symbol_rests_and_what_is_held_stays():
    driver = holding(earned="300")
    driver.wait(3_000)
    assert not [one for one in driver.all if isinstance(one, Place) and one.order.leg == "flatten"]
    driver(ev.SignalSeen(signal("s2", kind="add", price=PRICE + 300)))
    assert f"breaker daily-profit:{SYMBOL}" in driver.verdict("s2").reason
    driver(rules("ETHUSDT"))
    driver(ev.PriceSeen("ETHUSDT", PRICE, driver.now))
    driver(ev.SignalSeen(signal("s3", symbol="ETHUSDT")))
    assert "daily-profit" not in str(driver.verdict("s3"))


def test_where_it_is_to_close_what_is_held_is_closed():
    driver = holding(replace(TWO_PERCENT, when_reached="close"), earned="300")
    driver(ev.Time(), 250)
    driver.journal()
    order = driver.one(Place).order
    assert (order.leg, order.reduce_only, order.quantity) == ("flatten", True, HELD)
    assert "the day's profit of BTCUSDT" in driver.position().closing


def test_a_target_that_is_set_while_it_runs_counts_at_once():
    driver = holding(TradingView(), earned="300")
    assert driver.breakers() == set()
    driver(ev.TradingSeen(SYMBOL, TWO_PERCENT), 1)
    assert driver.breakers() == {f"daily-profit:{SYMBOL}"}


@pytest.mark.parametrize("changes", [{"day_start": None}, {"day_start": Decimal(0)}, {"at": T - DAY}])
def test_without_todays_books_nothing_is_said(changes):
    driver = Driver(ready=False)
    driver(ev.TradingSeen(SYMBOL, TWO_PERCENT))
    driver(worth(driver, earned="300", **changes))
    assert driver.breakers() == set()


@pytest.mark.parametrize(("when_reached", "closes"), [("stop", []), ("close", ["flatten"])])
def test_the_accounts_own_target_is_set_while_it_runs(when_reached, closes):
    driver = holding(TradingView(), earned="300")
    assert driver.breakers() == set()
    driver(ev.GoalSeen(Decimal("3.1"), when_reached), 1)
    assert driver.breakers() == set()
    driver(ev.GoalSeen(Decimal(3), when_reached), 1)
    assert driver.breakers() == {"daily-profit"}
    driver(ev.Time(), 250)
    driver.journal()
    assert [one.order.leg for one in driver.got(Place)] == closes
