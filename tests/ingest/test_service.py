"""The ingester with everything real around it: an exchange process that misbehaves, websockets, REST, and a mongod.

The exchange's clock runs fast, so that a minute of the market lasts two seconds. A schedule of faults strikes while it
runs; when they end, the store must equal what truly happened, candle by candle.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest
from pymongo.database import Database

from pipeline.candle import Candle, CandleWrite
from pipeline.exchange.clock import ServerClock, local_time
from pipeline.exchange.environments import SIM, at
from pipeline.exchange.listed import Listed
from pipeline.exchange.market import MarketData
from pipeline.exchange.rest import RestClient
from pipeline.exchange.stream_session import FeedLimits
from pipeline.exchange.streams import StreamBlockedError
from pipeline.ingest.book import Patience
from pipeline.ingest.indicators import LiveIndicators
from pipeline.ingest.service import Ingester, Pace
from pipeline.ingest.watching import WHOLE, Shard
from pipeline.ingest.window import Recipe
from pipeline.periods import WINDOW
from pipeline.simulator.handle import Simulator
from pipeline.store import connect
from pipeline.store.candles.store import CandleStore
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import INTERVALS, MINUTE, interval, to_datetime, to_ms
from schemas.series import Hole, SeriesKey
from tests.live_writer import write_live
from tests.past import PlainPast

SPEED = 30
STEP = interval("1m")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
TOLD = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_base", "taker_buy_quote")
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:Exception ignored in. <{what}:pytest.PytestUnraisableExceptionWarning")
    for what in ("socket.socket", "function _SelectorTransport.__del__")
]
"""A connection that was just opening as an earlier test's loop ended is found when garbage is searched here."""

LIMITS = FeedLimits(command_every=0.01, silence=3.0, first_delay=0.05, longest_delay=0.5, ack_timeout=2.0)
PACE = Pace(
    flush=0.05,
    tend=0.02,
    watchlist=0.2,
    progress=0.2,
    clock=1.0,
    patience=Patience(grace=4_000, retries=(2_000, 4_000), silence=2 * MINUTE),
    feed=LIMITS,
)


def fast_clock() -> ServerClock:
    """A clock of this machine that runs as fast as the exchange's."""
    began = local_time()

    def fast() -> int:
        return began + (local_time() - began) * SPEED

    return ServerClock(fast, fast)


def keys(symbols=SYMBOLS):
    return [SeriesKey("sim", symbol, "1m") for symbol in symbols]


