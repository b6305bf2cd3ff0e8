"""Table "Order states" of docs/execution.md."""

from dataclasses import replace
from decimal import Decimal
from itertools import permutations

import msgspec
import pytest

from pipeline.exchange.reports import AlgoReport
from pipeline.execution.engine.order_life import merged, state_of
from pipeline.execution.engine.state import OrderRecord, OrderTold, PlanRecord
from pipeline.execution.gateway.reports_in import algo_told

PLAN = PlanRecord("macd", Decimal(100), Decimal(1), Decimal(1), Decimal(98), None, 60_000)
ORDER = OrderRecord("tm-e-1", "BTCUSDT", "s1", "entry", "BUY", "MARKET", Decimal(2), 0, 0, plan=PLAN)
STOP = replace(ORDER, leg="stop", side="SELL", algo=True, plan=None)
TOLD = OrderTold("tm-e-1", "BTCUSDT", "BUY", "accepted", Decimal(0), 10, exchange_id=7)

EARLY = ("intended", "sent", "unknown")
FINAL = ("filled", "cancelled", "expired", "rejected")
OPEN = ("accepted", "partially_filled")


def after(state, told_state, *, order=ORDER, filled=0, **more):
    told = replace(TOLD, state=told_state, filled=Decimal(filled), **more)
    return merged(replace(order, state=state), told, 20)


@pytest.mark.parametrize("state", EARLY)
@pytest.mark.parametrize("told", [*OPEN, *FINAL])
def test_whatever_the_exchange_says_first_is_taken(state, told):
    assert after(state, told).state == told


@pytest.mark.parametrize(
    ("state", "told", "then"),
    [
        ("accepted", "partially_filled", "partially_filled"),
        ("partially_filled", "accepted", "partially_filled"),
        *((one, end, end) for one in OPEN for end in FINAL),
        *((end, late, end) for end in FINAL for late in (*OPEN, *FINAL)),
        *(("abandoned", proof, proof) for proof in (*OPEN, *FINAL)),
    ],
)
def test_a_state_never_goes_back_unless_the_exchange_proves_us_wrong(state, told, then):
    assert after(state, told, order=replace(ORDER, exchange_id=7)).state == then


def test_a_refusal_without_a_number_is_taken_back_when_the_order_shows_up():
    assert after("rejected", "filled", filled=2).state == "filled"


def test_what_comes_twice_changes_nothing():
    once = after("sent", "partially_filled", filled=1, average_price=Decimal(101))
    assert merged(once, replace(TOLD, state="partially_filled", filled=Decimal(1)), 30) is once


def test_fills_only_grow_and_a_late_one_is_added_to_an_ended_order():
    two = after("sent", "filled", filled=2)
    assert merged(two, replace(TOLD, filled=Decimal(1)), 30).filled == 2
    ended = after("sent", "expired", filled=1)
    assert merged(ended, replace(TOLD, filled=Decimal(2), state="filled"), 30).filled == 2


def test_a_word_that_is_new_means_that_the_order_is_there():
    assert state_of("SOMETHING_NEW") is None
    assert after("sent", None).state == "accepted"
    assert after("sent", None, filled=1).state == "partially_filled"


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("NEW", "accepted"),
        ("PARTIALLY_FILLED", "partially_filled"),
        ("FILLED", "filled"),
        ("CANCELED", "cancelled"),
        ("EXPIRED", "expired"),
        ("EXPIRED_IN_MATCH", "expired"),
        ("REJECTED", "rejected"),
        ("TRIGGERING", "partially_filled"),
        ("TRIGGERED", "partially_filled"),
        ("FINISHED", "partially_filled"),
    ],
)
def test_the_exchanges_words(word, state):
    assert state_of(word) == state


@pytest.mark.parametrize("end", FINAL)
@pytest.mark.parametrize("filled", [0, 1, 2])
def test_how_a_conditional_order_ends_its_order_says_whichever_is_told_first(end, filled):
    standing = replace(STOP, state="accepted", exchange_id=5)
    words = [
        *(replace(TOLD, state=state_of(word), algo=True, exchange_id=5) for word in ("TRIGGERING", "TRIGGERED")),
        replace(TOLD, state=end, algo=False, exchange_id=9, filled=Decimal(filled), at=11),
        replace(TOLD, state=state_of("FINISHED"), algo=True, exchange_id=5, at=12),
    ]
    for said in permutations(words):
        order = standing
        for told in said:
            order = merged(order, told, 20)
        assert (order.state, order.filled, order.exchange_id) == (end, filled, 9), said


def test_a_conditional_order_that_has_ended_without_an_order_has_done_nothing():
    report = AlgoReport(
        algo_id=5, client_algo_id="tm-s-1", symbol="BTCUSDT", side="SELL", order_type="STOP_MARKET",
        algo_status="FINISHED",
    )  # fmt: skip
    assert algo_told(report).state == "expired"
    assert algo_told(msgspec.structs.replace(report, actual_order_id="9")).state == "partially_filled"


def test_the_order_that_a_conditional_order_placed_speaks_of_the_fill_only():
    standing = replace(STOP, state="accepted", exchange_id=5)
    fired = merged(standing, replace(TOLD, state="accepted", exchange_id=9, algo=False), 20)
    assert (fired.state, fired.exchange_id) == ("partially_filled", 9)
    assert merged(fired, replace(TOLD, state="filled", filled=Decimal(2), exchange_id=9), 30).state == "filled"


def test_a_second_copy_of_a_stop_that_arrives_when_the_first_has_ended_is_followed():
    ended = replace(STOP, state="cancelled", exchange_id=5, seen_at=10)
    again = merged(ended, replace(TOLD, algo=True, exchange_id=6, at=11), 20)
    assert (again.state, again.exchange_id) == ("accepted", 6)
    late_news_of_the_first = replace(TOLD, algo=True, exchange_id=5, state="cancelled", at=10)
    assert merged(again, late_news_of_the_first, 30) is again


def test_a_second_copy_that_stands_is_followed_before_the_end_of_the_first_is_told():
    first = replace(STOP, state="accepted", exchange_id=5, seen_at=10)
    second = merged(first, replace(TOLD, algo=True, exchange_id=6, at=12), 20)
    assert (second.state, second.exchange_id, second.seen_at) == ("accepted", 6, 12)
    for late_news_of_the_first in ("cancelled", "accepted"):
        assert (
            merged(second, replace(TOLD, algo=True, exchange_id=5, state=late_news_of_the_first, at=11), 30) is second
        )


@pytest.mark.parametrize(("side", "price", "worse"), [("BUY", 101, 1.0), ("BUY", 99, -1.0), ("SELL", 99, 1.0)])
def test_slippage_is_positive_where_the_fill_is_worse(side, price, worse):
    order = replace(ORDER, side=side)
    assert after("sent", "filled", order=order, filled=2, average_price=Decimal(price)).slippage_pct == worse
