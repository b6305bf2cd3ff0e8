"""What a person is told about the end of a position."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import JournalIntent, Notify, QueryFills, QueryNumber
from pipeline.execution.engine.endings import UNTOLD, how_it_ended
from pipeline.execution.engine.state import OrderRecord, OrderTold, PositionRecord, TradeTold
from tests.execution.driver import PRICE, SYMBOL, Driver, signal

POSITION = PositionRecord(SYMBOL, signal="s1", opened_at=1_000, entered_at=900, closing="signal s2")
STOP = OrderRecord(
    "tm-s-1", SYMBOL, "s1", "stop", "SELL", "STOP_MARKET", None, 1_000, 1_000, "filled", filled=Decimal(1),
    seen_at=2_000,
)  # fmt: skip
OTHER = OrderTold("x", SYMBOL, "SELL", "filled", Decimal(1), 3_000)


@pytest.mark.parametrize(
    ("orders", "other", "level", "words"),
    [
        ([STOP], None, "info", "by its stop"),
        ([replace(STOP, leg="take_profit")], None, "info", "by its take-profit"),
        ([replace(STOP, leg="exit", signal="s2")], None, "info", "signal s2"),
        ([STOP], OTHER, "warning", "by hand"),
        ([STOP], replace(OTHER, at=1_999), "info", "by its stop"),
        ([replace(STOP, signal="s0")], OTHER, "warning", "by hand"),
        ([replace(STOP, filled=Decimal(0))], replace(OTHER, at=899), "warning", "by hand"),
        ([], replace(OTHER, id="autoclose-123"), "error", "liquidated"),
        ([], replace(OTHER, id="adl_autoclose"), "warning", "auto-deleveraging"),
        ([], replace(OTHER, id="settlement_autoclose-1"), "warning", "settled"),
        ([], replace(OTHER, id="tm-mine00-f-1"), "info", "by a person's command"),
    ],
)
def test_the_newest_fill_says_what_closed_it(orders, other, level, words):
    ending = how_it_ended(POSITION, orders, other, 900)
    assert (ending.level, words in ending.words) == (level, True), ending


def test_what_was_filled_before_the_exchange_still_held_some_has_not_closed_it():
    assert how_it_ended(POSITION, [STOP], None, STOP.seen_at + 1) is UNTOLD
    assert how_it_ended(POSITION, [STOP], None, STOP.seen_at).words == "by its stop", "in parts, in one millisecond"


def test_a_position_that_its_stop_has_closed_while_an_exit_was_decided_was_closed_by_its_stop():
    driver = Driver()
    driver.protected()
    stop = driver.order("stop")
    driver(ev.OrderSeen(driver.told(stop, "filled", driver.position().quantity, algo=False, exchange_id=9), "stream"))
    driver.holds(0)
    assert driver.one(Notify).text == "by its stop"


def test_a_stop_that_closed_a_part_long_before_has_not_closed_the_rest():
    driver = Driver()
    held = driver.protected().quantity
    rest, part = held / 2, driver.told(driver.order("stop"), "expired", held / 2)
    driver(ev.OrderSeen(part, "stream"))
    driver.holds(rest)
    driver.now += 2_000
    driver.snapshot(quantity=rest)
    driver.journal()
    driver.seen(driver.order("stop"), "rejected")
    driver.holds(0)
    settled = OrderTold("settlement_autoclose-1", SYMBOL, "SELL", "filled", rest, driver.now, exchange_id=77)
    driver(ev.OrderSeen(settled, "stream"), 5)
    driver.wait(30_000)
    said = [one.text for one in driver.all if isinstance(one, Notify) and one.title.endswith("is closed")]
    assert said == ["settled by the exchange: the contract has ended"]


def test_dust_is_not_closed_and_nothing_is_journaled():
    driver = Driver()
    driver.protected()
    driver.holds("0.0004")
    driver(ev.SignalSeen(signal("s2", kind="exit", last_word=True)))
    assert (driver.verdict("s2").verdict, driver.verdict("s2").reason) == (
        "skipped",
        "dust: 0.0004 BTCUSDT is less than a lot",
    )
    assert not driver.got(JournalIntent)


def test_a_position_in_a_symbol_that_is_traded_no_more_is_closed_all_the_same():
    driver = Driver()
    held = driver.protected().quantity
    driver(ev.RulesSeen(SYMBOL, None, None, driver.now))
    driver(ev.SignalSeen(signal("s2", kind="exit", last_word=True)))
    assert driver.one(JournalIntent).order.quantity == held


def test_a_close_that_turned_what_was_held_before_has_not_closed_what_it_made_room_for():
    before = replace(STOP, leg="exit", created_at=POSITION.opened_at - 1)
    assert how_it_ended(POSITION, [before], None, 0) is UNTOLD


def test_where_the_stream_has_not_told_what_closed_it_the_trades_name_that_order():
    driver = Driver()
    held = driver.protected().quantity
    driver.seen(driver.order("stop"), "expired")
    driver.snapshot()
    driver.journal()
    driver.seen(driver.order("stop"), "rejected")
    driver.wait(1_500)
    since = driver.got(QueryFills)[0].since
    assert since < driver.position().entered_at
    driver(
        ev.FillsSeen(
            SYMBOL, (TradeTold(77, "SELL", held, PRICE, Decimal(1), Decimal(0), driver.now),), since, driver.now
        )
    )
    assert driver.one(QueryNumber) == QueryNumber(SYMBOL, 77)
    told = OrderTold("settlement_autoclose-1", SYMBOL, "SELL", "filled", held, driver.now, exchange_id=77)
    driver(ev.OrderSeen(told, "query"))
    driver.wait(30_000)
    said = [one.text for one in driver.all if isinstance(one, Notify) and one.title.endswith("is closed")]
    assert said == ["settled by the exchange: the contract has ended"]