class Desk:
    """One exchange, one database, and ingesters to run between them."""

    def __init__(self, simulator: Simulator, database: Database, async_database) -> None:
        self.simulator = simulator
        self.store = CandleStore(database)
        self.database = database
        self.async_database = async_database
        self.backfilled: list[SeriesKey] = []
        self.fetched: list[SeriesKey] = []
        self.backfill = self.backfilled.append
        self.begun = simulator.now()

    @asynccontextmanager
    async def ingesting(self, shard: Shard = WHOLE, symbols=SYMBOLS, limits=LIMITS, stream_path="", decimals=8, **pace):
        place = at(SIM, self.simulator.url)
        place = replace(place, stream_url=place.stream_url + stream_path)
        client = RestClient(place, clock=fast_clock())
        client.sync_clock()
        listed = Listed(MarketData(client), again_after=1.0)
        ingester = Ingester(
            MarketData(client),
            self.database,
            self.async_database,
            PlainPast(
                self.backfill,
                lambda symbol: decimals,
                lambda symbol: listed.must_trade(symbol, client.clock.now()),
                self.fetched.append,
            ),
            Recipe(LiveIndicators(), WINDOW),
            shard=shard,
            pace=replace(PACE, feed=limits, **pace),
        )
        Watchlist(self.database, "sim").watch(keys(symbols), datetime.now(UTC))
        stop = asyncio.Event()
        running = asyncio.create_task(ingester.run(stop))
        try:
            yield ingester
        finally:  # in order, whatever the test found: a library may take a mere cancellation for its own time-out
            stop.set()
            async with asyncio.timeout(60):
                await running
            client.close()

    def truth(self, symbol: str, since: int, until: int) -> dict[int, tuple]:
        rows = self.simulator.truth_klines(symbol, "1m", since, until)
        return {row[0]: (*map(float, row[1:6]), float(row[7]), row[8], float(row[9]), float(row[10])) for row in rows}

    def forming(self, symbol: str) -> list[int]:
        table = self.store.load(SeriesKey("sim", symbol, "1m"), self.begun - MINUTE, self.simulator.now())
        return table.filter(~pl.col("closed"))["t"].cast(pl.Int64).to_list()

    def stored(self, symbol: str, since: int, until: int) -> dict[int, tuple]:
        table = self.store.load(SeriesKey("sim", symbol, "1m"), since, until).filter(pl.col("closed"))
        times = table["t"].cast(pl.Int64).to_list()
        return dict(zip(times, table.select(TOLD).iter_rows(), strict=True))

    def difference(self, since: int, until: int, symbols=SYMBOLS) -> str | None:
        for symbol in symbols:
            truth, stored = self.truth(symbol, since, until), self.stored(symbol, since, until)
            for opened, candle in truth.items():
                if stored.get(opened) != candle:
                    return f"{symbol} candle {(opened - since) // MINUTE}: stored {stored.get(opened)}, truth {candle}"
        return None

    async def live(self, *ingesters: Ingester, series: int = len(SYMBOLS)) -> int:
        """When so many series are live, which takes a busy machine minutes of the market: the next candle to open."""
        await until_true(lambda: sum(len(one.core.watched()) for one in ingesters) >= series)
        return STEP.ceil(self.simulator.now())

    async def minutes(self, count: float) -> None:
        """Let so many minutes of the market pass."""
        end = self.simulator.now() + count * MINUTE
        while (left := end - self.simulator.now()) > 0:  # noqa: ASYNC110 - the exchange's clock has no event
            await asyncio.sleep(left / 1000 / SPEED)

    async def becomes_right(self, since: int, until: int, symbols=SYMBOLS, seconds: float = 90.0) -> str | None:
        """The difference that is left after at most so many seconds."""
        deadline = time.monotonic() + seconds
        while (found := await asyncio.to_thread(self.difference, since, until, symbols)) is not None:
            if time.monotonic() > deadline:
                return found
            await asyncio.sleep(0.1)
        return None


@pytest.fixture
async def calm_desk(start_simulator: Callable[..., Simulator], db, async_db):
    """Through each asynchronous driver in turn."""
    prepare(db)
    return Desk(start_simulator(speed=SPEED, lifted_limits=True, seed=11), db, async_db)


@pytest.fixture
async def desk(start_simulator: Callable[..., Simulator], db, mongo_uri):
    prepare(db)
    client = connect.async_client(mongo_uri)
    yield Desk(start_simulator(speed=SPEED, lifted_limits=True, seed=11), db, client[db.name])
    await connect.close(client)


async def test_in_calm_every_candle_is_stored_and_said(calm_desk):
    desk = calm_desk
    async with desk.ingesting() as ingester:
        since = await desk.live(ingester)
        await desk.minutes(3)
        until = STEP.floor(desk.simulator.now()) - MINUTE
        assert await desk.becomes_right(since, until) is None
        await until_true(lambda: desk.database["control"].count_documents({"figures.series": 3}))
        (beat,) = desk.database["control"].find({"kind": "heartbeat"})
        assert beat["figures"]["series"] == 3
    known = SeriesStore(desk.database).get(keys()[0])
    assert to_ms(known.last_closed) >= until
    assert desk.database["control"].count_documents({"kind": "heartbeat"}) == 0


FRAME_FAULTS = {
    "BTCUSDT": [{"kind": "lose", "probability": 0.5}],
    "ETHUSDT": [{"kind": "repeat", "probability": 0.7}, {"kind": "garble", "probability": 0.2}],
    "SOLUSDT": [{"kind": "delay", "probability": 0.5, "milliseconds": 900}],
    "XRPUSDT": [{"kind": "reorder", "probability": 0.5}],
    "DOGEUSDT": [{"kind": "lose", "closing": True}],
    "ADAUSDT": [{"kind": "lose"}],
    "LINKUSDT": [{"kind": "lose", "closing": False}],
    "AVAXUSDT": [{"kind": "delay", "closing": True, "milliseconds": 2_500}],
}


