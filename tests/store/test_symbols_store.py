"""Contracts in the database: exact, replaced by what the exchange says now, and kept when they are gone."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from pipeline.store.prepare import prepare
from pipeline.store.symbols import SymbolStore
from schemas.symbols import Filters, Recorded
from tests.contracts import contract

MOMENT = datetime(2025, 1, 1, tzinfo=UTC)
FILTERS = Filters(**{name: Decimal("0.10") for name in Filters.model_fields if name != "max_orders"}, max_orders=200)


symbol = partial(contract, price_precision=2, onboarded=MOMENT, delivery=MOMENT, filters=FILTERS, updated_at=MOMENT)


def test_contracts_come_back_exactly_and_gone_ones_stay(db: Any) -> None:
    prepare(db)
    store = SymbolStore(db)
    store.save([])
    store.save([symbol("BTCUSDT"), symbol("SOONUSDT", filters=None, status="PENDING_TRADING")])
    store.save([symbol("BTCUSDT", status="CLOSE")])

    bitcoin = store.get("sim", "BTCUSDT")
    assert bitcoin == symbol("BTCUSDT", status="CLOSE", finest=2, recorded=[Recorded(since=MOMENT, filters=FILTERS)])
    assert bitcoin.filters is not None
    assert str(bitcoin.filters.tick_size) == "0.10"
    assert [one.symbol for one in store.list("sim")] == ["BTCUSDT", "SOONUSDT"]
    assert store.get("sim", "NOSUCH") is None
    assert store.list("binance-um") == []


def test_the_finest_price_that_was_ever_seen_stays(db: Any) -> None:
    prepare(db)
    store = SymbolStore(db)
    store.save([symbol("BTCUSDT", price_precision=4)])
    store.save([symbol("BTCUSDT", price_precision=1)])
    assert store.get("sim", "BTCUSDT").decimals == 4  # type: ignore[union-attr]
    store.note_finest("sim", "BTCUSDT", 6)
    store.note_finest("sim", "BTCUSDT", 5)
    store.save([symbol("BTCUSDT")])
    assert store.get("sim", "BTCUSDT").decimals == 6  # type: ignore[union-attr]


def test_what_the_account_pays_stays_whatever_the_exchange_lists(db: Any) -> None:
    prepare(db)
    store = SymbolStore(db)
    store.save([symbol("BTCUSDT"), symbol("ETHUSDT"), symbol("BTCUSDT", id="other:BTCUSDT", exchange="other")])
    assert store.taker_fees("sim") == {}
    store.note_fee("sim", "BTCUSDT", Decimal("0.0004"))
    store.save([symbol("BTCUSDT", status="CLOSE")])
    assert store.get("sim", "BTCUSDT").status == "CLOSE"  # type: ignore[union-attr]
    assert store.taker_fees("sim") == {"BTCUSDT": Decimal("0.0004")}


def test_a_fee_that_is_as_it_was_writes_nothing(db: Any) -> None:
    prepare(db)
    store = SymbolStore(db)
    store.save([symbol("BTCUSDT")])
    assert [store.note_fee("sim", "BTCUSDT", Decimal(one)) for one in ("0.0004", "0.0004", "0.00036")] == [
        True, False, True,
    ]  # fmt: skip


def test_rules_are_recorded_where_they_change_and_found_by_date(db: Any) -> None:
    prepare(db)
    store, later = SymbolStore(db), MOMENT + timedelta(days=30)
    coarser = FILTERS.model_copy(update={"step_size": Decimal(1)})
    store.save([symbol("BTCUSDT")])
    store.save([symbol("BTCUSDT", status="CLOSE", updated_at=MOMENT + timedelta(days=1))])
    store.save([symbol("BTCUSDT", filters=coarser, updated_at=later)])
    store.note_fee("sim", "BTCUSDT", Decimal("0.0004"))
    store.note_fee("sim", "BTCUSDT", Decimal("0.0004"))
    found = store.get("sim", "BTCUSDT")
    assert found is not None
    assert [(one.filters, one.taker_fee) for one in found.recorded] == [
        (FILTERS, None),
        (coarser, None),
        (coarser, Decimal("0.0004")),
    ]
    for moment, filters in ((-9, FILTERS), (0, FILTERS), (29, FILTERS), (30, coarser)):
        assert found.at(MOMENT + timedelta(days=moment)).filters == filters
    assert found.at(later).taker_fee is None
    assert symbol("NEWUSDT").at(later) == symbol("NEWUSDT")


def test_one_that_was_stored_before_rules_were_recorded_is_recorded_once(db: Any) -> None:
    prepare(db)
    store = SymbolStore(db)
    store.save([symbol("BTCUSDT")])
    db["symbols"].update_one({"_id": "sim:BTCUSDT"}, {"$unset": {"recorded": 1}})
    for day in (1, 2):
        store.save([symbol("BTCUSDT", updated_at=MOMENT + timedelta(days=day))])
    found = store.get("sim", "BTCUSDT")
    assert found is not None
    assert [one.since for one in found.recorded] == [MOMENT + timedelta(days=1)]


def test_what_has_no_filters_yet_has_no_rules_recorded(db: Any) -> None:
    prepare(db)
    store = SymbolStore(db)
    store.save([symbol("SOONUSDT", filters=None)])
    store.note_fee("sim", "SOONUSDT", Decimal("0.0004"))
    found = store.get("sim", "SOONUSDT")
    assert found is not None
    assert (found.recorded, found.taker_fee) == ([], Decimal("0.0004"))
