"""What follows a stop or a pair on spot, and what each answer to it means: docs/execution.md, row by row."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.coins import sellable
from pipeline.execution.engine.effects import (
    Cancel,
    JournalIntent,
    Place,
    Query,
)
from pipeline.execution.engine.pairs import placed
from pipeline.execution.engine.protect import (
    PlaceProtection,
)
from pipeline.execution.engine.state import OrderRecord
from pipeline.timeline import MINUTE, SECOND
from tests.execution.coin_driver import ENTRY, HELD, RISK, SPOT, ZERO, Coins
from tests.execution.driver import FILTERS, IDENTITY, PRICE, T


@pytest.fixture
def core() -> Coins:
    core = Coins()
    core.compared()
    return core


def adds(core: Coins, name: str = "s2") -> None:
    """An add is filled, a second after the pair was placed; what is to take its place is to be journaled."""
    core.wait(2 * SECOND)
    core.bought(name=name, kind="add", price=PRICE + 600)


def alone(**changes) -> Coins:
    """A core whose stops have no target beside them."""
    core = Coins(replace(SPOT, risk=RISK.model_copy(update={"take_profit_atr": None})), **changes)
    core.compared()
    return core


def stopped(core: Coins) -> OrderRecord:
    """A stop alone stands."""
    core.bought()
    core.journal()
    core.seen(core.one(Place).order)
    return core.order("stop")


def test_what_takes_the_place_of_a_pair_is_journaled_before_that_is_cancelled(core: Coins) -> None:
    old, target = core.paired()
    adds(core)
    assert [one.order.leg for one in core.got(JournalIntent)] == ["take_profit", "stop"]
    assert core.got(Cancel) == []
    core.journal()
    assert [one.order.id for one in core.got(Cancel)] == [old.id]
    assert core.got(Place) == []
    core(ev.OrderSeen(core.told(old, "cancelled"), "answer"), 1)
    assert core.got(Place) == [], "it is not known yet that the other one is gone"
    core(ev.OrderSeen(core.told(target, "cancelled"), "answer"), 1)
    placed = core.one(Place)
    assert (placed.order.leg, placed.beside.leg, placed.instead) == ("stop", "take_profit", None)
    assert placed.order.quantity > old.quantity
    assert core.got(JournalIntent) == []


def test_nothing_is_cancelled_before_the_next_may_be_placed(core: Coins) -> None:
    core.paired()
    core.bought(name="s2", kind="add", price=PRICE + 600)
    assert core.got(JournalIntent) == core.got(Cancel) == []
    assert [one for one in core.wait(SECOND) if isinstance(one, Cancel)] == []


def test_a_stop_alone_is_replaced_in_one_request() -> None:
    core = alone()
    old = stopped(core)
    adds(core)
    (new,) = (one.order for one in core.got(JournalIntent))
    core.journal()
    placed = core.one(Place)
    assert (placed.order.id, placed.beside, placed.instead.id) == (new.id, None, old.id)
    assert core.got(Cancel) == []
    core(ev.OrderSeen(core.told(old, "cancelled"), "answer"), 1)
    core(ev.OrderSeen(core.told(placed.order), "answer"), 1)
    assert core.position().stop_order == new.id
    assert [one for one in core.wait(5 * SECOND) if isinstance(one, Place | Cancel | Query)] == []


def replacing() -> tuple[Coins, OrderRecord, OrderRecord]:
    """A stop alone is being replaced: what stood, and what is on its way."""
    core = alone()
    old = stopped(core)
    adds(core)
    core.journal()
    return core, old, core.one(Place).order


def test_a_replacing_that_failed_whole_leaves_what_stood_to_be_asked_for() -> None:
    core, old, new = replacing()
    core(ev.CancelFailed(old.id, "-2011"), 1)
    assert [one.order.id for one in core.got(Query)] == [old.id]
    core(ev.OrderFailed(new.id, "-2022"), 1)
    assert [one for one in core.wait(100, 50) if isinstance(one, Place)] == []
    core(ev.OrderSeen(core.told(old, "filled", old.quantity, average_price=PRICE), "query"), 1)
    intents = [one.order for one in core.wait(SECOND) if isinstance(one, JournalIntent)]
    assert core.core.order(new.id).state == "abandoned"
    assert [one.quantity for one in intents] == [sellable(core.position().quantity, FILTERS)]
    assert intents[0].quantity < new.quantity


def test_what_was_cancelled_otherwise_is_followed_by_the_same_order() -> None:
    core, old, new = replacing()
    core(ev.CancelFailed(old.id, "-2011"), 1)
    core(ev.OrderFailed(new.id, "-2022"), 1)
    core(ev.OrderSeen(core.told(old, "cancelled"), "query"), 1)
    again = [one for one in core.wait(SECOND) if isinstance(one, Place)]
    assert [(one.order.id, one.instead) for one in again] == [(new.id, None)]


@pytest.mark.parametrize(
    ("code", "text", "then"),
    [
        (-2010, "Order would trigger immediately.", "flatten"),
        (-2010, "Market is closed.", "flatten"),
        (-1015, "Too many new orders.", "stop"),
    ],
)
def test_what_was_cancelled_and_could_not_be_replaced_is_placed_anew_or_closed(code, text, then) -> None:
    core, old, new = replacing()
    core(ev.OrderSeen(core.told(old, "cancelled"), "answer"), 1)
    core(ev.OrderRejected(new.id, code, text), 1)
    core.journal()
    sent = [one for one in (*core.last, *core.wait(2 * SECOND)) if isinstance(one, Place)]
    assert [(one.order.leg, one.instead) for one in sent] == [(then, None)]


def test_what_was_refused_before_anything_was_done_stands_and_is_moved_by_a_cancel() -> None:
    core, old, new = replacing()
    core(ev.OrderRejected(new.id, -1013, "Filter failure: MAX_NUM_ALGO_ORDERS"), 1)
    assert core.position().closing is None
    asked = {one.order.id for one in (*core.last, *core.wait(250)) if isinstance(one, Query)}
    assert asked == {old.id}
    core(ev.OrderSeen(core.told(old), "query"), 1)
    intents = [one for one in (*core.last, *core.wait(SECOND)) if isinstance(one, JournalIntent)]
    (again,) = {one.order.id for one in intents}
    core(ev.IntentJournaled(again), 1)
    assert [one.order.id for one in core.got(Cancel)] == [old.id]
    core(ev.OrderSeen(core.told(old, "cancelled"), "answer"), 1)
    assert core.one(Place).instead is None


def test_where_the_answer_is_lost_both_are_asked_for_and_nothing_is_sent_before() -> None:
    core, old, new = replacing()
    core(ev.OrderUnknown(new.id, "timeout"), 1)
    asked = [one.order.id for one in core.wait(SECOND) if isinstance(one, Query)]
    assert new.id in asked
    core(ev.OrderNotFound(new.id, core.now), 1)
    assert core.got(JournalIntent) == core.got(Place) == core.got(Cancel) == []
    core.wait(SPOT.surely_gone)
    core(ev.OrderNotFound(new.id, core.now), 1)
    assert core.core.order(new.id).state == "abandoned"
    asked = {one.order.id for one in (*core.last, *core.wait(250)) if isinstance(one, Query)}
    assert asked == {old.id}, "it may be gone, though nothing has come in its place"
    core(ev.OrderSeen(core.told(old, "cancelled"), "query"), 1)
    assert [one.order.leg for one in core.got(JournalIntent)] == ["stop"]


def test_where_the_answer_is_lost_and_it_was_done_what_stood_is_found_to_be_gone() -> None:
    core, old, new = replacing()
    core(ev.OrderUnknown(new.id, "timeout"), 1)
    core.wait(SECOND)
    core(ev.OrderSeen(core.told(new), "query"), 1)
    asked = {one.order.id for one in (*core.last, *core.wait(250)) if isinstance(one, Query)}
    assert asked == {old.id}
    core(ev.OrderSeen(core.told(old, "cancelled"), "query"), 1)
    assert core.position().stop_order == new.id
    assert [one for one in core.wait(5 * SECOND) if isinstance(one, Place | Cancel)] == []


def test_what_is_to_be_closed_needs_nothing_in_the_place_of_what_stands() -> None:
    core = alone()
    old = stopped(core)
    adds(core)
    core(ev.HaltSeen(halted=True, flatten=True), 1)
    intents = [one for one in core.all if isinstance(one, JournalIntent) and one.order.leg == "stop"]
    for one in intents[-1:]:
        core(ev.IntentJournaled(one.order.id), 1)
    assert core.core.order(intents[-1].order.id).state == "abandoned"
    core.seen(old, "cancelled")
    core.journal()
    assert core.one(Place).order.leg == "flatten"


def test_what_fired_meanwhile_needs_nothing_in_its_place(core: Coins) -> None:
    old, target = core.paired()
    adds(core)
    core.journal()
    core.seen(target, "expired")
    core.seen(old, "filled", old.quantity, average_price=PRICE)
    core.wait(SECOND)
    sent = [one.order for one in core.all if isinstance(one, Place) and one.order.leg == "stop"]
    assert [one.quantity for one in sent[1:]] == [] or sent[-1].quantity <= core.position().quantity


@pytest.mark.parametrize("attempts", [0, 1])
def test_what_another_term_had_journaled_in_the_place_of_what_stands_is_asked_for(attempts: int) -> None:
    held = replace(HELD, quantity=Decimal(3))
    (old,) = placed(IDENTITY, held, PlaceProtection("stop", Decimal(59_400), Decimal(2)), T - MINUTE)
    (new,) = placed(IDENTITY, held, PlaceProtection("stop", Decimal(59_400), Decimal(3)), T)
    entry = replace(ENTRY, id="e", leg="entry", state="filled", filled=Decimal(3), kept=ZERO, exchange_id=4)
    stood = replace(old, state="accepted", exchange_id=5)
    core = Coins(orders=(entry, stood, replace(new, attempts=attempts)), positions=(held,))
    core.compared(core.told(stood), balance=3)
    assert core.got(Place) == core.got(Cancel) == []
    assert new.id in [one.order.id for one in core.wait(SECOND) if isinstance(one, Query)]
