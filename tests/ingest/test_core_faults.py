"""Ten thousand seeded fault schedules through the pure core: whatever the feed, REST, the store and the process do,
once they are quiet again the store equals the truth.

A failing schedule names its seed; `TIDEMARK_FAULT_SEED=<seed> pytest <this file>` replays it alone.
"""

import heapq
import os
from dataclasses import dataclass, field
from itertools import chain, count
from random import Random

import pytest

from pipeline.candle import Candle
from pipeline.exchange.clock import ClockSample, ServerClock
from pipeline.ingest.book import Patience
from pipeline.ingest.core import Core
from pipeline.ingest.events import Answer, Batch, ClosedCandles, FetchCandles, RecordHole
from pipeline.ingest.history import opening
from pipeline.ingest.window import CandleWindow, Recipe
from pipeline.timeline import HOUR, MINUTE, SECOND, Window, interval
from schemas.series import SeriesKey

KEY = SeriesKey("sim", "BTCUSDT", "1m")
STEP = interval("1m")
START = 1_760_000_040_000 // MINUTE * MINUTE
HISTORY, LIVE, QUIET = 6, 9, 150 * SECOND
WINDOW = 5
SEEDS, CHUNKS = int(os.environ.get("DRILL_SEEDS", "10000")), 20
END = START + LIVE * MINUTE
STEPS = (-3 * HOUR, -40 * SECOND, -2 * SECOND, 2 * SECOND, 40 * SECOND, 3 * HOUR)


def fingerprint(first, columns, decimals):
    """An indicator that is different for any other window: as long as the window itself, and bit for bit."""
    return (float(first), float(columns.shape[1]), float((columns[3] * (columns[1] - columns[2] + 1)).sum()))


@dataclass
class World:
    """The exchange as it truly is: every state of every candle, by the moment it came to be."""

    random: Random
    states: list[Candle] = field(default_factory=list)
    finals: dict[int, Candle] = field(default_factory=dict)
    live: int = LIVE

    def __post_init__(self) -> None:
        price = 1000.0
        for number in range(-HISTORY, self.live + 1):
            opened = START + number * MINUTE
            trades = 0 if self.random.random() < 0.15 else self.random.randint(1, 5)
            candle = Candle(opened, price, price, price, price, 0.0, 0.0, 0, 0.0, 0.0, False, opened)
            for moment in sorted(self.random.sample(range(200, MINUTE, 250), trades)):
                price += self.random.randint(-5, 5)
                high, low = max(candle.high, price), min(candle.low, price)
                volume = candle.volume + self.random.randint(1, 9)
                candle = candle._replace(
                    high=high, low=low, close=price, volume=volume, trades=candle.trades + 1, u=opened + moment
                )
                self.states.append(candle)
            self.finals[opened] = candle._replace(closed=True, u=opened + MINUTE)

    def rest(self, window: Window, server_time: int, judged_at: int | None = None) -> tuple[Candle, ...]:
        """What REST says at that time. Nothing in a row tells whether its candle is over: whoever asked judges that by
        the time that was, as far as they know."""
        judged_at = server_time if judged_at is None else judged_at
        rows = []
        for opened, final in self.finals.items():
            if window.start <= opened <= window.end and opened <= server_time:
                known = [s for s in self.states if s.t == opened and s.u <= server_time]
                if opened + MINUTE <= server_time:
                    rows.append(final._replace(u=judged_at, closed=opened + MINUTE <= judged_at))
                elif known:
                    rows.append(known[-1]._replace(u=judged_at, closed=opened + MINUTE <= judged_at))
        return tuple(rows)


@dataclass
class Faults:
    """How bad this schedule is."""

    lose: float
    repeat: float
    delay: float
    no_close: float
    rest_fails: float
    rest_holes: float
    store_fails: float
    skew: int
    """How wrong each measurement of the exchange's clock is."""
    set_by: list[tuple[int, int]]
    """When the machine's clock is set, and by how much."""
    asleep: list[tuple[int, int]]
    """When the steady clock stands still, and for how long."""
    cuts: list[tuple[int, int]]
    restarts: list[int]

    @classmethod
    def draw(cls, random: Random) -> "Faults":
        def sometimes(high: float) -> float:
            return random.choice([0.0, random.random() * high])

        moments = [START + random.randrange(LIVE * MINUTE) for _ in range(8)]
        return cls(
            lose=sometimes(0.6),
            repeat=sometimes(0.5),
            delay=sometimes(0.7),
            no_close=random.choice([0.0, 0.3, 1.0]),
            rest_fails=sometimes(0.8),
            rest_holes=sometimes(0.5),
            store_fails=sometimes(0.7),
            skew=random.choice([0, 0, random.randint(-4_000, 4_000)]),
            set_by=[(a, random.choice(STEPS)) for a in moments[: random.choice([0, 0, 1, 3])]],
            asleep=[(a, random.choice([5 * SECOND, HOUR])) for a in moments[3 : 3 + random.choice([0, 0, 0, 1])]],
            cuts=[(a, a + random.randrange(3 * MINUTE)) for a in moments[: random.choice([0, 0, 1, 3])]],
            restarts=sorted(moments[5 : 5 + random.choice([0, 0, 1, 3])]),
        )


