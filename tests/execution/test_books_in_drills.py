"""Several strategies in one contract, in schedules of faults; and one alone, which trades as it did without books."""

from dataclasses import replace
from random import Random

import pytest

from pipeline.settings import Portfolio
from tests.execution.drill.markets import MARKETS
from tests.execution.drill.of_books import BookSchedule
from tests.execution.drill.schedule import Schedule
from tests.execution.drill.story import OWN


class Alone(Schedule):
    """Only one strategy speaks, and nothing is drawn as it comes: the same moments have the same chances."""

    books = False

    def draw(self, seed: int, rests: float) -> None:
        super().draw(seed, rests)
        self.faults = replace(self.faults.calm(), partial=0.3)
        self.delisted = []
        self.policy = replace(self.policy, portfolio=Portfolio(books=self.books))
        own = {name: one for name, one in self.signals.items() if (one.strategy, one.interval) == OWN}
        self.signals = own

    def quick(self, now: int) -> int:
        return now + 20

    def troubled(self, chance: float, now: int) -> bool:
        return Random(f"{now} {chance}").random() < chance


class AloneWithBooks(Alone):
    """The same, with books."""

    books = True


@pytest.mark.parametrize("market", MARKETS)
def test_of_one_strategy_every_order_is_what_it_was_without_books(market: str) -> None:
    for seed in range(60):
        assert done(Alone(seed, market=MARKETS[market])) == done(AloneWithBooks(seed, market=MARKETS[market]))


def done(schedule: Schedule) -> object:
    """Every order at the exchange, every verdict, and what it all has brought."""
    schedule.run()
    orders = [
        (one.client_id, one.side, one.quantity, one.trigger, one.kind, one.status, one.at, one.filled, one.reduce_only)
        for one in schedule.exchange.orders
    ]
    verdicts = {name: (one.verdict, one.reason) for name, one in schedule.journal.verdicts.items()}
    return orders, verdicts, schedule.exchange.wallet


def test_the_schedules_of_books_reach_what_they_are_for() -> None:
    """Strategies hold against each other, and each closes in its own way."""
    crossed = closed = guarded = 0
    for seed in range(120):
        schedule = BookSchedule(seed)
        schedule.run()
        orders = schedule.journal.orders.values()
        crossed += schedule.crossed > 0
        closed += any(one.leg == "exit" and not one.reduce_only and one.filled for one in orders)
        guarded += any(one.leg == "stop" and one.strategy and one.state == "filled" for one in orders)
    assert (crossed > 15, closed > 3, guarded > 1) == (True, True, True), (crossed, closed, guarded)
