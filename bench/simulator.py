"""Is the exchange on the desk ever the bottleneck? Candles over HTTP beside a server that answers a fixed body, and how
many frames a second it sends, measured by clients in processes of their own."""

import asyncio
import http.client
import json
import multiprocessing
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from random import Random
from urllib.parse import urlsplit

import psutil
import websockets
from aiohttp import web

from bench.table import Row
from pipeline.simulator.handle import Simulator
from pipeline.timeline import DAY

GROUP = "simulator"
KLINES = "/fapi/v1/klines"
SYMBOLS = 500
FRAMES_A_SECOND = 4
SPEED = 120  # at this speed every symbol trades between two frames, so that the pace is what is measured


def run(quick: bool) -> list[Row]:
    """All of it."""
    return [*_candles(150 if quick else 1_000), *_streams(3 if quick else 10)]


def _candles(requests: int) -> list[Row]:
    with Simulator.start(lifted_limits=True) as simulator:
        now = simulator.now()
        dice = Random(7)
        paths = [
            f"{KLINES}?symbol=BTCUSDT&interval=1m&limit=1500&startTime={now - dice.randrange(2, 90) * DAY}"
            for _ in range(requests)
        ]
        latest = f"{KLINES}?symbol=BTCUSDT&interval=1m&limit=1500"
        body = _get(http.client.HTTPConnection(urlsplit(simulator.url).netloc), latest)
        with _constant_server(body) as address:
            ours, limit = _latencies(urlsplit(simulator.url).netloc, paths), _latencies(address, [latest] * requests)
    return [
        Row(
            group=GROUP,
            name="1,500 candles over HTTP, median",
            ours=statistics.median(ours),
            unit="ms",
            limit_name="aiohttp, fixed body of the same size",
            limit=statistics.median(limit),
            at_most=5,
            lower_is_better=True,
            note=f"{requests} requests at random times of 90 days, one connection",
        ),
        Row(
            group=GROUP,
            name="1,500 candles over HTTP, p99",
            ours=statistics.quantiles(ours, n=100)[98],
            unit="ms",
            limit_name="the same",
            limit=statistics.quantiles(limit, n=100)[98],
            lower_is_better=True,
        ),
    ]


def _latencies(address: str, paths: list[str]) -> list[float]:
    """How long each request took, in ms, over one connection."""
    connection = http.client.HTTPConnection(address)
    _get(connection, paths[0])
    taken = []
    for path in paths:
        begun = time.perf_counter()
        _get(connection, path)
        taken.append((time.perf_counter() - begun) * 1_000)
    connection.close()
    return taken


def _get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


@contextmanager
def _constant_server(body: bytes) -> Iterator[str]:
    """A server that does nothing but answer those bytes."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve_constant, args=(body, theirs), daemon=True)
    process.start()
    yield f"127.0.0.1:{ours.recv()}"
    process.terminate()
    process.join()


def _serve_constant(body: bytes, ready: Connection) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/{tail:.*}", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(serve())


def _streams(seconds: int) -> list[Row]:
    period = 1_000 * SPEED // FRAMES_A_SECOND
    with Simulator.start(universe=SYMBOLS, speed=SPEED, stream_period=period, lifted_limits=True) as simulator:
        names = _kline_streams(simulator)
        frames, busy = _hear(simulator, names, seconds)
    wanted = len(names) * FRAMES_A_SECOND
    return [
        Row(
            group=GROUP,
            name=f"frames sent to one client, {len(names)} symbols x 1m",
            ours=frames,
            unit="frames/s",
            limit_name="asked for: 4 a second for every symbol",
            limit=wanted,
            note=f"using {busy:.0%} of one core, at {SPEED} times real speed, so that every symbol trades all the time "
            "and closes a candle every half second (those frames come on top)",
        ),
        Row(
            group=GROUP,
            name="frames a core could send",
            ours=frames / busy,
            unit="frames/s",
            at_least=SYMBOLS * FRAMES_A_SECOND,
            note="the measured rate divided by the measured share of a core",
        ),
    ]


def _kline_streams(simulator: Simulator) -> list[str]:
    answer = _get(http.client.HTTPConnection(urlsplit(simulator.url).netloc), "/fapi/v1/exchangeInfo")
    trading = [each["symbol"] for each in json.loads(answer)["symbols"] if each["status"] == "TRADING"]
    return [f"{symbol.lower()}@kline_1m" for symbol in trading]


def _hear(simulator: Simulator, names: list[str], seconds: int) -> tuple[float, float]:
    """Frames a second, and the share of a core that the server used, over the last `seconds`."""
    process = psutil.Process(simulator.pid)
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    client = spawn.Process(target=_count, args=(simulator.ws_url, names, seconds, theirs), daemon=True)
    client.start()
    ours.recv()
    begun, before = time.perf_counter(), sum(process.cpu_times()[:2])
    frames: int = ours.recv()
    taken, used = time.perf_counter() - begun, sum(process.cpu_times()[:2]) - before
    client.join()
    return frames / taken, used / taken


def _count(url: str, names: list[str], seconds: int, report: Connection) -> None:
    """Listen: a word when the first frames are there, then how many came."""

    async def listen() -> None:
        async with websockets.connect(f"{url}/market/stream", max_queue=None, compression=None) as socket:
            await socket.send(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}))
            for _ in range(2 * len(names)):
                await socket.recv()
            report.send(True)
            end = time.perf_counter() + seconds
            frames = 0
            while time.perf_counter() < end:
                await socket.recv()
                frames += 1
            report.send(frames)

    asyncio.run(listen())