async def test_connections_are_renewed_before_the_exchange_hangs_up(start_simulator, db, mongo_uri):
    """The exchange hangs up after 15 seconds; each connection is renewed before, so none ever breaks. A busy machine
    may be silent for long."""
    prepare(db)
    client = connect.async_client(mongo_uri)
    simulator = start_simulator(speed=SPEED, lifted_limits=True, seed=11, connection_life=15.0)
    desk = Desk(simulator, db, client[db.name])
    hung_up = time.monotonic() + 16
    async with desk.ingesting(limits=replace(LIMITS, lifetime=1.0, silence=60.0, ack_timeout=60.0)) as ingester:
        since = await desk.live(ingester)
        await until_true(lambda: ingester.feed.counters.renewals >= 8 and time.monotonic() > hung_up)
        assert ingester.feed.counters.breaks == 0
        until = STEP.floor(simulator.now())
        assert await desk.becomes_right(since, until) is None
    await connect.close(client)


async def test_after_any_fault_of_the_frames_the_store_is_right(desk, caplog):
    symbols = tuple(FRAME_FAULTS)
    for symbol, faults in FRAME_FAULTS.items():
        for fault in faults:
            desk.simulator.faults.add(**fault, stream=f"{symbol.lower()}@kline_1m", seed=5)
    async with desk.ingesting(symbols=symbols) as ingester:
        since = await desk.live(ingester, series=len(symbols))
        await desk.minutes(4)
        await until_true(lambda: "sim:ADAUSDT:1m: its stream is connected and acknowledged, but silent" in caplog.text)
        until = STEP.floor(desk.simulator.now())
        desk.simulator.faults.clear()
        assert await desk.becomes_right(since, until, symbols) is None


async def test_after_rest_and_the_connections_fail_together_the_store_is_right(desk):
    for kind in ("overloaded", "truncated", "invalid_json", "reset_before", "timeout_after", "maintenance"):
        desk.simulator.faults.add(kind, path="/fapi/v1/klines", probability=0.2, seed=3)
    desk.simulator.faults.add("lose", closing=True, probability=0.5)
    async with desk.ingesting() as ingester:
        since = await desk.live(ingester)
        desk.simulator.faults.add("malformed_rows", start=since, end=since + 9 * MINUTE, probability=0.3)
        desk.simulator.faults.add("hole", start=since + MINUTE, end=since + 2 * MINUTE)
        for _ in range(3):
            await desk.minutes(1)
            desk.simulator.drop_connections()
        desk.simulator.freeze_connections()
        await desk.minutes(2)
        until = STEP.floor(desk.simulator.now())
        desk.simulator.faults.clear()
        assert await desk.becomes_right(since, until) is None


async def test_two_ingesters_on_the_same_series_do_no_harm(desk):
    desk.simulator.faults.add("lose", probability=0.3)
    async with desk.ingesting() as ingester:
        since = await desk.live(ingester)
        async with desk.ingesting():
            await desk.minutes(2)
        await desk.minutes(1)
        until = STEP.floor(desk.simulator.now())
        desk.simulator.faults.clear()
        assert await desk.becomes_right(since, until) is None


async def test_shards_share_the_series(desk):
    async with desk.ingesting(Shard(1, 2)) as first, desk.ingesting(Shard(2, 2)) as second:
        since = await desk.live(first, second)
        await desk.minutes(2)
        until = STEP.floor(desk.simulator.now())
        assert await desk.becomes_right(since, until) is None
        one, other = set(first.core.watched()), set(second.core.watched())
    assert one.isdisjoint(other)
    assert one | other == set(keys())


async def test_what_is_watched_changes_while_it_runs(desk):
    watchlist, now = Watchlist(desk.database, "sim"), datetime.now(UTC)
    extra = keys(("XRPUSDT",))
    async with desk.ingesting() as ingester:
        await until_true(lambda: len(ingester.core.watched()) == 3)
        begun = STEP.floor(desk.simulator.now())
        watchlist.watch(extra, now)
        watchlist.watch(extra, now)
        await until_true(lambda: extra[0] in ingester.core.watched())
        since = STEP.ceil(desk.simulator.now())
        await desk.minutes(2)
        assert await desk.becomes_right(since, since, ("XRPUSDT",)) is None
        watchlist.unwatch(extra, now)
        await until_true(lambda: extra[0] not in ingester.core.watched())
        assert "xrpusdt@kline_1m" not in ingester.feed.streams
    assert extra[0] in desk.backfilled
    stored = {(one["interval"], to_ms(one["start"])) for one in desk.database["candles"].find({"symbol": "XRPUSDT"})}
    assert ("1m", STEP.bucket(since).start) in stored
    assert stored <= {("1m", bucket.start) for bucket in STEP.buckets(begun, desk.simulator.now())}


