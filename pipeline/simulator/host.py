"""From options to a running exchange: builds the markets, the accounts and the servers, and runs until told to stop."""

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.simulator.clock import Clock
from pipeline.simulator.exchange import Exchange, Floor
from pipeline.simulator.market.synthetic import SyntheticMarket
from pipeline.simulator.market.universe import MOST
from pipeline.simulator.options import Account, Address, Options, Running
from pipeline.simulator.products import PRODUCTS, Product
from pipeline.simulator.types import Market, SymbolSpec
from pipeline.simulator.venue.account import MARGIN_ASSET
from pipeline.simulator.wire.panel import Panel
from pipeline.simulator.wire.security import ApiKey, read_secret
from pipeline.simulator.wire.server import Server, serving, until
from pipeline.simulator.wire.sockets import Manners
from pipeline.simulator.wire.weights import TEN_SECONDS, Limits, Meter
from pipeline.timeline import MINUTE

_LAST_PORT = 65_535


def build_exchange(options: Options) -> Exchange:
    """The exchange of those options."""
    clock = Clock(offset=options.clock_offset, speed=options.speed)
    products = [_product(name) for name in options.markets]
    if not products or len(set(options.markets)) != len(products):
        raise UsageError(f"an exchange has each of its markets once, and at least one; not {options.markets}")
    markets = _build_markets(options, products, clock.now())
    meters: dict[str, Meter] = {}
    floors = []
    for product, market in zip(products, markets, strict=True):
        meter = meters.setdefault(product.pool, Meter(_limits(product, options)))
        floors.append(Floor.of(product, market, meter, options.seed, clock.now()))
    exchange = Exchange(clock, floors)
    for account in options.accounts:
        deposits = {one.name: _amounts(account.name, one.deposits(account)) for one in products}
        exchange.open_account(account.name, _api_key(account), deposits)
    return exchange


async def serve(options: Options, on_ready: Callable[[Running], None], stopped: asyncio.Event | None = None) -> None:
    """Run until SIGINT or SIGTERM, until `stopped` is set, or until something inside fails."""
    exchange = build_exchange(options)
    servers = {name: _server(exchange, floor, options) for name, floor in exchange.floors.items()}
    hubs = {name: server.hub for name, server in servers.items()}
    addresses: dict[str, Address] = {}
    for name, server in servers.items():
        Panel(exchange, exchange.floors[name], hubs, addresses).mount(server.app)
    stopped = stopped or asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stopped.set)
    async with AsyncExitStack() as doors:
        for number, (name, server) in enumerate(servers.items()):
            port = await _opened(server, options.host, _port(options, number, name), doors)
            addresses[name] = _address(exchange.floors[name].product, f"{options.host}:{port}", options.accounts)
        on_ready(Running(addresses))
        await until(servers.values(), stopped)


async def _opened(server: Server, host: str, port: int, doors: AsyncExitStack) -> int:
    """Let it answer there until the doors close; the port, which was free if 0 was asked for."""
    try:
        return await doors.enter_async_context(serving(server, host, port))
    except OSError as failure:
        raise UsageError(
            f"cannot listen on {host}:{port}: {failure.strerror or failure}. "
            "Choose another port with --port, or 0 for any free one"
        ) from failure


def _port(options: Options, number: int, name: str) -> int:
    """Each market has the port after that of the one before."""
    port = options.port + number if options.port else 0
    if port > _LAST_PORT:
        raise UsageError(f"the market {name} would be on port {port}: choose a lower --port, or 0 for any free ones")
    return port


def _address(product: Product, host: str, accounts: Sequence[Account]) -> Address:
    ws_url = f"ws://{host}"
    deposits = dict(product.deposits(accounts[0])) if accounts else {}
    ws_api = ws_url + product.ws_api.path if product.ws_api else None
    return Address(f"http://{host}", ws_url, tuple(ws_url + path for path in product.streams.paths), deposits, ws_api)


def _server(exchange: Exchange, floor: Floor, options: Options) -> Server:
    rules = floor.product.streams
    ping_every = rules.ping_every if options.ping_every is None else options.ping_every
    manners = Manners(ping_every=ping_every, patience=rules.patience, life=options.connection_life)
    return Server(exchange, floor, manners, options.close_lateness, options.stream_period)


def _product(name: str) -> Product:
    if name not in PRODUCTS:
        raise UsageError(f"the exchange has the markets {', '.join(PRODUCTS)}; not {name!r}")
    return PRODUCTS[name]


def _limits(product: Product, options: Options) -> Limits:
    """What a market allows; that of the futures can be chosen."""
    limits = replace(product.limits, retry_after=options.retry_after, enforced=not options.lifted_limits)
    if product.pool != PRODUCTS[Options().markets[0]].pool:
        return limits
    return replace(
        limits, weight=options.weight_limit, orders={MINUTE: options.orders_1m, TEN_SECONDS: options.orders_10s}
    )


def parse_account(text: str) -> Account:
    """An account from `name:key:secret:deposit`; the deposit may be left out. A secret that names a file is read."""
    parts = text.split(":")
    if len(parts) not in (3, 4) or not all(parts):
        raise UsageError(f"an account is written name:key:secret[:deposit], not {text!r}")
    name, key, secret, *deposit = parts
    if Path(secret).is_file():
        secret = Path(secret).read_text(encoding="utf-8")
    account = Account(name=name, key=key, secret=secret, deposit=deposit[0] if deposit else "10000")
    _amount(account.name, account.deposit, MARGIN_ASSET)
    return account


def _build_markets(options: Options, products: Sequence[Product], now: int) -> list[Market]:
    """The prices of each market; a recording is played in the first, which is to be the only one."""
    if options.replay is not None:
        from pipeline.simulator.market.replay import ReplayMarket  # noqa: PLC0415 - reads with polars, which is slow to import
        from pipeline.simulator.market.replay_file import read_recording  # noqa: PLC0415

        if options.markets != Options().markets:
            raise UsageError(f"a recording is replayed on the market um alone, not on {', '.join(options.markets)}")
        recording = read_recording(Path(options.replay))
        return [ReplayMarket({options.replay_symbol: recording}, epoch=now, seed=options.seed)]
    known = [one.contracts(options.universe or (MOST if options.symbols else 0), now) for one in products]
    for symbol in options.symbols:
        if not any(symbol in contracts for contracts in known):
            names = [name for contracts in known for name in contracts]
            near = get_close_matches(symbol, names, n=3)
            hint = f"; near it: {', '.join(near)}" if near else ""
            raise UsageError(f"the simulator lists no {symbol!r}{hint}")
    return [
        SyntheticMarket(options.seed, _chosen(product, contracts, options, now))
        for product, contracts in zip(products, known, strict=True)
    ]


def _chosen(product: Product, contracts: dict[str, SymbolSpec], options: Options, now: int) -> dict[str, SymbolSpec]:
    """What is named of a market's contracts, in that order; everything usual where nothing is."""
    named = {symbol: contracts[symbol] for symbol in options.symbols if symbol in contracts}
    return named or product.contracts(options.universe, now)


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


def _amounts(name: str, texts: Mapping[str, str]) -> dict[str, Decimal]:
    return {asset: _amount(name, text, asset) for asset, text in texts.items()}


def _amount(name: str, text: str, asset: str) -> Decimal:
    try:
        deposit = Decimal(text)
    except InvalidOperation as failure:
        raise UsageError(f"the deposit of {name!r} must be an amount of {asset}, not {text!r}") from failure
    if not deposit.is_finite() or deposit < 0:
        raise UsageError(f"the deposit of {name!r} cannot be {deposit}: give 0 or more")
    return deposit
