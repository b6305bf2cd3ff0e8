"""How much of what an address may ask a backfill uses up, by the weight rules of each market, and that it is never
refused."""

import logging
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from threading import Barrier

from bench.filling import client_at, fill, soon
from bench.table import Row
from pipeline.exchange.clock import local_time
from pipeline.exchange.environments import ENVIRONMENTS
from pipeline.simulator.handle import Simulator
from pipeline.timeline import MINUTE, SECOND

STARTING = 5 * SECOND
"""For the simulator to start."""
SERIES = {"um": ("sim", "BTCUSDT"), "cm": ("sim-cm", "BTCUSD_PERP"), "spot": ("sim-spot", "BTCUSDT")}
POOL = ("um", "cm")
"""Markets that share what an address may ask."""
ENDLESS = 2_000
"""Days: more candles than can be fetched while the weight is measured."""


def rows(uri: str, quick: bool) -> list[Row]:
    """Of USD-M, of USD-M and COIN-M at once, and of spot, which has its own."""
    return [alone(uri, "um", quick), both_of_a_pool(uri, quick), alone(uri, "spot", quick)]


def alone(uri: str, market: str, quick: bool) -> Row:
    """The real weight rules: the budgets of two minutes, spent within twenty seconds each around the minute's
    turn; of spot a quarter of the futures' weight, in eight; in the quick form a sixteenth, in two. The simulator's
    clock is set so that nobody waits for that moment."""
    limit, around = _weight_and_time(market, quick)
    offset = _before_a_turn(around, STARTING)
    with Simulator.start(weight_limit=limit, clock_offset=offset, markets=(market,)) as simulator:
        turn = _turn_after(simulator.now() + around)
        stored, refused = _spend_around(turn, around, uri, simulator.at(market).url, market, limit)
    name = "two minutes' budgets under the weight rules"
    return _budget_row(name if market in POOL else f"{name} of {market}", market, stored, limit, around, refused)


def both_of_a_pool(uri: str, quick: bool) -> Row:
    """The same by two processes at once, one of USD-M and one of COIN-M, which have one budget and do not know of each
    other: each goes by the count in the answers it gets."""
    limit, around = _weight_and_time(POOL[0], quick)
    with _processes() as processes:
        offset = _before_a_turn(around, STARTING)
        with Simulator.start(weight_limit=limit, clock_offset=offset, markets=POOL) as simulator:
            turn = _turn_after(simulator.now() + around)
            spent = [
                processes.submit(_spend_around, turn, around, uri, simulator.at(market).url, market, limit)
                for market in POOL
            ]
            by_market = [one.result() for one in spent]
    stored, refused = (sum(column) for column in zip(*by_market, strict=True))
    shares = ", ".join(f"{market} {fetched / stored:.0%}" for market, (fetched, _) in zip(POOL, by_market, strict=True))
    row = _budget_row("the same by USD-M and COIN-M at once, which share it", POOL[0], stored, limit, around, refused)
    return replace(row, note=f"{row.note}; of it {shares}")


@contextmanager
def _processes() -> Iterator[ProcessPoolExecutor]:
    """One for each market of the pool, and each of them has begun."""
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(len(POOL), timeout=60)
    with ProcessPoolExecutor(len(POOL), context, _has_begun, (together,)) as processes:
        list(processes.map(abs, range(len(POOL))))
        yield processes


def _has_begun(together: Barrier) -> None:
    """Wait for the others."""
    together.wait()


def _weight_and_time(market: str, quick: bool) -> tuple[int, int]:
    if quick:
        return 150, 2 * SECOND
    return (2400, 20 * SECOND) if market in POOL else (600, 8 * SECOND)


def _before_a_turn(around: int, starting: int) -> int:
    """How far the exchange's clock is to be set, so that a minute turns that long after what starts has started."""
    return -(local_time() + around + starting) % MINUTE


def _turn_after(moment: int) -> int:
    return -(-moment // MINUTE) * MINUTE


def _spend_around(turn: int, around: int, uri: str, url: str, market: str, limit: int) -> tuple[int, int]:
    """Fetch from that long before a turn of the minute until that long after it: how many candles, and how often the
    exchange had to say stop."""
    exchange, symbol = SERIES[market]
    with client_at(url, exchange) as client, _refusals() as refused:
        client.weight.limit = limit
        client.stop.wait((turn - around - client.clock.now()) / SECOND)
        with soon((turn + around - client.clock.now()) / SECOND, client.stop.set):
            fetched = fill(uri, client, ENDLESS, [symbol], database=f"bench_{market}").fetched
    return fetched, len(refused)


def _budget_row(name: str, market: str, stored: int, limit: int, around: int, refused: int) -> Row:
    place = ENVIRONMENTS[SERIES[market][0]]
    klines, budget = place.product.klines, int(limit * place.weight_buffer)
    return Row(
        group="backfill",
        name=name,
        ours=stored,
        unit="candles",
        limit_name="the buffered budget allows",
        limit=2 * budget / klines.weight(klines.page) * klines.page,
        share_of_limit=0.95,
        note=f"budgets of {budget} weight, {around // SECOND} s before and after a minute's turn; "
        f"answers 429: {refused}",
    )


@contextmanager
def _refusals() -> Iterator[list[str]]:
    """What the client says about answers 429 meanwhile."""
    found: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "answered 429" in record.getMessage():
                found.append(record.getMessage())

    logger, listener = logging.getLogger("pipeline.exchange.rest"), Listener()
    level = logger.level
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    try:
        yield found
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
