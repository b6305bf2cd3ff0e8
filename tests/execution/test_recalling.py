"""What the journal does not know is found out again: section "A journal that does not know" of docs/execution.md."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.effects import (
    Cancel,
    JournalIntent,
    JournalOrder,
    JournalPosition,
    Notify,
    Place,
    Query,
    Recall,
    WriteVerdict,
)
from pipeline.execution.engine.rebuild import rebuilt
from pipeline.execution.engine.state import OrderTold, PositionTold, TradeTold
from pipeline.timeline import DAY, HOUR, MINUTE, SECOND
from tests.execution.driver import ACCOUNT, IDENTITY, POLICY, PRICE, SYMBOL, Driver, T, signal

ZERO = Decimal(0)
HELD = Decimal("0.2")
STOP = OrderTold(
    IDENTITY.order_id("s1", "stop", 1), SYMBOL, "SELL", "accepted", ZERO, T, algo=True, exchange_id=5,
    trigger_price=PRICE - 600, close_position=True,
)  # fmt: skip
TARGET = replace(STOP, id=IDENTITY.order_id("s1", "take_profit", 1), exchange_id=6, trigger_price=PRICE + 1800)
ENTRY = OrderTold(
    IDENTITY.order_id("s1", "entry"), SYMBOL, "BUY", "filled", HELD, T - MINUTE, exchange_id=7, average_price=PRICE,
    quantity=HELD,
)  # fmt: skip
OPENED = TradeTold(7, "BUY", HELD, PRICE, ZERO, ZERO, T - MINUTE)
SAID = signal("s1", at=T - MINUTE, price=PRICE - 5)
BY_HAND = TradeTold(99, "BUY", HELD, PRICE, ZERO, ZERO, T + SECOND)


def restarted(*orders, held=HELD, **changes):
    """A term whose journal is empty, and what it does about what stands and is held."""
    driver = Driver(ready=False, **changes)
    driver.snapshot(orders, held)
    return driver


def test_a_restored_journal_is_rebuilt_before_anything_else():
    driver = restarted(STOP, TARGET)
    driver(ev.SignalSeen(signal("s9", kind="add", price=PRICE + 400)), 1)
    assert [type(one) for one in driver.all if not isinstance(one, Notify | JournalOrder | JournalPosition)] == [Recall]
    assert driver.verdict("s9") is None, "it waits until it is known what is held"
    driver.recalled(STOP, TARGET, ENTRY, trades=[OPENED], signals=[SAID])
    position = driver.position()
    assert (position.ours, position.side, position.strategy, position.signal) == (True, "long", "macd", "s1")
    assert (position.stop_order, position.stop_price) == (STOP.id, PRICE - 600)
    assert (position.take_profit_order, position.take_profit_price) == (TARGET.id, PRICE + 1800)
    assert (position.atr, position.last_add_price, position.units) == (SAID.atr, SAID.price, 2)
    written = {one.order.id: one.order for one in driver.all if isinstance(one, JournalOrder)}
    assert set(written) == {STOP.id, TARGET.id, ENTRY.id}
    assert (written[ENTRY.id].signal, written[ENTRY.id].leg, written[ENTRY.id].filled) == ("s1", "entry", HELD)
    assert not [one for one in driver.all if isinstance(one, Cancel)]
    assert driver.order("add").signal == "s9"


def test_what_is_found_again_is_told():
    driver = restarted(STOP)
    driver.recalled(STOP, ENTRY, trades=[OPENED], signals=[SAID])
    assert any(one.text == f"{HELD} {SYMBOL} is ours, of macd by s1" for one in driver.got(Notify))


def test_the_unit_that_is_found_again_is_the_nearest_that_the_orders_show():
    """Each was rounded down to lots: the trial of 0.055 is half of 0.111."""
    made = [("trial", "0.055"), ("entry", "0.167"), ("add", "0.111"), ("add", "0.111")]
    orders, trades = [], []
    for number, (leg, quantity) in enumerate(made):
        name, at = IDENTITY.order_id(f"s{number}", leg), T - MINUTE + number
        lots = Decimal(quantity)
        orders.append(replace(ENTRY, id=name, filled=lots, quantity=lots, exchange_id=number, at=at))
        trades.append(replace(OPENED, exchange_id=number, quantity=lots, at=at))
    driver = restarted(held=Decimal("0.444"))
    driver.recalled(*orders, trades=trades, signals=[replace(SAID, id="s0", kind="trial")])
    assert (driver.position().signal, driver.position().units) == ("s0", 4)


def test_the_unit_of_an_order_that_is_still_being_filled_is_that_of_all_it_wants():
    part = replace(ENTRY, state="partially_filled", filled=HELD / 4)
    driver = restarted(held=HELD / 4)
    driver.recalled(part, trades=[replace(OPENED, quantity=HELD / 4)], signals=[SAID])
    assert (driver.position().unit_quantity, driver.position().units) == (HELD / 2, Decimal("0.5"))


def test_a_position_of_ours_without_a_stop_gets_the_one_its_entry_would_have_had():
    driver = restarted()
    driver.recalled(ENTRY, trades=[OPENED], signals=[SAID])
    assert driver.one(JournalIntent).order.trigger_price == PRICE - 600, "2 ATR from its entry"


def test_where_nobody_knows_the_signal_the_stop_is_as_far_away_as_it_may_be():
    driver = restarted()
    driver.recalled(ENTRY, trades=[OPENED])
    assert driver.one(JournalIntent).order.trigger_price == Decimal("44128.6"), "80 % of the way to its liquidation"


def test_a_position_that_only_its_stop_says_is_ours_is_kept_and_nothing_is_added():
    driver = restarted(STOP)
    driver.recalled(STOP)
    position = driver.position()
    assert (position.ours, position.strategy, position.stop_price) == (True, None, PRICE - 600)
    assert any("nobody knows its signal" in one.text for one in driver.got(Notify))
    for kind in ("entry", "add", "exit"):
        driver(ev.SignalSeen(signal(f"a {kind}", kind=kind)), 1)
        assert "nobody knows its signal" in driver.verdict(f"a {kind}").reason
    assert not driver.got(Cancel)
    driver(ev.HaltSeen(halted=True, flatten=True), 1)
    assert driver.one(JournalIntent).order.leg == "flatten"


@pytest.mark.parametrize("orders", [(), (STOP,)])
def test_what_somebody_else_opened_is_theirs_also_under_a_stop_of_ours(orders):
    driver = restarted(*orders)
    driver.recalled(*orders, ENTRY, trades=[OPENED, replace(OPENED, side="SELL"), replace(OPENED, exchange_id=99)])
    assert not driver.position().ours
    assert any("is not ours" in one.text for one in driver.got(Notify))
    driver.wait(10 * SECOND)
    assert not [one for one in driver.all if isinstance(one, Cancel | Place | JournalIntent)]


def test_an_older_journal_learns_what_was_added_and_its_stop_does_not_loosen():
    before = Driver()
    before.protected(name="s0", price=PRICE)
    first, stop = before.order("entry"), before.order("stop")
    opened = TradeTold(first.exchange_id, "BUY", first.filled, PRICE, ZERO, ZERO, T)
    add = replace(ENTRY, id=IDENTITY.order_id("s1", "add"), at=T + MINUTE)
    tighter = replace(STOP, trigger_price=stop.trigger_price + 300)
    driver = restarted(tighter, held=first.filled + HELD, orders=[first, stop], positions=[before.position()])
    driver.recalled(
        tighter, add, known=[first], trades=[opened, replace(OPENED, at=T + MINUTE)],
        signals=[signal("s1", kind="add", at=T + MINUTE, price=PRICE + 300)],
    )  # fmt: skip
    position = driver.position()
    assert (position.signal, position.stop_price) == ("s0", tighter.trigger_price)
    assert position.last_add_price == PRICE + 300
    assert not [one for one in driver.all if isinstance(one, Cancel)]


def test_what_was_filled_before_is_no_part_of_it_though_our_clock_has_been_set_back_since():
    before = Driver()
    before.protected(name="s0", price=PRICE)
    first = before.order("entry")
    older = replace(first, id="older", interval="4h", exchange_id=1, created_at=T + HOUR, seen_at=T - MINUTE)
    opened = TradeTold(first.exchange_id, "BUY", first.filled, PRICE, ZERO, ZERO, first.seen_at)
    mended = rebuilt(before.position(), [first, older], [opened], {}, POLICY.risk)
    assert mended.interval == first.interval


def journaled():
    """What a term leaves that holds a position: its journal, and the fill that opened it."""
    before = Driver()
    before.protected(name="s0", price=PRICE)
    first = before.order("entry")
    opened = TradeTold(first.exchange_id, "BUY", first.filled, PRICE, ZERO, ZERO, T)
    return opened, {"orders": [first, before.order("stop")], "positions": [before.position()]}


@pytest.mark.parametrize("again", [Decimal("0.5"), Decimal(1)], ids=["another quantity", "another price"])
def test_what_somebody_opened_since_the_journal_was_written_is_theirs(again):
    opened, journal = journaled()
    first, stop = journal["orders"]
    closed, theirs = replace(opened, exchange_id=98, side="SELL"), replace(opened, exchange_id=99)
    theirs = replace(theirs, quantity=(opened.quantity * again).quantize(Decimal("0.001")), price=PRICE + 5)
    driver = Driver(ready=False, **journal)
    told = PositionTold(SYMBOL, theirs.quantity, theirs.price)
    standing = driver.told(stop)
    driver(ev.Snapshot((standing,), (told,), (ACCOUNT,), driver.now))
    assert driver.one(Recall)
    driver.recalled(standing, known=[first, stop], trades=[opened, closed, theirs])
    assert not driver.position().ours
    driver.wait(10 * SECOND)
    assert not [one for one in driver.all if isinstance(one, Cancel | Place | JournalIntent)], "its stop stands"


def test_what_was_reduced_by_others_stays_ours():
    opened, journal = journaled()
    first, stop = journal["orders"]
    less = replace(opened, exchange_id=98, side="SELL", quantity=Decimal("0.001"))
    driver = Driver(ready=False, **journal)
    standing = driver.told(stop)
    driver.snapshot([standing], first.filled - less.quantity)
    driver.recalled(standing, known=[first, stop], trades=[opened, less])
    assert (driver.position().ours, driver.position().signal) == (True, "s0")


def test_what_our_own_exit_has_left_of_what_others_added_stays_ours():
    """There is one position a symbol, and it was never gone."""
    opened, journal = journaled()
    first, stop = journal["orders"]
    added, left = replace(opened, exchange_id=98), replace(opened, exchange_id=9, side="SELL")
    close = OrderTold(IDENTITY.order_id("s2", "exit"), SYMBOL, "SELL", "filled", left.quantity, T, exchange_id=9)
    driver = Driver(ready=False, **journal)
    standing = driver.told(stop)
    driver.snapshot([standing], first.filled)
    driver.recalled(standing, close, known=[first, stop], trades=[opened, added, left])
    assert (driver.position().ours, driver.position().signal) == (True, "s0")


def test_fills_that_do_not_show_our_entry_yet_prove_nothing():
    _, journal = journaled()
    first, stop = journal["orders"]
    driver = Driver(ready=False, **journal)
    standing = driver.told(stop)
    driver.snapshot([standing], first.filled + HELD)
    driver.recalled(standing, known=[first, stop], trades=[replace(OPENED, quantity=first.filled + HELD)])
    assert (driver.position().ours, driver.position().signal) == (True, "s0")


def gives_up(driver, entry):
    driver.wait(MINUTE)
    driver(ev.OrderFailed(entry.id, "no connection"))


def never_arrived(driver, entry):
    driver(ev.OrderUnknown(entry.id, "reset"))
    driver.wait(POLICY.surely_gone)
    driver(ev.OrderNotFound(entry.id, driver.now))
    driver(ev.FillsSeen(SYMBOL, (BY_HAND,), 0, driver.now))
    driver(ev.OrderSeen(OrderTold("web-1", SYMBOL, "BUY", "filled", HELD, T, exchange_id=99), "query"))
    driver(ev.FillsSeen(SYMBOL, (BY_HAND,), 0, driver.now))
    driver(ev.PositionsSeen((PositionTold(SYMBOL, HELD, PRICE),), driver.now, "query"))


@pytest.mark.parametrize(
    "ends",
    [
        lambda driver, entry: driver(ev.OrderRejected(entry.id, -2019, "margin is insufficient")),
        lambda driver, entry: driver.seen(entry, "expired"),
        gives_up,
        never_arrived,
    ],
    ids=["refused", "expired", "given up", "never arrived"],
)
def test_what_somebody_opened_while_an_entry_was_under_way_is_theirs_once_that_has_filled_nothing(ends):
    driver = Driver()
    entry = driver.sent()
    driver.now = BY_HAND.at
    driver.holds(HELD)
    assert (driver.position().ours, driver.position().signal) == (True, "s1"), "as far as one can know: it is protected"
    ends(driver, entry)
    assert [one for one in driver.all if isinstance(one, Recall)]
    driver.recalled(trades=[BY_HAND])
    assert not driver.position().ours
    (end,) = [one for one in driver.all if isinstance(one, Notify) and one.title.endswith("is closed")]
    assert end.text == "for us: it was somebody else's all along, and our entry was not filled"


def test_what_somebody_opened_while_the_journal_did_not_take_an_entry_is_theirs():
    driver = Driver()
    driver(ev.SignalSeen(signal()), 1)
    entry = driver.one(JournalIntent).order
    driver.now = BY_HAND.at
    driver.holds(HELD)
    driver(ev.IntentRefused(entry.id, exists=False, reason="no server"), 1)
    assert driver.one(Recall)
    driver.recalled(trades=[BY_HAND])
    assert not driver.position().ours


def test_what_was_closed_and_opened_again_is_theirs_though_its_own_entry_is_too_old_to_be_listed():
    opened, journal = journaled()
    closed = replace(opened, exchange_id=98, side="SELL", at=T + DAY)
    driver = Driver(ready=False, **journal)
    driver.snapshot([driver.told(journal["orders"][1])], opened.quantity)
    driver.recalled(trades=[closed, replace(opened, exchange_id=99, at=T + DAY + 1)])
    assert not driver.position().ours


def test_where_the_past_never_comes_what_stands_counts_and_the_stop_does_not_loosen():
    before = Driver()
    before.protected(name="s0", price=PRICE)
    first, stop = before.order("entry"), before.order("stop")
    tighter = replace(STOP, trigger_price=stop.trigger_price + 300)
    driver = restarted(tighter, held=first.filled, orders=[first, stop], positions=[before.position()])
    driver.seen(stop, "cancelled")
    for _ in range(70):
        driver.wait(SECOND)
        driver.snapshot([tighter], first.filled)
    assert driver.position().stop_price == tighter.trigger_price
    assert not [one for one in driver.all if isinstance(one, Cancel | Place | JournalIntent)]


def test_a_bridge_that_stands_alone_says_how_tight_the_stop_was():
    bridge = replace(STOP, close_position=False, quantity=HELD, trigger_price=PRICE - 300)
    driver = restarted(bridge)
    driver.recalled(bridge, ENTRY, trades=[OPENED], signals=[SAID])
    assert driver.position().stop_price == PRICE - 300
    assert driver.one(JournalIntent).order.trigger_price == PRICE - 300
    assert not [one for one in driver.all if isinstance(one, Cancel)]


def test_an_older_journal_does_not_take_a_later_position_for_the_one_it_knows():
    before = Driver()
    before.protected(name="s0")
    old = before.order("entry")
    driver = restarted(STOP, orders=[old, before.order("stop")], positions=[before.position()])
    driver.recalled(STOP, ENTRY, known=[old], trades=[OPENED], signals=[SAID])
    assert (driver.position().signal, driver.position().stop_price) == ("s1", STOP.trigger_price)


def test_the_past_is_asked_for_again_until_it_comes_and_at_last_done_without():
    driver = restarted(STOP)
    asked = [one for one in driver.wait(50 * SECOND, 1000) if isinstance(one, Recall)]
    assert 8 <= len(asked) <= 11
    driver.wait(20 * SECOND, 1000)
    assert any("the past of BTCUSDT is not known" in one.title for one in driver.all if isinstance(one, Notify))
    assert not [one for one in driver.wait(30 * SECOND, 1000) if isinstance(one, Recall | Cancel)]


def test_the_position_of_an_installation_that_was_taken_over_is_rebuilt_from_its_signals():
    theirs = Identity("sim", "theirs")
    heir = replace(IDENTITY, taken_over=frozenset({"theirs"}))
    stop = replace(STOP, id=theirs.order_id("s1", "stop", 1))
    entry = replace(ENTRY, id=theirs.order_id("s1", "entry"))
    driver = restarted(stop, identity=heir)
    driver.recalled(stop, entry, trades=[OPENED], signals=[SAID])
    assert (driver.position().signal, driver.position().stop_order) == ("s1", stop.id)
    driver(ev.SignalSeen(SAID), 1)
    assert driver.verdict("s1").orders == (entry.id,), "it was acted on"


# Signals from before the term


def test_a_signal_from_before_the_term_is_acted_on_only_when_the_exchange_has_no_order_of_it():
    driver = Driver()
    driver(ev.SignalSeen(SAID), 1)
    assert driver.one(Query).order.id == ENTRY.id
    assert not driver.got(JournalIntent)
    driver.wait(3 * SECOND)
    assert len(driver.got(Query)) == 3, "asked again each second"
    driver(ev.OrderNotFound(ENTRY.id, driver.now))
    assert driver.one(JournalIntent).order.id == ENTRY.id


def test_a_signal_that_was_acted_on_before_the_journal_was_lost_is_not_acted_on_again():
    driver = Driver()
    driver(ev.SignalSeen(SAID), 1)
    driver(ev.OrderSeen(ENTRY, "query"), 1)
    assert driver.one(WriteVerdict).orders == (ENTRY.id,)
    assert not [one for one in driver.all if isinstance(one, JournalIntent | Place)]
    assert driver.one(JournalOrder).order.state == "filled"


def test_what_is_said_in_the_term_needs_no_question():
    driver = Driver()
    driver(ev.SignalSeen(signal("s1", at=T)), 1)
    assert driver.one(JournalIntent)
    assert not driver.got(Query)


def test_the_term_begins_with_its_first_comparison_whatever_its_clock_took_it_to_be():
    driver = Driver(ready=False)
    driver.now -= 15 * SECOND
    driver.wait(SECOND)
    driver.now = T + MINUTE
    driver.snapshot()
    driver(ev.SignalSeen(signal("s1", at=T + 50 * SECOND, fresh_until=T + 2 * MINUTE)), 1)
    assert driver.one(Query).order.id == ENTRY.id, "it may have been acted on before the first comparison"
    assert not driver.got(JournalIntent)


@pytest.mark.parametrize(("kind", "side"), [("exit", "long"), ("entry", "short")])
def test_a_signal_that_closed_before_the_journal_was_lost_does_not_close_again(kind, side):
    driver = Driver()
    driver.protected()
    said = signal("s2", kind=kind, side=side, at=T - MINUTE)
    driver(ev.SignalSeen(said), 1)
    exit_id = IDENTITY.order_id("s2", "exit")
    assert exit_id in [one.order.id for one in driver.got(Query)]
    assert not driver.got(JournalIntent)
    done = OrderTold(exit_id, SYMBOL, "SELL", "filled", HELD, T - MINUTE, exchange_id=8, average_price=PRICE)
    driver(ev.OrderSeen(done, "query"), 1)
    assert driver.verdict("s2").orders == (exit_id,), "it was acted on"
    assert driver.order("exit").state == "filled"
    driver.recalled(done, ENTRY, trades=[OPENED], signals=[SAID])
    assert not [one for one in driver.all if isinstance(one, Place) and one.order.leg == "exit"]


def test_a_signal_from_before_the_term_closes_when_the_exchange_has_no_order_of_it():
    driver = Driver()
    driver.protected()
    driver(ev.SignalSeen(signal("s2", kind="exit", at=T - MINUTE)), 1)
    asked = driver.one(Query).order
    assert (asked.id, asked.leg) == (IDENTITY.order_id("s2", "exit"), "exit")
    driver(ev.OrderNotFound(asked.id, driver.now))
    assert driver.one(JournalIntent).order.id == asked.id


def test_an_entry_that_arrives_after_its_journal_was_lost_is_protected():
    driver = Driver()
    driver(ev.OrderSeen(replace(ENTRY, at=driver.now), "stream"), 1)
    opened = replace(OPENED, at=driver.now)
    driver.holds(HELD)
    assert any(isinstance(one, Recall) for one in driver.all)
    driver.recalled(ENTRY, trades=[opened], signals=[SAID])
    assert [one.order.trigger_price for one in driver.got(JournalIntent)] == [PRICE - 600]
