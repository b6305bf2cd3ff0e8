"""The nightly audit looks into what it has not found sound yet, and into what was written since; into nothing else."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from pymongo.database import Database

from pipeline.candle import Candle, CandleWrite
from pipeline.exchange.market import MarketData
from pipeline.history.audit import Audit, Check, SeriesAudit, State
from pipeline.history.backfill import Backfill
from pipeline.history.listing import Wanted, listed_in
from pipeline.simulator.handle import Simulator
from pipeline.store.candles.integrity import Integrity
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.timeline import HOUR, MINUTE, Window, in_utc, interval, to_datetime, to_ms
from schemas.series import SeriesKey
from tests.live_writer import write_live
from tests.profile import Cost, profiled

MINUTES, HOURS = SeriesKey("sim", "BTCUSDT", "1m"), SeriesKey("sim", "BTCUSDT", "1h")
M1 = interval("1m")

Find = Callable[[str, str], Wanted]


@pytest.fixture
def stored(prepared: Database[Any], work: Backfill, series: Find) -> Window:
    """Four days of BTCUSDT, 1m and 1h; the minutes' window."""
    reports = work.fill_all([series("BTCUSDT", "1m"), series("BTCUSDT", "1h")], 4, "rest")
    assert all(report.is_complete for report in reports)
    return span_of(prepared)


@pytest.fixture
def nightly(prepared: Database[Any], market: MarketData, stored: Window) -> Audit:
    """It has found everything sound once."""
    made = Audit(prepared, market, everything=False)
    first = made.look([MINUTES, HOURS])
    assert [one.is_sound for one in first] == [True, True]
    assert first[0].candles == M1.count(*stored)
    assert waiting(prepared) == []
    return made


def waiting(db: Database[Any]) -> list[tuple[str, int]]:
    """The buckets with closed candles that are to be looked at, by interval and start. One that just began has none."""
    found = db.candles.find({"audited": False, "stored": {"$gt": 0}}, {"interval": 1, "start": 1})
    return [(one["interval"], to_ms(in_utc(one["start"]))) for one in found]


def span_of(db: Database[Any]) -> Window:
    known = SeriesStore(db).get(MINUTES)
    assert known is not None
    assert known.first is not None
    assert known.last_closed is not None
    return Window(to_ms(known.first), to_ms(known.last_closed))


def written(db: Database[Any], opened: int, **changes: Any) -> None:
    """The stored minute again, with these changes, as REST says it now."""
    row = CandleStore(db).load(MINUTES, opened, opened).with_columns(pl.lit(v).alias(k) for k, v in changes.items())
    CandleStore(db).replace_closed(MINUTES, row)


def closed_by_the_stream(db: Database[Any], opened: int, *, volume: float = 1.0) -> None:
    candle = CandleWrite(MINUTES, Candle(opened, 1.0, 1.0, 1.0, 1.0, volume, 1.0, 1, 0.5, 0.5, True, opened + MINUTE))
    assert write_live(db, [candle]).written == 1


def looked_at(audit: SeriesAudit) -> list[tuple[Check, int, int]]:
    return [(flaw.check, flaw.start, flaw.end) for flaw in audit.flaws]


def test_a_second_night_over_what_did_not_change_reads_no_bucket(prepared: Database[Any], nightly: Audit) -> None:
    costs: list[Cost] = []
    with profiled(prepared, costs):
        again = nightly.look([MINUTES, HOURS])
    assert [(one.is_sound, one.candles, one.sampled) for one in again] == [(True, 0, 0)] * 2
    (cost,) = costs
    assert cost.written == {}
    assert cost.read <= 2, "each series' own document"


def test_everything_is_read_again_where_that_is_asked_for(prepared: Database[Any], nightly: Audit) -> None:
    window = span_of(prepared)
    (all_of_it,) = Audit(prepared, nightly._market, samples=0).look([MINUTES])
    assert all_of_it.candles == M1.count(*window)


