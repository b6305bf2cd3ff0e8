"""Names, subscriptions and feeds, without a socket; then the streams of a running exchange."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from pipeline.simulator.handle import Simulator
from pipeline.simulator.market.synthetic import SyntheticMarket
from pipeline.simulator.market.universe import QUIET, universe
from pipeline.simulator.wire.feeds import KlineFeed, make_feed
from pipeline.simulator.wire.session import FloodError, Session
from pipeline.simulator.wire.streams import Route, Topic, parse_stream
from pipeline.timeline import HOUR, INTERVALS, MINUTE

EPOCH = 1_767_225_600_000  # 2026-01-01
MARKET = SyntheticMarket(7, universe(20, EPOCH))
TIMEOUT = 20

StartSimulator = Callable[..., Simulator]


@pytest.mark.parametrize(
    ("name", "topic", "symbol"),
    [
        ("btcusdt@kline_1m", Topic.KLINE, "BTCUSDT"),
        ("btcusdt_perpetual@continuousKline_1M", Topic.CONTINUOUS_KLINE, "BTCUSDT"),
        ("btcusdt@markPrice", Topic.MARK_PRICE, "BTCUSDT"),
        ("btcusdt@markPrice@1s", Topic.MARK_PRICE, "BTCUSDT"),
        ("!markPrice@arr@1s", Topic.ALL_MARK_PRICES, ""),
        ("btcusdt@aggTrade", Topic.AGGREGATE_TRADE, "BTCUSDT"),
        ("btcusdt@bookTicker", Topic.BOOK_TICKER, "BTCUSDT"),
    ],
)
def test_stream_names(name: str, topic: Topic, symbol: str) -> None:
    stream = parse_stream(name, MARKET.specs, EPOCH)
    assert stream is not None
    assert (stream.topic, stream.symbol) == (topic, symbol)


@pytest.mark.parametrize(
    "name",
    [
        "BTCUSDT@kline_1m",
        "nosuchusdt@kline_1m",
        "btcusdt@kline_1s",
        "btcusdt@kline_",
        "btcusdt_quarter@continuousKline_1m",
        "btcusdt",
        "",
        "@kline_1m",
        "btcusdt@kline_1m@kline_1m",
    ],
)
def test_names_that_mean_nothing(name: str) -> None:
    assert parse_stream(name, MARKET.specs, EPOCH) is None


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ('{"method":"SUBSCRIBE","params":["a@kline_1m"],"id":1}', {"result": None, "id": 1}),
        ('{"method":"SUBSCRIBE","params":[],"id":"c20313fa-4cad"}', {"result": None, "id": "c20313fa-4cad"}),
        ('{"method":"LIST_SUBSCRIPTIONS","id":2}', {"result": ["first"], "id": 2}),
        ('{"method":"UNSUBSCRIBE","params":["unknown"],"id":3}', {"result": None, "id": 3}),
        ('{"method":"GET_PROPERTY","params":["combined"],"id":4}', {"result": False, "id": 4}),
        ('{"method":"SET_PROPERTY","params":["combined",true],"id":5}', {"result": None, "id": 5}),
    ],
)
def test_messages_that_are_understood(message: str, answer: dict[str, Any]) -> None:
    session = Session(Route.MARKET, combined=False, names={"first": None})
    assert json.loads(session.receive(message, 0)) == answer


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        ("{", 3, "Invalid JSON"),
        ("[]", 2, "must be an object"),
        ('{"id":1}', 2, "missing field `method`"),
        ('{"method":"SHOUT","id":1}', 2, "unknown variant `SHOUT`"),
        ('{"method":"SUBSCRIBE","params":["a"]}', 2, "unsigned integer"),
        ('{"method":"SUBSCRIBE","params":["a"],"id":-1}', 2, "unsigned integer"),
        ('{"method":"SUBSCRIBE","params":["a"],"id":1.5}', 2, "unsigned integer"),
        ('{"method":"SUBSCRIBE","params":["a"],"id":true}', 2, "unsigned integer"),
        ('{"method":"SUBSCRIBE","params":"a","id":1}', 2, "array"),
        ('{"method":"SUBSCRIBE","params":[1],"id":1}', 2, "must be a string"),
        ('{"method":"SUBSCRIBE","params":["no stream"],"id":1}', 2, "invalid stream"),
        ('{"method":"SUBSCRIBE","params":[""],"id":1}', 2, "invalid stream"),
        ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}', 1, "expected Boolean"),
        ('{"method":"SET_PROPERTY","params":["colour",true],"id":1}', 0, "Unknown property"),
        (json.dumps({"method": "SUBSCRIBE", "params": [str(n) for n in range(1025)], "id": 1}), 2, "too many"),
    ],
)
def test_messages_that_are_refused(message: str, code: int, words: str) -> None:
    session = Session(Route.MARKET, combined=False)
    answer = json.loads(session.receive(message, 0))
    error = answer.pop("error")
    assert answer in ({}, {"id": 1})
    assert error["code"] == code
    assert words in error["msg"]
    assert not session.names


def test_1024_streams_are_allowed() -> None:
    session = Session(Route.MARKET, combined=False)
    names = [str(number) for number in range(1024)]
    session.receive(json.dumps({"method": "SUBSCRIBE", "params": names, "id": 1}), 0)
    assert list(session.names) == names


def test_the_eleventh_message_of_a_second_hangs_up() -> None:
    session = Session(Route.MARKET, combined=False)
    message = '{"method":"LIST_SUBSCRIPTIONS","id":1}'
    for moment in [*range(0, 1000, 100), 1000, 1100]:
        session.receive(message, moment)
    with pytest.raises(FloodError):
        session.receive(message, 1150)


def kline_feed(symbol: str, code: str, now: int, late: int = 100) -> KlineFeed:
    stream = parse_stream(f"{symbol.lower()}@kline_{code}", MARKET.specs, EPOCH)
    assert stream is not None
    feed = make_feed(MARKET, stream, lambda: late, now)
    assert isinstance(feed, KlineFeed)
    return feed


def frames(feed: KlineFeed, start: int, end: int, step: int = 250) -> list[dict[str, Any]]:
    return [json.loads(payload.body) for now in range(start, end, step) for payload in feed.poll(now)]


@pytest.mark.parametrize(("symbol", "code", "hours"), [("BTCUSDT", "1m", 1), ("ETHUSDT", "15m", 1), (QUIET, "1m", 2)])
def test_each_traded_candle_closes_once_and_equals_rest(symbol: str, code: str, hours: int) -> None:
    step = INTERVALS[code]
    told = frames(kline_feed(symbol, code, EPOCH), EPOCH, EPOCH + hours * HOUR + 1_000)
    closed = [frame["k"] for frame in told if frame["k"]["x"]]
    truth = MARKET.klines(symbol, step, EPOCH, EPOCH + hours * HOUR - 1)
    assert [k["t"] for k in closed] == truth["t"][truth["trades"] > 0].tolist()
    assert [k["n"] for k in closed] == truth["trades"][truth["trades"] > 0].tolist()


def test_frames_are_in_order_and_only_when_something_traded() -> None:
    told = frames(kline_feed("BTCUSDT", "1m", EPOCH), EPOCH, EPOCH + 10 * MINUTE)
    assert [frame["E"] for frame in told] == sorted(frame["E"] for frame in told)
    states = [(frame["k"]["t"], frame["k"]["n"], frame["k"]["x"]) for frame in told]
    assert len(set(states)) == len(states)
    for before, after in pairwise(told):
        assert before["k"]["t"] <= after["k"]["t"]
        assert before["k"]["x"] or before["k"]["t"] == after["k"]["t"]


def test_the_closing_frame_is_as_late_as_it_is_told_to_be() -> None:
    told = frames(kline_feed("BTCUSDT", "1m", EPOCH, late=5_000), EPOCH, EPOCH + 2 * MINUTE)
    closing = next(frame for frame in told if frame["k"]["x"])
    assert closing["E"] == EPOCH + MINUTE + 5_000
    assert not [frame for frame in told if EPOCH + MINUTE <= frame["E"] < closing["E"]]


def test_a_feed_that_slept_closes_every_candle_it_missed() -> None:
    feed = kline_feed("BTCUSDT", "1m", EPOCH)
    told = [json.loads(payload.body)["k"] for payload in feed.poll(EPOCH + 5 * MINUTE + 30_000)]
    assert [(k["t"] - EPOCH) // MINUTE for k in told] == [0, 1, 2, 3, 4, 5]
    assert [k["x"] for k in told] == [True] * 5 + [False]


def test_a_kline_frame_has_the_fields_of_the_real_one() -> None:
    frame = frames(kline_feed("BTCUSDT", "1m", EPOCH), EPOCH, EPOCH + MINUTE)[-1]
    assert list(frame) == ["e", "E", "s", "k"]
    assert list(frame["k"]) == list("tTsifLochlvnxqVQB")
    assert frame["k"]["L"] - frame["k"]["f"] + 1 == frame["k"]["n"]


def test_trades_are_told_once_and_numbered_as_their_candle_says() -> None:
    stream = parse_stream("btcusdt@aggTrade", MARKET.specs, EPOCH)
    assert stream is not None
    feed = make_feed(MARKET, stream, lambda: 0, EPOCH - 1)
    told = [json.loads(payload.body) for now in range(EPOCH, EPOCH + MINUTE, 999) for payload in feed.poll(now)]
    told += [json.loads(payload.body) for payload in feed.poll(EPOCH + MINUTE - 1)]
    candle = frames(kline_feed("BTCUSDT", "1m", EPOCH), EPOCH, EPOCH + MINUTE + 1_000)
    closed = next(frame["k"] for frame in candle if frame["k"]["x"])
    assert [trade["a"] for trade in told] == list(range(closed["f"], closed["L"] + 1))


@asynccontextmanager
async def connected(simulator: Simulator, path: str) -> AsyncIterator[ClientConnection]:
    async with websockets.connect(simulator.ws_url + path) as socket:
        yield socket


async def hear(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await asyncio.wait_for(socket.recv(), TIMEOUT))
    return message


async def ask(socket: ClientConnection, method: str, *params: str) -> dict[str, Any]:
    await socket.send(json.dumps({"method": method, "params": params, "id": 1}))
    return await hear(socket)


async def answered(socket: ClientConnection, method: str, *params: str) -> dict[str, Any]:
    """The answer, whatever frames come before it."""
    answer = await ask(socket, method, *params)
    while "result" not in answer:
        answer = await hear(socket)
    return answer


@pytest.fixture(scope="module")
def fast() -> Iterator[Simulator]:
    """A minute of this exchange lasts a second."""
    with Simulator.start(speed=60, stream_period=6_000, lifted_limits=True) as simulator:
        yield simulator


@pytest.mark.parametrize(
    ("path", "event"),
    [
        ("/market/ws/btcusdt@kline_1m", "kline"),
        ("/market/ws/btcusdt_perpetual@continuousKline_1m", "continuous_kline"),
        ("/market/ws/btcusdt@markPrice@1s", "markPriceUpdate"),
        ("/market/ws/btcusdt@aggTrade", "aggTrade"),
        ("/public/ws/btcusdt@bookTicker", "bookTicker"),
        ("/ws/btcusdt@bookTicker", "bookTicker"),
    ],
)
async def test_a_bare_stream(fast: Simulator, path: str, event: str) -> None:
    async with connected(fast, path) as socket:
        assert (await hear(socket))["e"] == event


async def test_all_mark_prices_are_one_array(fast: Simulator) -> None:
    async with connected(fast, "/market/ws/!markPrice@arr@1s") as socket:
        prices = json.loads(await asyncio.wait_for(socket.recv(), TIMEOUT))
        assert {"BTCUSDT", "ETHUSDT"} <= {price["s"] for price in prices}


async def test_a_combined_stream_is_wrapped(fast: Simulator) -> None:
    names = {"btcusdt@kline_1m", "ethusdt@kline_5m"}
    async with connected(fast, "/market/stream?streams=" + "/".join(names)) as socket:
        heard = set()
        while heard != names:
            frame = await hear(socket)
            assert set(frame) == {"stream", "data"}
            heard.add(frame["stream"])


async def test_subscribing_listing_and_unsubscribing(fast: Simulator) -> None:
    async with connected(fast, "/market/ws") as socket:
        assert await ask(socket, "SUBSCRIBE", "btcusdt@kline_1m") == {"result": None, "id": 1}
        assert (await hear(socket))["e"] == "kline"
        assert (await answered(socket, "LIST_SUBSCRIPTIONS"))["result"] == ["btcusdt@kline_1m"]
        await answered(socket, "UNSUBSCRIBE", "btcusdt@kline_1m")
        sent = fast.ledger()["frames"]["sent"]
        assert (await ask(socket, "LIST_SUBSCRIPTIONS"))["result"] == []
        assert fast.ledger()["frames"]["sent"] == sent


@pytest.mark.parametrize("path", ["/ws", "/stream", "/public/ws", "/private/ws"])
async def test_klines_elsewhere_are_acknowledged_and_silent(fast: Simulator, path: str) -> None:
    async with connected(fast, path) as silent, connected(fast, "/market/ws/btcusdt@kline_1m") as spoken:
        assert (await ask(silent, "SUBSCRIBE", "btcusdt@kline_1m"))["result"] is None
        for _ in range(3):
            await hear(spoken)
        assert (await ask(silent, "LIST_SUBSCRIPTIONS"))["result"] == ["btcusdt@kline_1m"]


@pytest.mark.parametrize("path", ["/market/stream?streams=btcusdt@kline_1m,ethusdt@kline_1m", "/nowhere/ws"])
async def test_a_handshake_that_fails(fast: Simulator, path: str) -> None:
    with pytest.raises(websockets.InvalidStatus):
        async with connected(fast, path):
            pass


async def _until_closed(socket: ClientConnection) -> AsyncIterator[str | bytes]:
    with suppress(websockets.ConnectionClosed):
        while True:
            yield await socket.recv()


async def test_too_many_messages_hang_up(fast: Simulator) -> None:
    async with connected(fast, "/market/ws") as socket:
        for _ in range(11):
            await socket.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')
        async with asyncio.timeout(TIMEOUT):
            answers = [answer async for answer in _until_closed(socket)]
        assert len(answers) <= 10
        assert socket.close_code == 1008


async def test_closed_candles_on_the_wire_equal_the_truth(fast: Simulator) -> None:
    async with connected(fast, "/market/ws/btcusdt@kline_1m") as socket:
        closed: list[dict[str, Any]] = []
        while len(closed) < 2:
            k = (await hear(socket))["k"]
            closed += [k] if k["x"] else []
    rows = fast.truth_klines("BTCUSDT", "1m", closed[0]["t"], closed[-1]["t"])
    assert [[k[name] for name in "tohlcvTqnVQ"] for k in closed] == [row[:11] for row in rows]


async def test_a_connection_is_pinged_and_has_an_age(start_simulator: StartSimulator) -> None:
    simulator = start_simulator(ping_every=0.05, connection_life=1)
    async with connected(simulator, "/market/ws") as socket:
        pings = 0
        deliver = socket.protocol.recv_frame

        def watch(frame: Any) -> None:
            nonlocal pings
            pings += frame.opcode == websockets.frames.OP_PING
            deliver(frame)

        socket.protocol.recv_frame = watch  # type: ignore[method-assign]
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await hear(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1001
        assert pings > 1
