"""A backtest over symbols of which some are not traded any more."""

import json
from collections.abc import Iterator

import polars as pl
import pytest
from typer.testing import CliRunner

from pipeline.app.stage import set_up
from pipeline.app.strategies import space_for
from pipeline.cli.app import build
from pipeline.errors import UsageError
from pipeline.store.candles.store import CandleStore
from pipeline.store.series import SeriesStore
from pipeline.timeline import DAY, MINUTE, to_datetime, to_ms
from schemas.series import SeriesKey
from tests.door.test_trial import require_equal
from tidemark import Tidemark

GONE, BEFORE = "OLDUSDT", "ANCIENTUSDT"


@pytest.fixture(scope="module")
def ends(filled: Tidemark) -> Iterator[int]:
    """One that has ended four days before the others do, and one long before they began: when the first did."""
    filled.backfill("BTCUSDT", "1m", days=10)
    known = SeriesStore(filled._opened.db).get(SeriesKey("sim", "BTCUSDT", "1m"))
    assert known is not None
    assert known.last_closed is not None
    found = (to_ms(known.last_closed) - 4 * DAY) // DAY * DAY
    copied(filled, GONE, found, 0)
    copied(filled, BEFORE, found, 400 * DAY)
    yield found
    for name in ("candles", "series", "symbols"):
        filled._opened.db[name].delete_many({"symbol": {"$in": [GONE, BEFORE]}})


def copied(tm: Tidemark, name: str, end: int, earlier: int) -> None:
    """The same candles as BTCUSDT has up to then, so much earlier; and nothing is expected of it any more."""
    db = tm._opened.db
    listed = db["symbols"].find_one({"symbol": "BTCUSDT"})
    db["symbols"].insert_one({**listed, "_id": f"sim:{name}", "symbol": name})  # type: ignore[dict-item]
    for code in ("1m", "15m"):
        key = SeriesKey("sim", name, code)
        frame = CandleStore(db).load(SeriesKey("sim", "BTCUSDT", code), end - 3 * DAY, end - MINUTE)
        by = pl.duration(milliseconds=earlier)
        frame = frame.filter(pl.col("closed")).with_columns(pl.col("t") - by, pl.col("te") - by)
        CandleStore(db).replace_closed(key, frame)
        SeriesStore(db).recount(key, "rest", end)
        SeriesStore(db).note_gone(key, "it was delisted", end)


def test_everything_that_traded_then_takes_part_as_long_as_it_traded(filled: Tidemark, ends: int) -> None:
    arguments = ["backtest", "macd_turtle", "-i", "15m", "--all", "--no-store", "--json"]
    done = CliRunner().invoke(build(), arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    parts = {one["symbol"]: (one["end"], one["settled"]) for one in found["took_part"]}
    assert parts[GONE] == (f"{to_datetime(ends):%Y-%m-%dT%H:%M:%S}.000Z", True)
    assert not parts["BTCUSDT"][1]
    assert BEFORE not in parts
    notes = [one for one in found["notes"] if one.startswith(f"{GONE} took part")]
    assert [one.partition(":00: ")[2] for one in notes][1] == (
        "its trading ended, and what was held of it was settled at its last price"
    )
    assert found["engine"] == "fast", found["assumptions"]
    assert {one["closed_at"] is None for one in found["trades"] if one["symbol"] == GONE} == {False}
    by_door = filled.backtest("macd_turtle", everything=True, intervals="15m")
    assert by_door.trades.height == len(found["trades"])


def test_a_symbol_without_a_candle_then_is_named_and_the_others_go_on(filled: Tidemark, ends: int) -> None:
    both, alone = (
        filled.backtest("macd_turtle", symbols=one, intervals="15m") for one in (["BTCUSDT", BEFORE], "BTCUSDT")
    )
    (note,) = set(both.notes) - set(alone.notes)
    assert note.startswith(f"no 1m candles of {BEFORE} are stored from ")
    assert note.endswith(". It is left out")
    assert both.summary == alone.summary
    with pytest.raises(UsageError, match=f"no 1m candles of {BEFORE} are stored from"):
        filled.backtest("macd_turtle", symbols=BEFORE, intervals="15m", start=to_datetime(ends))


def test_a_trial_knows_the_end_of_a_symbol_as_the_backtest_does(filled: Tidemark, ends: int) -> None:
    tm, symbols = filled._opened, ["BTCUSDT", GONE]
    stage = set_up(tm, space_for(tm.settings, "ma_breakout", {}, ["n=20"]), symbols=symbols, interval_code="15m").stage
    assert stage.asked.endings == {GONE: ends}
    require_equal(tm, stage, "ma_breakout", {"n": 20}, symbols)


def test_everything_is_no_symbol(filled: Tidemark) -> None:
    done = CliRunner().invoke(build(), ["backtest", "--all", "--symbol", "BTCUSDT"])
    assert "--all and --symbol exclude each other" in done.output + str(done.exception)