@dataclass(frozen=True)
class Refill:
    """What could not be kept for the database is fetched, and computed, beside the core."""

    windows: tuple[Window, ...]


class Store:
    """The database as the guard keeps it."""

    def __init__(self) -> None:
        self.candles: dict[int, Candle] = {}
        self.values: dict[int, tuple[float, ...] | None] = {}

    def write(self, batch: Batch) -> list[int]:
        """Which candles were not there, closed, to take the indicators offered for them."""
        for write in batch.candles:
            old = self.candles.get(write.candle.t)
            wins = old is None or (not old.closed and (write.candle.closed or write.candle.u > old.u))
            if wins or (write.authority and write.candle.closed):
                self.candles[write.candle.t] = write.candle
                self.values[write.candle.t] = write.indicators
        refused = []
        for write in batch.indicators:
            if (old := self.candles.get(write.t)) is not None and old.closed:
                self.values[write.t] = write.indicators
            else:
                refused.append(write.t)
        return refused


class Schedule:
    """One run: a world, faults, and the core between them."""

    quiet = QUIET
    store_of = Store

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.apart = Random(f"apart {seed}")
        self.world = World(self.random)
        self.faults = Faults.draw(self.random)
        self.store = self.store_of()
        self.holes: list[RecordHole] = []
        self.order = count()
        self.agenda: list[tuple[int, int, object]] = []
        for number in range(-HISTORY, 0):
            candle = self.world.finals[START + number * MINUTE]
            self.store.candles[candle.t] = candle
        self.repair_values()
        self.outbox_limit = self.random.choice([3, 100])
        self.core = self.start(START)

    def start(self, now: int) -> Core:
        """A fresh process: it begins with what is stored as the ingester does, and fetches the rest."""
        self.clock = ServerClock(self.wall, self.steady)
        self.now = now
        self.measure()
        core = Core(Recipe(fingerprint, WINDOW + 1), patience=Patience(), outbox_limit=self.outbox_limit)
        found = opening(STEP, ClosedCandles.of(tuple(c for c in sorted(self.store.candles.values()) if c.closed)), ())
        assert found is not None
        core.watch(KEY, settled=found.settled, history=found.history, ahead=found.ahead, decimals=2)
        if not self.cut(now):
            core.connected([KEY], self.clock.now())
        return core

    # The machine's clocks

    def wall(self) -> int:
        return self.now + sum(step for moment, step in self.faults.set_by if moment <= self.now)

    def steady(self) -> int:
        return self.now - START - sum(lasted for moment, lasted in self.faults.asleep if moment <= self.now)

    def measure(self) -> None:
        """The answer took so long that it tells no more than this, and is as wrong as it can be."""
        received, wrong = self.steady(), self.faults.skew
        told = self.now if wrong > 0 else self.now - 2 * abs(wrong)
        self.clock.adopt([ClockSample(received - 2 * abs(wrong), received, told, self.wall())])

    def keep_clock(self) -> bool:
        """As whoever asks for candles does first; whether it could be measured where it was in doubt."""
        if self.clock.in_doubt:
            if self.now < END and self.random.random() < self.faults.rest_fails:
                return False
            self.measure()
        return True

    def run(self) -> None:
        self.plan_frames()
        for now in range(START, END + self.quiet, self.random.choice([1, 2, 4]) * SECOND):
            self.at(now, "tick")
        for begin, end in self.faults.cuts:
            self.at(begin, "cut")
            self.at(min(end, END), "mend")
        for moment in self.faults.restarts:
            self.at(moment, "restart")
        while self.agenda:
            now, _, what = heapq.heappop(self.agenda)
            self.happen(now, what)

    def plan_frames(self) -> None:
        for state in self.world.states:
            if state.t >= START:
                self.send(state)
        for opened, final in self.world.finals.items():
            if START <= opened < END and final.trades and self.random.random() >= self.faults.no_close:
                late = self.random.choice([200, 800, 2_000, 30_000 if self.faults.delay else 500])
                self.send(final._replace(u=opened + MINUTE + late))

    def send(self, candle: Candle) -> None:
        if self.random.random() < self.faults.lose:
            return
        for _ in range(1 + (self.random.random() < self.faults.repeat)):
            slow = self.random.random() < self.faults.delay
            self.at(candle.u + (self.random.randrange(20_000) if slow else 30), candle)

    def at(self, moment: int, what: object) -> None:
        heapq.heappush(self.agenda, (moment, next(self.order), what))

    def cut(self, now: int) -> bool:
        return any(begin <= now < min(end, END) for begin, end in self.faults.cuts)

    def happen(self, now: int, what: object) -> None:
        self.now = now
        core, local = self.core, self.clock.now()
        match what:
            case Candle() if not self.cut(now):
                core.frame(KEY, what, local)
            case Answer():
                core.answer(what, local)
            case "failed":
                core.fetch_failed(KEY, local)
            case "cut":
                core.disconnected([KEY])
            case "mend" if not self.cut(now):
                core.connected([KEY], local)
            case "restart":
                self.agenda = [e for e in self.agenda if e[2] != "failed" and not isinstance(e[2], Answer)]
                heapq.heapify(self.agenda)
                self.core = self.start(now)
            case Refill():
                self.refill(what, now)
            case "tick":
                self.keep_clock()
                core.time(self.clock.now())
                self.perform(now)
                self.flush(now)

    def perform(self, now: int) -> None:
        for effect in self.core.effects():
            match effect:
                case FetchCandles():
                    self.fetch(effect, now)
                case RecordHole():
                    self.holes.append(effect)

    def fetch(self, effect: FetchCandles, now: int) -> None:
        troubled = now < END
        if not self.keep_clock() or (troubled and self.random.random() < self.faults.rest_fails):
            self.at(now + self.random.randrange(3_000), "failed")
            return
        judged_at = self.clock.surely
        rows = self.world.rest(effect.window, now, judged_at)
        if troubled:
            rows = tuple(row for row in rows if self.random.random() >= self.faults.rest_holes)
        self.at(now + self.random.randrange(20, 900), Answer(KEY, effect.window, rows, judged_at))

    def flush(self, now: int) -> None:
        """What closed and what is open are written together, or apart, in any order."""
        takes = self.apart.choice([[self.core.take], [self.core.take_closed, self.core.take_open]])
        for take in self.apart.sample(takes, len(takes)):
            self.write(take(), now)

    def write(self, batch: Batch, now: int) -> None:
        if not (batch or self.core.unsaved):
            return
        if now < END and self.random.random() < self.faults.store_fails:
            self.core.put_back(batch)
            return
        for opened in self.store.write(batch):
            assert self.is_owed(opened), f"the indicators of candle {(opened - START) // MINUTE} are lost"
        if self.core.unsaved:
            self.at(now + self.random.randrange(20_000), Refill(tuple(self.core.unsaved.values())))
            self.core.unsaved.clear()

    def is_owed(self, opened: int) -> bool:
        """Whether that candle could not be kept for the database, and is to be fetched and computed again."""
        refills = [what.windows for _, _, what in self.agenda if isinstance(what, Refill)]
        owed = chain(self.core.unsaved.values(), *refills)
        return any(window.start <= opened <= window.end for window in owed)

    def refill(self, owed: Refill, now: int) -> None:
        """As a backfill does, which the next start takes up where this process ends before it."""
        if now < END and self.random.random() < self.faults.rest_fails:
            self.at(now + 15 * SECOND, owed)
            return
        for window in owed.windows:
            for row in self.world.rest(window, now):
                if (old := self.store.candles.get(row.t)) is None or not old.closed:
                    self.store.candles[row.t] = row
                    self.store.values[row.t] = None
        self.repair_values()

    def repair_values(self) -> None:
        history = [c for c in sorted(self.store.candles.values()) if c.closed]
        run = [c for n, c in enumerate(history) if c.t == history[0].t + n * MINUTE]
        self.store.values.update({c.t: v for c, v in zip(run, batch_indicators(run), strict=True)})


