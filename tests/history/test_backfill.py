"""Backfill against the simulator and a real database: complete, equal to the truth, and honest when it cannot be."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from pipeline.candle import Candle, CandleWrite
from pipeline.exchange.archive import Archive
from pipeline.exchange.clock import ClockSample, local_time
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.history.backfill import Backfill, DatabaseFailedError
from pipeline.history.listing import Wanted
from pipeline.history.report import SeriesReport
from pipeline.simulator.handle import Simulator
from pipeline.store.candles.coverage import SlotState
from pipeline.store.candles.store import CandleStore
from pipeline.timeline import DAY, HOUR, MINUTE, Window, interval, to_ms
from tests.history.conftest import window_of
from tests.live_writer import write_live

Find = Callable[[str, str], Wanted]
Check = Callable[..., None]

M1 = interval("1m")
KLINES = "GET /fapi/v1/klines"


def test_by_rest_alone_every_candle_is_the_truth(
    work: Backfill, client: RestClient, series: Find, equals_truth: Check
) -> None:
    bitcoin = series("BTCUSDT", "1m")
    window = window_of(bitcoin, client, 6)
    report = work.fill(bitcoin, 6, "rest")
    assert (report.wanted, report.stored, report.holes, report.source) == (6 * 1440, 6 * 1440, 0, "rest")
    assert report.is_complete
    equals_truth(bitcoin.key, window)


def test_archive_first_then_rest_for_what_it_lacks(
    work: Backfill, client: RestClient, series: Find, equals_truth: Check, simulator: Simulator
) -> None:
    bitcoin = series("BTCUSDT", "1m")
    before = simulator.ledger()["requests"].get(KLINES, 0)
    window = window_of(bitcoin, client, 6)
    report = work.fill(bitcoin, 6)
    assert (report.stored, report.holes, report.source) == (6 * 1440, 0, "mixed")
    equals_truth(bitcoin.key, window)
    assert simulator.ledger()["requests"][KLINES] - before < 12, "whole days cost no request"


@pytest.mark.parametrize(
    ("code", "days"), [("15m", 15), ("1h", 100), ("1d", 100), ("3d", 100), ("1w", 100), ("1M", 100)]
)
def test_every_length_of_candle(
    work: Backfill, client: RestClient, series: Find, equals_truth: Check, code: str, days: int
) -> None:
    ether = series("ETHUSDT", code)
    window = window_of(ether, client, days)
    report = work.fill(ether, days)
    assert report.is_complete
    assert report.stored == report.wanted == ether.step.count(*window)
    equals_truth(ether.key, window)


def test_what_is_stored_is_not_fetched_again_and_holes_in_the_middle_are(
    work: Backfill, series: Find, prepared: Database[Any], client: RestClient, equals_truth: Check
) -> None:
    bitcoin = series("BTCUSDT", "1m")
    window = window_of(bitcoin, client, 3)
    work.fill(bitcoin, 3, "rest")
    assert work.fill(bitcoin, 3, "rest").fetched <= 2, "only minutes that closed since"

    lost = list(prepared.candles.find({}, sort=[("_id", 1)]))
    prepared.candles.delete_one({"_id": lost[5]["_id"]})
    holes = {"$set": {"candles.7": None, "candles.11": None}, "$inc": {"stored": -2}}
    prepared.candles.update_one({"_id": lost[9]["_id"]}, holes)
    report = work.fill(bitcoin, 3, "rest")
    assert 242 <= report.fetched <= 244
    assert report.is_complete
    equals_truth(bitcoin.key, window)


def test_the_candle_that_is_open_now_is_stored_as_open(
    work: Backfill, series: Find, client: RestClient, prepared: Database[Any]
) -> None:
    bitcoin = series("BTCUSDT", "1d")
    forming = window_of(bitcoin, client, 5).end + DAY
    work.fill(bitcoin, 5)
    states = CandleStore(prepared).presence(bitcoin.key, forming - DAY, forming)
    assert states.tolist() == [SlotState.CLOSED, SlotState.OPEN]


@pytest.mark.parametrize("step", [-2 * HOUR, 2 * HOUR])
def test_a_clock_that_is_set_during_a_run_stores_nothing_as_closed_that_is_open_and_records_no_hole_to_come(
    work: Backfill, series: Find, client: RestClient, prepared: Database[Any], step: int
) -> None:
    bitcoin = series("BTCUSDT", "1m")
    begun = bitcoin.step.floor(client.server_time())
    client.clock.local = lambda: local_time() + step
    assert work.fill(bitcoin, 1).is_complete
    forming = bitcoin.step.floor(client.server_time())
    store = CandleStore(prepared)
    assert set(store.presence(bitcoin.key, begun - 3 * HOUR, begun - MINUTE).tolist()) == {SlotState.CLOSED}
    assert SlotState.CLOSED not in store.presence(bitcoin.key, forming, forming + 3 * HOUR).tolist()
    known = work.series.get(bitcoin.key)
    assert known is not None
    assert known.holes == []


def test_a_candle_of_which_nobody_is_sure_that_it_has_closed_is_not_wanted_yet(
    work: Backfill, series: Find, client: RestClient
) -> None:
    """A moment after its end, by a clock that is not that exact."""
    at = M1.floor(client.clock.now()) + 10
    client.clock.steady = client.clock.local = lambda: at
    client.clock.adopt([ClockSample(at, at, at, at)])
    report = work.fill(series("BTCUSDT", "1m"), 1, "rest")
    assert (report.is_complete, report.holes) == (True, 0)


def test_a_symbol_listed_later_is_complete_from_its_first_candle(
    work: Backfill, series: Find, client: RestClient, equals_truth: Check
) -> None:
    young = series("TIDEUSDT", "1h")
    window = window_of(young, client, 300)
    report = work.fill(young, 300)
    assert report.is_complete
    assert report.wanted == young.step.count(*window) < 101 * 24
    assert report.note is not None
    assert "fewer than 300 days exist" in report.note
    equals_truth(young.key, window)
    known = work.series.get(young.key)
    assert known is not None
    assert known.listed is not None
    assert (to_ms(known.listed), known.stored) == (young.listed, report.stored)


def test_a_symbol_not_yet_listed_has_nothing_and_says_so(work: Backfill, series: Find) -> None:
    report = work.fill(series("SOONUSDT", "1h"), 300)
    assert (report.wanted, report.is_complete) == (0, True)
    assert report.note is not None
    assert "no closed candles yet" in report.note


def test_non_ascii_names_work(work: Backfill, series: Find, client: RestClient, equals_truth: Check) -> None:
    odd = series("币安人生USDT", "5m")
    window = window_of(odd, client, 3)
    assert work.fill(odd, 3).is_complete
    equals_truth(odd.key, window)


def test_a_hole_of_the_exchange_is_recorded_with_evidence_and_not_asked_for_ever(
    work: Backfill, series: Find, client: RestClient, simulator: Simulator
) -> None:
    bitcoin = series("BTCUSDT", "1m")
    start = M1.floor(client.clock.now()) - 30 * HOUR
    simulator.faults.add("hole", start=start, end=start + 9 * MINUTE)
    report = work.fill(bitcoin, 2, "rest")
    assert (report.holes, report.known_holes, report.is_complete) == (10, 10, True)
    known = work.series.get(bitcoin.key)
    assert known is not None
    (hole,) = known.holes
    assert (to_ms(hole.start), to_ms(hole.end)) == (start, start + 9 * MINUTE)
    assert "twice" in hole.evidence

    before = simulator.ledger()["requests"][KLINES]
    assert work.fill(bitcoin, 2, "rest").holes == 10
    assert simulator.ledger()["requests"][KLINES] - before <= 3, "the forming candle, and minutes closed since"


def test_a_hole_only_near_the_present_is_not_called_the_exchanges_own(
    work: Backfill, series: Find, client: RestClient, simulator: Simulator
) -> None:
    bitcoin = series("BTCUSDT", "1m")
    start = M1.floor(client.clock.now()) - 20 * MINUTE
    simulator.faults.add("hole", start=start, end=start + 2 * MINUTE)
    report = work.fill(bitcoin, 1, "rest")
    assert (report.holes, report.known_holes, report.is_complete) == (3, 0, False)
    simulator.faults.clear()
    assert work.fill(bitcoin, 1, "rest").is_complete


PASSING = [
    {"kind": "invalid_json", "next": 3},
    {"kind": "truncated", "next": 3},
    {"kind": "maintenance", "next": 3},
    {"kind": "overloaded", "next": 3},
    {"kind": "unknown_before", "next": 3},
    {"kind": "timeout_before", "next": 3},
    {"kind": "reset_before", "next": 3},
    {"kind": "reset_after", "next": 3},
    {"kind": "unknown_after", "probability": 0.2, "seed": 4},
    {"kind": "slow", "milliseconds": 30},
    {"kind": "malformed_rows", "next": 2, "start": 0, "end": 2**42},
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault["kind"])
def test_a_fault_that_passes_leaves_no_trace(
    work: Backfill, series: Find, client: RestClient, simulator: Simulator, equals_truth: Check, fault: dict[str, Any]
) -> None:
    bitcoin = series("BTCUSDT", "1m")
    window = window_of(bitcoin, client, 3)
    rule = simulator.faults.add(**{"path": "/fapi/v1/klines", **fault})
    report = work.fill(bitcoin, 3, "rest")
    assert simulator.faults.struck(rule) >= 2
    assert report.is_complete, report.failures
    equals_truth(bitcoin.key, window)


def test_malformed_rows_that_stay_fail_by_name_and_everything_else_is_stored(
    work: Backfill, series: Find, client: RestClient, simulator: Simulator, equals_truth: Check
) -> None:
    bitcoin, ether = series("BTCUSDT", "1m"), series("ETHUSDT", "1m")
    window = window_of(bitcoin, client, 5)
    bad = window.start + 30 * HOUR
    simulator.faults.add("malformed_rows", symbol="BTCUSDT", start=bad, end=bad)
    reports = work.fill_all([bitcoin, ether], 5, "rest")

    assert reports[1].is_complete
    equals_truth(ether.key, window)
    failed = reports[0]
    assert not failed.is_complete
    assert failed.exit_code == 1
    assert "BTCUSDT 1m" in failed.failures[0]
    assert "row" in failed.failures[0]
    assert 1 <= failed.holes <= 499, "one page at most"
    assert failed.known_holes == 0, "a page that cannot be read is no hole of the exchange"

    simulator.faults.clear()
    assert work.fill(bitcoin, 5, "rest").fetched <= 499 + 2
    equals_truth(bitcoin.key, window)


def test_invalid_json_that_stays_ends_with_a_list_and_never_silently_short(
    prepared: Database[Any], market: MarketData, series: Find, simulator: Simulator
) -> None:
    bitcoin, ether = series("BTCUSDT", "1h"), series("ETHUSDT", "1h")
    market.client.environment = quick(market.client)
    simulator.faults.add("invalid_json", symbol="BTCUSDT", path="/fapi/v1/klines")
    with Backfill(prepared, market) as work:
        reports = work.fill_all([bitcoin, ether], 5)
    assert [report.is_complete for report in reports] == [False, True]
    assert "not readable JSON" in reports[0].failures[0]
    assert (reports[0].stored, reports[0].holes) == (0, 120)


def quick(client: RestClient) -> Any:
    return replace(client.environment, retries=1)


@pytest.mark.parametrize(
    "fault",
    [{"kind": "archive_missing"}, {"kind": "archive_corrupt"}, {"kind": "archive_checksum"}],
    ids=lambda fault: fault["kind"],
)
def test_whatever_is_wrong_with_the_archive_rest_makes_it_whole(
    work: Backfill, series: Find, client: RestClient, simulator: Simulator, equals_truth: Check, fault: dict[str, Any]
) -> None:
    bitcoin = series("BTCUSDT", "1m")
    window = window_of(bitcoin, client, 3)
    simulator.faults.add(**fault)
    report = work.fill(bitcoin, 3)
    assert report.is_complete
    assert report.source == "rest"
    equals_truth(bitcoin.key, window)


def test_a_hole_in_an_archive_file_is_filled_by_rest(
    work: Backfill, series: Find, client: RestClient, simulator: Simulator, equals_truth: Check
) -> None:
    bitcoin = series("BTCUSDT", "1m")
    window = window_of(bitcoin, client, 4)
    simulator.faults.add("archive_hole", start=window.start + DAY, end=window.start + 2 * DAY)
    report = work.fill(bitcoin, 4)
    assert report.is_complete
    equals_truth(bitcoin.key, window)


def test_from_the_archive_alone_the_rest_is_reported_missing(work: Backfill, series: Find) -> None:
    report = work.fill(series("BTCUSDT", "1m"), 3, "archive")
    assert report.source == "archive"
    assert report.holes > 0
    assert not report.is_complete


def test_a_ban_ends_every_series_says_until_when_and_needs_attention(
    prepared: Database[Any], market: MarketData, series: Find, simulator: Simulator
) -> None:
    both = [series("BTCUSDT", "1m"), series("ETHUSDT", "1m")]
    simulator.faults.add("banned", path="/fapi/v1/klines", next=1)
    try:
        with Backfill(prepared, market) as work:
            reports = work.fill_all(both, 3)
    finally:
        simulator.forgive()
    assert [report.exit_code for report in reports] == [3, 3]
    assert all("banned until" in report.failures[0] for report in reports)


def test_told_to_stop_it_keeps_what_is_stored_and_goes_on_from_there(
    prepared: Database[Any], market: MarketData, series: Find, simulator: Simulator, equals_truth: Check
) -> None:
    bitcoin = series("BTCUSDT", "1m")
    window = window_of(bitcoin, market.client, 20)
    stopper = StopAfter(market.client.stop, 6_000)
    with Backfill(prepared, market, progress=stopper) as work:
        report = work.fill(bitcoin, 20)
    assert 6_000 <= report.stored < report.wanted
    assert not report.is_complete
    assert any("told to stop" in failure for failure in report.failures)

    market.client.stop.clear()
    with Backfill(prepared, market) as work:
        again = work.fill(bitcoin, 20)
    assert again.is_complete
    assert again.fetched <= report.holes + 2
    equals_truth(bitcoin.key, window)


class StopAfter:
    """Sets the event once so many candles are stored."""

    def __init__(self, stop: threading.Event, candles: int) -> None:
        self.stop, self.left = stop, candles

    def planned(self, key: object, missing: int) -> None:
        pass

    def fetched(self, key: object, candles: int) -> None:
        self.left -= candles
        if self.left <= 0:
            self.stop.set()

    def finished(self, report: SeriesReport) -> None:
        pass


def test_a_database_that_goes_away_is_said_in_one_line(
    market: MarketData, series: Find, db: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bitcoin = series("BTCUSDT", "1h")
    with Backfill(db, market) as work:

        def gone(*_: object) -> None:
            raise AutoReconnect("connection closed")

        monkeypatch.setattr(work.candles, "replace_closed", gone)
        with pytest.raises(DatabaseFailedError, match=r"sim:BTCUSDT:1h: the database failed.*run the backfill again"):
            work.fill(bitcoin, 5)


def test_two_backfills_and_a_live_writer_at_once(
    prepared: Database[Any],
    market: MarketData,
    archive: Archive,
    series: Find,
    client: RestClient,
    simulator: Simulator,
    equals_truth: Check,
) -> None:
    bitcoin = series("BTCUSDT", "1m")
    window = window_of(bitcoin, client, 4)
    writer = LiveWriter(prepared, bitcoin, simulator, Window(window.end - 8 * HOUR, window.end))
    with Backfill(prepared, market) as one, Backfill(prepared, market, archive) as other, ThreadPoolExecutor(3) as pool:
        live = pool.submit(writer.run)
        filling = [pool.submit(one.fill, bitcoin, 4, "rest"), pool.submit(other.fill, bitcoin, 4, "auto")]
        reports = [each.result(60) for each in filling]
        writer.enough.set()
        live.result(60)
    assert writer.rounds >= 1
    assert all(report.is_complete for report in reports)
    equals_truth(bitcoin.key, window)


class LiveWriter:
    """Writes the candles of a window over and over, as a stream would: several open states, then closed, then late
    open frames again."""

    def __init__(self, db: Database[Any], series: Wanted, simulator: Simulator, window: Window) -> None:
        self.database = db
        self.rows = simulator.truth_klines(series.key.symbol, series.key.interval, *window)
        self.key = series.key
        self.enough = threading.Event()
        self.rounds = 0

    def run(self) -> None:
        while not self.enough.is_set():
            for row in self.rows:
                opened, closes = int(row[0]), int(row[6])
                states = [(closes - 500, False), (closes + 20, True), (closes - 900, False)]
                write_live(self.database, [self._candle(row, opened, at, closed) for at, closed in states])
                if self.enough.is_set():
                    break
            self.rounds += 1

    def _candle(self, row: list[Any], opened: int, event: int, closed: bool) -> CandleWrite:
        values = [float(row[place]) for place in (1, 2, 3, 4, 5, 7)]
        if not closed:
            values[4] /= 2  # half of the volume so far
        return CandleWrite(self.key, Candle(opened, *values, int(row[8]), float(row[9]), float(row[10]), closed, event))
