"""From options to a running exchange: builds the market, the accounts and the server, and runs until told to stop."""

import asyncio
import signal
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.simulator.clock import Clock
from pipeline.simulator.exchange import Exchange
from pipeline.simulator.market.synthetic import SyntheticMarket
from pipeline.simulator.market.universe import universe
from pipeline.simulator.options import Account, Options, Running
from pipeline.simulator.types import Market, SymbolSpec
from pipeline.simulator.wire.security import ApiKey, read_secret
from pipeline.simulator.wire.server import Server, serving
from pipeline.simulator.wire.sockets import Manners
from pipeline.simulator.wire.weights import Limits, Meter

DEFAULT_SYMBOLS = 40
MOST_SYMBOLS = 1_000


def build_exchange(options: Options) -> Exchange:
    """The exchange of those options."""
    clock = Clock(offset=options.clock_offset, speed=options.speed)
    limits = Limits(
        weight=options.weight_limit,
        orders_10s=options.orders_10s,
        orders_1m=options.orders_1m,
        retry_after=options.retry_after,
        enforced=not options.lifted_limits,
    )
    exchange = Exchange(_build_market(options, clock.now()), clock, Meter(limits), options.seed)
    for account in options.accounts:
        others = {asset: _amount(account.name, amount, asset) for asset, amount in account.others.items()}
        exchange.open_account(account.name, _deposit(account), _api_key(account), others=others)
    return exchange


async def serve(options: Options, on_ready: Callable[[Running], None], stopped: asyncio.Event | None = None) -> None:
    """Run until SIGINT or SIGTERM, until `stopped` is set, or until something inside fails."""
    server = Server(
        build_exchange(options),
        Manners(ping_every=options.ping_every, life=options.connection_life),
        options.close_lateness,
        options.stream_period,
    )
    stopped = stopped or asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stopped.set)
    try:
        async with serving(server, options.host, options.port) as port:
            on_ready(Running(f"http://{options.host}:{port}", f"ws://{options.host}:{port}"))
            await server.until(stopped)
    except OSError as failure:
        raise UsageError(
            f"cannot listen on {options.host}:{options.port}: {failure.strerror or failure}. "
            "Choose another port with --port, or 0 for any free one"
        ) from failure


def parse_account(text: str) -> Account:
    """An account from `name:key:secret:deposit`; the deposit may be left out. A secret that names a file is read."""
    parts = text.split(":")
    if len(parts) not in (3, 4) or not all(parts):
        raise UsageError(f"an account is written name:key:secret[:deposit], not {text!r}")
    name, key, secret, *deposit = parts
    if Path(secret).is_file():
        secret = Path(secret).read_text(encoding="utf-8")
    account = Account(name=name, key=key, secret=secret, deposit=deposit[0] if deposit else "10000")
    _deposit(account)
    return account


def _build_market(options: Options, now: int) -> Market:
    if options.replay is not None:
        from pipeline.simulator.market.replay import ReplayMarket  # noqa: PLC0415 - reads with polars, which is slow to import
        from pipeline.simulator.market.replay_file import read_recording  # noqa: PLC0415

        recording = read_recording(Path(options.replay))
        return ReplayMarket({options.replay_symbol: recording}, epoch=now, seed=options.seed)
    return SyntheticMarket(options.seed, _contracts(options, now))


def _contracts(options: Options, now: int) -> dict[str, SymbolSpec]:
    known = universe(options.universe or (MOST_SYMBOLS if options.symbols else DEFAULT_SYMBOLS), now)
    for symbol in options.symbols:
        if symbol not in known:
            near = get_close_matches(symbol, known, n=3)
            hint = f"; near it: {', '.join(near)}" if near else ""
            raise UsageError(f"the simulator lists no {symbol!r}{hint}")
    return {symbol: known[symbol] for symbol in options.symbols} if options.symbols else known


def _api_key(account: Account) -> ApiKey:
    unknown = set(account.permissions) - {"read", "trade"}
    if unknown:
        raise UsageError(f"a key may 'read' and 'trade'; {min(unknown)!r} is no permission")
    return ApiKey(
        account.key,
        account.name,
        read_secret(account.secret),
        frozenset(account.permissions),  # type: ignore[arg-type]
        frozenset(account.addresses),
    )


def _deposit(account: Account) -> Decimal:
    return _amount(account.name, account.deposit, "USDT")


def _amount(name: str, text: str, asset: str) -> Decimal:
    try:
        deposit = Decimal(text)
    except InvalidOperation as failure:
        raise UsageError(f"the deposit of {name!r} must be an amount of {asset}, not {text!r}") from failure
    if not deposit.is_finite() or deposit < 0:
        raise UsageError(f"the deposit of {name!r} cannot be {deposit}: give 0 or more")
    return deposit
