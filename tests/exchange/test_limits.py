"""Request weight: the decision as a table and a law, and the gate around it under threads."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exchange.clock import ClockSample, ServerClock
from pipeline.exchange.errors import BannedError, RateLimitedError, StoppedError
from pipeline.exchange.limits import LimitGate, Need, wait_ms
from pipeline.timeline import MINUTE

NOON = 1_700_006_400_000


class Hands:
    """A clock that a test moves."""

    def __init__(self, now: int) -> None:
        self.time = now

    def __call__(self) -> int:
        return self.time


@pytest.fixture
def hands() -> Hands:
    return Hands(NOON + 1_000)


@pytest.fixture
def gate(hands: Hands) -> LimitGate:
    return LimitGate(100, 0.8, clock_of(hands))


def clock_of(hands: Hands) -> ServerClock:
    """An exchange's clock that a test moves."""
    clock = ServerClock(hands, hands)
    clock.adopt([ClockSample(NOON, NOON, NOON, NOON)])
    return clock


@pytest.mark.parametrize(
    ("used", "cost", "now", "wait"),
    [
        (0, 2, NOON, 0),
        (78, 2, NOON, 0),
        (79, 2, NOON, MINUTE),
        (79, 2, NOON + 1, MINUTE - 1),
        (79, 1, NOON + MINUTE - 1, 0),
        (80, 0, NOON, 0),
        (200, 0, NOON, 0),
        (200, 1, NOON + MINUTE - 1, 1),
    ],
)
def test_a_call_waits_for_the_reset_only_if_the_buffered_limit_cannot_hold_it(
    used: int, cost: int, now: int, wait: int
) -> None:
    assert wait_ms(used, cost, limit=100, share=0.8, now=now) == wait


def test_a_call_that_can_never_fit_is_a_mistake_and_not_an_endless_wait() -> None:
    with pytest.raises(ValueError, match="81"):
        wait_ms(0, 81, limit=100, share=0.8, now=NOON)


@given(
    used=st.integers(0, 5_000),
    cost=st.integers(1, 40),
    share=st.floats(0.1, 1.0),
    now=st.integers(0, 2**42),
    period=st.sampled_from([10_000, 60_000]),
)
def test_what_passes_never_exceeds_the_share_and_a_wait_ends_at_the_reset(
    used: int, cost: int, share: float, now: int, period: int
) -> None:
    wait = wait_ms(used, cost, limit=2_400, share=share, now=now, period=period)
    if wait == 0:
        assert used + cost <= 2_400 * share
    else:
        assert (now + wait) % period == 0
        assert wait_ms(0, cost, limit=2_400, share=share, now=now + wait, period=period) == 0


def spend(gate: LimitGate, cost: int, count: int | None, **how: object) -> None:
    with gate.spend(cost, patience_ms=0, **how) as ticket:  # type: ignore[arg-type]
        ticket.count = count


def test_the_exchanges_count_is_obeyed_because_it_sees_other_processes(gate: LimitGate) -> None:
    spend(gate, 2, 79)
    with pytest.raises(RateLimitedError, match="nothing was sent") as caught:
        spend(gate, 2, 81)
    assert caught.value.until == NOON + MINUTE + gate.clock.uncertainty


def test_a_late_answer_with_a_smaller_count_does_not_turn_the_count_back(gate: LimitGate) -> None:
    spend(gate, 2, 70)
    spend(gate, 2, 30)
    assert gate.used == 70


def test_a_call_whose_count_did_not_come_back_is_taken_as_spent(gate: LimitGate) -> None:
    spend(gate, 2, 70)
    spend(gate, 5, None)
    assert gate.used == 75


def test_the_count_starts_anew_with_the_minute(gate: LimitGate, hands: Hands) -> None:
    spend(gate, 2, 80)
    hands.time = NOON + MINUTE + 1_000
    spend(gate, 2, 2)
    assert gate.used == 2


@pytest.mark.parametrize(
    ("count", "kept"),
    [(80, 2), (4, 4)],
    ids=["the old minute's count is taken as this call alone", "the new minute's count is kept"],
)
def test_an_answer_that_spans_the_reset(gate: LimitGate, hands: Hands, count: int, kept: int) -> None:
    hands.time = NOON + MINUTE - 100
    with gate.spend(2) as ticket:
        hands.time = NOON + MINUTE + 200
        ticket.count = count
    assert gate.used == kept


def test_what_is_in_flight_counts_before_its_answer_comes(gate: LimitGate) -> None:
    with gate.spend(40), gate.spend(40), pytest.raises(RateLimitedError), gate.spend(1, patience_ms=0):
        pass


def test_what_opens_may_use_half_of_what_bulk_work_must_leave_and_what_protects_all(gate: LimitGate) -> None:
    spend(gate, 2, 80)
    spend(gate, 10, 90, need=Need.OPENING)
    with pytest.raises(RateLimitedError):
        spend(gate, 1, 91, need=Need.OPENING)
    spend(gate, 10, 100, need=Need.PROTECTION)
    with pytest.raises(RateLimitedError):
        spend(gate, 1, 101, need=Need.PROTECTION)


