"""What arrives on a market stream, decoded: kline frames, acknowledgements, refusals.

Unknown fields are passed over. It never raises on a frame it cannot read: that is `None`, for the caller to count.
"""

from typing import Any, Final

import msgspec

MOST_FRAME_BYTES: Final = 1 << 20
SERVER_SHUTDOWN: Final = "serverShutdown"


class Kline(msgspec.Struct, gc=False):
    """The candle in a frame; names as on the wire."""

    t: int
    T: int
    i: str
    o: float
    h: float
    l: float  # noqa: E741
    c: float
    v: float
    n: int
    x: bool
    q: float
    V: float
    Q: float


class KlineFrame(msgspec.Struct, gc=False):
    """A `kline` or `continuous_kline` event."""

    E: int
    k: Kline


class Goodbye(msgspec.Struct, gc=False):
    """An event of the connection itself: its name."""

    e: str


class Farewell(msgspec.Struct, gc=False):
    """What a market sends before it ends a connection."""

    data: Goodbye


class Incoming(msgspec.Struct, gc=False):
    """Anything the combined stream sends: a wrapped event, an acknowledgement, or a refusal."""

    stream: str = ""
    data: KlineFrame | None = None
    id: int | None = None
    code: int | None = None
    msg: str = ""
    error: Any = None

    @property
    def refusal(self) -> str | None:
        """Why a command was refused, in the exchange's words."""
        if self.code is not None:
            return f"{self.code} {self.msg}"
        return None if self.error is None else str(self.error)


_decoder: Final = msgspec.json.Decoder(Incoming, strict=False)
_farewells: Final = msgspec.json.Decoder(Farewell)


def decode(message: bytes) -> Incoming | None:
    """The message, or None where it is not one of ours to read."""
    try:
        return _decoder.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def ends(message: bytes) -> bool:
    """Whether it says that the exchange is about to end this connection."""
    try:
        return _farewells.decode(message).data.e == SERVER_SHUTDOWN
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


def kline_stream(symbol: str, interval: str) -> str:
    """The name of the stream of a symbol's candles."""
    return f"{symbol.lower()}@kline_{interval}"


def continuous_kline_stream(pair: str, contract: str, interval: str) -> str:
    """The name of the stream of a pair's candles by kind of contract, such as `PERPETUAL`."""
    return f"{pair.lower()}_{contract.lower()}@continuousKline_{interval}"
