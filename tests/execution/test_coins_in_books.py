"""Several strategies on spot: each has coins of its own, with a pair of its own over them."""

import os
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest

from pipeline.app.trading_access import policy_of
from pipeline.exchange.environments import ENVIRONMENTS
from pipeline.execution.engine import events as ev
from pipeline.execution.engine.diary import Diary
from pipeline.execution.engine.effects import Cancel, JournalIntent, Notify, Place
from pipeline.execution.engine.state import OrderRecord, OrderTold, TradeTold
from pipeline.execution.runtime.documents import position_document, position_record
from pipeline.settings import Portfolio, Settings
from pipeline.timeline import SECOND
from tests.execution.coin_driver import INSTRUMENT, RISK, SPOT, ZERO, Coins
from tests.execution.coins.of_books import BookSchedule, broken_law
from tests.execution.coins.schedule import Schedule
from tests.execution.driver import IDENTITY, PRICE, SYMBOL, T, signal

BOOKS = replace(SPOT, portfolio=Portfolio(books=True), risk=RISK.model_copy(update={"max_position_percent": 30}))
ALONE = replace(BOOKS, risk=BOOKS.risk.model_copy(update={"take_profit_atr": None}))
RSI = {"name": "r1", "strategy": "rsi", "kind": "trial"}
SEEDS = int(os.environ.get("DRILL_SEEDS", "10000"))
D = Decimal


def two(policy=BOOKS) -> Coins:
    """The ladder holds two units, and another strategy a trial; each has its pair."""
    core = Coins(policy)
    core.compared()
    for said in ({}, RSI):
        core.bought(**said)
        core.journal()
        for placed in core.got(Place):
            for one in filter(None, (placed.order, placed.beside)):
                core.seen(one)
    return core


def held(core: Coins) -> dict[str, Decimal]:
    return {str(one.strategy): one.quantity for one in core.position().books}


def standing(core: Coins, strategy: str) -> dict[str, OrderRecord]:
    return {one.leg: one for one in core.core.orders() if one.strategy == strategy and one.stands}


def ends(core: Coins) -> list[tuple[str, str]]:
    return [(one.title, one.text) for one in core.all if isinstance(one, Notify) and "is closed" in one.title]


def test_each_has_its_own_coins_and_its_own_pair_over_them() -> None:
    core = two()
    whole = core.position()
    assert sum(held(core).values()) == whole.quantity
    assert set(held(core)) == {"macd", "rsi"}
    for book in whole.books:
        pair = standing(core, book.strategy)
        assert set(pair) == {"stop", "take_profit"}
        assert pair["stop"].quantity == book.quantity // D("0.001") * D("0.001")
        assert (pair["stop"].trigger_price, pair["stop"].id) == (book.stop_price, book.stop_order)
    assert whole.unprotected_since is None


def test_one_leaves_by_its_signal_and_the_others_pair_is_not_touched() -> None:
    core = two()
    mine = standing(core, "macd")
    core(ev.SignalSeen(signal("x", kind="exit", at=T + 2, fresh_until=T + 600_000)), 1)
    core.journal()
    assert [one.order.id for one in core.got(Cancel)] == [mine["stop"].id]
    for one in mine.values():
        core.seen(one, "cancelled")
    sale = core.one(Place).order if core.got(Place) else core.order("exit")
    assert (sale.strategy, sale.quantity) == ("macd", mine["stop"].quantity)
    core.seen(sale, "filled", sale.quantity, average_price=PRICE + 30)
    assert set(held(core)) == {"rsi"}
    assert ends(core) == [(f"{SYMBOL} of macd 1h is closed", "signal x")]
    assert core.order("exit").realized == sale.quantity * 30
    assert set(standing(core, "rsi")) == {"stop", "take_profit"}


def test_the_log_says_of_each_what_it_has_brought() -> None:
    core, diary, lines, brought = two(), Diary("sim-spot"), [], []
    diary.takes_over(core.core.orders(), core.core.positions())
    diary.told(ev.RulesSeen(SYMBOL, INSTRUMENT, None, T), [], T)
    for strategy, price in (("rsi", 59_400), ("macd", 61_000)):
        pair = standing(core, strategy)
        gone, fired = ("take_profit", "stop") if price < PRICE else ("stop", "take_profit")
        for one, state, filled in ((pair[gone], "expired", 0), (pair[fired], "filled", pair[fired].quantity)):
            event = ev.OrderSeen(core.told(one, state, filled, average_price=D(price)), "stream")
            lines += diary.told(event, core(event, 1), core.now)
        lines += diary.told(ev.Time(), core(ev.Time(), SECOND), core.now)
        brought.append(f"{pair['stop'].quantity * (price - PRICE):+.2f} before fees")
    assert [line.split(", ")[1] for line in lines if line.startswith("closed")] == brought