def test_what_a_hand_changed_is_found_by_the_whole_audit_alone(prepared: Database[Any], nightly: Audit) -> None:
    opened = span_of(prepared).start + 700 * MINUTE
    spot = M1.slot(opened)
    prepared.candles.update_one(
        {"symbol": "BTCUSDT", "interval": "1m", "candles.t": to_datetime(opened)},
        {"$set": {f"candles.{spot.position}.high": 1.0}},
    )
    assert nightly.look([MINUTES])[0].flaws == ()
    whole = Audit(prepared, nightly._market, samples=0)
    assert looked_at(whole.look([MINUTES])[0]) == [(Check.SANITY, opened, opened)]


def test_a_correction_is_looked_at_again_and_so_is_the_larger_candle_above_it(
    prepared: Database[Any], nightly: Audit, market: MarketData
) -> None:
    opened = span_of(prepared).start + 700 * MINUTE
    written(prepared, opened, volume=12_345.0)
    minutes, hours = Audit(prepared, market, samples=0, everything=False).look([MINUTES, HOURS])
    assert (minutes.is_sound, minutes.candles) == (True, M1.count(*_seen(prepared, opened)))
    assert looked_at(hours) == [(Check.AGREEMENT, opened // HOUR * HOUR, opened // HOUR * HOUR)]


def test_the_larger_candle_is_looked_at_the_next_night_where_it_came_first(
    prepared: Database[Any], nightly: Audit, market: MarketData
) -> None:
    opened = span_of(prepared).start + 700 * MINUTE
    written(prepared, opened, volume=12_345.0)
    quiet = Audit(prepared, market, samples=0, everything=False)
    hours, _ = quiet.look([HOURS, MINUTES])
    assert hours.candles == 0
    assert [one.check for one in quiet.look([HOURS])[0].flaws] == [Check.AGREEMENT]


def _seen(db: Database[Any], opened: int) -> Window:
    bucket, span = M1.bucket(opened), span_of(db)
    return Window(max(bucket.start, span.start), min(bucket.end, span.end))


def test_a_close_of_the_stream_is_looked_at(prepared: Database[Any], nightly: Audit, market: MarketData) -> None:
    opened = M1.after(span_of(prepared).end)
    closed_by_the_stream(prepared, opened, volume=-1.0)
    SeriesStore(prepared).recount(MINUTES, "stream", opened + MINUTE)
    (minutes,) = Audit(prepared, market, samples=0, everything=False).look([MINUTES])
    assert looked_at(minutes) == [(Check.SANITY, opened, opened)]


def test_candles_that_the_stream_passed_over_are_missed_though_no_bucket_was_written(
    prepared: Database[Any], nightly: Audit, market: MarketData
) -> None:
    """The newest bucket was sound as far as it went; the next candle stored lies in another one."""
    end = span_of(prepared).end
    later = M1.after(M1.bucket(end).end, 3)
    CandleStore(prepared).store_open(MINUTES, Candle(later, *[1.0] * 6, 1, 0.5, 0.5, False, later))
    closed_by_the_stream(prepared, later)
    SeriesStore(prepared).recount(MINUTES, "stream", later + MINUTE)
    (minutes,) = Audit(prepared, market, samples=0, everything=False).look([MINUTES])
    assert looked_at(minutes) == [(Check.CONTIGUITY, M1.after(end), later - MINUTE)]


def test_a_bucket_that_a_repair_took_out_is_missed_until_it_is_back(
    prepared: Database[Any], nightly: Audit, market: MarketData, simulator: Simulator
) -> None:
    bucket = M1.bucket(span_of(prepared).start + 900 * MINUTE)
    named = {"symbol": "BTCUSDT", "interval": "1m", "start": to_datetime(bucket.start)}
    prepared.candles.update_one(named, {"$set": {"candles.7": {"open": 1.0}}})
    (broken,) = Integrity(prepared).broken(MINUTES)
    Integrity(prepared).remove(broken)
    quiet = Audit(prepared, market, samples=0, everything=False)
    found = quiet.look([MINUTES])
    assert looked_at(found[0]) == [(Check.CONTIGUITY, bucket.start, bucket.end)]

    find = listed_in(market.symbols(), "sim")
    simulator.faults.add("malformed_rows", path="/fapi/v1/klines", start=0, end=2**42)
    (failed,) = quiet.repair(found, find)
    assert not failed.is_sound
    simulator.faults.clear()
    (mended,) = quiet.repair(quiet.look([MINUTES]), find)
    assert [one.state for one in mended.flaws] == [State.REPAIRED]
    assert quiet.look([MINUTES])[0].candles == 0


def test_what_the_exchange_lacks_is_asked_for_once_and_stays_its_own(
    prepared: Database[Any], nightly: Audit, market: MarketData, simulator: Simulator
) -> None:
    opened = span_of(prepared).start + 700 * MINUTE
    spot = M1.slot(opened)
    named = {"symbol": "BTCUSDT", "interval": "1m", "start": to_datetime(spot.bucket)}
    prepared.candles.update_one(
        named, {"$set": {f"candles.{spot.position}": None, "audited": False}, "$inc": {"stored": -1}}
    )
    simulator.faults.add("hole", start=opened, end=opened)
    quiet, find = Audit(prepared, market, samples=0, everything=False), listed_in(market.symbols(), "sim")
    (owned,) = quiet.repair(quiet.look([MINUTES]), find)
    assert [(one.check, one.state) for one in owned.flaws] == [(Check.CONTIGUITY, State.EXCHANGES_OWN)]
    assert quiet.look([MINUTES])[0].candles == 0

    prepared.candles.update_one(named, {"$set": {"audited": False}})
    (asked_again,) = quiet.repair(quiet.look([MINUTES]), find)
    assert [one.state for one in asked_again.flaws] == [State.EXCHANGES_OWN], "not repaired: it still is not there"


def test_a_bucket_written_while_it_was_proved_is_not_taken_for_sound(
    prepared: Database[Any], stored: Window, market: MarketData, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = stored.start + 700 * MINUTE
    load, busy = CandleStore.load, [True]

    def load_and_write(store: CandleStore, *asked: Any) -> pl.DataFrame:
        seen = load(store, *asked)
        if busy:
            busy.clear()
            written(prepared, opened, volume=12_345.0)
        return seen

    monkeypatch.setattr(CandleStore, "load", load_and_write)
    assert Audit(prepared, market, samples=0, everything=False).look([MINUTES])[0].is_sound
    assert [one for one in waiting(prepared) if one[0] == "1m"] == [("1m", M1.bucket(opened).start)]


@pytest.mark.parametrize("authority", [False, True])
def test_every_write_of_a_closed_candle_clears_it(prepared: Database[Any], nightly: Audit, authority: bool) -> None:
    opened = M1.after(span_of(prepared).end)
    candle = CandleWrite(MINUTES, Candle(opened, *[1.0] * 6, 1, 0.5, 0.5, True, opened + MINUTE), authority=authority)
    assert write_live(prepared, [candle]).written == 1
    assert waiting(prepared) == [("1m", M1.bucket(opened).start)]


def test_a_whole_bucket_that_the_exchange_lacks_is_its_own_and_not_repaired(
    prepared: Database[Any], nightly: Audit, market: MarketData, simulator: Simulator
) -> None:
    bucket = M1.bucket(span_of(prepared).start + 900 * MINUTE)
    prepared.candles.delete_one({"symbol": "BTCUSDT", "interval": "1m", "start": to_datetime(bucket.start)})
    simulator.faults.add("hole", start=bucket.start, end=bucket.end)
    quiet = Audit(prepared, market, samples=0, everything=False)
    (owned,) = quiet.repair(quiet.look([MINUTES]), listed_in(market.symbols(), "sim"))
    assert [(one.check, one.state) for one in owned.flaws] == [(Check.CONTIGUITY, State.EXCHANGES_OWN)]
    assert quiet.look([MINUTES])[0].candles == 0
