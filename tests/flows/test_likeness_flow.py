"""What moves alike, measured from stored candles of an hour and of less."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from pymongo.database import Database

from flows.likeness import likeness
from pipeline.store.candles.store import CandleStore
from pipeline.store.likeness import LikenessStore
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.timeline import HOUR, interval, to_ms
from schemas.likeness import LIKENESS
from schemas.series import SeriesKey
from tests.flows.artifacts import newest_artifact

pytestmark = pytest.mark.usefixtures("settings_of_the_run")

HOURS = 408
END = to_ms(datetime(2026, 5, 1, tzinfo=UTC))


def store(db: Database[Any], symbol: str, code: str, at_hours: np.ndarray[Any, Any]) -> None:
    """Candles whose close at each full hour is that."""
    key, length = SeriesKey("sim", symbol, code), interval(code).milliseconds
    assert length is not None
    closes_at = np.arange(END - HOURS * HOUR, END, length) + length
    hours = (closes_at - (END - HOURS * HOUR)) / HOUR
    closes = np.interp(hours, np.arange(1, HOURS + 1), at_hours)
    opened, times = closes_at - length, pl.Datetime("ms", "UTC")
    columns = dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume"), closes)
    columns |= {"taker_buy_base": closes, "taker_buy_quote": closes}
    table = pl.DataFrame(
        {"t": opened, "te": closes_at - 1, **columns, "trades": np.full(len(opened), 5), "u": closes_at}
    ).with_columns(pl.col("t", "te", "u").cast(times), pl.lit(True).alias("closed"))
    CandleStore(db).replace_closed(key, table)
    SeriesStore(db).recount(key, "rest", END)


def test_each_symbol_is_measured_by_the_candles_that_it_has(db: Database[Any]) -> None:
    prepare(db)
    dice = np.random.default_rng(3)
    market = dice.normal(0, 0.01, HOURS)
    walks = [100 * np.exp(np.cumsum(part * market + dice.normal(0, 0.004, HOURS))) for part in (1, 1, 0)]
    store(db, "AUSDT", "1h", walks[0])
    store(db, "BUSDT", "15m", walks[1])
    store(db, "CUSDT", "1h", walks[2])
    store(db, "CUSDT", "1m", walks[0])  # an hour's candles are fewer
    store(db, "DUSDT", "1d", walks[0])  # and a day's are too few
    rows = likeness()
    assert {row["symbol"]: row["moves like"] for row in rows} == {"AUSDT": "BUSDT", "BUSDT": "AUSDT", "CUSDT": ""}
    found = LikenessStore(db, "sim").load()
    wanted = np.corrcoef([np.diff(np.log(one)) for one in walks])
    assert found["AUSDT"].correlations == pytest.approx({"BUSDT": wanted[0, 1], "CUSDT": wanted[0, 2]}, abs=1e-3)
    assert to_ms(found["AUSDT"].at) == END
    assert "AUSDT" in newest_artifact("likeness")
    state = LikenessStore(db, "sim").state()
    likeness()
    assert LikenessStore(db, "sim").state() == state, "the same is not written again"

    db["series"].delete_many({"symbol": "CUSDT"})
    likeness()
    assert LikenessStore(db, "sim").state() != state
    assert {one["symbol"]: set(one["correlations"]) for one in db[LIKENESS.name].find()} == {
        "AUSDT": {"BUSDT"},
        "BUSDT": {"AUSDT"},
    }


def test_where_nothing_is_stored_nothing_is_measured(db: Database[Any]) -> None:
    prepare(db)
    assert likeness() == []