def test_a_stop_that_fires_ends_its_own_book() -> None:
    core = two()
    pair = standing(core, "rsi")
    core.seen(pair["take_profit"], "expired")
    core.seen(pair["stop"], "filled", pair["stop"].quantity, average_price=D(59_400))
    core.wait(SECOND)
    assert set(held(core)) == {"macd"}
    assert ends(core) == [(f"{SYMBOL} of rsi 1h is closed", "by its stop")]
    assert set(standing(core, "macd")) == {"stop", "take_profit"}


def test_what_is_left_over_of_one_and_too_little_to_be_sold_is_not_anothers() -> None:
    core = two()
    before = held(core)["macd"]
    pair = standing(core, "rsi")
    core.seen(pair["stop"], "expired")
    core.seen(pair["take_profit"], "filled", pair["take_profit"].quantity, average_price=D(60_900))
    core.wait(SECOND)
    assert held(core) == {"macd": before}
    assert core.position().quantity == before


def test_what_somebody_took_is_taken_of_each_by_what_it_holds() -> None:
    core = two()
    before = held(core)
    core.compared(*(core.told(one) for one in core.core.orders() if one.stands), balance=sum(before.values()) / 2)
    after = held(core)
    assert sum(after.values()) == sum(before.values()) / 2
    assert all(abs(after[one] - before[one] / 2) <= D("0.001") for one in before)


@pytest.mark.parametrize("policy", [SPOT, BOOKS], ids=["as one", "in books"])
def test_what_somebody_took_is_never_ours_again_whatever_lies_there_after_a_restart(policy) -> None:
    before = Coins(policy)
    before.compared()
    before.paired()
    before.compared(*(before.told(one) for one in before.core.orders() if one.stands))
    for one in [one for one in before.core.orders() if one.stands]:
        before.seen(one, "cancelled")
    before.wait(5 * SECOND)
    assert not before.position().managed
    stored = position_record(position_document(before.position(), IDENTITY, T, None))
    after = Coins(policy, orders=before.core.orders(), positions=[stored])
    after.compared(balance=2)
    after.recalled(*past(before), trades=trades(before), signals=(signal(), signal(**RSI)))
    assert (after.position().quantity, after.position().books, after.got(JournalIntent)) == (0, (), [])


def test_the_exchange_takes_five_stops_and_a_third_pair_is_left_out() -> None:
    core = two()
    core(ev.SignalSeen(signal("t1", strategy="turtle")), 1)
    assert core.verdict("t1").reason == f"4 stops of others stand in {SYMBOL}, and 5 are the most"


def test_of_stops_alone_there_is_room_for_more() -> None:
    core = two(ALONE)
    core(ev.SignalSeen(signal("t1", strategy="turtle", kind="trial")), 1)
    assert [one.order.leg for one in core.got(JournalIntent)] == ["trial"]


def test_a_restart_goes_on_with_the_books_as_they_were_stored() -> None:
    before = two()
    stored = position_record(position_document(before.position(), IDENTITY, T, None))
    assert [one.parts for one in stored.books] == [one.parts for one in before.position().books]
    after = Coins(BOOKS, orders=before.core.orders(), positions=[stored])
    after.compared(*(after.told(one) for one in before.core.orders() if one.stands), balance=before.position().quantity)
    after.recalled(*past(before), trades=trades(before), signals=(signal(), signal(**RSI)))
    assert held(after) == held(before)
    after.wait(5 * SECOND)
    assert [one for one in after.all if isinstance(one, JournalIntent | Cancel)] == []


def test_of_a_lost_journal_each_has_what_its_own_orders_have_bought() -> None:
    before = two()
    after = Coins(BOOKS)
    after.compared(balance=before.position().quantity)
    bought = [one for one in past(before) if one.side == "BUY"]
    after.recalled(*bought, trades=trades(before), signals=(signal(), signal(**RSI)))
    assert held(after) == held(before)
    assert all(one.stop_price for one in after.position().books)
    assert {one.order.strategy for one in after.got(JournalIntent)} == {"macd", "rsi"}


