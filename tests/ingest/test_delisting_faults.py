"""Seeded fault schedules in which the exchange delists a symbol while it is watched: it sends no more, REST answers
with what it has and later refuses, and the list says that the symbol ended; or in which it is unlisted at once, in the
middle of a candle.

Once all is quiet the store has every candle up to the end and none half or made up, no hole is recorded, the symbol is
let go, and the series beside it is complete. Of a symbol that was unlisted at once none is half or made up either, and
those that are missing are said to be.
"""

import os
from collections.abc import Callable
from random import Random

import numpy as np
import pytest

from pipeline.candle import Candle
from pipeline.ingest.core import Core
from pipeline.ingest.events import Answer, AskWhetherTraded, Batch, ClosedCandles, FetchCandles, RecordHole
from pipeline.ingest.history import opening
from pipeline.store.candles.coverage import SlotState
from pipeline.store.candles.unfinished import lacking
from pipeline.timeline import MINUTE, SECOND, Window
from schemas.series import SeriesKey
from tests.ingest.test_core_faults import END, KEY, LIVE, START, STEP, Refill, Schedule, Store, World, batch_indicators

OTHER = SeriesKey(KEY.exchange, "ETHUSDT", KEY.interval)
UNTIL_SAID = 15 * MINUTE
"""So long after the troubles the ingester has found out: it asks ten minutes after a candle that did not come."""
SEEDS, CHUNKS = int(os.environ.get("DRILL_SEEDS", "10000")) // 10, 4


class TwoSeries(Store):
    """The store, and beside it the closed candles of the other series."""

    def __init__(self) -> None:
        super().__init__()
        self.others: dict[int, Candle] = {}

    def write(self, batch: Batch) -> list[int]:
        self.others |= {one.t: one.candle for one in batch.candles if one.key == OTHER and one.candle.closed}
        candles, indicators = ([one for one in some if one.key == KEY] for some in (batch.candles, batch.indicators))
        return super().write(Batch(tuple(candles), tuple(indicators)))


