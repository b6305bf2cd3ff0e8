"""`tidemark backfill` and `tidemark candles` as a person runs them: arguments, output, exit codes."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pymongo.database import Database

from pipeline.simulator.handle import Simulator
from pipeline.store.candles.store import CandleStore
from pipeline.timeline import DAY, MINUTE
from schemas.series import SeriesKey
from tests.cli.conftest import Run

KEY = SeriesKey("sim", "BTCUSDT", "1m")


def test_300_days_of_minutes_without_a_hole_equal_to_the_truth(
    tidemark: Run, db: Database[Any], simulator: Simulator
) -> None:
    before = simulator.now() // MINUTE * MINUTE
    done = tidemark(
        "backfill", "BTCUSDT", "--interval", "1m", "--days", "300", "--json", TIDEMARK_STRATEGIES="rsi_reversal"
    )
    assert done.exit_code == 0, done.stderr
    (series,) = json.loads(done.stdout)
    told = {name: series[name] for name in ("symbol", "interval", "wanted", "stored", "holes", "source")}
    assert told == {
        "symbol": "BTCUSDT",
        "interval": "1m",
        "wanted": 432_000,
        "stored": 432_000,
        "holes": 0,
        "source": "mixed",
    }
    closed_meanwhile = 1  # the candle that was open when it began may end while it is asked for
    assert 0 <= series["fetched"] - 432_000 <= closed_meanwhile
    assert series["failures"] == []
    assert series["seconds"] > 0

    start = before - 300 * DAY + MINUTE
    store = CandleStore(db)
    for first in range(start, before, 50 * DAY):
        last = min(first + 50 * DAY - MINUTE, before - MINUTE)
        rows = simulator.truth_klines("BTCUSDT", "1m", first, last)
        found = store.load(KEY, first, last, ("t", "open", "high", "low", "close", "volume", "quote_volume", "trades"))
        assert found["t"].cast(pl.Int64).to_list() == [row[0] for row in rows]
        for column, place in (("open", 1), ("high", 2), ("low", 3), ("close", 4), ("volume", 5), ("quote_volume", 7)):
            assert found[column].to_list() == [float(row[place]) for row in rows]
        assert found["trades"].to_list() == [row[8] for row in rows]


def test_a_table_for_people_and_notes_about_short_histories(tidemark: Run) -> None:
    done = tidemark("backfill", "tideusdt", "-i", "1d", "-i", "1w")
    assert done.exit_code == 0, done.stderr
    assert "TIDEUSDT" in done.stdout
    assert "TIDEUSDT 1d: listed" in done.stderr
    assert "fewer than 300 days exist" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["backfill", "BTUSDT"], "Did you mean BTCUSDT?"),
        (["backfill", "BTCUSDT", "-i", "1minute"], "unknown interval '1minute'"),
        (["backfill", "--days", "0"], "days"),
        (["backfill", "--source", "moon"], "moon"),
        (["backfill", "--days", "1", "--limit", "10"], "exclude each other"),
        (["candles", "BTCUSDT", "2m"], "unknown interval '2m'"),
        (["candles", "BTCUSDT", "1m"], "tidemark backfill BTCUSDT --interval 1m"),
        (["candles", "BTCUSDT", "1m", "--json", "--csv"], "exclude each other"),
        (["candles", "BTCUSDT", "1m", "--start", "yesterday"], "2026-01-31"),
        (["candles", "BTCUSDT", "1m", "--start", "2026-02-01", "--end", "2026-01-01"], "is after"),
    ],
)
def test_bad_input_is_a_usage_error_that_says_how_to_mend_it(tidemark: Run, arguments: list[str], said: str) -> None:
    done = tidemark(*arguments)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_watched_is_topped_up_with_what_the_settings_name(tidemark: Run) -> None:
    chosen = {"TIDEMARK_SYMBOLS": "BTCUSDT", "TIDEMARK_INTERVALS": "1h"}
    assert tidemark("watch", "ETHUSDT", "-i", "15m").exit_code == 0
    done = tidemark("backfill", "--limit", "5", "--json", **chosen)
    assert done.exit_code == 0, done.stderr
    assert [(one["symbol"], one["interval"], one["stored"]) for one in json.loads(done.stdout)] == [
        ("BTCUSDT", "1h", 5),
        ("ETHUSDT", "15m", 5),
    ]
    alone = tidemark("backfill", "-i", "1h", "--limit", "5", "--json", **chosen)
    assert [one["symbol"] for one in json.loads(alone.stdout)] == ["BTCUSDT"]


def test_a_failed_series_is_named_and_the_exit_code_is_1(tidemark: Run, simulator: Simulator) -> None:
    simulator.faults.add("malformed_rows", symbol="BTCUSDT", start=0, end=2**42)
    done = tidemark("backfill", "BTCUSDT", "ETHUSDT", "-i", "1h", "--days", "5", "--source", "rest", "--json")
    assert done.exit_code == 1
    bad, good = json.loads(done.stdout)
    assert (bad["stored"], bad["holes"], good["holes"]) == (0, 120, 0)
    assert "BTCUSDT 1h: 120 candles are missing: BTCUSDT 1h: klines answer refused: row 0" in done.stderr


def test_without_an_exchange_it_ends_with_one_line(tidemark: Run) -> None:
    done = tidemark("backfill", "BTCUSDT", "-i", "1h", TIDEMARK_SIM_URL="http://127.0.0.1:1")
    assert done.exit_code == 1
    assert "no connection to http://127.0.0.1:1 could be made" in done.stderr
    assert "Traceback" not in done.stderr


def test_candles_are_printed_as_table_json_csv_and_parquet(tidemark: Run, home: Path) -> None:
    assert tidemark("backfill", "BTCUSDT", "-i", "1h", "--days", "3").exit_code == 0

    table = tidemark("candles", "btcusdt", "1h", "--last", "2").stdout
    assert table.count(":00") == 2

    found = json.loads(tidemark("candles", "BTCUSDT", "1h", "--last", "30", "--json").stdout)
    assert len(found) == 30
    assert all(candle["closed"] for candle in found[:29])
    ended_meanwhile = datetime.fromisoformat(found[29]["te"]) < datetime.now(UTC)
    assert not found[29]["closed"] or ended_meanwhile
    assert found[0]["t"].endswith(":00:00.000Z")
    assert found[0]["rsi"] > 0
    assert found[0]["sma120"] is None, "its warm-up is not over: null, not NaN"

    day = found[0]["t"][:10]
    lines = tidemark("candles", "BTCUSDT", "1h", "--start", day, "--end", f"{day}T23:00", "--csv").stdout.splitlines()
    assert lines[0].startswith("t,te,open,high,low,close,volume")
    assert len(lines) == 25

    written = tidemark("candles", "BTCUSDT", "1h", "--last", "5", "--parquet", "some.parquet")
    assert "5 candles" in written.stderr
    assert pl.read_parquet(home / "some.parquet")["close"].to_list() == [candle["close"] for candle in found[-5:]]

    nowhere = tidemark("candles", "BTCUSDT", "1h", "--parquet", "no/such/folder.parquet")
    assert nowhere.exit_code == 2
    assert "cannot write no/such/folder.parquet" in nowhere.stderr
    assert "Traceback" not in nowhere.stderr

    other = tidemark("candles", "BTCUSDT", "1d")
    assert other.exit_code == 2
    assert "no 1d candles of BTCUSDT are stored; stored are 1h" in other.stderr