async def test_what_goes_live_together_is_written_down_together(desk):
    """Two writes a series, each to the disk before it is acknowledged, would be most of the time that a start takes."""
    wanted = [SeriesKey("sim", symbol, code) for symbol in SYMBOLS for code in INTERVALS]
    Watchlist(desk.database, "sim").watch(wanted, datetime.now(UTC))
    noted = {"kind": "watch", "since": {"$ne": None}}
    async with desk.ingesting(watchlist=600.0) as ingester:
        await until_true(lambda: len(ingester.core.watched()) == len(wanted), 240)
        await until_true(lambda: desk.database.control.count_documents(noted) == len(wanted))
    assert len(desk.database.control.distinct("since", noted)) == 1, "nobody looked at the watchlist meanwhile"


async def test_a_symbol_the_exchange_does_not_know_is_said_once_and_left(desk, caplog):
    async with desk.ingesting(symbols=("BTCUSDT", "NOSUCHUSDT")) as ingester:
        await until_true(lambda: "NOSUCHUSDT" in caplog.text)
        since = STEP.ceil(desk.simulator.now())
        await desk.minutes(3)
        assert await desk.becomes_right(since, since, ("BTCUSDT",)) is None
        assert set(ingester.core.watched()) == set(keys(("BTCUSDT",)))
    said = [r.message for r in caplog.records if "NOSUCHUSDT" in r.message]
    assert len(said) == 1
    assert "tidemark unwatch NOSUCHUSDT" in said[0]


@pytest.mark.parametrize("status", ["SETTLING", "UNLISTED"])
async def test_a_symbol_that_is_delisted_while_it_is_watched_is_noted_and_said_once(desk, caplog, status):
    btc, eth = keys(("BTCUSDT", "ETHUSDT"))
    async with desk.ingesting(symbols=("BTCUSDT", "ETHUSDT")) as ingester:
        since = await desk.live(ingester, series=2)
        await desk.minutes(2)
        end = desk.simulator.delist("ETHUSDT", status)
        await until_true(lambda: set(ingester.core.watched()) == {btc})
        until = STEP.floor(desk.simulator.now())
        assert await desk.becomes_right(since, until, ("BTCUSDT",)) is None
        if status == "SETTLING":
            assert await desk.becomes_right(since, end - MINUTE, ("ETHUSDT",)) is None
        await until_true(lambda: SeriesStore(desk.database).get(eth).gone is not None)
    known = SeriesStore(desk.database).get(eth)
    latest = to_ms(known.gone.since) if status == "UNLISTED" else 0
    assert [hole for hole in known.holes if to_ms(hole.end) >= latest] == [], (
        "none after the end, as far as it is known"
    )
    async with desk.ingesting(symbols=("BTCUSDT", "ETHUSDT")) as ingester:
        await desk.minutes(1)
        await until_true(lambda: set(ingester.core.watched()) == {btc})
        desk.simulator.faults.clear()
        Watchlist(desk.database, "sim").watch([eth], datetime.now(UTC))
        await until_true(lambda: set(ingester.core.watched()) == {btc, eth}, 120)
        await until_true(lambda: SeriesStore(desk.database).get(eth).gone is None)
    said = [record.message for record in caplog.records if "is given up" in record.message]
    assert len(said) == 1
    assert "sim:ETHUSDT:1m" in said[0]


