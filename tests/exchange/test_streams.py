"""The feed against a real websocket server that does what the exchange does, and what it should not."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

import pytest
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosedError, InvalidStatus, InvalidURI
from websockets.http11 import Response

from pipeline.exchange.environments import SIM, at
from pipeline.exchange.frames import continuous_kline_stream, decode, kline_stream
from pipeline.exchange.stream_session import FeedLimits, SilentFeedError, batches
from pipeline.exchange.streams import Feed, StreamBlockedError, reconnect_delays, worth_reconnecting

FAST = FeedLimits(command_every=0.001, first_delay=0.01, longest_delay=0.02, silence=30.0, lifetime=3600.0)


def kline(symbol, close="100.5", *, closed=False, number=0):
    opened = 1_760_000_040_000 // 60_000 * 60_000 + number * 60_000
    k = {"t": opened, "T": opened + 59_999, "s": symbol, "i": "1m", "f": 1, "L": 2, "o": "100", "c": close, "h": "101"}
    k |= {"l": "99", "v": "5", "n": 3, "x": closed, "q": "500", "V": "2", "Q": "200", "B": "0"}
    event = {"e": "kline", "E": opened + 30_000, "s": symbol, "k": k, "st": "new field"}
    return json.dumps({"stream": f"{symbol.lower()}@kline_1m", "data": event})


class Exchange:
    """A scripted exchange: acknowledges commands and sends a frame of each stream that is subscribed."""

    def __init__(self) -> None:
        self.sockets = []
        self.commands: list[tuple[int, str, list[str]]] = []
        self.paths: list[str] = []
        self.answers = lambda command: [{"result": None, "id": command["id"]}]
        self.sends: Callable[[str], list[str]] = lambda name: [kline(name.split("@")[0].upper())]

    async def talk(self, socket) -> None:
        self.sockets.append(socket)
        self.paths.append(socket.request.path)
        number = len(self.sockets)
        async for message in socket:
            command = json.loads(message)
            self.commands.append((number, command["method"], command["params"]))
            for answer in self.answers(command):
                await socket.send(json.dumps(answer))
            if command["method"] == "SUBSCRIBE":
                for name in command["params"]:
                    for frame in self.sends(name):
                        await socket.send(frame)


class Heard:
    """What the feed told."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, float]] = []
        self.story: list[tuple[str, frozenset[str], str]] = []
        self.changed = asyncio.Event()

    def frame(self, stream, frame) -> None:
        self.frames.append((stream, frame.k.c))
        self.changed.set()

    def up(self, streams) -> None:
        self.tell("up", streams)

    def down(self, streams, reason) -> None:
        self.tell("down", streams, reason)

    def refused(self, streams, reason) -> None:
        self.tell("refused", streams, reason)

    def tell(self, what, streams, reason="") -> None:
        self.story.append((what, frozenset(streams), reason))
        self.changed.set()

    def count(self, what) -> int:
        return sum(1 for one in self.story if one[0] == what)

    async def until(self, condition) -> None:
        async with asyncio.timeout(60):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
async def exchange():
    scripted = Exchange()
    async with serve(scripted.talk, "127.0.0.1", 0) as server:
        scripted.port = server.sockets[0].getsockname()[1]
        yield scripted


@pytest.fixture
async def feeds(exchange):
    """Makes running feeds, and ends them."""
    running = []

    def make(limits=FAST, streams=("btcusdt@kline_1m",)):
        heard = Heard()
        feed = Feed(at(SIM, f"http://127.0.0.1:{exchange.port}"), heard, limits=limits, random_=random.Random(1))
        feed.add(streams)
        running.append(asyncio.create_task(feed.run()))
        return feed, heard, running[-1]

    yield make
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize("cancelled", [1, 3], ids=["once", "again and again"])
async def test_no_connection_outlives_the_feed(exchange, feeds, cancelled):
    """Not even one whose other side does not say goodbye."""
    _, heard, running = feeds()
    await heard.until(lambda: heard.count("up"))
    (theirs,) = exchange.sockets
    theirs.transport.pause_reading()
    for _ in range(cancelled):
        running.cancel()
        await asyncio.wait([running], timeout=0.1)
    await asyncio.wait([running])
    assert [task for task in asyncio.all_tasks() if task.get_coro().__qualname__ == "Session._run"] == []
    theirs.transport.resume_reading()
    async with asyncio.timeout(10):
        await theirs.wait_closed()


async def test_streams_are_subscribed_on_the_routed_path_and_delivered(exchange, feeds):
    _, heard, _ = feeds(streams=["btcusdt@kline_1m", "ethusdt@kline_1m"])
    await heard.until(lambda: len(heard.frames) == 2)
    assert exchange.paths == ["/market/stream"]
    assert heard.frames == [("btcusdt@kline_1m", 100.5), ("ethusdt@kline_1m", 100.5)]
    await heard.until(lambda: heard.count("up"))
    assert heard.story == [("up", frozenset({"btcusdt@kline_1m", "ethusdt@kline_1m"}), "")]


