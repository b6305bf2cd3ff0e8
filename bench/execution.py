"""A closing frame until its order is at the exchange, through MongoDB; and what deciding costs the executor's core."""

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter
from typing import ClassVar

import msgspec
import numpy as np

from bench import disk
from bench.table import Row
from pipeline.candle import Candle
from pipeline.exchange.environments import SIM, at
from pipeline.exchange.frames import KlineFrame, decode, kline_stream
from pipeline.exchange.market import MarketData
from pipeline.exchange.products.instrument import Instrument
from pipeline.exchange.products.um import UM
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import Trading
from pipeline.execution.engine import events as ev
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.machine import Core as Executing
from pipeline.execution.engine.state import AccountView, Bracket, Margin, Policy, SignalView
from pipeline.execution.runtime.executor import opened
from pipeline.ingest.background import pause_garbage_searches, resume_garbage_searches
from pipeline.ingest.core import Core
from pipeline.ingest.events import ClosedCandles
from pipeline.ingest.indicators import LiveIndicators
from pipeline.ingest.signals import LiveSignals
from pipeline.ingest.telemetry import Metrics
from pipeline.ingest.window import Recipe
from pipeline.ingest.writer import Writer
from pipeline.periods import WINDOW
from pipeline.settings import Risk
from pipeline.simulator.handle import Simulator
from pipeline.simulator.options import READY_KEY, READY_SECRET, Account
from pipeline.store import connect
from pipeline.store.mongod.launch import Limits, any_free_port
from pipeline.store.mongod.server import Server
from pipeline.store.prepare import prepare
from pipeline.store.signals.write import fresh_for
from pipeline.strategies.base import Codes, Kind, Prices
from pipeline.timeline import DAY, INTERVALS, MINUTE, SECOND, Interval
from schemas.series import SeriesKey
from schemas.symbols import Symbol

GROUP = "execution"
KEYS = Credentials(READY_KEY, signer_for(READY_SECRET))
DEPOSIT = "100000000"
RISK = Risk(
    max_position_percent=Decimal("0.1"),  # a unit of it is many lots of the dearest symbol
    max_open_positions=10_000,
    max_orders_per_minute=1_000_000,
    max_slippage_percent=Decimal(100),
)
EVERY_MS = 120
SENDING_MS = EVERY_MS * 3 // 2
"""What a close may take when the machine is busy: its signal must not go stale meanwhile."""
ALLOWED_MS = 50


def run(quick: bool) -> list[Row]:
    """The whole path, then the core alone."""
    return [*whole_path(10 if quick else 150, waits=not quick), *deciding(2_000 if quick else 20_000)]


# --- from the frame to the order -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Every:
    """Says something at every candle once it is told to, so that every close leads to an order."""

    name: ClassVar[str] = "every"
    needs: ClassVar[tuple[str, ...]] = ("close", "atr")
    lookback: ClassVar[int] = 0
    speaks: list[bool] = field(default_factory=list)

    def signals(self, columns: Prices) -> Codes:
        return np.full(len(columns["close"]), int(Kind.TRIAL) if self.speaks else 0, dtype=np.int8)


def whole_path(closes: int, *, waits: bool) -> list[Row]:
    """Each symbol closes one candle; the exchange says when its order came. `waits`: for candles that close while the
    executor runs, as in earnest; what closed before, it asks the exchange about before it acts."""
    account = Account(name="main", key=READY_KEY, secret=READY_SECRET, deposit=DEPOSIT)
    with tempfile.TemporaryDirectory(prefix="tidemark-bench-") as folder:
        server = Server(Path(folder), port=any_free_port(), limits=Limits(cache_gb=0.5, oplog_mb=990))
        with (
            server.running() as uri,
            Simulator.start(universe=closes + 20, accounts=(account,), lifted_limits=True) as sim,
        ):
            with connect.client(uri) as client:
                prepare(client["bench"])
            symbols = tradable(sim, closes)
            executor = multiprocessing.get_context("spawn").Process(target=act, args=(uri, sim.url, sorted(symbols)))
            executor.start()
            try:
                until_leverage_is_set(sim, symbols)
                with disk.watched(Path(folder)) as pages:
                    sent, stored = asyncio.run(close_candles(uri, sim, symbols, _now() if waits else 0))
                came = arrivals(sim, len(sent))
            finally:
                executor.terminate()
                executor.join()
    whole = [came[symbol] - sent[symbol] for symbol in came]
    ours = [came[symbol] - stored[symbol] for symbol in came]
    return [
        _row("closing frame at the socket to its order at the exchange, p50", median(whole), "ms"),
        _row(
            "closing frame at the socket to its order at the exchange, p99",
            _p99(whole),
            "ms",
            at_most=ALLOWED_MS,
            note=disk.in_words(pages),
        ),
        _row("of it: signal acknowledged by MongoDB to its order at the exchange, p50", median(ours), "ms"),
        _row("of it: signal acknowledged by MongoDB to its order at the exchange, p99", _p99(ours), "ms"),
    ]