@pytest.mark.parametrize("need", Need)
def test_what_costs_nothing_passes_however_much_is_used_up(gate: LimitGate, need: Need) -> None:
    spend(gate, 2, 1_000)
    spend(gate, 0, 1_000, need=need)


def test_what_costs_nothing_is_held_back_once_the_exchange_itself_says_stop(gate: LimitGate) -> None:
    gate.close_until(NOON + 90_000)
    with pytest.raises(RateLimitedError):
        spend(gate, 0, None, need=Need.PROTECTION)
    gate.ban(BannedError("banned", NOON + 90_000))
    with pytest.raises(BannedError):
        spend(gate, 0, None, need=Need.PROTECTION)


def test_after_a_429_everybody_waits_as_long_as_it_said(gate: LimitGate, hands: Hands) -> None:
    gate.close_until(NOON + 90_000)
    with pytest.raises(RateLimitedError):
        spend(gate, 1, 1)
    hands.time = NOON + 90_000
    spend(gate, 1, 1)


def test_a_ban_stops_every_caller_until_it_is_over(gate: LimitGate, hands: Hands) -> None:
    gate.ban(BannedError("banned", NOON + 5_000))
    for _ in range(2):
        with pytest.raises(BannedError):
            spend(gate, 1, 1)
    hands.time = NOON + 5_000
    spend(gate, 1, 1)


def test_what_a_person_began_goes_on_where_what_is_scheduled_waits(gate: LimitGate) -> None:
    """Another process, on a schedule, has used what it may: the half of what bulk work may use is left to a person."""
    spend(gate, 40, 40)
    with pytest.raises(RateLimitedError), gate.spend(1, need=Need.SCHEDULED, patience_ms=0):
        pass
    with gate.spend(40, patience_ms=0):
        pass


def test_a_wait_can_be_seen_for_as_long_as_it_lasts(gate: LimitGate, hands: Hands) -> None:
    assert gate.waiting_ms == 0
    spend(gate, 80, 80)
    assert gate.waiting_ms == 0, "nobody waits"
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(spend_patiently, gate)
        until(lambda: gate.waiting_ms)
        assert 59_000 <= gate.waiting_ms <= 59_000 + gate.clock.uncertainty
        hands.time += 20_000
        assert 39_000 <= gate.waiting_ms <= 39_000 + gate.clock.uncertainty
        hands.time = NOON + MINUTE + 1_000
        waiting.result(timeout=10)
    assert gate.waiting_ms == 0


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_waiting_caller_leaves_when_told_to_stop(gate: LimitGate) -> None:
    spend(gate, 80, 80)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(spend_patiently, gate)
        gate.stop.set()
        with pytest.raises(StoppedError):
            waiting.result(timeout=10)


def spend_patiently(gate: LimitGate) -> None:
    with gate.spend(1):
        pass


@contextmanager
def passing(hands: Hands, gates: Iterable[LimitGate]) -> Iterator[None]:
    """Time passes for the length of a `with` block, but not by itself while a call is under way: how long one takes is
    not for this machine's load to say."""
    done = threading.Event()

    def pass_on() -> None:
        while not done.wait(0.001):
            if not any(gate._in_flight for gate in gates):
                hands.time += 5

    passes = threading.Thread(target=pass_on)
    passes.start()
    try:
        yield
    finally:
        done.set()
        passes.join()


def test_many_threads_pass_the_share_by_no_more_than_is_in_flight_at_the_reset_and_use_it_up(hands: Hands) -> None:
    clock = clock_of(hands)
    gate = LimitGate(100, 0.8, clock, period=300)
    judge = Judge(hands, 300)

    def work(_: int) -> None:
        with gate.spend(2) as ticket:
            ticket.count = judge.count(2)

    with passing(hands, [gate]), ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(120)))
    assert max(judge.periods.values()) <= 80 + 8 * 2
    assert sum(judge.periods.values()) == 240
    assert len(judge.periods) <= 5, "a period with work waiting must be used up"


def test_two_processes_that_share_an_address_never_reach_its_limit(hands: Hands) -> None:
    clock = clock_of(hands)
    gates = [LimitGate(100, 0.8, clock, period=300) for _ in range(2)]
    judge = Judge(hands, 300)

    def work(number: int) -> None:
        with gates[number % 2].spend(2) as ticket:
            ticket.count = judge.count(2)

    with passing(hands, gates), ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(160)))
    assert sum(judge.periods.values()) == 320
    assert max(judge.periods.values()) <= 80 + 4 * 2


class Judge:
    """Counts as the exchange does. A call takes a few milliseconds."""

    def __init__(self, hands: Hands, period: int) -> None:
        self.hands, self.period = hands, period
        self.periods: dict[int, int] = {}
        self.lock = threading.Lock()

    def count(self, cost: int) -> int:
        with self.lock:
            self.hands.time += 3
            number = self.hands.time // self.period
            self.periods[number] = self.periods.get(number, 0) + cost
            return self.periods[number]
