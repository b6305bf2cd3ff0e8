"""Backtests: the compiled rules and the executor itself over 300 days of minutes, beside other programs' backtests of
the same entries, exits and stops.

All data are in memory; times are seconds of a core, so that a busy machine favours none.
The others are never installed with us: `BENCH_PEERS` names the Python of a folder that has vectorbt and backtesting.
"""

import json
import multiprocessing
import os
import resource
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np

from bench.table import Row
from pipeline.exchange.products.um import UM
from pipeline.execution.engine.client_ids import Identity
from pipeline.execution.engine.state import Policy, SignalView
from pipeline.indicators import compute
from pipeline.periods import PERIODS, Floats
from pipeline.research.backtest import fast
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.assumptions import Assumptions
from pipeline.research.backtest.exact import ExactRun
from pipeline.research.backtest.fast import Prepared
from pipeline.research.backtest.funding import schedule_of
from pipeline.research.backtest.minutes import Minutes
from pipeline.research.backtest.run import run as backtest
from pipeline.research.backtest.summary import summary_of
from pipeline.settings import Risk
from pipeline.signals import Calculation, findings
from pipeline.strategies import registry
from pipeline.strategies.runner import run_history
from pipeline.timeline import DAY, HOUR, MINUTE, interval, to_ms
from schemas.series import SeriesKey
from tests.contracts import TICK, contract

GROUP = "research"
PEERS = os.environ.get("BENCH_PEERS")
BEGIN = to_ms(datetime(2026, 1, 1, tzinfo=UTC))
QUARTER = 15
STRATEGY = "ma_breakout"
STOP_ATR = 2


def run(quick: bool) -> list[Row]:
    """One symbol, then many; then what others take for it."""
    days = 30 if quick else 300
    compile_rules()
    return [*compiled(days), executed(days), flat(quick), many(2 if quick else 50, days)]


def compiled(days: int) -> list[Row]:
    """A run with all of its figures, as a search asks for it, and beside others."""
    asked = question("BTCUSDT", days, [STRATEGY])
    engine = Prepared(asked)
    signals = fast.signals_table(asked, engine.names)
    worth_of = backtest(asked).outcome.market

    def whole() -> Any:
        ran = engine.run(asked, signals)
        worth, results = engine.worth(ran, 10_000.0), fast.results_from(ran, asked, engine.names)
        return summary_of(
            worth, results, worth_of, asset=asked.asset, signals=len(signals), taken=0, turnover=0.0, left_out={}
        )

    ours, rules = median(times(whole, 101)) * 1e3, median(times(lambda: engine.run(asked, signals), 101)) * 1e3
    trades, others = whole().trades, peers(asked, signals)
    about = f"{len(signals):,} signals, {trades:,} trades; the rules alone {rules:.2f} ms"
    name = f"{days} days, 15m signals, 1m fills, ladder, all figures"
    row = Row(group=GROUP, name=name, ours=ours, unit="ms", at_most=0.3, lower_is_better=True, note=about)
    rows = [row]
    for peer, least in (("vectorbt", 150), ("backtesting.py", 5_000)):
        if peer in others:
            took, found = others[peer]
            said = f"its {found:,} trades have no ladder, no funding and no margin"
            beside = replace(row, name=f"the same beside {peer}", at_most=None, note=said)
            rows.append(replace(beside, peer=took * 1e3, peer_name=peer, times_peer=least))
    return rows


def executed(days: int) -> Row:
    """By the executor itself."""
    asked = question("BTCUSDT", days, [STRATEGY])
    trades = backtest(asked).outcome.summary.trades
    (took,) = times(lambda: ExactRun(asked).run(), 1)
    return Row(
        group=GROUP,
        name=f"the executor itself, {days} days",
        ours=took,
        unit="s",
        at_most=5,
        lower_is_better=True,
        note=f"{trades:,} trades; {took / max(trades, 1) * 1e3:.1f} ms each",
    )


