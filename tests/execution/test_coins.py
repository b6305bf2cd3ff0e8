"""Section "Spot" of docs/execution.md, row by row; how what stands is moved is beside, in `test_moving_coins`."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.execution.engine.coins import since_dust
from pipeline.execution.engine.effects import (
    Cancel,
    JournalIntent,
    Notify,
    Place,
    Query,
    QueryFills,
    Recall,
    Reconcile,
)
from pipeline.execution.engine.pairs import placed, steps
from pipeline.execution.engine.protect import (
    CancelProtection,
    DropProtection,
    MoveProtection,
    PlaceProtection,
    Step,
)
from pipeline.execution.engine.refusals import Reaction, reaction
from pipeline.execution.engine.state import OrderRecord, PositionTold, TradeTold
from pipeline.timeline import DAY, MINUTE, SECOND
from tests.execution.coin_driver import ENTRY, HELD, INSTRUMENT, RISK, RULES, SPOT, ZERO, Coins
from tests.execution.driver import FILTERS, IDENTITY, PRICE, SYMBOL, T, signal


@pytest.fixture
def core() -> Coins:
    core = Coins()
    core.compared()
    return core


# Placing


def test_a_pair_is_placed_for_what_was_received_in_lots(core: Coins) -> None:
    order = core.bought()
    target, stop = (one.order for one in core.got(JournalIntent))
    received = order.quantity * Decimal("0.999")
    assert (stop.leg, target.leg) == ("stop", "take_profit")
    assert stop.quantity == target.quantity == received // Decimal("0.001") * Decimal("0.001") < received
    assert (stop.trigger_price, target.trigger_price) == (order.plan.stop_price, order.plan.take_profit_price)
    core.journal()
    sent = core.one(Place)
    assert (sent.order.id, sent.beside.id) == (stop.id, target.id)


def test_nothing_is_placed_before_it_is_known_what_was_kept(core: Coins) -> None:
    order = core.sent()
    core.seen(order, "filled", order.quantity, average_price=PRICE)
    assert core.got(JournalIntent) == []
    assert core.got(QueryFills)
    number = core.order("entry").exchange_id
    trade = TradeTold(number, "BUY", order.quantity, PRICE, ZERO, ZERO, core.now, kept=order.quantity / 1000)
    core(ev.FillsSeen(SYMBOL, (trade,), T - DAY, core.now), 1)
    assert [one.order.leg for one in core.got(JournalIntent)] == ["take_profit", "stop"]
    assert core.position().quantity == order.quantity * Decimal("0.999")


def test_a_fee_in_another_coin_takes_nothing_of_them(core: Coins) -> None:
    order = core.sent()
    core.seen(order, "filled", order.quantity, kept=ZERO, average_price=PRICE)
    assert core.order("stop").quantity == order.quantity


TARGET, STOP = placed(IDENTITY, HELD, PlaceProtection("stop", Decimal(59_400), Decimal(2), Decimal(60_900)), T)
PAIR = (replace(STOP, state="accepted"), replace(TARGET, state="accepted"))
NEXT = placed(IDENTITY, HELD, PlaceProtection("stop", Decimal(59_500), Decimal(2), Decimal(60_900)), T + 1)[::-1]
EXIT = OrderRecord("x", SYMBOL, "s2", "exit", "SELL", "MARKET", Decimal(2), 0, 0)


@pytest.mark.parametrize(
    ("orders", "changes", "next_steps"),
    [
        ((), {}, ["+2@59400/60900"]),
        (PAIR, {}, []),
        (PAIR, {"stop_price": Decimal(59_500)}, ["+2@59500/60900"]),
        (PAIR, {"take_profit_price": None}, ["+2@59400/None"]),
        (PAIR, {"quantity": Decimal(3)}, ["+3@59400/60900"]),
        ((*PAIR, *NEXT), {"stop_price": Decimal(59_500)}, ["stop>stop"]),
        ((*PAIR, *NEXT), {"stop_price": Decimal(59_600)}, ["~stop"]),
        ((*PAIR, *NEXT), {"stop_price": Decimal(59_500), "quantity": Decimal(3)}, ["~stop"]),
        ((*PAIR, *NEXT), {}, ["~stop"]),
        ((*PAIR, *NEXT), {"stop_price": Decimal(59_500), "closing": "why"}, ["~stop", "-stop"]),
        ((*PAIR, *NEXT, ENTRY), {"stop_price": Decimal(59_500)}, []),
        (NEXT, {"stop_price": Decimal(59_500)}, []),
        (NEXT, {"closing": "why"}, ["~stop"]),
        ((PAIR[0], NEXT[0]), {"stop_price": Decimal(59_500), "take_profit_price": None}, ["stop>>stop"]),
        ((*PAIR, NEXT[0]), {"stop_price": Decimal(59_500), "take_profit_price": None}, ["stop>>stop"]),
        ((PAIR[0], *NEXT), {"stop_price": Decimal(59_500)}, ["stop>stop"]),
        ((PAIR[1], *NEXT), {"stop_price": Decimal(59_500)}, ["take_profit>stop"]),
        (PAIR, {"quantity": Decimal("2.0009")}, []),
        ((*PAIR, ENTRY), {"stop_price": Decimal(59_500)}, []),
        ((ENTRY,), {}, ["+2@59400/60900"]),
        (PAIR[1:], {}, ["+2@59400/60900"]),
        (PAIR, {"closing": "why"}, ["-stop"]),
        ((*PAIR, EXIT), {"closing": "why"}, ["-stop"]),
        ((EXIT,), {"closing": "why"}, []),
        ((), {"closing": "why"}, []),
        ((), {"entered_at": 5}, []),
        *(((replace(PAIR[0], state=doubt), PAIR[1]), {"closing": "why"}, []) for doubt in ("sent", "unknown")),
        ((replace(PAIR[0], state="partially_filled"), PAIR[1]), {"closing": "why"}, []),
    ],
)
def test_the_next_step_of_the_pair(orders, changes, next_steps) -> None:
    words = [in_short(step) for step in steps(replace(HELD, **changes), orders, FILTERS)]
    assert words == next_steps


def in_short(step: Step) -> str:
    match step:
        case CancelProtection(order):
            return f"-{order.leg}"
        case DropProtection(order):
            return f"~{order.leg}"
        case MoveProtection(order, standing, at_once):
            return f"{'+'.join(one.leg for one in standing)}{'>>' if at_once else '>'}{order.leg}"
        case PlaceProtection():
            return f"+{step.quantity}@{step.trigger}/{step.target}"


# Doubts


def test_a_pair_whose_answer_was_lost_is_not_sent_again_before_it_is_proven_absent(core: Coins) -> None:
    core.bought()
    core.journal()
    first = core.one(Place)
    core(ev.OrderUnknown(first.order.id, "timeout"), 1)
    assert {core.state("stop"), core.state("take_profit")} == {"unknown"}
    core.wait(SECOND)
    assert {one.order.id for one in core.got(Query)} >= {first.order.id, first.beside.id}
    for one in (first.order, first.beside):
        core(ev.OrderNotFound(one.id, core.now), 1)
    assert core.got(JournalIntent) == core.got(Place) == []
    core.wait(SPOT.surely_gone)
    for one in (first.order, first.beside):
        core(ev.OrderNotFound(one.id, core.now), 1)
    assert core.core.order(first.order.id).state == core.core.order(first.beside.id).state == "abandoned"
    assert [one.order.leg for one in core.got(JournalIntent)] == ["take_profit", "stop"]


def test_a_pair_that_did_not_arrive_is_sent_again_as_one(core: Coins) -> None:
    core.bought()
    core.journal()
    first = core.one(Place)
    core(ev.OrderFailed(first.order.id, "overloaded"), 1)
    again = [one for one in core.wait(SECOND) if isinstance(one, Place)]
    assert [(one.order.id, one.beside.id) for one in again] == [(first.order.id, first.beside.id)]


def test_of_a_pair_told_by_half_the_other_is_asked_and_nothing_is_placed_before(core: Coins) -> None:
    stop, target = core.paired()
    core.seen(stop, "expired")
    assert [one.order.id for one in core.wait(250) if isinstance(one, Query)] == [target.id]
    assert core.got(JournalIntent) == []
    core(ev.OrderSeen(core.told(target, "filled", target.quantity), "query"), 1)
    assert core.position().quantity == 0


def test_what_stood_and_is_not_shown_is_not_replaced_for_a_minute(core: Coins) -> None:
    stop, target = core.paired()
    core.now += SECOND
    core.compared(balance="7")
    core.wait(SECOND)
    core(ev.OrderNotFound(stop.id, core.now), 1)
    core(ev.OrderNotFound(target.id, core.now), 1)
    assert {core.state("stop"), core.state("take_profit")} == {"accepted"}
    core.wait(MINUTE)
    core(ev.OrderNotFound(stop.id, core.now), 1)
    assert core.core.order(stop.id).state == "abandoned"


def test_a_sale_is_proven_absent_by_its_id_and_the_trades_whatever_the_balance(core: Coins) -> None:
    core.paired()
    core(ev.HaltSeen(halted=True, flatten=True), 1)
    core.seen(core.order("stop"), "cancelled")
    core.seen(core.order("take_profit"), "cancelled")
    core.journal()
    sale = core.one(Place).order
    core(ev.OrderUnknown(sale.id, "timeout"), 1)
    core.wait(SPOT.surely_gone + SECOND)
    core(ev.OrderNotFound(sale.id, core.now), 1)
    core(ev.FillsSeen(SYMBOL, (), T - DAY, core.now), 1)
    assert core.core.order(sale.id).state == "abandoned"
    assert core.order("flatten").id != sale.id


# Closing


def test_the_pair_goes_before_what_closes_and_no_more_is_sold_than_is_held(core: Coins) -> None:
    stop, target = core.paired()
    core(ev.SignalSeen(signal("s2", kind="exit")), 1)
    core.journal()
    assert core.got(Place) == []
    assert [one.order.id for one in core.got(Cancel)] == [stop.id]
    core.seen(stop, "cancelled")
    core.seen(target, "cancelled")
    (sale,) = [one.order for one in core.all if isinstance(one, Place) and one.order.leg == "exit"]
    assert sale.quantity == stop.quantity
    core.seen(sale, "filled", sale.quantity)
    assert core.position().quantity == 0


def test_what_fired_while_it_was_cancelled_is_not_sold_twice(core: Coins) -> None:
    stop, target = core.paired()
    core(ev.SignalSeen(signal("s2", kind="exit")), 1)
    core.journal()
    core.seen(target, "expired")
    core.seen(stop, "filled", stop.quantity)
    core.wait(SECOND)
    assert [one for one in core.all if isinstance(one, Place) and one.order.leg == "exit"] == []
    assert core.state("exit") == "abandoned"


def test_what_a_sale_has_brought_is_what_was_got_above_what_was_paid(core: Coins) -> None:
    stop, target = core.paired()
    core.seen(target, "expired")
    core.seen(stop, "filled", stop.quantity, average_price=PRICE + 100)
    assert core.order("stop").realized == stop.quantity * 100
    number = core.order("stop").exchange_id
    trade = TradeTold(number, "SELL", stop.quantity, PRICE + 100, Decimal(7), ZERO, core.now)
    core(ev.FillsSeen(SYMBOL, (trade,), T - DAY, core.now), 1)
    assert (core.order("stop").fee, core.order("stop").realized) == (7, stop.quantity * 100)
    assert core.core.order(stop.id).kept in {None, ZERO}


def test_dust_is_told_once_and_left(core: Coins) -> None:
    stop, target = core.paired()
    core.seen(target, "expired")
    core.seen(stop, "filled", stop.quantity)
    told = [one.text for one in core.all if isinstance(one, Notify) and "too little to sell" in one.text]
    assert len(told) == 1
    assert core.position().side is None
    core(ev.HaltSeen(halted=True, flatten=True), 1)
    assert core.got(JournalIntent) == []


# What is ours


def test_others_coins_are_never_counted(core: Coins) -> None:
    core.paired()
    held = core.position().quantity
    core.compared(*(core.told(core.order(leg)) for leg in ("stop", "take_profit")), balance=held + 5)
    assert core.position().quantity == held
    core(ev.PositionsSeen((PositionTold(SYMBOL, held + 9, ZERO),), core.now, "stream"), 1)
    assert core.position().quantity == held


def test_ours_that_somebody_took_are_missing_for_good(core: Coins) -> None:
    core.paired()
    held = core.position().quantity
    standing = [core.told(core.order(leg)) for leg in ("stop", "take_profit")]
    core.compared(*standing, balance=held - Decimal("0.01"))
    assert core.position().quantity == held - Decimal("0.01")
    core.compared(*standing, balance=held + 5)
    assert core.position().quantity == held - Decimal("0.01")


def test_the_orders_of_a_position_are_kept_as_long_as_it(core: Coins) -> None:
    order = core.bought()
    held = core.position().quantity
    for _ in range(13):
        core.wait(MINUTE, 5 * SECOND)
        core.compared(balance=held)
    assert core.core.order(order.id) is not None
    assert core.position().quantity == held


TRADES = [
    TradeTold(1, "BUY", Decimal(1), PRICE, ZERO, ZERO, 1, Decimal("0.001")),
    TradeTold(9, "BUY", Decimal(4), PRICE, ZERO, ZERO, 2),
    TradeTold(2, "SELL", Decimal("0.999"), PRICE, ZERO, ZERO, 3),
    TradeTold(3, "BUY", Decimal(1), PRICE, ZERO, ZERO, 4, Decimal("0.001")),
]
OLD, SOLD, NEW = (replace(ENTRY, id=name, exchange_id=number) for number, name in enumerate("osn", 1))


@pytest.mark.parametrize(
    ("before", "trades", "parts"),
    [
        ((), TRADES, ("n",)),
        ((), TRADES[:3], ()),
        ((), TRADES[:2], ("o",)),
        ((replace(OLD, filled=Decimal(1), kept=Decimal("0.001")),), TRADES[2:3], ()),
        ((replace(OLD, filled=Decimal(2), kept=Decimal("0.002")),), TRADES[2:], ("o", "s", "n")),
    ],
)
def test_what_is_left_was_made_by_the_orders_since_there_was_only_dust(before, trades, parts) -> None:
    assert since_dust(before, [OLD, SOLD, NEW], trades, FILTERS) == parts


def test_a_lost_journal_is_made_again_from_our_orders_and_their_trades() -> None:
    core = Coins()
    core.compared(balance=3)
    assert core.got(Recall)
    entry = OrderRecord(IDENTITY.order_id("s1", "entry"), SYMBOL, "s1", "entry", "BUY", "MARKET", Decimal(2), 0, 0)
    told = core.told(entry, "filled", 2, exchange_id=5, average_price=PRICE)
    trade = TradeTold(5, "BUY", Decimal(2), PRICE, None, ZERO, T, Decimal("0.002"))
    core.recalled(told, trades=(trade,), signals=(signal("s1"),))
    position = core.position()
    assert (position.quantity, position.signal, position.strategy) == (Decimal("1.998"), "s1", "macd")
    assert core.order("stop").quantity == Decimal("1.998")


def test_a_past_that_was_read_before_a_sale_of_ours_makes_nothing_ours() -> None:
    core = Coins()
    core.compared(balance=3)
    entry = OrderRecord(IDENTITY.order_id("s1", "entry"), SYMBOL, "s1", "entry", "BUY", "MARKET", Decimal(2), 0, 0)
    (stop,) = placed(IDENTITY, HELD, PlaceProtection("stop", Decimal(59_400), Decimal("1.998")), T)
    bought = TradeTold(5, "BUY", Decimal(2), PRICE, None, ZERO, T, Decimal("0.002"))
    told = core.told(entry, "filled", 2, exchange_id=5, average_price=PRICE)
    core(ev.OrderSeen(core.told(stop, "filled", "1.998", exchange_id=6, average_price=PRICE), "stream"), 1)
    core.recalled(told, core.told(stop, exchange_id=6), trades=(bought,), signals=(signal("s1"),))
    assert all(one.quantity == 0 for one in core.core.positions())
    assert core.got(JournalIntent) == []
    assert [one for one in core.wait(6 * SECOND) if isinstance(one, Recall)]
    sold = TradeTold(6, "SELL", Decimal("1.998"), PRICE, None, ZERO, T + 1)
    core.recalled(told, core.told(stop, "filled", "1.998", exchange_id=6), trades=(bought, sold))
    assert all(one.quantity == 0 for one in core.core.positions())
    assert [one for one in core.wait(12 * SECOND) if isinstance(one, Recall)] == []


def test_an_order_in_doubt_of_an_earlier_position_is_not_counted_to_the_one_that_is_held() -> None:
    names = {number: IDENTITY.order_id(f"s{number}", leg) for number, leg in ((1, "entry"), (2, "exit"), (3, "entry"))}
    doubted = replace(ENTRY, id=names[1], signal="s1", leg="entry", state="sent")
    core = Coins(orders=[doubted])
    core.compared(balance=1)
    first, last = replace(doubted, exchange_id=1), replace(doubted, id=names[3], exchange_id=3)
    bought = core.told(first, "filled", 1, average_price=PRICE)
    sold = core.told(replace(first, id=names[2], side="SELL", exchange_id=2), "filled", "0.999")
    core.recalled(bought, sold, core.told(last, "filled", 1, average_price=PRICE), trades=tuple(TRADES))
    assert core.position().quantity == Decimal("0.999")
    core(ev.OrderSeen(bought, "query"), 1)
    assert core.position().quantity == Decimal("0.999")


def test_a_purchase_that_is_told_after_a_comparison_has_its_past_asked_for(core: Coins) -> None:
    entry = core.sent()
    core(ev.OrderUnknown(entry.id, "timeout"), 1)
    bought_at = core.now
    core.wait(SECOND)
    core.compared(balance=entry.quantity)
    core.core._memory.put(replace(core.core._memory.position(SYMBOL), as_of=core.now))
    told = core.told(entry, "filled", entry.quantity, exchange_id=5, average_price=PRICE)
    core(ev.OrderSeen(replace(told, at=bought_at), "query"), 1)
    assert core.got(Recall)
    trade = TradeTold(5, "BUY", entry.quantity, PRICE, None, ZERO, bought_at, entry.quantity / 1000)
    core.recalled(told, trades=(trade,), signals=(signal("s1"),))
    assert core.position().quantity == entry.quantity * Decimal("0.999")
    assert core.order("stop").quantity


def test_of_others_coins_nothing_becomes_ours_and_the_past_is_asked_for_until_it_is_known() -> None:
    core = Coins()
    core.compared(balance=3)
    assert [one for one in core.wait(12 * SECOND) if isinstance(one, Recall)]
    core.recalled(trades=(TRADES[1],))
    assert [one for one in core.wait(12 * SECOND) if isinstance(one, Recall)] == []
    assert all(one.quantity == 0 for one in core.core.positions())


def test_before_the_past_of_what_is_held_is_known_nothing_of_it_is_sold() -> None:
    order = replace(ENTRY, id=IDENTITY.order_id("s1", "entry"), state="filled", filled=Decimal(2), kept=ZERO)
    held = replace(HELD, quantity=Decimal(2), parts=(order.id,), closing="why")
    core = Coins(orders=[order], positions=[held])
    core.compared(balance=2)
    assert core.got(Recall)
    core(ev.HaltSeen(halted=True, flatten=True), 1)
    core.wait(2 * MINUTE, SECOND)
    assert [one for one in core.all if isinstance(one, JournalIntent)] == []


# What may be opened


def test_an_entry_is_a_market_order_whatever_the_settings_say() -> None:
    core = Coins(policy=replace(SPOT, risk=RISK.model_copy(update={"entry_order": "limit"})))
    core.compared()
    assert core.sent().type == "MARKET"


def test_short_signals_are_skipped_with_their_reason(core: Coins) -> None:
    core(ev.SignalSeen(signal(side="short")), 1)
    assert core.verdict().verdict == "skipped"
    assert "nothing is sold short" in core.verdict().reason


def test_a_short_entry_closes_what_is_held_and_opens_nothing(core: Coins) -> None:
    stop, target = core.paired(kind="trial")
    core(ev.SignalSeen(signal("s2", kind="trial", side="short")), 1)
    core.journal()
    core.seen(stop, "cancelled")
    core.seen(target, "cancelled")
    sale = core.order("exit")
    core.seen(sale, "filled", sale.quantity)
    core.wait(SECOND)
    assert core.verdict("s2").verdict == "taken"
    assert "closed, and not turned: nothing is sold short" in core.verdict("s2").reason


def test_nothing_is_opened_where_others_stops_leave_no_room(core: Coins) -> None:
    theirs = [replace(core.told(STOP), id=f"web-{n}") for n in range(4)]
    core.compared(*theirs)
    core(ev.SignalSeen(signal()), 1)
    assert core.verdict().reason == f"4 stops of others stand in {SYMBOL}, and 5 are the most"


def test_nothing_is_opened_that_its_stop_could_not_sell() -> None:
    core = Coins()
    core.compared()
    least = FILTERS.model_copy(update={"min_notional": Decimal(2_230)})
    core(replace(RULES, instrument=replace(INSTRUMENT, filters=least)), 1)
    core(ev.SignalSeen(signal(kind="trial")), 1)
    assert "too small" in (core.verdict().reason or "")


@pytest.mark.parametrize(
    ("code", "text", "meaning"),
    [
        (-2010, "Account has insufficient balance for requested action.", Reaction.NOTHING_TO_REDUCE),
        (-2010, "Duplicate order sent.", Reaction.EXISTS),
        (-2010, "Order would trigger immediately.", Reaction.WOULD_TRIGGER),
        (-2010, "Market is closed.", Reaction.GIVE_UP),
        (-1013, "Filter failure: LOT_SIZE", Reaction.BUG),
        (-1013, "Filter failure: NOTIONAL", Reaction.GIVE_UP),
        (-1013, "Filter failure: MAX_NUM_ALGO_ORDERS", Reaction.GIVE_UP),
        (-1121, "Duplicate order sent.", Reaction.BUG),
    ],
)
def test_why_it_was_refused_says_the_text(code, text, meaning) -> None:
    assert reaction(code, text) is meaning


def test_coins_that_are_not_there_are_compared(core: Coins) -> None:
    core.bought()
    core.journal()
    core(ev.OrderRejected(core.one(Place).order.id, -2010, "Account has insufficient balance"), 1)
    assert {core.state("stop"), core.state("take_profit")} == {"rejected"}
    assert core.got(Reconcile)