async def test_many_streams_are_spread_over_connections_and_commands(exchange, feeds):
    names = [f"s{n:03}@kline_1m" for n in range(25)]
    _, heard, _ = feeds(replace(FAST, streams_per_connection=10, names_per_command=4), names)
    await heard.until(lambda: len(heard.frames) == 25)
    assert len(exchange.sockets) == 3
    assert {len(params) for _, _, params in exchange.commands} == {4, 2, 1}
    assert sorted(name for _, _, params in exchange.commands for name in params) == names


async def test_streams_come_and_go_while_it_runs(exchange, feeds):
    feed, heard, _ = feeds()
    await heard.until(lambda: heard.count("up"))
    feed.add(["ethusdt@kline_1m"])
    feed.remove(["btcusdt@kline_1m"])
    await heard.until(lambda: ("ethusdt@kline_1m", 100.5) in heard.frames)
    feed.renew(["ethusdt@kline_1m", "nobody@kline_1m"])
    await heard.until(lambda: heard.frames.count(("ethusdt@kline_1m", 100.5)) == 2)
    assert [(method, params) for _, method, params in exchange.commands] == [
        ("SUBSCRIBE", ["btcusdt@kline_1m"]),
        ("SUBSCRIBE", ["ethusdt@kline_1m"]),
        ("UNSUBSCRIBE", ["btcusdt@kline_1m"]),
        ("UNSUBSCRIBE", ["ethusdt@kline_1m"]),
        ("SUBSCRIBE", ["ethusdt@kline_1m"]),
    ]
    assert feed.streams == {"ethusdt@kline_1m"}


async def test_a_frame_that_cannot_be_read_is_counted_and_the_stream_goes_on(exchange, feeds, caplog):
    exchange.sends = lambda name: ["{broken", '{"stream":"x","data":{"E":1}}', '{"data":7}', "\x00", kline("BTCUSDT")]
    feed, heard, _ = feeds()
    await heard.until(lambda: heard.frames)
    assert feed.counters.undecodable == 4
    assert [r.message for r in caplog.records if "could not be read" in r.message] == [
        "a frame could not be read and was left out (further ones are only counted): b'{broken'"
    ]


async def test_a_broken_connection_is_told_and_made_anew(exchange, feeds):
    _, heard, _ = feeds()
    await heard.until(lambda: heard.count("up"))
    await exchange.sockets[0].close(1001)
    await heard.until(lambda: heard.count("up") == 2)
    assert [what for what, _, _ in heard.story] == ["up", "down", "up"]


async def test_a_broken_connection_costs_uptime_from_its_last_data_on(exchange, feeds):
    began = time.monotonic()
    feed, heard, _ = feeds(replace(FAST, silence=0.3))
    assert feed.figures() == {}, "nothing is claimed before there was data"
    await heard.until(lambda: heard.count("up"))
    assert feed.figures()["uptime"] == 1
    await heard.until(lambda: heard.count("up") == 2)
    told, lasted = feed.figures(), time.monotonic() - began
    assert 0 < told["uptime"] <= 1 - 0.3 / lasted
    assert told["uptime_day"] == pytest.approx(told["uptime"], abs=1e-3)


async def test_a_refused_stream_is_named_with_the_reason(exchange, feeds):
    exchange.answers = lambda command: [{"id": command["id"], "error": {"code": 2, "msg": "Invalid request"}}]
    _, heard, _ = feeds()
    await heard.until(lambda: heard.count("refused"))
    what, streams, reason = heard.story[-1] if heard.story[-1][0] == "refused" else heard.story[0]
    assert (what, streams) == ("refused", frozenset({"btcusdt@kline_1m"}))
    assert "Invalid request" in reason


async def test_an_acknowledgement_is_not_data(exchange, feeds):
    exchange.sends = lambda name: []
    _, heard, _ = feeds(replace(FAST, silence=0.2))
    await heard.until(lambda: heard.count("down"))
    reason = heard.story[0][2]
    assert heard.count("up") == 0
    assert "acknowledged, but no data" in reason
    assert "/market" in reason


async def test_a_command_that_is_never_acknowledged_ends_the_connection(exchange, feeds):
    exchange.answers = lambda command: []
    _, heard, _ = feeds(replace(FAST, ack_timeout=0.1, silence=2.0))
    await heard.until(lambda: heard.count("down"))
    assert "not acknowledged" in heard.story[-1][2]


async def test_a_renewed_connection_carries_data_before_the_old_one_ends(exchange, feeds):
    feed, heard, _ = feeds(replace(FAST, lifetime=0.3))
    await heard.until(lambda: feed.counters.renewals >= 1 and len(heard.frames) >= 2)
    assert heard.count("down") == 0
    assert heard.count("up") == 1
    async with asyncio.timeout(5):
        await exchange.sockets[0].wait_closed()
    assert exchange.sockets[1].state.name == "OPEN"


