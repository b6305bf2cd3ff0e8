"""Two that want the same candles: one fetches them, whoever of them dies."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.exchange.errors import StoppedError
from pipeline.exchange.market import MarketData
from pipeline.history import claim
from pipeline.history.backfill import Backfill
from pipeline.history.claim import claimed
from pipeline.history.listing import Wanted
from pipeline.simulator.handle import Simulator
from pipeline.store.lease import LeaseStore
from schemas.series import SeriesKey

DAYS = 30
KLINES = "GET /fapi/v1/klines"
BTC = SeriesKey("sim", "BTCUSDT", "1m")


def leases(db: Database[Any]) -> list[Any]:
    return list(db["control"].find({"kind": "lease"}))


def test_two_that_fill_a_series_at_once_fetch_each_candle_once(
    prepared: Database[Any], market: MarketData, series: Callable[[str, str], Wanted], simulator: Simulator
) -> None:
    bitcoin = series("BTCUSDT", "1m")
    before = simulator.ledger()["requests"].get(KLINES, 0)
    with Backfill(prepared, market) as one, Backfill(prepared, market) as other, ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda work: work.fill(bitcoin, DAYS, "rest"), (one, other)))
    assert all(report.is_complete for report in reports)
    assert DAYS * 1440 <= sum(report.fetched for report in reports) <= DAYS * 1440 + 5, "minutes that closed since"
    pages = -(-DAYS * 1440 // market.page(bitcoin.step))
    assert simulator.ledger()["requests"][KLINES] - before <= pages + 10
    assert leases(prepared) == [], "nothing is left behind"


def test_the_claim_of_one_that_died_lapses(
    work: Backfill, prepared: Database[Any], series: Callable[[str, str], Wanted]
) -> None:
    began = time.monotonic()
    LeaseStore(prepared, f"history:{BTC}", "desk:77:dead", life=2.0).acquire()
    report = work.fill(series("BTCUSDT", "1m"), 1, "rest")
    assert time.monotonic() - began > 1.5, "it might have lived"
    assert (report.is_complete, report.fetched >= 1440) == (True, True)


def test_what_is_whole_waits_for_nobody(
    work: Backfill, prepared: Database[Any], series: Callable[[str, str], Wanted]
) -> None:
    ether = series("ETHUSDT", "1d")
    assert work.fill(ether, 20, "rest").is_complete
    LeaseStore(prepared, f"history:{ether.key}", "desk:77:at-work", life=600).acquire()
    assert work.fill(ether, 20, "rest").is_complete


def test_it_is_kept_for_as_long_as_it_takes(prepared: Database[Any]) -> None:
    with claimed(prepared, BTC, threading.Event(), life=5.0):
        (first,) = leases(prepared)
        deadline = time.monotonic() + 60
        while leases(prepared)[0]["until"] == first["until"]:
            assert time.monotonic() < deadline, "it is not renewed"
            time.sleep(0.1)
        assert leases(prepared)[0]["fence"] == first["fence"]
    assert leases(prepared) == []


def test_who_is_told_to_stop_waits_no_longer(prepared: Database[Any]) -> None:
    LeaseStore(prepared, f"history:{BTC}", "desk:77:at-work", life=600).acquire()
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    began = time.monotonic()
    with pytest.raises(StoppedError, match="sim:BTCUSDT:1m"), claimed(prepared, BTC, stop):
        raise AssertionError("another has it")
    assert time.monotonic() - began < 5


def test_the_wait_is_said(
    prepared: Database[Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = LeaseStore(prepared, f"history:{BTC}", "desk:77:at-work", life=600)
    other.acquire()

    class Ends(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            other.forget_of("desk:77:at-work")

    caplog.set_level("INFO")
    monkeypatch.setattr(claim.log, "handlers", [Ends()])
    with claimed(prepared, BTC, threading.Event()):
        said = [record.message for record in caplog.records if "BTCUSDT" in record.message]
    assert said == ["sim:BTCUSDT:1m: process 77 on desk sees to its candles; waiting for that"]