def tradable(sim: Simulator, count: int) -> dict[str, Symbol]:
    """So many symbols whose candles exist."""
    with RestClient(at(SIM, sim.url)) as client:
        listed = [one for one in MarketData(client).symbols() if one.status == "TRADING" and one.filters is not None]
    return {one.symbol: one for one in listed[:count]}


def act(uri: str, url: str, symbols: list[str]) -> None:
    """The executor, in a process of its own."""
    asyncio.run(_act(uri, url, symbols))


async def _act(uri: str, url: str, symbols: list[str]) -> None:
    unlimited = replace(UM, orders={"10s": 10**6, "1m": 10**6})
    place = replace(at(SIM, url), weight_limit=10_000_000, product=unlimited)
    with (
        connect.client(uri) as client,
        opened(
            client["bench"], place, KEYS, Policy("sim", RISK), mode="auto-execute", symbols=lambda: set(symbols),
            notify=lambda _: None, holder="bench",
        ) as executor,
    ):  # fmt: skip
        await executor.run(asyncio.Event())


def until_leverage_is_set(sim: Simulator, symbols: dict[str, Symbol]) -> None:
    """The executor is ready once it has done that."""
    with RestClient(replace(at(SIM, sim.url), weight_limit=10_000_000), KEYS) as client:
        deadline = time.monotonic() + 120
        while {Trading(client).symbol_configs()[one].leverage for one in symbols} != {RISK.leverage}:
            if time.monotonic() > deadline:
                raise RuntimeError("the executor did not become ready")
            time.sleep(0.2)


def just_closed(enough: int, since: int) -> Interval:
    """The shortest interval whose last candle closed after `since`, and so lately that its signals stay fresh for
    `enough`."""
    while True:
        now = _now()
        for step in INTERVALS.values():
            if step.floor(now) > since and step.floor(now) + fresh_for(step, DAY) >= now + enough:
                return step
        time.sleep(1)


async def close_candles(
    uri: str, sim: Simulator, symbols: dict[str, Symbol], since: int
) -> tuple[dict[str, float], dict[str, float]]:
    """When each closing frame came, and when its signal was acknowledged; of candles that closed after `since`."""
    step = just_closed(len(symbols) * SENDING_MS, since)
    client = connect.async_client(uri)
    strategy = Every()
    core = Core(Recipe(LiveIndicators(), WINDOW, LiveSignals([strategy])))
    writer = Writer(
        core, client["bench"], Metrics(), every=1.0, write_timeout=10.0, refill=lambda: None,
        now=_now, corrected=lambda _: None, fresh_at_most=DAY,
    )  # fmt: skip
    opens, minute = step.after(_now(), -1), _now() // MINUTE * MINUTE
    last = {symbol: float(sim.truth_klines(symbol, "1m", minute - MINUTE, minute - 1)[-1][4]) for symbol in symbols}
    for symbol, described in symbols.items():
        market = list(candles(last[symbol], described, step, opens))
        core.watch(
            SeriesKey("sim", symbol, step.code),
            settled=market[-1].t,
            history=ClosedCandles.of(market),
            decimals=described.price_precision,
        )
    await writer.flush()
    pause_garbage_searches()  # as the ingester does when all series are open
    strategy.speaks.append(True)
    sent: dict[str, float] = {}
    stored: dict[str, float] = {}
    for symbol in symbols:
        frame = closing_frame(symbol, step, opens, last[symbol])
        sent[symbol] = _now()
        incoming = decode(frame)
        if incoming is None or incoming.data is None:
            raise RuntimeError("the frame cannot be read")
        core.frame(SeriesKey("sim", symbol, step.code), _candle(incoming.data), _now())
        await writer.flush()
        stored[symbol] = _now()
        await asyncio.sleep(EVERY_MS / SECOND)
    resume_garbage_searches()
    await connect.close(client)
    return sent, stored


