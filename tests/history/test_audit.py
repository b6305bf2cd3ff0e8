"""The audit against a real database and the simulator: finds what was damaged, mends it from REST, invents nothing."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.exchange.market import MarketData
from pipeline.history.audit import Audit, Check, State
from pipeline.history.backfill import Backfill
from pipeline.history.listing import Wanted, listed_in, stored_series
from pipeline.simulator.handle import Simulator
from pipeline.store.candles.layout import bucket_id
from pipeline.store.series import SeriesStore
from pipeline.timeline import DAY, HOUR, MINUTE, Window, interval, to_ms
from schemas.series import SeriesKey

MINUTES, HOURS = SeriesKey("sim", "BTCUSDT", "1m"), SeriesKey("sim", "BTCUSDT", "1h")
M1 = interval("1m")

Find = Callable[[str, str], Wanted]


@pytest.fixture
def stored(prepared: Database[Any], work: Backfill, series: Find) -> Window:
    """Two days of BTCUSDT, 1m and 1h; the minutes' window."""
    reports = work.fill_all([series("BTCUSDT", "1m"), series("BTCUSDT", "1h")], 2, "rest")
    assert all(report.is_complete for report in reports)
    known = SeriesStore(prepared).get(MINUTES)
    assert known is not None
    assert known.first is not None
    assert known.last_closed is not None
    return Window(to_ms(known.first), to_ms(known.last_closed))


@pytest.fixture
def audit(prepared: Database[Any], market: MarketData) -> Audit:
    return Audit(prepared, market, samples=2)


@pytest.fixture
def listed(market: MarketData) -> Find:
    return listed_in(market.symbols(), "sim")


@pytest.fixture
def damage(prepared: Database[Any], stored: Window) -> Iterator[Callable[..., int]]:
    """Changes a stored minute as no writer of ours would: fields of the candle, or the whole slot. Says which."""

    def change(minutes: int, **fields: Any) -> int:
        opened = stored.start + minutes * MINUTE
        slot = M1.slot(opened)
        path = f"candles.{slot.position}"
        changes = {path: fields["slot"]} if "slot" in fields else {f"{path}.{name}": v for name, v in fields.items()}
        done = prepared.candles.update_one({"_id": bucket_id(MINUTES, slot.bucket)}, {"$set": changes})
        assert done.modified_count == 1
        return opened

    return change


def findings(audit: Audit, key: SeriesKey = MINUTES) -> list[tuple[Check, int, int]]:
    (found,) = audit.look([key])
    return [(flaw.check, flaw.start, flaw.end) for flaw in found.flaws]


def test_what_the_backfill_stored_is_sound(audit: Audit, stored: Window) -> None:
    minutes, hours = audit.look([MINUTES, HOURS])
    assert minutes.is_sound
    assert hours.is_sound
    assert minutes.candles == M1.count(*stored)
    assert (minutes.sampled, hours.sampled) == (120, 2 * min(48, 60))


DAMAGE = [
    ({"slot": None}, Check.CONTIGUITY),
    ({"closed": False}, Check.CONTIGUITY),
    ({"high": 1.0}, Check.SANITY),
    ({"volume": float("nan")}, Check.SANITY),
    ({"te": datetime(2020, 1, 1, tzinfo=UTC)}, Check.SANITY),
    ({"t": datetime(2020, 1, 1, tzinfo=UTC)}, Check.BUCKETS),
    ({"slot": {"open": 1.0}}, Check.BUCKETS),
]


@pytest.mark.parametrize(("fields", "check"), DAMAGE, ids=[f"{next(iter(fields))}-{check}" for fields, check in DAMAGE])
def test_damage_is_found_where_it_is_and_repaired(
    audit: Audit,
    damage: Callable[..., int],
    listed: Find,
    stored: Window,
    equals_truth: Callable[..., None],
    fields: dict[str, Any],
    check: Check,
) -> None:
    where = damage(700, **fields)
    found = findings(audit)
    assert any(one == check and start <= where <= end for one, start, end in found)

    (repaired,) = audit.repair(audit.look([MINUTES]), listed)
    assert repaired.is_sound
    assert {flaw.state for flaw in repaired.flaws} == {State.REPAIRED}
    assert findings(audit) == []
    equals_truth(MINUTES, stored)


