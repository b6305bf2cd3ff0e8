"""Mark prices: fetched as the exchange says them, once, audited, mended, and forgotten with the candles."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from pymongo.database import Database

from pipeline.exchange.market import MarketData
from pipeline.history.audit import Audit
from pipeline.history.listing import Wanted, listed_in
from pipeline.history.marks import bring_up_marks, stored_marks
from pipeline.history.retention import Keep, Retention
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.timeline import HOUR, MINUTE, Window, interval, to_ms
from schemas.series import SeriesKey, mark_exchange

Series = Callable[[str, str], Wanted]


def test_they_are_stored_as_the_exchange_says_them_and_only_what_is_new_is_asked_for(
    prepared: Database[Any], market: MarketData, series: Series, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = series("BTCUSDT", "1m")
    assert bring_up_marks(prepared, market, None, [one, series("BTCUSDT", "1h")], 1, limit=600) == 600
    known = SeriesStore(prepared).get(one.key.mark)
    assert known is not None
    assert known.stored == 600
    assert not known.holes
    assert known.last_closed is not None
    window = Window(to_ms(known.last_closed) - 99 * MINUTE, to_ms(known.last_closed))
    told = market.of_marks().klines("BTCUSDT", interval("1m"), window)
    stored = CandleStore(prepared).load(one.key.mark, *window)
    assert stored["close"].to_list() == told["close"].to_list()
    last = market.klines("BTCUSDT", interval("1m"), window)
    assert stored["close"].to_list() != last["close"].to_list()
    asked: list[Window] = []
    klines = MarketData.klines
    monkeypatch.setattr(MarketData, "klines", lambda *a: asked.append(a[3]) or klines(*a))
    bring_up_marks(prepared, market, None, [one], 1, limit=600)
    assert sum((each.end - each.start) // MINUTE + 1 for each in asked) < 10
    assert SeriesStore(prepared).list("sim") == []


def test_they_are_audited_and_mended(prepared: Database[Any], market: MarketData, series: Series) -> None:
    one = series("BTCUSDT", "1m")
    bring_up_marks(prepared, market, None, [one], 1, limit=300)
    (key,) = stored_marks(prepared, [one.key])
    known = SeriesStore(prepared).get(key)
    assert known is not None
    assert known.first is not None
    store, at = CandleStore(prepared), to_ms(known.first) + HOUR
    right = store.load(key, at, at)
    store.replace_closed(key, right.with_columns(pl.col("high") + 5))
    audit = Audit(prepared, market.of_marks(), samples=20)
    (found,) = audit.repair(audit.look([key]), listed_in(market.symbols(), mark_exchange("sim")))
    assert [str(flaw.state) for flaw in found.flaws] == ["repaired"]
    assert store.load(key, at, at)["high"].to_list() == right["high"].to_list()


def test_those_that_cannot_be_had_keep_nobody_from_the_rest(
    prepared: Database[Any], market: MarketData, series: Series, caplog: pytest.LogCaptureFixture
) -> None:
    one = series("BTCUSDT", "1m")
    gone = Wanted(SeriesKey("sim", "NOSUCHUSDT", "1m"), one.listed, one.delivered)
    with caplog.at_level(logging.WARNING):
        assert bring_up_marks(prepared, market, None, [gone, one], 1, limit=60) == 60
    assert "mark prices of NOSUCHUSDT are missing" in caplog.text


def test_they_are_forgotten_with_the_candles(prepared: Database[Any], market: MarketData, series: Series) -> None:
    one = series("BTCUSDT", "1m")
    bring_up_marks(prepared, market, None, [one], 3)
    gone = Retention(prepared, "sim", history_days=1).forget(Keep(candles=1), datetime.now(UTC))
    assert {found.what: found.count for found in gone}[f"candle documents of {one.key.mark}"] > 5