def candles(close: float, described: Symbol, step: Interval, before: int) -> Iterator[Candle]:
    """A walk that ends at the exchange's price."""
    random = np.random.default_rng(12)
    walk = np.cumsum(random.normal(0, 0.001, WINDOW))
    for place, price in enumerate(np.round(close * np.exp(walk - walk[-1]), described.price_precision).tolist()):
        t = step.after(before, place - WINDOW)
        ends = step.after(t)
        yield Candle(t, price, price * 1.001, price * 0.999, price, 1.0, price, 1, 0.5, price / 2, True, ends)


def closing_frame(symbol: str, step: Interval, opens: int, price: float) -> bytes:
    """As it comes from the exchange."""
    k = {"t": opens, "T": step.close_time(opens), "s": symbol, "i": step.code, "o": str(price), "h": str(price)}
    k |= {
        "l": str(price),
        "c": str(price),
        "v": "1",
        "n": 1,
        "x": True,
        "q": str(price),
        "V": "0.5",
        "Q": str(price / 2),
    }
    name = kline_stream(symbol, step.code)
    return msgspec.json.encode({"stream": name, "data": {"e": "kline", "E": _now(), "s": symbol, "k": k}})


def arrivals(sim: Simulator, wanted: int) -> dict[str, float]:
    """When the exchange was asked for each symbol's entry."""
    deadline = time.monotonic() + 60
    while True:
        attempts = [one for one in sim.ledger()["attempts"] if one["path"] == "/fapi/v1/order"]
        came = {one["params"]["symbol"]: float(one["time"]) for one in reversed(attempts)}
        if len(came) >= wanted:
            return came
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(came)} of {wanted} orders came")
        time.sleep(0.5)


# --- the core alone ------------------------------------------------------------------------------------------------


def deciding(count: int) -> list[Row]:
    """A signal in, its decision out: sized, rounded, checked against every limit."""
    now = 1_760_000_000_000
    with Simulator.start(symbols=("BTCUSDT",)) as sim:
        (symbol,) = tradable(sim, 1).values()
    core = Executing(Policy("sim", Risk()), now, identity=Identity("sim", "benchs"), mode="signal-only")
    brackets = (Bracket(Decimal(1_000_000), Decimal("0.004"), Decimal(0), 125),)
    account = AccountView("USDT", Decimal(10_000), Decimal(10_000), now, Decimal(10_000))
    core.handle(ev.Snapshot((), (), (account,), now), now)
    core.handle(ev.RulesSeen(symbol.symbol, Instrument.of(UM, symbol), Margin(3, "isolated"), now, brackets), now)
    core.handle(ev.PriceSeen(symbol.symbol, Decimal("70000.0"), now), now)
    times: list[float] = []
    for number in range(count):
        signal = SignalView(
            id=f"signal {number}", symbol=symbol.symbol, interval="1h", strategy="s", kind="entry", side="long", at=now,
            price=Decimal("70000.0"), atr=Decimal("700.0"), confirmed=True, fresh_until=now + MINUTE,
        )  # fmt: skip
        began = perf_counter()
        effects = core.handle(ev.SignalSeen(signal), now)
        times.append(perf_counter() - began)
        if not effects or getattr(effects[0], "decision", None) is None:
            raise RuntimeError(f"no decision was made: {effects}")
    return [
        _row("one decision in the core, p50", 1e6 * median(times), "us"),
        _row("one decision in the core, p99", 1e6 * _p99(times), "us"),
    ]


def _candle(frame: KlineFrame) -> Candle:
    k = frame.k
    return Candle(k.t, k.o, k.h, k.l, k.c, k.v, k.q, k.n, k.V, k.Q, k.x, frame.E)


def _now() -> int:
    return time.time_ns() // 1_000_000


def _p99(values: list[float]) -> float:
    return quantiles(values, n=100)[-1]


def _row(name: str, ours: float, unit: str, *, at_most: float | None = None, note: str = "") -> Row:
    return Row(group=GROUP, name=name, ours=ours, unit=unit, at_most=at_most, lower_is_better=True, note=note)