def lost(pairs: list[OrderTold], before: Coins) -> Coins:
    """What was held by two is found again; these stand."""
    after = Coins(BOOKS)
    after.compared(*pairs, balance=before.position().quantity)
    after.recalled(*past(before), trades=trades(before), signals=(signal(), signal(**RSI)))
    return after


def test_what_stands_for_just_so_much_as_one_holds_is_its_own() -> None:
    before = two()
    after = lost([before.told(one) for one in before.core.orders() if one.stands], before)
    after.wait(5 * SECOND)
    assert [one for one in after.all if isinstance(one, JournalIntent | Cancel)] == []
    assert [(one.stop_order, one.stop_price) for one in after.position().books] == [
        (one.stop_order, one.stop_price) for one in before.position().books
    ]


def test_what_stands_and_is_nobodys_goes_before_anything_else_sells_the_same_coins() -> None:
    before = two()
    pairs = [one for one in before.core.orders() if one.stands]
    after = lost([replace(before.told(one), quantity=D("0.001")) for one in pairs], before)
    assert {one.order.id for one in after.got(Cancel)} >= {one.id for one in pairs if one.leg == "stop"}
    after.journal()
    after.wait(SECOND)
    assert [one for one in after.all if isinstance(one, Place)] == []
    for one in pairs:
        after.seen(one, "cancelled")
    after.wait(SECOND)
    assert {one.order.strategy for one in after.all if isinstance(one, Place)} == {"macd", "rsi"}


def test_what_stood_for_the_only_one_stays_its_own_when_another_buys() -> None:
    before = Coins(BOOKS)
    before.compared()
    stop, target = before.paired()
    after = Coins(BOOKS)
    after.now = before.now
    after.compared(*map(before.told, (stop, target)), balance=before.position().quantity)
    after.recalled(*past(before), trades=trades(before), signals=(signal(),))
    after.bought(**RSI, at=after.now + 1)
    assert set(held(after)) == {"macd", "rsi"}
    after.seen(after.core.order(target.id), "expired")
    after.seen(after.core.order(stop.id), "filled", stop.quantity, average_price=D(59_400))
    after.wait(SECOND)
    assert set(held(after)) == {"rsi"}


def test_where_nobody_knows_whose_were_sold_what_is_left_is_one_book() -> None:
    before = two()
    stop = standing(before, "rsi")["stop"]
    before.seen(stop, "filled", stop.quantity, average_price=D(59_400))
    after = Coins(BOOKS)
    after.compared(balance=before.position().quantity)
    after.recalled(*past(before), trades=trades(before), signals=(signal(), signal(**RSI)))
    assert list(held(after)) == ["macd"]
    bought = sum(one.quantity - one.kept for one in trades(before) if one.side == "BUY")
    assert after.position().quantity == bought - stop.quantity


def test_what_was_sold_until_only_dust_was_left_is_of_no_book() -> None:
    """By an order of which nobody knows whose it was."""
    said = {1: signal("s1"), 3: signal("s3"), 4: signal(**RSI)}
    names = {number: IDENTITY.order_id(one.id, one.kind) for number, one in said.items()}
    names[2] = IDENTITY.order_id("whose", "flatten", T)
    sides = {1: "BUY", 2: "SELL", 3: "BUY", 4: "BUY"}
    done = {n: TradeTold(n, sides[n], D(1 if sides[n] == "BUY" else "0.999"), PRICE, ZERO, ZERO, T + n,
                         D("0.001") if sides[n] == "BUY" else ZERO) for n in (1, 2, 3, 4)}  # fmt: skip
    core = Coins(BOOKS)
    core.compared(balance=2)
    told = (
        OrderTold(names[n], SYMBOL, sides[n], "filled", one.quantity, one.at, exchange_id=n, average_price=PRICE)
        for n, one in done.items()
    )
    core.recalled(*told, trades=tuple(done.values()), signals=tuple(said.values()))
    assert held(core) == {"macd": D("0.999"), "rsi": D("0.999")}