async def test_where_a_renewal_fails_the_old_connection_stays(exchange, feeds):
    feed, heard, _ = feeds(replace(FAST, lifetime=0.1, silence=0.3))
    await heard.until(lambda: heard.frames)
    exchange.sends = lambda name: []

    async def keep_first_alive():
        while True:
            await exchange.sockets[0].send(kline("BTCUSDT"))
            await asyncio.sleep(0.02)

    alive = asyncio.create_task(keep_first_alive())
    await heard.until(lambda: len(exchange.sockets) >= 3)
    alive.cancel()
    assert heard.count("down") == 0
    assert feed.counters.renewals == 0


async def test_a_renewal_waits_until_every_stream_is_subscribed(exchange, feeds):
    names = ("btcusdt@kline_1m", "ethusdt@kline_1m")
    feed, heard, _ = feeds(replace(FAST, lifetime=0.2, names_per_command=1, command_every=0.3), names)
    await heard.until(lambda: len(exchange.sockets) == 2 and len(heard.frames) >= 3)
    assert feed.counters.renewals == 0
    assert exchange.sockets[0].state.name == "OPEN"
    await heard.until(lambda: len(heard.frames) >= 4)
    async with asyncio.timeout(5):
        await exchange.sockets[0].wait_closed()


async def test_a_connection_that_breaks_while_it_is_renewed_is_made_anew_at_once(exchange, feeds):
    subscribed = []

    def nothing_the_second_time(name):
        subscribed.append(name)
        return [] if len(subscribed) == 2 else [kline("BTCUSDT")]

    exchange.sends = nothing_the_second_time
    _, heard, _ = feeds(replace(FAST, lifetime=0.1))
    async with asyncio.timeout(60):
        while len(subscribed) < 2:  # noqa: ASYNC110 - the scripted exchange has no event for it
            await asyncio.sleep(0.01)
    await exchange.sockets[0].close()
    await heard.until(lambda: heard.count("down") == 1 and heard.count("up") == 2)


async def test_frames_come_through_a_proxy(exchange):
    tunnels = []

    async def relay(reader, writer):
        try:
            while data := await reader.read(65_536):
                writer.write(data)
        finally:
            writer.close()

    async def tunnel(reader, writer):
        request = (await reader.readuntil(b"\r\n\r\n")).split()
        tunnels.append(request[:2])
        host, port = request[1].decode().split(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(relay(reader, back), relay(there, writer), return_exceptions=True)

    async with await asyncio.start_server(tunnel, "127.0.0.1", 0) as server:
        proxy = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        heard = Heard()
        feed = Feed(replace(at(SIM, f"http://127.0.0.1:{exchange.port}"), proxy=proxy), heard, limits=FAST)
        feed.add(["btcusdt@kline_1m"])
        running = asyncio.create_task(feed.run())
        await heard.until(lambda: heard.frames)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert tunnels == [[b"CONNECT", f"127.0.0.1:{exchange.port}".encode()]]


async def test_an_address_the_exchange_does_not_know_ends_the_feed_with_words():
    def refuse(connection, request):
        return connection.respond(HTTPStatus.NOT_FOUND, "no such path\n")

    async with serve(lambda socket: socket.wait_closed(), "127.0.0.1", 0, process_request=refuse) as server:
        feed = Feed(at(SIM, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"), Heard(), limits=FAST)
        feed.add(["btcusdt@kline_1m"])
        with pytest.raises(StreamBlockedError, match=r"HTTP 404.*Check the address"):
            await feed.run()


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (OSError("no route"), True),
        (TimeoutError(), True),
        (ConnectionClosedError(None, None), True),
        (SilentFeedError("nothing"), True),
        (InvalidStatus(Response(503, "", None)), True),
        (InvalidStatus(Response(429, "", None)), True),
        (InvalidStatus(Response(400, "", None)), False),
        (InvalidStatus(Response(404, "", None)), False),
        (InvalidURI("x", "y"), False),
        (ValueError("a mistake of ours"), False),
    ],
)
def test_whether_to_reconnect(error, again):
    assert worth_reconnecting(error) is again


def test_how_long_to_wait_before_reconnecting():
    delays = reconnect_delays(random.Random(3), 0.5, 10.0)
    first = [next(delays) for _ in range(8)]
    assert 0 <= first[0] <= 1.0
    assert first == sorted(first)
    assert first[-1] == 10.0


def test_names_of_streams():
    assert kline_stream("BTCUSDT", "1m") == "btcusdt@kline_1m"
    assert continuous_kline_stream("BTCUSDT", "PERPETUAL", "1h") == "btcusdt_perpetual@continuousKline_1h"
    assert list(batches("abcde", 2)) == [("a", "b"), ("c", "d"), ("e",)]


def test_a_frame_is_read_with_numbers_as_numbers():
    frame = decode(kline("BTCUSDT", "0.10", closed=True).encode()).data
    assert (frame.k.c, frame.k.n, frame.k.x, frame.k.i) == (0.1, 3, True, "1m")