class Delisting(Schedule):
    """One run in which the symbol ends with a candle amid the troubles. The list and REST answer as badly as ever."""

    quiet = UNTIL_SAID
    store_of = TwoSeries
    store: TwoSeries

    def __init__(self, seed: int) -> None:
        own = Random(-1 - seed)
        self.ended = START + own.randrange(1, LIVE) * MINUTE
        self.unlisted = own.choice([END + UNTIL_SAID, END + MINUTE + own.randrange(9 * MINUTE)])
        self.beside = World(own, live=LIVE + UNTIL_SAID // MINUTE)
        super().__init__(seed)
        self.world.states = [state for state in self.world.states if state.t < self.ended]
        self.world.finals = {opened: final for opened, final in self.world.finals.items() if opened < self.ended}

    def start(self, now: int) -> Core:
        self.outbox_limit = 100
        core = self.core = super().start(now)
        closed = self.store.others or {t: candle for t, candle in self.beside.finals.items() if t < START}
        found = opening(STEP, ClosedCandles.of(tuple(sorted(closed.values()))), ())
        assert found is not None
        core.watch(OTHER, settled=found.settled, history=found.history, ahead=found.ahead, decimals=2)
        core.connected([OTHER], self.clock.now())
        if now >= self.ended and not self.is_deaf(now):
            self.fill(now)
            self.give_up()
        return core

    def plan_frames(self) -> None:
        super().plan_frames()
        for opened, final in self.beside.finals.items():
            if opened >= START:
                self.at(opened + MINUTE + 200, (OTHER, final._replace(u=opened + MINUTE + 100)))

    def happen(self, now: int, what: object) -> None:
        self.now = now
        match what:
            case (key, Candle() as candle) if key == OTHER:
                self.core.frame(OTHER, candle, self.clock.now())
            case RecordHole():
                self.ask(what, now)
            case _:
                super().happen(now, what)

    def perform(self, now: int) -> None:
        for effect in self.core.effects():
            match effect:
                case FetchCandles(key) if key == OTHER:
                    self.fetch_other(effect, now)
                case FetchCandles() if now >= self.unlisted:
                    self.give_up()
                case FetchCandles():
                    self.fetch(effect, now)
                case RecordHole(key) | AskWhetherTraded(key):
                    assert key == KEY, f"the other series is doubted: {effect}"
                    self.ask(effect, now)

    def fetch_other(self, effect: FetchCandles, now: int) -> None:
        if not self.keep_clock():
            self.core.fetch_failed(OTHER, self.clock.now())
            return
        judged_at = self.clock.surely
        self.at(now + 50, Answer(OTHER, effect.window, self.beside.rest(effect.window, now, judged_at), judged_at))

    def is_deaf(self, now: int) -> bool:
        return now < END and self.random.random() < self.faults.rest_fails

    def ask(self, effect: AskWhetherTraded | RecordHole, now: int) -> None:
        """Whether it is traded. A hole waits for the answer; who merely asked asks again of itself."""
        if self.is_deaf(now):
            if isinstance(effect, RecordHole):
                self.at(now + 15 * SECOND, effect)
        elif now >= self.ended:
            self.give_up()
        elif isinstance(effect, RecordHole):
            self.holes.append(effect)

    def fill(self, now: int) -> None:
        """One that ended before it is begun is filled to its end."""
        for row in self.world.rest(Window(START, now), now):
            if row.closed:
                self.store.candles[row.t] = row
        self.repair_values()

    def give_up(self) -> None:
        if KEY in self.core.watched():
            self.core.unwatch(KEY)

    def difference_beside(self) -> str | None:
        """What the other series lacks."""
        for final in self.beside.finals.values():
            other = self.store.others.get(final.t)
            if START <= final.t < END + UNTIL_SAID - 2 * MINUTE and (other is None or not other.same_market(final)):
                return f"candle {(final.t - START) // MINUTE} of the other: stored {other}, truth {final}"
        return None


class Unlisted(Delisting):
    """One run in which the symbol is unlisted at once, in the middle of a candle: from then on nothing of it is sent,
    and REST does not know it any more. What it is given up with is said as the ingester does."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.ended += Random(f"unlisted {seed}").randrange(1, MINUTE)
        self.unlisted = self.ended
        self.world.states = [state for state in self.world.states if state.u <= self.ended]
        self.world.finals = {t: final for t, final in self.world.finals.items() if t + MINUTE <= self.ended}
        self.given_up_at = END + UNTIL_SAID
        self.said: list[Window] = []
        """What was said to be missing."""

    def fill(self, now: int) -> None:
        """Nobody can."""

    def refill(self, owed: Refill, now: int) -> None:
        if now < self.unlisted:
            super().refill(owed, now)

    def give_up(self) -> None:
        self.given_up_at = self.now
        super().give_up()

    def run(self) -> None:
        super().run()
        candles = self.store.candles
        first, count = STEP.index(min(candles)), STEP.count(min(candles), self.given_up_at)
        states = np.full(count, SlotState.MISSING, np.uint8)
        for t, candle in candles.items():
            states[STEP.index(t) - first] = SlotState.CLOSED if candle.closed else SlotState.OPEN
        self.said, left_open = lacking(STEP, first, states, (), self.given_up_at)
        for t in left_open:
            del candles[t]


def unsaid(seed: int) -> str | None:
    schedule = Unlisted(seed)
    schedule.run()
    if schedule.holes:
        return f"a hole was recorded that the exchange does not have: {schedule.holes}"
    if KEY in schedule.core.watched():
        return "it is still watched"
    candles, said = schedule.store.candles, schedule.said
    if left := [candle for candle in candles.values() if not candle.closed]:
        return f"left open: {left}"
    missing = {t for window in said for t in range(window.start, window.end + 1, MINUTE)}
    if told := [(t - START) // MINUTE for t in sorted(candles.keys() & missing)]:
        return f"candles {told} are stored, and said to be missing: {said}"
    if any(window.end + MINUTE > schedule.given_up_at and window.end > schedule.ended for window in said):
        return f"a candle is said to be missing that began after the end: {said}"
    for t, final in schedule.world.finals.items():
        stored = candles.get(t)
        if stored is None and t not in missing:
            return f"candle {(t - START) // MINUTE} is missing, and that is not said: {said}"
        if stored is not None and not stored.same_market(final):
            return f"candle {(t - START) // MINUTE}: stored {stored}, truth {final}"
    return schedule.difference_beside()


def difference(seed: int) -> str | None:
    schedule = Delisting(seed)
    schedule.run()
    if schedule.holes:
        return f"a hole was recorded that the exchange does not have: {schedule.holes}"
    if KEY in schedule.core.watched():
        return "it is still watched"
    truth = list(schedule.world.finals.values())
    if set(schedule.store.candles) != {final.t for final in truth}:
        return f"stored are {sorted((t - START) // MINUTE for t in schedule.store.candles)} of {len(truth)}"
    for final, values in zip(truth, batch_indicators(truth), strict=True):
        stored = schedule.store.candles[final.t]
        if not (stored.closed and stored.same_market(final)):
            return f"candle {(final.t - START) // MINUTE}: stored {stored}, truth {final}"
        if schedule.store.values[final.t] != values:
            return f"candle {(final.t - START) // MINUTE} has indicators {schedule.store.values[final.t]}, not {values}"
    return schedule.difference_beside()


def replay(find: Callable[[int], str | None], chunk: int) -> None:
    share = SEEDS // CHUNKS
    chosen = os.environ.get("TIDEMARK_FAULT_SEED")
    for seed in range(chunk * share, (chunk + 1) * share) if chosen is None else [int(chosen)]:
        found = find(seed)
        assert found is None, f"{found}\nreplay alone: TIDEMARK_FAULT_SEED={seed} pytest {os.path.relpath(__file__)}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_whatever_fails_while_a_symbol_is_delisted_it_ends_complete_and_the_other_goes_on(chunk: int) -> None:
    replay(difference, chunk)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_whatever_fails_before_a_symbol_is_unlisted_at_once_what_is_missing_is_said(chunk: int) -> None:
    replay(unsaid, chunk)
