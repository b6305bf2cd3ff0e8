"""What a person is told about the end of a position."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.effects import JournalIntent, JournalPosition, Notify, QueryFills, QueryNumber
from pipeline.execution.engine.endings import UNTOLD, how_it_ended
from pipeline.execution.engine.state import OrderRecord, OrderTold, PositionRecord, PositionTold, TradeTold
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
        ([replace(STOP, signal=None)], None, "info", "by its stop"),
        ([replace(STOP, signal=None, seen_at=899)], None, "warning", "by hand"),
        ([replace(STOP, signal="s0")], None, "info", "by its stop"),
        ([replace(STOP, leg="flatten", signal="s0")], None, "info", "signal s2"),
        ([replace(STOP, leg="flatten", signal="s0", seen_at=899)], None, "warning", "by hand"),
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
    ending = how_it_ended(POSITION, orders, other, 899, 899)
    assert (ending.level, words in ending.words) == (level, True), ending


def test_what_was_filled_before_the_exchange_still_held_some_has_not_closed_it():
    at = STOP.seen_at
    assert how_it_ended(POSITION, [STOP], None, at + 1, at) is UNTOLD
    assert how_it_ended(POSITION, [STOP], None, at, at).words == "by its stop", "in parts, in one millisecond"


def test_an_order_that_closed_a_part_and_ended_in_vain_later_has_not_closed_the_rest():
    part, held_at = replace(STOP, leg="flatten", state="expired"), STOP.seen_at - 500
    assert how_it_ended(POSITION, [part], None, held_at, held_at - 1) is UNTOLD
    settled = replace(OTHER, id="settlement_autoclose-1")
    assert "settled" in how_it_ended(POSITION, [part], settled, held_at, held_at - 1).words
    assert how_it_ended(POSITION, [part], None, held_at, held_at).words == POSITION.closing


def test_a_position_that_its_stop_has_closed_while_an_exit_was_decided_was_closed_by_its_stop():
    driver = Driver()
    driver.protected()
    stop = driver.order("stop")
    driver(ev.OrderSeen(driver.told(stop, "filled", driver.position().quantity, algo=False, exchange_id=9), "stream"))
    driver.holds(0)
    assert driver.one(Notify).text == "by its stop"


@pytest.mark.parametrize("compared", [True, False], ids=["compared meanwhile", "the stream alone"])
def test_a_stop_that_closed_a_part_long_before_has_not_closed_the_rest(compared):
    driver = Driver()
    held = driver.protected().quantity
    rest, part = held / 2, driver.told(driver.order("stop"), "expired", held / 2)
    driver(ev.OrderSeen(part, "stream"))
    driver(ev.PositionsSeen((PositionTold(SYMBOL, rest, PRICE),), part.at, "stream"))
    driver.now += 2_000
    if compared:
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
    before = replace(STOP, leg="exit", seen_at=POSITION.entered_at)
    assert how_it_ended(POSITION, [before], None, 0, before.seen_at) is UNTOLD
    opener = replace(STOP, leg="trial", seen_at=before.seen_at)
    after_a_restart = replace(POSITION, entered_at=0)
    assert how_it_ended(after_a_restart, [before, opener], None, 0, before.seen_at) is UNTOLD


def test_the_exit_that_closed_it_is_known_whatever_our_clock_said_when_it_was_made():
    exit_order = replace(STOP, leg="exit", signal="s2", created_at=POSITION.opened_at - 15_000)
    assert how_it_ended(POSITION, [exit_order], None, 900, 900).words == "signal s2"


def said_ends(driver: Driver) -> list[str]:
    return [one.text for one in driver.all if isinstance(one, Notify) and one.title.endswith("is closed")]


def closed_by_nobody(driver: Driver) -> None:
    """What is held is gone, and no order is told that has closed it."""
    driver.protected()
    driver.holds(0)
    driver.seen(driver.order("stop"), "expired")


def test_what_is_gone_stands_in_the_journal_until_its_end_was_said():
    driver = Driver()
    closed_by_nobody(driver)
    kept = [one.position for one in driver.all if isinstance(one, JournalPosition)][-1]
    assert (kept.quantity, kept.managed, said_ends(driver)) == (0, True, [])
    another = Driver(positions=[kept], ready=False)
    another.snapshot()
    another.wait(31_000)
    assert said_ends(another) == [UNTOLD.words]
    first, cleared = [one for one in another.all if isinstance(one, Notify | JournalPosition)][-2:]
    assert isinstance(first, Notify), "said first, then written: killed between the two, it is said again"
    assert not cleared.position.managed


def test_an_end_is_said_before_what_closes_the_next_position_could_be_taken_for_its_own():
    driver = Driver()
    closed_by_nobody(driver)
    driver.protected(name="s2")
    assert said_ends(driver) == [UNTOLD.words]
    driver.holds(0)
    settled = OrderTold("settlement_autoclose-1", SYMBOL, "SELL", "filled", Decimal(1), driver.now, exchange_id=77)
    driver(ev.OrderSeen(settled, "stream"))
    driver.seen(driver.order("stop"), "expired")
    assert said_ends(driver) == [UNTOLD.words, "settled by the exchange: the contract has ended"]


def test_of_a_symbol_that_is_gone_an_end_that_nobody_told_is_said_at_once():
    driver = Driver()
    closed_by_nobody(driver)
    driver.wait(2_000)
    assert said_ends(driver) == []
    driver(ev.SymbolGone(SYMBOL, driver.now))
    assert said_ends(driver) == [UNTOLD.words]


@pytest.mark.parametrize("by", [-3_600_000, 3_600_000])
def test_a_clock_that_is_put_right_keeps_no_end_from_being_said_in_time(by):
    driver = Driver()
    closed_by_nobody(driver)
    driver.now += by
    driver.wait(28_000)
    assert said_ends(driver) == []
    driver.wait(3_000)
    assert said_ends(driver) == [UNTOLD.words]


def test_that_ours_is_gone_is_said_where_somebody_holds_the_other_side():
    driver = Driver()
    held = driver.protected().quantity
    driver.holds(-held)
    assert said_ends(driver) == [UNTOLD.words]


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
