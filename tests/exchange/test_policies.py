"""How long to wait, when to stop asking at all, and what time it is over there."""

import random
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.exchange.breaker import CircuitBreaker
from pipeline.exchange.clock import ClockSample, ServerClock
from pipeline.exchange.errors import CircuitOpenError
from pipeline.exchange.retries import delays


@given(seed=st.integers(0, 2**32), first=st.floats(0.01, 2), cap=st.floats(3, 60))
def test_delays_start_at_random_double_and_are_capped(seed: int, first: float, cap: float) -> None:
    waits = list(islice(delays(random.Random(seed), first, cap), 12))
    assert first / 2 <= waits[0] <= first * 1.5
    assert all(later == pytest.approx(min(2 * sooner, cap)) for sooner, later in pairwise(waits))


def test_two_clients_that_fail_together_do_not_return_together() -> None:
    assert next(delays(random.Random(1))) != next(delays(random.Random(2)))


def test_the_breaker_opens_after_failures_in_a_row_and_lets_one_call_try() -> None:
    breaker = CircuitBreaker(failures_to_open=3, pause_ms=100)
    for _ in range(2):
        breaker.failed(0)
    breaker.succeeded()
    for _ in range(3):
        breaker.check(0)
        breaker.failed(0)
    with pytest.raises(CircuitOpenError, match="3 calls in a row") as caught:
        breaker.check(99)
    assert caught.value.until == 100
    breaker.check(100)
    with pytest.raises(CircuitOpenError):
        breaker.check(101)
    breaker.succeeded()
    breaker.check(102)


def test_a_failed_try_opens_the_breaker_again() -> None:
    breaker = CircuitBreaker(failures_to_open=1, pause_ms=100)
    breaker.failed(0)
    breaker.check(100)
    breaker.failed(150)
    with pytest.raises(CircuitOpenError):
        breaker.check(249)
    breaker.check(250)


@given(
    ahead=st.integers(-(10**7), 10**7),
    trips=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=5),
)
def test_the_offset_is_within_half_of_the_smallest_round_trip(ahead: int, trips: list[tuple[int, int]]) -> None:
    clock = ServerClock(lambda: 1_000, lambda: 1_000)
    clock.adopt(ClockSample(0, there + back, there + ahead, 1_000) for there, back in trips)
    assert abs(clock.offset - ahead) <= min(sum(trip) for trip in trips) / 2 + 1
    assert abs(clock.now() - (1_000 + ahead)) <= clock.uncertainty


class Machine:
    """Its clocks, and the exchange's beside them."""

    def __init__(self) -> None:
        self.truth, self.wall, self.steady = 5_000_000, 1_000_000, 7_000
        self.clock = ServerClock(lambda: self.wall, lambda: self.steady)
        self.measure()

    def measure(self) -> None:
        self.clock.adopt([ClockSample(self.steady, self.steady, self.truth, self.wall)])

    def later(self, milliseconds: int) -> None:
        self.truth, self.wall, self.steady = (one + milliseconds for one in (self.truth, self.wall, self.steady))


@pytest.mark.parametrize("step", [-7_200_000, -1_001, 1_001, 5_000, 7_200_000])
def test_a_clock_that_is_set_changes_nothing_but_is_noticed(step: int) -> None:
    machine = Machine()
    machine.later(60_000)
    machine.wall += step
    assert machine.clock.now() == machine.truth
    assert machine.clock.in_doubt
    machine.measure()
    assert (machine.clock.now(), machine.clock.in_doubt) == (machine.truth, False)


@pytest.mark.parametrize("asleep", [1_001, 3_600_000])
def test_a_steady_clock_that_stood_still_while_the_machine_slept_is_noticed_and_never_ahead(asleep: int) -> None:
    machine = Machine()
    machine.truth, machine.wall = machine.truth + asleep, machine.wall + asleep
    assert machine.clock.in_doubt
    assert machine.clock.now() == machine.truth - asleep


def test_clocks_that_are_slewed_apart_by_less_than_a_second_are_not_in_doubt() -> None:
    machine = Machine()
    machine.later(600_000)
    machine.wall += 999
    assert not machine.clock.in_doubt


def test_an_old_measurement_is_less_certain_than_a_new_one() -> None:
    machine = Machine()
    machine.later(3_600_000)
    assert machine.clock.uncertainty == 50 + 360


def test_a_clock_that_was_never_measured_is_in_doubt() -> None:
    assert ServerClock().in_doubt
