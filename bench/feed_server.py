"""The other end of `bench.ingesting`: a websocket server that sends kline frames at a steady rate, in its own process.

Its clock stands at `moment` until it is told to begin. It checks nothing; when its time is over it prints, as JSON, how
many frames it sent and every closing frame.

    python -m bench.feed_server '{"rate": 10000, "seconds": 60, "streams": 2500, "moment": 1767225570000,
        "contracts": false}'
"""

import asyncio
import contextlib
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.protocol import State

from pipeline.timeline import Interval, interval

ROUNDS_A_SECOND = 50
MOST_WAITING = 4 << 20
"""Bytes that a slow reader may leave unread before a stream skips its turn."""


COINS = b'"v":"%d.25","n":%d,"x":%s,"q":"9000000.50","V":"60.1","Q":"3600000.25"'
CONTRACTS = b'"v":"%d","n":%d,"x":%s,"q":"150.25000000","V":"60","Q":"60.10000000"'
"""Volumes as coins and what they cost, or as contracts and the coins that these are."""


@dataclass(slots=True)
class Stream:
    """One stream: where it goes, the candle it is in, and how many frames it sent."""

    name: str
    step: Interval
    socket: ServerConnection
    opened: int
    volumes: bytes = COINS
    sent: int = 0

    def message(self, moment: int, *, closed: bool) -> bytes:
        """A websocket message with the next combined frame, as the exchange writes it."""
        self.sent += 1
        symbol, code = self.name.split("@")[0].upper().encode(), self.step.code.encode()
        body = (
            b'{"stream":"%s","data":{"e":"kline","E":%d,"s":"%s","k":{"t":%d,"T":%d,"s":"%s","i":"%s","f":100,"L":200,'
            b'"o":"60500.0","c":"%d.5","h":"61001.0","l":"59999.0",' + self.volumes + b',"B":"0"}}}'
        ) % (
            *(self.name.encode(), moment, symbol, self.opened, self.step.close_time(self.opened), symbol, code),
            *(60_000 + self.sent * 7919 % 1_000, self.sent, self.sent, b"true" if closed else b"false"),
        )
        return b"\x81\x7e" + len(body).to_bytes(2, "big") + body


@dataclass(slots=True)
class Load:
    """Who listens, and what was sent."""

    rate: int
    seconds: float
    moment: int
    volumes: bytes
    offset: int | None = None
    streams: list[Stream] = field(default_factory=list)
    named: dict[str, Stream] = field(default_factory=dict)
    closes: list[tuple[str, int, int]] = field(default_factory=list)
    sent: int = 0

    def now(self) -> int:
        return self.moment if self.offset is None else time.time_ns() // 1_000_000 + self.offset

    async def talk(self, socket: ServerConnection) -> None:
        """Acknowledge and remember."""
        async for text in socket:
            command = json.loads(text)
            for name in command["params"]:
                self._carry(name, socket)
            await socket.send(json.dumps({"result": None, "id": command["id"]}))

    def _carry(self, name: str, socket: ServerConnection) -> None:
        known = self.named.get(name)
        if known is not None:
            known.socket = socket
            return
        step = interval(name.rpartition("_")[2])
        self.named[name] = Stream(name, step, socket, step.floor(self.now()), self.volumes)
        self.streams.append(self.named[name])

    async def send(self) -> None:
        """A fiftieth of a second's frames in each round, the streams in turn; what is late is made up."""
        begun, turn = time.monotonic(), 0
        while (passed := time.monotonic() - begun) < self.seconds:
            for _ in range(min(int(passed * self.rate) - self.sent, self.rate // ROUNDS_A_SECOND * 2)):
                turn = (turn + 1) % len(self.streams)
                self._send(self.streams[turn])
            await asyncio.sleep(max(0.0, 1 / ROUNDS_A_SECOND - (time.monotonic() - begun - passed)))

    def _send(self, stream: Stream) -> None:
        transport = stream.socket.transport
        if stream.socket.state is not State.OPEN or transport.get_write_buffer_size() > MOST_WAITING:
            return
        moment = self.now()
        closing = stream.step.floor(moment) > stream.opened
        transport.write(stream.message(moment, closed=closing))
        self.sent += 1
        if closing:
            self.closes.append((stream.name, stream.opened, stream.sent))
            stream.opened = stream.step.floor(moment)


async def main(rate: int, seconds: float, streams: int, moment: int, contracts: bool) -> None:
    """Say the port, and when all streams are listened to; begin at a line; end at the next one, or when whoever began
    it is gone."""
    load = Load(rate, seconds, moment, CONTRACTS if contracts else COINS)
    async with serve(load.talk, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        say({"port": next(iter(server.sockets)).getsockname()[1]})
        counting = asyncio.create_task(tell_when_complete(load, streams))
        if not await asyncio.to_thread(sys.stdin.readline):
            return
        await counting
        over = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
        sending = asyncio.create_task(deliver(load))
        await asyncio.wait((over, sending), return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            await sending
        await over
        sending.cancel()


async def tell_when_complete(load: Load, streams: int) -> None:
    """Wait for the streams."""
    while len(load.streams) < streams:  # noqa: ASYNC110 - the connections have no event for it
        await asyncio.sleep(0.01)
    say({"streams": streams})


async def deliver(load: Load) -> None:
    """Say what the clock is set to; send; say what was sent."""
    load.offset = load.moment - time.time_ns() // 1_000_000
    say({"offset": load.offset})
    await load.send()
    say({"sent": load.sent, "closes": load.closes})


def say(what: dict[str, Any]) -> None:
    """One line of JSON."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(**json.loads(sys.argv[1])))
