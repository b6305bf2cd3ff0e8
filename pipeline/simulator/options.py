"""What can be chosen of an exchange, and where it answers then: what whoever starts one says, and is told."""

from typing import Annotated

import msgspec

READY_KEY = "sim-key"
READY_SECRET = "sim-secret"  # noqa: S105 - printed in the manual, and opens a simulated exchange only
READY_SPOT = {"USDT": "10000", "BTC": "0.1", "BNB": "2"}
READY_COINS = {"BTC": "0.1", "ETH": "2", "BNB": "10", "SOL": "40", "XRP": "10000"}
DEFAULT_PORT = 9876


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account with one key. `secret` is the shared secret, or a public key in PEM (RSA or Ed25519)."""

    name: str
    key: str
    secret: str
    deposit: str = "10000"
    """Of USDT, in USD-M."""
    coins: dict[str, str] = msgspec.field(default_factory=lambda: dict(READY_COINS))
    """Deposits in COIN-M, which is margined in them."""
    spot: dict[str, str] = msgspec.field(default_factory=lambda: dict(READY_SPOT))
    """Deposits on spot."""
    permissions: tuple[str, ...] = ("read", "trade")
    addresses: tuple[str, ...] = ()
    others: dict[str, str] = {}
    """Deposits of other assets in USD-M: `{"BNB": "2", "USDC": "500"}`. Nothing there is margined in them."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be chosen."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    """Of the first market; each further one has the next port. 0: any free ones."""
    markets: tuple[str, ...] = ("um",)
    """Which of "um", "cm" and "spot" there are."""
    seed: int = 0
    symbols: tuple[str, ...] = ()
    """List only these; a market of which none is named lists what it has."""
    universe: Annotated[int, msgspec.Meta(ge=0)] = 0
    replay: str | None = None
    replay_symbol: str = "BTCUSDT"
    accounts: tuple[Account, ...] = (Account(name="main", key=READY_KEY, secret=READY_SECRET),)
    clock_offset: int = 0
    speed: float = 1.0
    weight_limit: int = 2400
    orders_10s: int = 300
    orders_1m: int = 1200
    """The three limits are those of the futures."""
    lifted_limits: bool = False
    retry_after: bool = True
    ping_every: float | None = None
    """Seconds between two pings; None: as the market does it."""
    connection_life: float = 86_400
    close_lateness: tuple[int, int] = (20, 400)
    """How late a candle's last frame is, in ms of server time: from, to."""
    stream_period: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """The shortest time between two frames of a stream, in ms of server time; None: as the market does it."""


class Address(msgspec.Struct, frozen=True):
    """Where a market answers. `streams`: below which of its paths it streams. `deposits`: what the first account begins
    with there, by asset."""

    url: str
    ws_url: str
    streams: tuple[str, ...] = ()
    deposits: dict[str, str] = {}
    ws_api: str | None = None
    """Where it is asked over a websocket, where it can be."""


class Running(msgspec.Struct, frozen=True):
    """Where the exchange answers, market by market, the first one first."""

    markets: dict[str, Address]

    @property
    def url(self) -> str:
        """Where the first market answers."""
        return next(iter(self.markets.values())).url

    @property
    def ws_url(self) -> str:
        """Where the first market streams."""
        return next(iter(self.markets.values())).ws_url
