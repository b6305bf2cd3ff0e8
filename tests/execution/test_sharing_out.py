"""How fills are shared out to the books of a contract, so that they add up to what the exchange holds."""

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest

from pipeline.exchange.products.arithmetic import INVERSE, LINEAR, Arithmetic
from pipeline.execution.engine import books, guards
from pipeline.execution.engine.state import OrderRecord, PlanRecord, PositionRecord, flat
from tests.execution.driver import PRICE, SYMBOL, T
from tests.execution.model import COINS, DOLLARS, Exchange, Refused, Terms
from tests.execution.of_books import ONE, D


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


def test_what_was_filled_while_nobody_counted_is_counted_in_that_order() -> None:
    """The stop was sent before the entry that it has closed."""
    plan = PlanRecord("a", D(60_000), D(300), D(1), D(1), None, T)
    entry = replace(order("entry", "BUY", "0.1", "a"), plan=plan, created_at=T + 5, seen_at=T + 6)
    stop = replace(order("stop", "SELL", "0.1"), created_at=T, seen_at=T + 9)
    assert books.carried(flat(SYMBOL), [stop, entry], LINEAR, ONE, T + 60).books == ()


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


def test_a_part_is_priced_by_what_it_cost_itself() -> None:
    plan = PlanRecord("a", D(60_000), D(300), D(1), D(1), None, T)
    entry = replace(order("entry", "BUY", "0.1"), plan=plan, average_price=D(60_000), seen_at=T)
    first = books.carried(flat(SYMBOL), [entry], LINEAR, ONE, T)
    whole = replace(entry, filled=D("0.2"), average_price=D(61_000), seen_at=T + 1)
    (held_now,) = books.carried(first, [whole], LINEAR, ONE, T).books
    assert held_now.entry_price == 61_000


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
