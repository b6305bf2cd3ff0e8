"""Returns at each close: one refresh at a time, none lost, a database that is away delays nobody."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from pipeline.ingest.background import Background
from pipeline.ingest.returning import Returning
from pipeline.store.candles.live import LiveCandle
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.store.signals.returns import ReturnStore
from pipeline.timeline import HOUR, interval
from schemas.series import SeriesKey
from tests.live_writer import write_live

START = interval("1h").floor(1_760_000_000_000)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a thread of the pool tells nobody
            await asyncio.sleep(0.01)


async def test_a_close_refreshes_the_signals_of_its_symbol(
    db: Database[Any], signal_document: Callable[..., dict[str, Any]]
) -> None:
    prepare(db)
    key = SeriesKey("sim", "BTCUSDT", "1h")
    values = (100.0, 103.0, 99.0, 102.0, 1.0, 1.0, 1, 1.0, 1.0)
    write_live(db, [LiveCandle(key, START, *values, closed=True, u=START + HOUR)])
    SeriesStore(db).recount(key, "stream", START)
    db.signals.insert_one(signal_document(START))
    background = Background(1, 1)
    Returning(background, db, "sim").closed(["BTCUSDT"])
    await until(lambda: db.signals.find_one({"return_pct": {"$gt": 1.9}, "best_pct": {"$gt": 2.9}}) is not None)
    background.end()


async def test_what_closes_during_a_refresh_is_refreshed_next_all_at_once(
    db: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    go = threading.Event()

    def refresh(_store: ReturnStore, exchange: str, symbols: set[str]) -> None:
        asked.append(sorted(symbols))
        assert go.wait(30)

    monkeypatch.setattr(ReturnStore, "refresh", refresh)
    background = Background(4, 1)
    returning = Returning(background, db, "sim")
    returning.closed([])
    returning.closed(["A"])
    await until(lambda: asked == [["A"]])
    for symbol in ("B", "C", "B"):
        returning.closed([symbol])
    go.set()
    await until(lambda: asked == [["A"], ["B", "C"]])
    returning.closed(["D"])
    await until(lambda: asked[-1] == ["D"])
    background.end()


async def test_of_many_that_close_at_once_a_few_are_refreshed_at_a_time(
    db: Database[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[str]] = []
    monkeypatch.setattr(ReturnStore, "refresh", lambda _store, _exchange, symbols: asked.append(symbols))
    background = Background(1, 1)
    Returning(background, db, "sim").closed(f"S{number}" for number in range(25))
    await until(lambda: len(asked) == 3)
    assert [len(symbols) for symbols in asked] == [10, 10, 5]
    assert set.union(*asked) == {f"S{number}" for number in range(25)}
    background.end()


async def test_after_a_failure_the_next_close_tries_again(
    db: Database[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[set[str]] = []

    def refresh(_store: ReturnStore, exchange: str, symbols: set[str]) -> None:
        asked.append(symbols)
        if len(asked) == 1:
            raise AutoReconnect("gone")

    monkeypatch.setattr(ReturnStore, "refresh", refresh)
    background = Background(1, 1)
    returning = Returning(background, db, "sim")
    returning.closed(["A"])
    await until(lambda: "returns were not refreshed: gone" in caplog.text)
    returning.closed(["B"])
    await until(lambda: asked == [{"A"}, {"B"}])
    background.end()