def test_an_order_that_was_found_again_is_its_strategys_though_the_journal_has_its_signal_alone() -> None:
    before = two()
    said, name = signal("a1", kind="add"), IDENTITY.order_id("a1", "add")
    more = OrderRecord(
        name, SYMBOL, "a1", "add", "BUY", "MARKET", D("0.05"), T + 50, T + 50, interval="1h", state="filled",
        exchange_id=900, filled=D("0.05"), average_price=PRICE, kept=D("0.00005"), fee=ZERO, seen_at=T + 50,
    )  # fmt: skip
    bought = TradeTold(900, "BUY", more.filled, PRICE, ZERO, ZERO, more.seen_at, more.kept)
    after = Coins(BOOKS, orders=[*before.core.orders(), more], positions=[before.position()])
    balance = before.position().quantity + more.filled - more.kept
    after.compared(*(after.told(one) for one in before.core.orders() if one.stands), balance=balance)
    after.recalled(
        *past(before), after.told(more, "filled", more.filled), trades=(*trades(before), bought),
        signals=(signal(), signal(**RSI), said),
    )  # fmt: skip
    assert held(after) == held(before) | {"macd": held(before)["macd"] + more.filled - more.kept}
    assert len(after.position().books) == 2


def test_what_was_held_before_there_were_books_is_one() -> None:
    before = Coins()
    before.compared()
    stop, _ = before.paired()
    after = Coins(BOOKS, orders=before.core.orders(), positions=before.core.positions())
    (book,) = after.position().books
    assert (book.strategy, book.quantity, book.parts) == ("macd", before.position().quantity, before.position().parts)
    assert after.core._memory.moved_by(after.core.order(stop.id)).owner == book.owner


def test_without_books_what_is_held_is_one_position_again() -> None:
    before = two()
    after = Coins(orders=before.core.orders(), positions=before.core.positions())
    assert after.position().books == ()
    assert set(after.position().parts) == {one for each in before.position().books for one in each.parts}
    assert after.position().quantity == before.position().quantity


def test_each_has_its_own_only_where_somebody_says_so_and_with_real_money_he_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings(portfolio=Portfolio(books=True))
    assert policy_of(settings, ENVIRONMENTS["sim-spot"]).apart
    assert not policy_of(Settings(), ENVIRONMENTS["binance-spot"]).books
    assert caplog.messages == []
    assert policy_of(settings, ENVIRONMENTS["binance-spot"]).apart
    assert ["with real money at binance-spot several strategies" in one for one in caplog.messages] == [True]


def past(core: Coins) -> list:
    return [core.told(one, one.state, one.filled, average_price=PRICE) for one in core.core.orders() if one.exchange_id]


def trades(core: Coins) -> tuple[TradeTold, ...]:
    filled = sorted((one for one in core.core.orders() if one.filled), key=lambda one: one.seen_at)
    return tuple(
        TradeTold(one.exchange_id, one.side, one.filled, PRICE, ZERO, ZERO, one.seen_at, one.kept or ZERO)
        for one in filled
    )


# Schedules


class Alone(Schedule):
    """Only one strategy speaks, and nothing is drawn as it comes: the same moments have the same chances."""

    books = False

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.chance["crash"] = 0.0
        self.policy = replace(self.policy, portfolio=Portfolio(books=self.books))

    def quick(self, now: int) -> int:
        return now + 20

    def troubled(self, what: str, now: int) -> bool:
        return Random(f"{now} {what}").random() < self.chance[what] / 3


class AloneWithBooks(Alone):
    """The same, with books."""

    books = True


def test_of_one_strategy_every_order_is_what_it_was_without_books() -> None:
    for seed in range(60):
        assert done(Alone(seed)) == done(AloneWithBooks(seed)), seed


def done(schedule: Schedule) -> object:
    """Every order at the exchange, every verdict, and what is held."""
    schedule.run()
    verdicts = {name: (one.verdict, one.reason) for name, one in schedule.journal.verdicts.items()}
    return schedule.exchange.orders, verdicts, schedule.exchange.total


@pytest.mark.parametrize("chunk", range(4))
def test_after_any_schedule_of_faults_the_books_of_coins_hold(chunk: int) -> None:
    """Two or three strategies in one symbol, each with its own story."""
    share = SEEDS // 200
    for seed in range(chunk * share, (chunk + 1) * share):
        schedule = BookSchedule(seed)
        schedule.run()
        assert (found := broken_law(schedule)) is None, f"seed {seed}: {found}"


def test_the_schedules_reach_what_they_are_for() -> None:
    seen = Counter()
    for seed in range(100):
        schedule = BookSchedule(seed)
        schedule.run()
        seen[schedule.most] += 1
        seen.update(schedule.seen)
    assert min(seen[what] for what in (2, 3, "restored", "crashed", "replaced")) > 0, seen