def flat(quick: bool) -> Row:
    """The same number of trades over ever more days, each held for four hours at most: what is held for longer has more
    settlements and midnights."""
    took, trades = [], []
    for days in (30, 300 if quick else 3_000):
        asked = question("BTCUSDT", days, [STRATEGY])
        entries = [one for one in asked.signals if one.kind == "entry"]
        entries = entries[:: len(entries) // 100][:100]
        exits = [replace(one, id=f"{one.id}:exit", kind="exit", at=one.at + 4 * HOUR) for one in entries]
        asked = replace(asked, signals=[*entries, *exits])
        engine = Prepared(asked)
        signals = fast.signals_table(asked, engine.names)

        def one(engine: Prepared = engine, asked: Asked = asked, signals: Any = signals) -> Any:
            return engine.run(asked, signals)

        took.append(median(times(one, 51)))
        trades.append(len(one().trades))
    return Row(
        group=GROUP,
        name=f"as many trades over {'300' if quick else '3,000'} days, by those over 30",
        ours=took[1] / took[0],
        unit="x",
        at_most=2,
        lower_is_better=True,
        note=f"{took[0] * 1e3:.2f} ms for {trades[0]}, {took[1] * 1e3:.2f} ms for {trades[1]}",
    )


def many(symbols: int, days: int) -> Row:
    """All shipped strategies on many symbols in one account, from candles to figures."""

    def whole() -> None:
        found.append(backtest(together(symbols, days, list(registry.SHIPPED))).outcome.summary.trades)

    found: list[int] = []
    (took,) = times(whole, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return Row(
        group=GROUP,
        name=f"{symbols} symbols x {days} days x {len(registry.SHIPPED)} strategies, one account",
        ours=took,
        unit="s",
        at_most=60,
        lower_is_better=True,
        note=f"{found[0]:,} trades; candles, indicators and signals worked out with it; the "
        f"rules were compiled before; memory at most {peak:.2f} GiB",
    )


def compile_rules() -> None:
    """Have them kept on disk by another process: a tree that is new has none, and neither the time nor the memory which
    that takes is a backtest's."""
    process = multiprocessing.get_context("spawn").Process(target=_compile)
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError("the rules were not compiled, see above")


def _compile() -> None:
    """As they are called for one symbol by a search, and for several in one account."""
    asked = question("BTCUSDT", 1, [STRATEGY])
    engine = Prepared(asked)
    engine.worth(engine.run(asked, fast.signals_table(asked, engine.names)), 10_000.0)
    backtest(together(2, 1, list(registry.SHIPPED))).outcome.summary  # noqa: B018 - it is made when it is asked for


def together(symbols: int, days: int, strategies: list[str]) -> Asked:
    """On one account."""
    parts = [question(f"B{number}USDT", days, strategies, number) for number in range(symbols)]
    return replace(
        parts[0],
        symbols=[one for part in parts for one in part.symbols],
        minutes={name: one for part in parts for name, one in part.minutes.items()},
        funding={name: one for part in parts for name, one in part.funding.items()},
        signals=[one for part in parts for one in part.signals],
    )


def times(work: Callable[[], Any], rounds: int) -> list[float]:
    """Seconds of a core; the first time is not counted where there are more."""
    took = []
    for number in range(rounds + (rounds > 1)):
        begun = process_time()
        work()
        if number or rounds == 1:
            took.append(process_time() - begun)
    return took


def walk(days: int, seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Minutes of a random walk: open, high, low, close."""
    dice = np.random.default_rng(seed)
    close = np.round(60_000 * np.exp(np.cumsum(dice.normal(0, 0.0008, days * 1_440))), 1)
    opened = np.concatenate(([60_000.0], close[:-1]))
    high = np.round(np.maximum(opened, close) + dice.exponential(15, len(close)), 1)
    low = np.round(np.minimum(opened, close) - dice.exponential(15, len(close)), 1)
    return opened, high, low, close


def question(symbol: str, days: int, strategies: list[str], seed: int = 3) -> Asked:
    """What strategies say of its quarters of an hour, traded on its minutes."""
    opened, high, low, close = walk(days, seed)
    times_of = BEGIN + MINUTE * np.arange(len(close))
    end = BEGIN + days * DAY
    return Asked(
        policy=Policy("sim", Risk()),
        assumptions=Assumptions(),
        product=UM,
        identity=Identity("sim", "backte"),
        symbols=[contract(symbol)],
        minutes={symbol: Minutes.of(symbol, TICK, times_of, opened, high, low, close)},
        trading={},
        funding={symbol: schedule_of((), BEGIN, end)},
        signals=[one for name in strategies for one in said(symbol, name, (opened, high, low, close))],
        start=BEGIN,
        end=end,
    )


def said(symbol: str, name: str, minutes: tuple[Floats, Floats, Floats, Floats]) -> list[SignalView]:
    """By one strategy."""
    step, shaped = interval("15m"), [one.reshape(-1, QUARTER) for one in minutes]
    opened, high, low, close = shaped[0][:, 0], shaped[1].max(axis=1), shaped[2].min(axis=1), shaped[3][:, -1]
    numbers = np.arange(len(close)) + step.index(BEGIN)
    columns = {"open": opened, "high": high, "low": low, "close": close, "volume": np.ones(len(close))}
    columns |= compute(numbers, high, low, close, decimals=1)
    strategy = registry.get(name)
    codes = run_history(strategy, columns, numbers)
    where = np.flatnonzero(codes).tolist()
    key = SeriesKey("sim", symbol, "15m")
    found = findings(key, strategy, Calculation(PERIODS, 1), columns, codes, numbers, where)
    return [
        SignalView(
            id=one.id,
            symbol=symbol,
            interval="15m",
            strategy=name,
            kind=one.kind,
            side=one.side,
            at=one.at,
            price=Decimal(repr(one.price)),
            atr=Decimal(repr(one.indicators["atr"])) if "atr" in one.indicators else None,
            confirmed=True,
            fresh_until=one.at + QUARTER * MINUTE,
        )
        for one in found
    ]


def peers(asked: Asked, signals: Any) -> dict[str, tuple[float, int]]:
    """Seconds of a core and trades of each program that is there."""
    if PEERS is None:
        return {}
    (minutes,) = asked.minutes.values()
    columns = {name: getattr(minutes, name) * float(TICK) for name in ("open", "high", "low", "close")}
    told = {name: np.ascontiguousarray(signals[name]) for name in ("minute", "side", "atr", "price")}
    with TemporaryDirectory() as folder:
        file = Path(folder) / "minutes.npz"
        np.savez(file, allow_pickle=False, **columns, **told)
        way = Path(__file__).with_name("backtest_ways.py")
        answer = subprocess.run([PEERS, str(way), str(file), str(STOP_ATR)], capture_output=True, check=True, text=True)
    return {name: (took, trades) for name, (took, trades) in json.loads(answer.stdout.splitlines()[-1]).items()}
