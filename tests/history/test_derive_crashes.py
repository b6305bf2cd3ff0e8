"""Whatever crashes while indicators and signals are derived, and however many do it at once, nothing old stays."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from pipeline.history import indicators
from pipeline.history.derive import StillChangingError
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.timeline import HOUR, MINUTE, interval, to_datetime
from tests.history.house import BASE, LONG_AFTER, House, corrected, key_of, market_of, with_correction


def test_a_crash_after_the_candles_and_before_the_indicators_is_made_up_for(house: House) -> None:
    table = market_of()
    house.store(table)
    house.derive()
    house.store(corrected(table, 900))
    assert house.marks() == [True]
    assert House(house.db).derive().written > 400
    house.is_as_if_computed_at_once(with_correction(table, 900))


def test_a_mark_whose_candles_may_still_be_on_their_way_is_used_and_left(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = market_of()
    house.store(table)
    house.derive()

    def fails(*_: Any) -> int:
        raise AutoReconnect("the connection is gone")

    with monkeypatch.context() as broken:
        broken.setattr(CandleStore, "_send", fails)
        with pytest.raises(AutoReconnect):
            house.store(corrected(table, 900))
    assert house.marks() == [False]
    soon = int(datetime.now(UTC).timestamp() * 1_000) + 5 * MINUTE
    assert house.derive(now=soon).candles > 700
    assert house.marks() == [False]
    CandleStore(house.db)._collection.update_one(  # the write that was on its way lands after all
        {"_id": f"{key_of()}:{bucket_start(900)}"}, {"$set": {f"candles.{slot_of(900)}.close": 1.0}}
    )
    assert house.derive(now=soon).written > 400
    assert house.derive(now=soon + 2 * HOUR).written == 0
    assert house.marks() == []


def bucket_start(place: int) -> str:
    step = interval("15m")
    opened = step.slot(step.open_time(BASE["15m"] + place)).bucket
    return to_datetime(opened).strftime("%Y-%m-%dT%H:%M:%SZ")


def slot_of(place: int) -> int:
    step = interval("15m")
    return step.slot(step.open_time(BASE["15m"] + place)).position


def test_a_correction_during_the_computation_has_it_done_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    table = market_of()
    house.store(table)
    truly = indicators.bring_up
    pending = [900]

    def disturbed(*arguments: Any) -> Any:
        computed = truly(*arguments)
        if pending:
            house.store(corrected(table, pending.pop()))
        return computed

    monkeypatch.setattr(indicators, "bring_up", disturbed)
    house.derive()
    monkeypatch.undo()
    assert house.marks() == []
    house.is_as_if_computed_at_once(with_correction(table, 900))


def test_candles_that_never_stop_changing_are_left_for_the_next_run(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = market_of()
    house.store(table)
    truly = indicators.bring_up

    def disturbed(*arguments: Any) -> Any:
        nonlocal table
        computed = truly(*arguments)
        table = with_correction(table, 900)
        house.store(table[900:901])
        return computed

    monkeypatch.setattr(indicators, "bring_up", disturbed)
    with pytest.raises(StillChangingError, match="run it again"):
        house.derive()
    monkeypatch.undo()
    house.derive()
    house.is_as_if_computed_at_once(table)


# --- two at once ---------------------------------------------------------------------------------------------------


class Overtaken:
    """A derivation that computed from a candle which is corrected, and derived by another, before the first writes."""

    def __init__(self, house: House, monkeypatch: pytest.MonkeyPatch, now: int) -> None:
        self.table = market_of()
        house.store(self.table)
        truly = CandleStore.set_indicators
        pending = [900]

        def late(store: CandleStore, *arguments: Any) -> Any:
            if pending:
                house.store(corrected(self.table, pending.pop()))
                assert house.derive(now=now).written > 0
                assert house.marks() == []
            return truly(store, *arguments)

        monkeypatch.setattr(CandleStore, "set_indicators", late)


NOW = int(datetime.now(UTC).timestamp() * 1_000)


@pytest.mark.parametrize("now", [NOW, LONG_AFTER], ids=["in time", "when its mark looks forsaken"])
def test_who_was_overtaken_while_computing_does_it_again(
    house: House, monkeypatch: pytest.MonkeyPatch, now: int
) -> None:
    overtaken = Overtaken(house, monkeypatch, now)
    house.derive(now=NOW)
    house.derive(now=NOW)
    house.is_as_if_computed_at_once(with_correction(overtaken.table, 900))
    assert house.underway() == 0


def test_who_was_overtaken_and_died_is_made_up_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    overtaken = Overtaken(house, monkeypatch, NOW)

    def dies(*_: Any) -> bool:
        raise KeyboardInterrupt

    truly = SeriesStore.derived
    answers = [truly, dies]
    monkeypatch.setattr(SeriesStore, "derived", lambda *arguments: (answers.pop(0) if answers else truly)(*arguments))
    with pytest.raises(KeyboardInterrupt):
        house.derive(now=NOW)
    assert house.underway() == 1
    assert house.derive(now=NOW).written > 0
    assert house.underway() == 1, "it may still be alive"
    house.is_as_if_computed_at_once(with_correction(overtaken.table, 900))
    assert house.derive(now=NOW + 2 * HOUR).written == 0
    assert house.underway() == 0
