"""Records survive being stored: what the core knew before a restart, it knows after it."""

from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine.client_ids import NOBODY, Identity
from pipeline.execution.engine.state import BreakerView, Counted, OrderRecord, PlanRecord, PositionRecord
from pipeline.execution.runtime import documents
from schemas.control import Breaker, Installation
from schemas.orders import Order
from schemas.positions import Position

IDENTITY = Identity("sim", "abc123")
NOW = 1_760_000_000_123
PLAN = PlanRecord("turtle", Decimal("100.5"), Decimal("1.25"), Decimal("0.333"), Decimal(98), None, NOW + 5)
ORDER = OrderRecord(
    id="tm-e-1", symbol="BTCUSDT", signal="s", leg="entry", side="BUY", type="MARKET", quantity=Decimal("0.010"),
    created_at=NOW, updated_at=NOW + 1, plan=PLAN, interval="1h",
)  # fmt: skip
STOP = OrderRecord(
    id="tm-s-1", symbol="BTCUSDT", signal=None, leg="stop", side="SELL", type="STOP_MARKET", quantity=None,
    created_at=NOW, updated_at=NOW, state="accepted", algo=True, trigger_price=Decimal(98), close_position=True,
    exchange_id=7, attempts=2, seen_at=NOW + 9,
)  # fmt: skip


@pytest.mark.parametrize(
    "order",
    [
        ORDER,
        STOP,
        replace(ORDER, leg="exit", plan=None, turns=True, strategy="turtle"),
        replace(ORDER, type="LIMIT", price=Decimal("100.5"), plan=replace(PLAN, cancel_at=NOW + 3)),
        replace(ORDER, state="filled", filled=Decimal("0.01"), average_price=Decimal("100.6")),
    ],
)
def test_an_order_survives(order: OrderRecord) -> None:
    stored = documents.order_document(order, "sim", 3).to_mongo()
    assert documents.order_record(Order.from_mongo(stored)) == order
    assert stored["fence"] == 3


def test_what_an_order_is_for_stands_in_its_history_where_no_signal_says_so() -> None:
    (born,) = documents.order_document(ORDER, "sim", 3, "asked for by a person").history
    assert (born.state, born.by, born.detail) == ("intended", "executor", "asked for by a person")


def test_what_is_not_known_overwrites_nothing() -> None:
    assert "fee" not in documents.order_changes(ORDER)
    assert documents.order_changes(replace(ORDER, fee=Decimal(0)))["fee"] == 0


def test_a_position_survives_but_for_what_the_exchange_says_anew() -> None:
    held = PositionRecord(
        "BTCUSDT", Decimal("-0.5"), Decimal(100), side="short", strategy="turtle", signal="s", interval="1h",
        trial=True, atr=Decimal(1),
        unit_quantity=Decimal("0.25"), stop_order="tm-s-1", stop_price=Decimal(102), closing="exit", opened_at=NOW,
        unprotected_since=NOW, as_of=NOW, entered_at=NOW,
    )  # fmt: skip
    book = PositionRecord(
        "BTCUSDT", Decimal("-0.5"), Decimal(100), side="short", strategy="turtle", signal="s", interval="1h",
        stop_price=Decimal(102), opened_at=NOW, closing="its stop was reached",
    )  # fmt: skip
    held = replace(held, books=(book,), counted=(Counted("tm-e-1", Decimal("0.5"), NOW),))
    stored = documents.position_document(held, IDENTITY, NOW, None).to_mongo()
    assert documents.position_record(Position.from_mongo(stored)) == replace(held, as_of=0, entered_at=0)
    assert stored["installation"] == "abc123"


def test_a_position_of_another_installation_is_known_and_not_ours() -> None:
    held = PositionRecord("BTCUSDT", Decimal("-0.5"), Decimal(100), side="short", strategy="turtle", signal="s")
    stored = Position.from_mongo(documents.position_document(held, IDENTITY, NOW, None).to_mongo())
    assert documents.disowned(stored) == PositionRecord(
        "BTCUSDT", Decimal("-0.5"), Decimal(100), ours=False, side="short"
    )
    gone = stored.model_copy(update={"quantity": Decimal(0)})
    assert documents.disowned(gone) == PositionRecord("BTCUSDT")


def test_who_we_are_is_what_the_database_says() -> None:
    assert documents.identity_of(None, "sim") == Identity("sim", NOBODY)
    known = Installation(
        id="installation:sim", kind="installation", environment="sim", name="abc123", database="tidemark",
        copy_of="zyx987", taken_over=["first1"], changes=[],
    )  # fmt: skip
    assert documents.identity_of(known, "sim") == Identity("sim", "abc123", frozenset({"first1"}), copied=True)


@pytest.mark.parametrize("until", [None, NOW + 1])
def test_a_breaker_survives(until: int | None) -> None:
    tripped = BreakerView("slippage:BTCUSDT", "1 % worse", NOW, "BTCUSDT", until)
    stored = documents.breaker_document(tripped, "sim").to_mongo()
    assert documents.breaker_view(Breaker.from_mongo(stored)) == tripped
