"""Signals over stored candles: never fresh, withdrawn with what gave them, and what became of them."""

from typing import Any

import polars as pl
import pytest

from pipeline.store.series import SeriesStore
from pipeline.store.signals.returns import ReturnStore
from pipeline.timeline import MINUTE, interval, to_datetime
from tests.history.house import BASE, COUNT, LONG_AFTER, House, corrected, key_of, market_of, with_correction

# --- signals -------------------------------------------------------------------------------------------------------


def test_history_is_never_fresh_and_what_may_be_is_left_to_the_live_side(house: House) -> None:
    table = market_of()
    house.store(table)
    SeriesStore(house.db).recount(key_of(), "rest", 0)
    step = interval("15m")
    just_closed = step.open_time(BASE["15m"] + COUNT) + MINUTE
    house.derive(now=just_closed)
    newest = house.db["signals"].find_one(sort=[("at", -1)])
    assert newest is not None
    assert newest["at"] < to_datetime(just_closed - MINUTE)
    house.derive(now=just_closed + 5 * MINUTE)
    house.is_as_if_computed_at_once(table)
    assert house.db["signals"].count_documents({"fresh_until": {"$ne": None}}) == 0
    assert house.db["signals"].distinct("verdict") == ["expired"]
    assert house.db["signals"].distinct("source") == ["history"]


def lost_signal(house: House, table: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """A correction after which a signal that is stored is not found any more."""
    house.store(table)
    house.derive()
    before = {one["_id"] for one in house.db["signals"].find()}
    changed = with_correction(table, 1_500)
    other = key_of(exchange="binance-um")
    house.store(changed, other)
    house.derive(other)
    after = {one["_id"].replace("binance-um", "sim") for one in house.db["signals"].find({"exchange": "binance-um"})}
    return changed, min(before - after)


def test_a_signal_that_a_correction_takes_away_is_withdrawn(house: House) -> None:
    changed, lost = lost_signal(house, market_of())
    house.store(changed)
    done = house.derive()
    assert done.signals.withdrawn > 0
    assert house.db["signals"].count_documents({"_id": lost}) == 0
    house.is_as_if_computed_at_once(changed)


@pytest.mark.parametrize("acted", [{"verdict": "taken"}, {"verdict": "skipped"}, {"orders": ["x"]}])
def test_unless_somebody_acted_on_it_and_then_that_is_said(
    house: House, caplog: pytest.LogCaptureFixture, acted: dict[str, Any]
) -> None:
    changed, lost = lost_signal(house, market_of())
    house.db["signals"].update_one({"_id": lost}, {"$set": acted})
    house.store(changed)
    assert house.derive().signals.kept == (lost,)
    assert house.db["signals"].count_documents({"_id": lost}) == 1
    assert lost in caplog.text


def test_a_signal_that_the_live_side_wrote_stays_as_it_is(house: House) -> None:
    house.store(market_of())
    house.derive()
    house.db["signals"].update_many({}, {"$set": {"source": "live", "return_pct": 1.5}})
    house.derive(anew=True)
    assert house.db["signals"].distinct("source") == ["live"]
    assert house.db["signals"].distinct("return_pct") == [1.5]


# --- returns of signals --------------------------------------------------------------------------------------------


def test_what_became_of_signals_in_the_history_is_known_at_once(house: House) -> None:
    house.store(market_of())
    SeriesStore(house.db).recount(key_of(), None, LONG_AFTER)
    (report,) = house.derivation().bring_up_all([key_of()], LONG_AFTER)
    known = house.db["signals"].count_documents({"return_pct": {"$ne": None}, "return_1d": {"$ne": None}})
    assert 0.5 * report.signals.added < known <= report.signals.added


def returns_of(house: House) -> list[dict[str, Any]]:
    """The returns of every signal, brought up to the newest price."""
    SeriesStore(house.db).recount(key_of(), None, LONG_AFTER)
    ReturnStore(house.db).refresh("sim")
    fields = ("price", "return_pct", "best_pct", "worst_pct", "return_1h", "return_4h", "return_1d", "return_7d")
    return [*house.db["signals"].find({}, dict.fromkeys(fields, 1)).sort("_id", 1)]


def test_signals_that_saw_a_corrected_candle_are_worked_out_again(house: House) -> None:
    table = market_of()
    house.store(table)
    house.derive()
    before = returns_of(house)
    house.store(corrected(table, 2_400, factor=1.5))
    house.derive()
    waiting = house.db["signals"].count_documents({"returns_due": {"$exists": True}})
    after = returns_of(house)
    ReturnStore(house.db).forget("sim")
    assert after == returns_of(house) != before
    assert 0 < waiting < len(after) / 2, "those of eight days before it, and those after it, stay as they are"


def test_found_in_the_history_a_signal_is_written_once(house: House) -> None:
    """With all that became of it; where everything is new, nothing is sent back for having changed."""
    house.store(market_of())
    SeriesStore(house.db).recount(key_of(), None, LONG_AFTER)
    house.db.command("profile", 2)
    (report,) = house.derivation().bring_up_all([key_of()], LONG_AFTER)
    house.db.command("profile", 0)
    told = list(house.db["system.profile"].find({"ns": f"{house.db.name}.signals"}))
    written = sum(one.get(name, 0) for one in told for name in ("ninserted", "nModified", "ndeleted"))
    assert written == report.signals.added > 100


def test_a_correction_sends_returns_back_once(house: House) -> None:
    """Whoever else finds its mark while what depends on it is still being computed."""
    table = market_of()
    house.store(table)
    house.derive()
    house.store(corrected(table, 2_400, factor=1.5))
    store = SeriesStore(house.db)
    house.derivation()._send_back(store.among([key_of()]), LONG_AFTER)
    waiting = [*house.db["signals"].find({"returns_due": {"$exists": True}}, {"returns_due": 1})]
    assert waiting
    (told,) = store.get(key_of()).stale  # type: ignore[union-attr]
    assert told.sent_back
    house.derivation()._send_back(store.among([key_of()]), LONG_AFTER)
    assert waiting == [*house.db["signals"].find({"returns_due": {"$exists": True}}, {"returns_due": 1})]
