"""What can be chosen of an exchange, and where it answers then: what whoever starts one says, and is told."""

from typing import Annotated

import msgspec

READY_KEY = "sim-key"
READY_SECRET = "sim-secret"  # noqa: S105 - printed in the manual, and opens a simulated exchange only
DEFAULT_PORT = 9876


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account with one key. `secret` is the shared secret, or a public key in PEM (RSA or Ed25519)."""

    name: str
    key: str
    secret: str
    deposit: str = "10000"
    permissions: tuple[str, ...] = ("read", "trade")
    addresses: tuple[str, ...] = ()
    others: dict[str, str] = {}
    """Deposits in other assets: `{"BNB": "2", "USDC": "500"}`. Nothing here is margined in them."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be chosen."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    seed: int = 0
    symbols: tuple[str, ...] = ()
    universe: Annotated[int, msgspec.Meta(ge=0)] = 0
    replay: str | None = None
    replay_symbol: str = "BTCUSDT"
    accounts: tuple[Account, ...] = (Account(name="main", key=READY_KEY, secret=READY_SECRET),)
    clock_offset: int = 0
    speed: float = 1.0
    weight_limit: int = 2400
    orders_10s: int = 300
    orders_1m: int = 1200
    lifted_limits: bool = False
    retry_after: bool = True
    ping_every: float = 180
    connection_life: float = 86_400
    close_lateness: tuple[int, int] = (20, 400)
    """How late a candle's last frame is, in ms of server time: from, to."""
    stream_period: Annotated[int, msgspec.Meta(ge=1)] = 250
    """The shortest time between two frames of a stream, in ms of server time."""


class Running(msgspec.Struct, frozen=True):
    """Where the exchange answers."""

    url: str
    ws_url: str
