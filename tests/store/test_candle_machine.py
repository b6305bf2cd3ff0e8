"""Random writes, guards, loads and repairs on a real mongod against a plain dictionary: always equal."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from pipeline.candle import Candle, CandleWrite
from pipeline.store import connect
from pipeline.store.candles.frame import FRAME_SCHEMA
from pipeline.store.candles.live import AsyncCandleWriter
from pipeline.store.candles.store import CandleStore
from pipeline.timeline import interval
from schemas.candles import INDICATOR_FIELDS
from schemas.series import SeriesKey
from schemas.shared import SLOTS_PER_BUCKET

NAN = float("nan")
KEYS = [SeriesKey("sim", "BTCUSDT", "1m"), SeriesKey("sim", "BTCUSDT", "1M"), SeriesKey("sim", "ETHUSDT", "1m")]
SLOTS = st.sampled_from([0, 1, 2, 9, 10, 99, 100, 238, 239, 240, 241, 479, 480])
RUNS = st.tuples(SLOTS, st.sampled_from([1, 2, 3, 240, 250]))
PRICES = st.sampled_from([1.0, 2.0])
EVENTS = st.integers(0, 4)


class Known(NamedTuple):
    """What the dictionary knows of a candle."""

    price: float
    closed: bool
    u: int
    rsi: float | None


class CandleMachine(RuleBasedStateMachine):
    """Each rule does one thing to the store and the same, by the plainest means, to a dictionary."""

    def __init__(self, database: Any, write: Callable[[CandleWrite], None]) -> None:
        super().__init__()
        self.database = database
        self.write = write
        self.truth: dict[tuple[SeriesKey, int], Known] = {}
        self.between: list[Any] = []

    @initialize()
    def begin(self) -> None:
        self.database.candles.delete_many({})
        self.store = Interleaved(self.database, self.between)

    def time(self, key: SeriesKey, number: int) -> int:
        step = interval(key.interval)
        return step.after(step.bucket(1_700_000_000_000).start, number)

    def live(self, key: SeriesKey, number: int, price: float, event: int, closed: bool, authority: bool) -> None:
        t = self.time(key, number)
        prices = (price,) * 6
        candle = CandleWrite(key, Candle(t, *prices, 3, price, price, closed, t + event), authority=authority)
        self.write(candle)
        before = self.truth.get((key, number))
        wins = (
            before is None
            or (authority and closed)
            or (not before.closed and (closed or (t + event, price) > (before.u, before.price)))
        )
        if wins:
            self.truth[key, number] = Known(price, closed, t + event, None)

    @rule(
        key=st.sampled_from(KEYS),
        number=SLOTS,
        price=PRICES,
        event=EVENTS,
        closed=st.booleans(),
        authority=st.booleans(),
    )
    def upsert(self, key: SeriesKey, number: int, price: float, event: int, closed: bool, authority: bool) -> None:
        self.live(key, number, price, event, closed, authority)

    @rule(
        key=st.sampled_from(KEYS),
        run=RUNS,
        price=PRICES,
        event=EVENTS,
        last_open=st.booleans(),
        raced=st.none() | st.tuples(SLOTS, PRICES, EVENTS, st.booleans()),
    )
    def replace(
        self, key: SeriesKey, run: tuple[int, int], price: float, event: int, last_open: bool, raced: Any
    ) -> None:
        """REST's answer, its last candle perhaps still open; perhaps a live writer comes in between read and write."""
        numbers = range(run[0], run[0] + run[1])
        times = [self.time(key, number) for number in numbers]
        closed = [True] * len(times)
        closed[-1] = not last_open
        columns: dict[str, Any] = dict.fromkeys(FRAME_SCHEMA, [price] * len(times))
        columns |= dict.fromkeys(INDICATOR_FIELDS, [NAN] * len(times))
        columns |= {"t": times, "te": [interval(key.interval).close_time(t) for t in times], "closed": closed}
        columns |= {"u": [t + event for t in times], "trades": [3] * len(times)}
        if raced is not None:
            number, raced_price, raced_event, raced_closed = raced
            self.between.append(lambda: self.live(key, number, raced_price, raced_event, raced_closed, False))
        frame = pl.DataFrame(columns).select(pl.col(name).cast(kind) for name, kind in FRAME_SCHEMA.items())
        self.store.replace_closed(key, frame)
        assert self.between == []
        for number, t, is_closed in zip(numbers, times, closed, strict=True):
            before = self.truth.get((key, number))
            same = before is not None and before.price == price
            if (
                before is None
                or (is_closed and not (same and before.closed))
                or (not is_closed and not before.closed and t + event > before.u)
            ):
                rsi = before.rsi if before is not None and same else None
                self.truth[key, number] = Known(price, is_closed, t + event, rsi)

    @rule(key=st.sampled_from(KEYS), run=RUNS, rsi=PRICES, stale=st.booleans())
    def set_indicators(self, key: SeriesKey, run: tuple[int, int], rsi: float, stale: bool) -> None:
        numbers = range(run[0], run[0] + run[1])
        frame = pl.DataFrame({"t": [self.time(key, number) for number in numbers], "rsi": [rsi] * len(numbers)})
        if stale:
            frame = frame.with_columns(u=pl.lit(0, pl.Int64))
        self.store.set_indicators(key, frame)
        for number in numbers:
            before = self.truth.get((key, number))
            if before is not None and not stale:
                self.truth[key, number] = before._replace(rsi=rsi)

    @rule(key=st.sampled_from(KEYS), run=RUNS)
    def load_a_part(self, key: SeriesKey, run: tuple[int, int]) -> None:
        numbers = range(run[0], run[0] + run[1])
        start, end = self.time(key, numbers[0]), self.time(key, numbers[-1])
        frame = self.store.load(key, start, end, ("t", "close"))
        expected = [(self.time(key, n), self.truth[key, n].price) for n in numbers if (key, n) in self.truth]
        assert frame.select(pl.col("t").cast(pl.Int64), "close").rows() == expected
        states = self.store.presence(key, start, end)
        known = [self.truth.get((key, n)) for n in numbers]
        assert states.tolist() == [0 if one is None else 1 + one.closed for one in known]

    @invariant()
    def equal(self) -> None:
        for key in KEYS:
            numbers = sorted(number for series, number in self.truth if series == key)
            frame = self.store.load(key, self.time(key, 0), self.time(key, 4 * SLOTS_PER_BUCKET))
            found = frame.select(pl.col("t").cast(pl.Int64), "close", "closed", pl.col("u").cast(pl.Int64)).rows()
            assert found == [
                (self.time(key, number), known.price, known.closed, known.u)
                for number in numbers
                for known in [self.truth[key, number]]
            ]
            rsi = np.array([NAN if self.truth[key, n].rsi is None else self.truth[key, n].rsi for n in numbers], float)
            np.testing.assert_array_equal(frame["rsi"].to_numpy(), rsi)

    @invariant()
    def counted(self) -> None:
        """Every bucket knows how many closed candles it holds."""
        for bucket in self.database.candles.find():
            assert bucket["stored"] == sum(candle is not None and candle["closed"] for candle in bucket["candles"])


class Interleaved(CandleStore):
    """Runs what waits in `between` after a write has read its buckets and before it writes them."""

    def __init__(self, database: Any, between: list[Any]) -> None:
        super().__init__(database)
        self._between = between

    def _stored(self, *arguments: Any) -> Any:
        found = super()._stored(*arguments)
        while self._between:
            self._between.pop()()
        return found


@contextmanager
def live_writer(uri: str, database: str) -> Iterator[Callable[[CandleWrite], None]]:
    """Writes a candle as the ingester does, on an event loop of its own; it outlives the documents it once created."""
    loop = asyncio.new_event_loop()

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    async def connected() -> Any:
        return connect.async_client(uri)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(loop.run_forever)
        client = run(connected())
        writer = AsyncCandleWriter(client[database])
        try:
            yield lambda candle: run(writer.write([candle]))
        finally:
            run(connect.close(client))
            loop.call_soon_threadsafe(loop.stop)
    loop.close()


def test_the_store_equals_a_dictionary(db: Any, mongo_uri: str) -> None:
    profile = settings(
        max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    with live_writer(mongo_uri, db.name) as write:
        run_state_machine_as_test(lambda: CandleMachine(db, write), settings=profile)
