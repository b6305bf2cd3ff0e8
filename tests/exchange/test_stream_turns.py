"""Frames that came in one go are handed on in turns."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.exchange.stream_session import TURN, FeedCounters, Session

FRAME = (
    b'{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1,"s":"BTCUSDT","k":{"t":0,"T":59999,"i":"1m","o":"1.0",'
    b'"c":"1.0","h":"1.0","l":"1.0","v":"1.0","n":1,"x":true,"q":"1.0","V":"1.0","Q":"1.0"}}}'
)
MANY = 500


class Waiting:
    """A socket with frames that came already."""

    def __init__(self) -> None:
        self.left = MANY

    async def recv(self, **_: Any) -> bytes:
        if not self.left:
            raise EOFError
        self.left -= 1
        return FRAME


async def test_many_frames_at_once_let_others_come_between() -> None:
    taken = []

    class Listener:
        def frame(self, *_: Any) -> None:
            taken.append(time.sleep(TURN / 10))

    between = []

    async def other() -> None:
        while True:
            between.append(len(taken))
            await asyncio.sleep(0)

    session: Any = SimpleNamespace(
        counters=FeedCounters(), carrying=SimpleNamespace(is_set=lambda: True), listener=Listener()
    )
    others = asyncio.create_task(other())
    await asyncio.sleep(0)
    with pytest.raises(EOFError):
        await Session._receive(session, Waiting())  # type: ignore[arg-type]
    others.cancel()
    assert len(taken) == MANY
    assert len([seen for seen in between if 0 < seen < MANY]) > 5
