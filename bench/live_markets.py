"""The load of one market spread over three: an ingester for each, in a process of its own as they run in earnest, fed
with its own market's frames; one database has them all.

All three begin in the same moment, once every series is open. What they are compared with is one ingester's answer to
as many frames a second, in the same stretches of the market's time.
"""

import asyncio
import multiprocessing
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from typing import Any, NamedTuple

import numpy as np
import psutil

from bench.ingesting import Bench, Outcome, quantiles
from bench.table import Row
from pipeline.timeline import SECOND
from schemas.series import SeriesKey

INTERVALS = ("1m", "3m", "5m", "15m", "1h")
SYMBOLS: Mapping[str, str] = {"sim": "S{}USDT", "sim-cm": "S{}USD_PERP", "sim-spot": "S{}USDT"}
DATABASE = "three_markets"
OPEN_WITHIN = 180.0


class Stretches(NamedTuple):
    """What is compared: from when to when an hour ends, and of an ordinary minute."""

    begins: int
    hour_has_ended: int
    ordinary_from: int
    ends: int


@dataclass(frozen=True, slots=True)
class Share:
    """What one of the markets has of the load."""

    keys: Sequence[SeriesKey]
    rate: int


def shares(symbols: int, rate: int) -> list[Share]:
    """The symbols dealt out to the markets in turn, and of the frames what their series have in the one market."""
    found = []
    for place, (exchange, written) in enumerate(SYMBOLS.items()):
        numbers = range(place, symbols, len(SYMBOLS))
        keys = [SeriesKey(exchange, written.format(number), code) for number in numbers for code in INTERVALS]
        found.append(Share(keys, rate * len(numbers) // symbols))
    return found


def spread(uri: str, mongod: int, symbols: int, rate: int, stretches: Stretches, one: Outcome) -> list[Row]:
    """What it came to, beside one market's."""
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(len(SYMBOLS), timeout=OPEN_WITHIN)
    begun = [_begin(context, uri, mongod, share, stretches, together) for share in shares(symbols, rate)]
    found: list[tuple[Outcome, Outcome]] = [receiving.recv() for receiving in begun]
    return rows([first for first, _ in found], [second for _, second in found], symbols, rate, stretches, one)


def _begin(
    context: SpawnContext, uri: str, mongod: int, share: Share, stretches: Stretches, together: Any
) -> "Connection[None, tuple[Outcome, Outcome]]":
    receiving, sending = context.Pipe(duplex=False)
    context.Process(
        target=_measure,
        args=(uri, mongod, share, stretches, together, sending),
    ).start()
    sending.close()
    return receiving


def _measure(
    uri: str, mongod: int, share: Share, stretches: Stretches, together: Any, sending: "Connection[Any, None]"
) -> None:
    bench = Bench(uri, psutil.Process(mongod), share.keys, DATABASE)

    def load(since: int, until: int, *, goes_on: bool) -> Outcome:
        seconds = (until - since) / SECOND
        return asyncio.run(bench.measure(share.rate, seconds, since, goes_on=goes_on, opened=together.wait))

    with suppress(KeyboardInterrupt):
        try:
            first = load(stretches.begins, stretches.hour_has_ended, goes_on=False)
            sending.send((first, load(stretches.ordinary_from, stretches.ends, goes_on=True)))
        except BaseException:
            together.abort()  # or the others would wait for it
            raise


def rows(
    hours_end: Sequence[Outcome],
    ordinary: Sequence[Outcome],
    symbols: int,
    rate: int,
    stretches: Stretches,
    one: Outcome,
) -> list[Row]:
    """Both stretches of all three, each candle as good as any other, beside the same of one market."""
    p50, p99 = quantiles(np.concatenate([each.ages() for each in ordinary]))
    worst50, worst99 = quantiles(np.concatenate([each.ages() for each in hours_end]))
    one50, one99 = quantiles(one.ages(stretches.ordinary_from, stretches.ends))
    _, one_worst = quantiles(one.ages(until=stretches.hour_has_ended))
    both = [*hours_end, *ordinary]
    what = f"{symbols * len(INTERVALS):,} series of three markets, an ingester each"
    beside = "one market, in the same seconds"
    return [
        Row(
            group="Live",
            name=f"{what}: frame to stored, p50",
            ours=p50,
            unit="ms",
            lower_is_better=True,
            peer_name=beside,
            peer=one50,
            note=f"{rate:,} frames/s in all: {sum(each.taken for each in both):,} taken of "
            f"{sum(each.sent for each in both):,} sent; cores used: ingesters "
            f"{sum(each.ingester_cores for each in ordinary):.2f}, mongod "
            f"{max(each.mongod_cores for each in ordinary):.2f}; {sum(each.memory for each in hours_end) / 2**20:,.0f} "
            f"MiB when all series were open, which took {max(each.opening for each in hours_end):.0f} s",
        ),
        Row(
            group="Live",
            name=f"{what}: frame to stored, p99",
            ours=p99,
            unit="ms",
            lower_is_better=True,
            peer_name=beside,
            peer=one99,
            times_peer=1.0,
            note="the end of an ordinary minute and the beginning of the next",
        ),
        Row(
            group="Live",
            name=f"{what}: the same while an hour ends, p99",
            ours=worst99,
            unit="ms",
            lower_is_better=True,
            peer_name=beside,
            peer=one_worst,
            note=f"every candle closes and the next one opens; p50 {worst50:.0f} ms",
        ),
        Row(
            group="Live",
            name=f"{what}: closed candles lost",
            ours=sum(each.lost for each in both),
            unit="",
            lower_is_better=True,
            at_most=0,
            note=f"of {sum(each.closes for each in both):,}",
        ),
    ]