def batch_indicators(history: list[Candle]) -> list[tuple[float, ...]]:
    window, values = CandleWindow(WINDOW), []
    for candle in history:
        window.append(candle)
        values.append(fingerprint(STEP.index(candle.t) + 1 - len(window), window.closed(), 2))
    return values


def difference(seed: int) -> str | None:
    schedule = Schedule(seed)
    schedule.run()
    if schedule.holes:
        return f"a hole was recorded that the exchange does not have: {schedule.holes}"
    truth = [c for c in schedule.world.finals.values() if c.t < END]
    for final, values in zip(truth, batch_indicators(truth), strict=True):
        stored = schedule.store.candles.get(final.t)
        where = f"candle {(final.t - START) // MINUTE}"
        if stored is None or not stored.closed:
            return f"{where} is not closed in the store: {stored}"
        if not stored.same_market(final):
            return f"{where} differs: stored {stored}, truth {final}"
        if schedule.store.values[final.t] != values:
            return f"{where} has indicators {schedule.store.values[final.t]}, not {values}"
    return None


def seeds(chunk: int) -> range:
    chosen = os.environ.get("TIDEMARK_FAULT_SEED")
    if chosen is not None:
        return range(int(chosen), int(chosen) + (chunk == 0))
    share = SEEDS // CHUNKS
    return range(chunk * share, (chunk + 1) * share)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_after_any_schedule_of_faults_the_store_equals_the_truth(chunk):
    for seed in seeds(chunk):
        found = difference(seed)
        assert found is None, f"{found}\nreplay alone: TIDEMARK_FAULT_SEED={seed} pytest {os.path.relpath(__file__)}"