async def test_a_symbol_that_is_unlisted_at_once_leaves_no_candle_open_and_says_the_hole(desk, caplog):
    """Its closing frame never comes, and REST knows the symbol no more."""
    (eth,) = keys(("ETHUSDT",))
    async with desk.ingesting(symbols=("BTCUSDT", "ETHUSDT")):
        await desk.minutes(2)
        await until_true(lambda: desk.forming("ETHUSDT"))
        desk.simulator.faults.add("lose", closing=True, stream="ethusdt@kline_1m")
        desk.simulator.delist("ETHUSDT", "UNLISTED")
        await until_true(lambda: "never closed" in caplog.text)
        (hole,) = SeriesStore(desk.database).get(eth).holes
        await desk.minutes(2)
        assert desk.forming("ETHUSDT") == []
        assert not desk.stored("ETHUSDT", to_ms(hole.start), to_ms(hole.end))
        assert to_ms(hole.start) - MINUTE in desk.stored("ETHUSDT", desk.begun - 5 * MINUTE, to_ms(hole.start))
        await until_true(lambda: desk.forming("BTCUSDT"))


async def test_what_an_unlisted_symbol_lacks_is_said_wherever_it_lies_until_it_is_listed_again(calm_desk):
    """A candle is left open in the middle, and of the last ones nothing came: REST failed until it knew the symbol no
    more."""
    desk, stream = calm_desk, "ethusdt@kline_1m"
    (eth,) = keys(("ETHUSDT",))
    series = SeriesStore(desk.database)
    async with desk.ingesting(symbols=("BTCUSDT", "ETHUSDT")) as ingester:
        await until_true(lambda: desk.forming("ETHUSDT"))
        failing = desk.simulator.faults.add("overloaded", path="/fapi/v1/klines", symbol="ETHUSDT")
        desk.simulator.faults.add("lose", closing=True, stream=stream, next=1)
        await until_true(lambda: next(v for v in ingester.core.view(desk.simulator.now()) if v.key == eth).missing)
        await until_true(lambda: len(desk.forming("ETHUSDT")) > 1)
        await desk.minutes(1.5)
        desk.simulator.faults.add("lose", stream=stream)
        silent_from = desk.simulator.now()
        await desk.minutes(2)
        desk.simulator.delist("ETHUSDT", "UNLISTED")
        unlisted_at = desk.simulator.now()
        desk.simulator.faults.remove(failing)
        await until_true(lambda: (known := series.get(eth)) is not None and known.gone and known.holes)
        await until_true(lambda: desk.forming("ETHUSDT") == [])
        known = series.get(eth)
        missing = {t for one in known.holes for t in range(to_ms(one.start), to_ms(one.end) + 1, MINUTE)}
        stored = desk.stored("ETHUSDT", desk.begun - MINUTE, desk.simulator.now()).keys()
        assert stored.isdisjoint(missing)
        over = range(min(stored), STEP.floor(unlisted_at), MINUTE)
        assert set(over) <= stored | missing, "every candle that was over is stored, or said to be missing"
        assert any(t < silent_from - MINUTE and t < max(stored) for t in missing), "one in the middle"
        assert max(missing) < to_ms(known.gone.since)
        desk.simulator.faults.clear()
        Watchlist(desk.database, "sim").watch([eth], datetime.now(UTC))
        assert await desk.becomes_right(min(over), max(over), ("ETHUSDT",), 120) is None
        await until_true(lambda: series.get(eth).gone is None)
        assert series.get(eth).holes == []


async def test_a_symbol_that_ended_while_nobody_watched_is_filled_to_its_end_before_it_is_given_up(desk):
    btc, eth = keys(("BTCUSDT", "ETHUSDT"))
    async with desk.ingesting(symbols=("BTCUSDT", "ETHUSDT")) as ingester:
        await until_true(lambda: set(ingester.core.watched()) == {btc, eth})
        await desk.minutes(2)
    assert desk.stored("ETHUSDT", desk.begun - MINUTE, desk.simulator.now())
    desk.backfilled.clear()
    desk.simulator.delist("ETHUSDT", "SETTLING")
    await desk.minutes(3)
    async with desk.ingesting(symbols=("BTCUSDT", "ETHUSDT")):
        await until_true(lambda: (known := SeriesStore(desk.database).get(eth)) is not None and known.gone is not None)
    assert desk.backfilled == [eth], "the other one, which is not far behind, the core completes"


