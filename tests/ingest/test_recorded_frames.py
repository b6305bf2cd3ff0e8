"""Real frames of the exchange, replayed through a real websocket: the store holds what they said last."""

import asyncio
import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from websockets.asyncio.server import ServerConnection, serve

from pipeline.exchange.clock import ServerClock
from pipeline.exchange.environments import SIM, at
from pipeline.exchange.errors import NotDoneError
from pipeline.exchange.frames import continuous_kline_stream
from pipeline.exchange.market import MarketData
from pipeline.exchange.traffic import Traffic
from pipeline.ingest.indicators import LiveIndicators
from pipeline.ingest.service import Ingester, Pace, plain_kline
from pipeline.ingest.window import Recipe
from pipeline.store.candles.store import CandleStore
from pipeline.store.prepare import prepare
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import interval, to_datetime
from schemas.series import SeriesKey
from tests.past import PlainPast

RECORDED = Path(__file__).parents[3] / "shared" / "realdata"
FRAMES = RECORDED / "binance_futures_kline_1m_frames.jsonl"
CONTINUOUS = RECORDED / "continuous_kline_ILVUSDT_frame.json"
TOLD = (
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "trades",
    "taker_buy_base",
    "taker_buy_quote",
    "closed",
)
STEP = interval("1m")

Candle = tuple[Any, ...]


def said(k: dict[str, Any]) -> Candle:
    """A candle as its frame writes it."""
    numbers = (*(float(k[name]) for name in "ohlcvq"), k["n"], float(k["V"]), float(k["Q"]))
    return (*numbers, k["x"])


def newest(frames: list[dict[str, Any]]) -> dict[tuple[str, int], Candle]:
    """The last word on each candle: its close, else its newest event."""
    ordered = sorted(frames, key=lambda frame: (frame["data"]["k"]["x"], frame["data"]["E"]))
    return {(frame["stream"], frame["data"]["k"]["t"]): said(frame["data"]["k"]) for frame in ordered}


class Replay:
    """An exchange that acknowledges, and when it is told to says what was recorded."""

    def __init__(self, frames: list[dict[str, Any]]) -> None:
        self.frames = frames
        self.ready = asyncio.Event()

    async def talk(self, socket: ServerConnection) -> None:
        async for text in socket:
            command = json.loads(text)
            await socket.send(json.dumps({"result": None, "id": command["id"]}))
            await self.ready.wait()
            for frame in self.frames:
                if frame["stream"] in command["params"]:
                    await socket.send(json.dumps(frame))


async def replayed(db: Any, async_db: Any, frames: list[dict[str, Any]], keys: dict[str, SeriesKey]) -> Ingester:
    """An ingester that has taken all the frames, each as one of those series, and left in order."""
    prepare(db)
    replay = Replay(frames)
    first = min(frame["data"]["k"]["t"] for frame in frames)
    names = {key: name for name, key in keys.items()}
    async with serve(replay.talk, "127.0.0.1", 0) as server:
        place = at(SIM, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        client = SimpleNamespace(
            environment=place,
            clock=ServerClock(local=lambda: first),
            stop=threading.Event(),
            sync_clock=lambda: None,
            traffic=Traffic(place.weight_limit),
        )

        def no_rest(*_: object) -> pl.DataFrame:
            raise NotDoneError("what was recorded has no REST")

        known = MarketData(client)
        market: Any = SimpleNamespace(client=client, klines=no_rest, volumes=known.volumes, page=known.page)
        ingester = Ingester(
            market,
            db,
            async_db,
            PlainPast(),
            Recipe(LiveIndicators(), 100),
            stream_name=names.__getitem__,
            pace=Pace(flush=0.02),
        )
        Watchlist(db, "sim").watch(keys.values(), to_datetime(first))
        stop = asyncio.Event()
        running = asyncio.create_task(ingester.run(stop))
        async with asyncio.timeout(60):
            while len(ingester.core.watched()) < len(keys):  # noqa: ASYNC110 - counted elsewhere
                await asyncio.sleep(0.02)
            replay.ready.set()
            while ingester.feed.counters.frames < len(frames):  # noqa: ASYNC110 - counted elsewhere
                await asyncio.sleep(0.02)
            stop.set()
            await running
    return ingester


def stored(db: Any, keys: dict[str, SeriesKey], first: int, last: int) -> dict[tuple[str, int], Candle]:
    found = {}
    for name, key in keys.items():
        table = CandleStore(db).load(key, first, last)
        times = table["t"].cast(pl.Int64).to_list()
        found |= {(name, t): row for t, row in zip(times, table.select(TOLD).iter_rows(), strict=True)}
    return found


@pytest.mark.skipif(not FRAMES.exists(), reason="the recorded frames (../shared/realdata) are absent")
async def test_the_recorded_minute_is_stored_as_it_was_said(db, async_db):
    frames = [json.loads(line)["frame"] for line in FRAMES.read_text().splitlines()]
    frames = [frame for frame in frames if "data" in frame]
    keys = {frame["stream"]: SeriesKey("sim", frame["data"]["s"], "1m") for frame in frames}
    ingester = await replayed(db, async_db, frames, keys)
    times = [frame["data"]["k"]["t"] for frame in frames]
    found = stored(db, keys, min(times), max(times))
    assert len(frames) == 67
    assert sum(candle[-1] for candle in found.values()) == 4
    assert found == newest(frames)
    assert ingester.feed.counters.undecodable == 0
    assert ingester.core.implausible == 0


@pytest.mark.skipif(not CONTINUOUS.exists(), reason="the recorded frames (../shared/realdata) are absent")
async def test_a_recorded_continuous_frame_is_stored_under_its_symbol(db, async_db):
    event = json.loads(CONTINUOUS.read_text())
    event = event.get("data", event)
    name = continuous_kline_stream(event["ps"], event["ct"], event["k"]["i"])
    key = SeriesKey("sim", event["ps"], event["k"]["i"])
    assert name != plain_kline(key)
    frames = [{"stream": name, "data": event}]
    await replayed(db, async_db, frames, {name: key})
    opened = event["k"]["t"]
    assert stored(db, {name: key}, opened, opened) == newest(frames)
