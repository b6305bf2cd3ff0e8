"""What the account is worth between two comparisons: by its stream and by the prices."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from pipeline.exchange.products.um import UM
from pipeline.exchange.user_events import decode_event
from pipeline.execution.engine import events as ev
from pipeline.execution.engine.state import AccountView, Holding
from pipeline.execution.gateway import reports_in
from tests.execution.driver import POLICY, PRICE, SYMBOL, Driver, T, rules, signal

START = D(10_000)


def holding(quantity, entry=PRICE, at=T):
    return Holding(SYMBOL, D(str(quantity)), entry, PRICE, at)


def driver_with(*holdings, wallet=START):
    driver = Driver(ready=False)
    account = AccountView("USDT", wallet, wallet, driver.now, START, wallet, holdings)
    driver(ev.Snapshot((), (), (account,), driver.now), 1)
    driver.all.clear()
    return driver


def changed(driver, wallet, *holdings, earned=True, later=1):
    driver.now += later
    return driver(ev.AccountChanged("USDT", D(str(wallet)), holdings, driver.now, earned))


def test_a_loss_that_the_stream_tells_trips_the_days_limit_at_once():
    driver = driver_with(holding(1))
    changed(driver, 9_501, holding(0))
    assert driver.breakers() == set()
    changed(driver, 9_500)
    assert driver.breakers() == {"daily-loss"}


def test_a_price_trips_it_too():
    driver = driver_with(holding(1))
    driver(ev.PriceSeen(SYMBOL, PRICE - 499, T + 1))
    assert driver.breakers() == set()
    driver(ev.PriceSeen("ETHUSDT", D(1), T + 1))
    driver(ev.PriceSeen(SYMBOL, PRICE - 500, T + 2))
    assert driver.breakers() == {"daily-loss"}


def test_what_is_realized_is_no_longer_unrealized():
    driver = driver_with(holding(1))
    driver(ev.PriceSeen(SYMBOL, PRICE - 400, T + 1))
    changed(driver, 9_600, holding(0))
    driver(ev.PriceSeen(SYMBOL, PRICE - 4_000, T + 2))
    assert driver.breakers() == set()


@pytest.mark.parametrize(
    ("reason", "trips"),
    [("ORDER", True), ("FUNDING_FEE", True), ("WITHDRAW", False), ("ASSET_TRANSFER", False), ("A_NEW_WORD", False)],
)
def test_money_that_is_paid_out_is_no_loss(reason, trips):
    driver = driver_with()
    frame = (
        f'{{"e":"ACCOUNT_UPDATE","E":{T + 9},"T":{T + 9},"a":{{"m":"{reason}","P":[],'
        '"B":[{"a":"BNB","wb":"3","cw":"3","bc":"0"},{"a":"USDT","wb":"5000","cw":"5000","bc":"-5000"}]}}'
    )
    update = decode_event(frame.encode())
    for _ in range(2):  # what comes twice changes nothing
        driver(ev.PositionsSeen(reports_in.positions_streamed(update), update.time, "stream"))
        for change in reports_in.account_changes(update, reports_in.Market(UM)):
            driver(change)
    assert ("daily-loss" in driver.breakers()) is trips
    changed(driver, 4_700, later=100)
    assert ("daily-loss" in driver.breakers()) is True, "six per cent of what is left"


def test_what_was_said_before_the_last_statement_is_no_news():
    driver = driver_with()
    driver(ev.AccountChanged("USDT", D(1), (), T - 1, True))
    assert driver.breakers() == set()


def test_the_minute_has_the_last_word():
    driver = driver_with(holding(1))
    changed(driver, 9_600, holding(0))
    account = AccountView("USDT", D(9_600), D(9_600), driver.now, D(9_600), D(9_600))
    driver(ev.AccountSeen(account), 1)
    changed(driver, 9_200)
    assert driver.breakers() == set(), "the exchange's own list says that the rest was paid out"
    changed(driver, 9_100)
    assert driver.breakers() == {"daily-loss"}


def test_the_margin_of_a_position_that_is_closed_is_free_at_once():
    margin = PRICE / 3
    driver = Driver(ready=False)
    driver(rules("ETHUSDT"))
    driver(ev.PriceSeen("ETHUSDT", PRICE, T))
    account = AccountView("USDT", D(100_000), D(6_000), driver.now, D(100_000), D(100_000), (holding(1),))
    driver(ev.Snapshot((), (), (account,), driver.now))
    driver(ev.SignalSeen(signal("s1", symbol="ETHUSDT", atr=D(1_500))))
    assert "no margin" in driver.verdict("s1").reason
    changed(driver, 99_000, holding(0))
    driver(ev.SignalSeen(signal("s2", symbol="ETHUSDT", atr=D(1_500))))
    assert driver.verdict("s2") is None
    assert driver.core._worth.of("USDT").now().available == 6_000 - 1_000 + margin


def test_a_statement_of_the_account_is_read_with_its_positions():
    driver = driver_with(replace(holding("-0.5"), mark_price=PRICE + 10), wallet=D(9_000))
    assert driver.core._worth.of("USDT").now().equity == 9_000
    driver(ev.PriceSeen(SYMBOL, PRICE + 100, T - 5))
    assert driver.core._worth.of("USDT").now().equity == 9_000, "the statement is newer than that price"
    driver(ev.PriceSeen(SYMBOL, PRICE + 100, T + 5))
    assert driver.core._worth.of("USDT").now().equity == 8_950
    assert POLICY.risk.daily_loss_percent == 5


def test_what_the_stream_told_while_the_account_was_read_still_holds():
    driver = driver_with()
    asked = driver.now
    changed(driver, 9_900, holding(1, at=asked + 50), later=50)
    account = AccountView("USDT", START, START, asked + 10, START, START)
    driver(ev.AccountSeen(account), 50)
    driver(ev.PriceSeen(SYMBOL, PRICE - 399, T + 100))
    assert driver.breakers() == set()
    driver(ev.PriceSeen(SYMBOL, PRICE - 400, T + 101))
    assert driver.breakers() == {"daily-loss"}


def test_what_comes_in_another_order_is_not_lost():
    driver = driver_with()
    now = driver.now + 100
    other = Holding("ETHUSDT", D(1), D(3_000), D(3_000), now + 5)
    driver(ev.AccountChanged("USDT", D(9_990), (other,), now + 5, True), 200)
    driver(ev.AccountChanged("USDT", D(9_995), (holding(1, at=now),), now, True))
    assert driver.core._worth.of("USDT").holds(SYMBOL)
    assert driver.core._worth.of("USDT").now().equity == 9_990
    driver(ev.AccountChanged("USDT", D(9_000), (holding(2, at=now - 1),), now - 1, True))
    assert driver.core._worth.of("USDT").now().equity == 9_990
    assert driver.core._worth.of("USDT")._held[SYMBOL].quantity == 1


def test_money_that_a_statement_already_has_does_not_move_the_days_beginning_again():
    driver = driver_with()
    asked = driver.now
    changed(driver, 9_990, later=50)
    changed(driver, 14_990, earned=False)
    driver(ev.AccountSeen(AccountView("USDT", D(14_990), D(14_990), asked + 10, D(15_000), D(14_990))), 50)
    assert driver.core._worth.of("USDT").now().day_start == 15_000
    changed(driver, 15_990, earned=False)
    assert driver.core._worth.of("USDT").now().day_start == 16_000


def test_money_that_came_after_a_statement_moves_the_days_beginning_once():
    driver = driver_with()
    asked = driver.now
    changed(driver, 15_000, earned=False, later=50)
    driver(ev.AccountSeen(AccountView("USDT", START, START, asked + 10, START, START)), 50)
    assert driver.core._worth.of("USDT").now().day_start == 15_000
    driver(ev.AccountSeen(AccountView("USDT", START, START, asked + 20, None, START)), 50)
    assert driver.core._worth.of("USDT").now().day_start == 15_000, (
        "what is kept of an earlier statement has moved already"
    )