async def test_what_follows_from_the_past_is_computed_when_the_series_is_live(desk):
    """Of a series that is far behind the candles are fetched first; their indicators keep no new one waiting."""
    (btc,) = keys(("BTCUSDT",))
    may_end = threading.Event()

    def compute_for_long(key: SeriesKey) -> None:
        desk.backfilled.append(key)
        assert may_end.wait(60)

    desk.backfill = compute_for_long
    async with desk.ingesting(symbols=("BTCUSDT",)) as ingester:
        try:
            await until_true(lambda: desk.backfilled == [btc])
            since = await desk.live(ingester, series=1)
            assert desk.fetched == [btc]
            await desk.minutes(2)
            assert await desk.becomes_right(since, since + MINUTE, ("BTCUSDT",)) is None
        finally:
            may_end.set()


async def test_a_break_that_the_last_run_left_is_counted_and_fetched(desk):
    """The newest candles are stored, some before them are not: what the exchange has is fetched, its hole is not."""
    now = desk.simulator.now()
    first = STEP.floor(now) - 40 * MINUTE
    key = keys(("BTCUSDT",))[0]
    hole = Hole(
        start=to_datetime(first + 8 * MINUTE),
        end=to_datetime(first + 9 * MINUTE),
        evidence="said so",
        found_at=to_datetime(now),
    )
    SeriesStore(desk.database).record_hole(key, hole)
    lost = [first + number * MINUTE for number in (8, 9, 20, 21, 22, 30)]
    rows = desk.simulator.truth_klines("BTCUSDT", "1m", first, STEP.floor(now) - MINUTE)
    write_live(
        desk.database,
        [
            CandleWrite(
                key, Candle(row[0], *map(float, row[1:6]), float(row[7]), row[8], *map(float, row[9:11]), True, now)
            )
            for row in rows
            if row[0] not in lost
        ],
    )
    desk.simulator.faults.add("overloaded", path="/fapi/v1/klines")
    async with desk.ingesting(symbols=("BTCUSDT",)) as ingester:
        await until_true(lambda: ingester.core.watched())
        (view,) = ingester.core.view(first + 40 * MINUTE)
        assert (view.last_closed, view.missing) == (lost[1] + 10 * MINUTE, 4)
        desk.simulator.faults.clear()
        assert await desk.becomes_right(lost[2], STEP.floor(now) - MINUTE, ("BTCUSDT",)) is None
        await until_true(lambda: next(ingester.core.view(desk.simulator.now())).last_closed >= STEP.floor(now) - MINUTE)
    assert list(desk.stored("BTCUSDT", lost[0], lost[1])) == []
    filled = desk.store.load(key, first + 30 * MINUTE, first + 39 * MINUTE, ("rsi",))["rsi"]
    assert filled.is_finite().all(), "indicators follow behind the filled break"


async def test_prices_finer_than_was_known_are_noted_and_what_depends_on_them_is_asked_for_anew(desk):
    client = RestClient(at(SIM, desk.simulator.url))
    symbols = SymbolStore(desk.database)
    symbols.save([one.model_copy(update={"price_precision": 0}) for one in MarketData(client).symbols()])
    client.close()
    (key,) = keys(("BTCUSDT",))
    async with desk.ingesting(symbols=("BTCUSDT",), decimals=0):
        await until_true(lambda: symbols.get("sim", "BTCUSDT").decimals == 1)
        await until_true(lambda: desk.backfilled.count(key) >= 2)


async def test_an_address_that_refuses_us_for_good_ends_it_with_words(desk):
    with pytest.raises(StreamBlockedError, match=r"/nowhere refuses us: .*404.*Check the address"):
        async with desk.ingesting(stream_path="/nowhere") as ingester:
            await until_true(lambda: ingester.feed.counters.breaks)
    assert desk.database["control"].count_documents({"kind": "heartbeat"}) == 0


@pytest.mark.timeout(90)
async def test_it_ends_for_good_also_where_a_library_loses_a_cancellation(desk, monkeypatch):
    async def loses_one(_):
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    monkeypatch.setattr(Ingester, "_look_at_targets", loses_one)
    with pytest.raises(StreamBlockedError):
        async with desk.ingesting(stream_path="/nowhere") as ingester:
            await until_true(lambda: ingester.feed.counters.breaks)


async def until_true(condition, seconds=150.0):
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - state of another task, which has no event for it
            await asyncio.sleep(0.02)