def test_a_price_that_is_possible_but_wrong_is_seen_by_the_larger_interval_and_repaired(
    audit: Audit, damage: Callable[..., int], listed: Find, stored: Window, equals_truth: Callable[..., None]
) -> None:
    where = damage(700, volume=12_345.0)
    hour = where // HOUR * HOUR
    assert findings(audit, HOURS) == [(Check.AGREEMENT, hour, hour)]
    minutes, _ = audit.repair(audit.look([MINUTES, HOURS]), listed)
    assert minutes.flaws == (), "the hour is what was found; the minutes are mended by it"
    assert findings(audit, HOURS) == []
    equals_truth(MINUTES, stored)


def test_a_spot_check_compares_with_the_exchange(
    prepared: Database[Any], market: MarketData, damage: Callable[..., int]
) -> None:
    where = damage(700, volume=12_345.0)
    thorough = Audit(prepared, market, samples=400)
    assert (Check.EXCHANGE, where, where) in findings(thorough)


def test_a_bucket_of_another_series_is_found_and_replaced(
    audit: Audit, prepared: Database[Any], listed: Find, stored: Window, equals_truth: Callable[..., None]
) -> None:
    bucket = M1.bucket(stored.start + 900 * MINUTE)
    named = bucket_id(MINUTES, bucket.start)
    prepared.candles.update_one({"_id": named}, {"$set": {"symbol": "ETHUSDT"}})
    assert (Check.BUCKETS, bucket.start, bucket.end) in findings(audit)
    (repaired,) = audit.repair(audit.look([MINUTES]), listed)
    assert repaired.is_sound
    equals_truth(MINUTES, stored)


def test_what_the_exchange_itself_lacks_is_recorded_with_evidence_and_taken_back_when_it_appears(
    audit: Audit, damage: Callable[..., int], listed: Find, prepared: Database[Any], simulator: Simulator
) -> None:
    where = damage(700, slot=None)
    simulator.faults.add("hole", start=where, end=where)
    (owned,) = audit.repair(audit.look([MINUTES]), listed)
    assert owned.is_sound
    assert [flaw.state for flaw in owned.flaws] == [State.EXCHANGES_OWN]
    known = SeriesStore(prepared).get(MINUTES)
    assert known is not None
    assert [to_ms(hole.start) for hole in known.holes] == [where]
    (seen,) = audit.look([MINUTES])
    assert "twice" in seen.flaws[0].what

    simulator.faults.clear()
    (mended,) = audit.repair(audit.look([MINUTES]), listed)
    assert [flaw.state for flaw in mended.flaws] == [State.REPAIRED]
    known = SeriesStore(prepared).get(MINUTES)
    assert known is not None
    assert known.holes == []


def test_a_repair_that_cannot_reach_the_exchange_says_so(
    audit: Audit, damage: Callable[..., int], listed: Find, simulator: Simulator
) -> None:
    damage(700, slot=None)
    found = audit.look([MINUTES])
    simulator.faults.add("malformed_rows", path="/fapi/v1/klines", start=0, end=2**42)
    with_samples_off = Audit(audit._database, audit._market, samples=0)
    (failed,) = with_samples_off.repair(found, listed)
    assert not failed.is_sound
    assert "klines answer refused" in failed.failures[0]


def test_series_are_chosen_by_symbol_and_interval(prepared: Database[Any], stored: Window) -> None:
    assert stored_series(prepared, "sim", [], []) == [HOURS, MINUTES]
    assert stored_series(prepared, "sim", ["btcusdt"], ["1m"]) == [MINUTES]
    assert stored_series(prepared, "binance-um", [], []) == []
    assert stored.end - stored.start > DAY
