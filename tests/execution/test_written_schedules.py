"""Schedules that once broke a law, written down step by step: however the drill draws, these are run."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.execution.engine import events as ev
from pipeline.timeline import SECOND
from tests.execution.drill.laws import broken_law
from tests.execution.drill.setting import END, START
from tests.execution.drill.written import Written, said
from tests.execution.model import SYMBOL


def kept(schedule: Written) -> Written:
    """Run to its end, and every law holds."""
    schedule.run()
    assert broken_law(schedule) is None
    return schedule


def fails(**faults: object) -> Callable[[Written, int], None]:
    """From now on these faults are so likely, or at these times."""

    def so(schedule: Written, _: int) -> None:
        schedule.faults = replace(schedule.faults, **faults)

    return so


def lose_the_stops(schedule: Written, _: int) -> None:
    """Somebody cancels them: the next term finds nothing that would make it ask for the past."""
    for order in [one for one in schedule.exchange.open_orders() if one.algo]:
        schedule.exchange.cancel(order.client_id, by_us=False)


def test_what_was_said_before_the_first_comparison_is_not_new_though_the_clock_says_so():
    """The journal is lost, the clock is behind: what was opened and closed is not opened again."""
    schedule = kept(
        Written(
            [said(0.5, "entry", "long"), said(3, "exit", "long")],
            [
                (7, Written.die),
                (13.9, lambda schedule, _: schedule.put_clock(-15)),
                (18, lambda schedule, _: schedule.put_clock(0)),
            ],
        )
    )
    assert not schedule.exchange.position


def test_an_old_journal_closes_nothing_for_an_exit_that_it_does_not_know_to_be_done():
    schedule = kept(
        Written(
            [said(0.5, "entry", "long"), said(3, "exit", "long"), said(5, "entry", "long")],
            [(2, Written.back_up), (7, Written.die), (7.1, lose_the_stops)],
        )
    )
    assert schedule.exchange.position


def halts(*, halted: bool) -> Callable[[Written, int], None]:
    return lambda schedule, now: schedule.feed(ev.HaltSeen(halted, flatten=False), now)


def test_a_close_that_an_old_journal_has_is_not_asked_for_for_ever():
    """The journal is from between the close and the opening of a turn. That was never opened, and another is held."""
    turned = said(3, "trial", "short")
    schedule = kept(
        Written(
            [said(0.5, "trial", "long"), turned, said(6, "trial", "long")],
            [
                (3.03, Written.back_up),
                (3.035, halts(halted=True)),
                (5, halts(halted=False)),
                (8, Written.die),
            ],
        )
    )
    assert schedule.journal.verdicts[turned.id].orders
    assert not [one for one in schedule.journal.orders.values() if one.leg == "flatten"], "nor is that one closed"


def test_what_was_turned_and_then_settled_is_said_to_be_settled():
    """The stream tells of the position first, and of the order that closed it half a second later."""

    def settle(schedule: Written, now: int) -> None:
        schedule.settle(now)
        order = schedule.exchange.news.pop(-2)
        schedule.at(now + 500, lambda _: schedule.exchange.news.append(order))

    schedule = kept(
        Written([said(0.5, "trial", "long"), said(3, "trial", "short")], [(23, Written.begin_settling), (30, settle)])
    )
    assert schedule.settled
    assert schedule.settled[1] < 0


def test_a_newer_word_that_had_expired_closes_what_an_older_one_opened_after_it():
    older, newer = said(0.5, "entry", "long"), said(2, "entry", "short", fresh_for=2)

    def hear_of_the_older(schedule: Written, now: int) -> None:
        schedule.signals[older.id] = older
        schedule.signal_comes(older, now)

    schedule = kept(
        Written([newer], [(0, fails(query_fails=1.0)), (5, fails(query_fails=0.0)), (8, hear_of_the_older)])
    )
    assert schedule.journal.verdicts[older.id].verdict == "taken"
    assert not schedule.exchange.position


def test_an_old_entry_that_is_found_filled_does_not_turn_what_is_held_the_other_way_since():
    """It is found after it is known whose that is."""
    schedule = kept(
        Written(
            [said(0.5, "entry", "long"), said(3, "exit", "long"), said(5, "entry", "short")],
            [
                (0.49, fails(lost_after=1.0, query_fails=1.0, gaps=[(START, START + SECOND)])),
                (1.4, Written.back_up),
                (1.5, fails(lost_after=0.0, query_fails=0.0)),
                (8, Written.die),
                (15.4, fails(query_fails=1.0)),
                (15.42, fails(query_fails=0.0)),
            ],
        )
    )
    found = [type(one) for one in schedule.heard if isinstance(one, ev.Recalled | ev.OrderSeen)]
    assert found.index(ev.Recalled) == len(found) - 2, "and then the entry alone"
    assert schedule.exchange.position < 0


def test_a_close_is_not_absent_for_what_others_traded_before_its_own_trades_are_listed():
    """The answer is lost, the process dies, and the exchange does not know the id and lists trades late."""

    def by_hand(change: str) -> Callable[[Written, int], None]:
        return lambda schedule, _: schedule.exchange.trade_by_hand(Decimal(change))

    deaf = fails(blind=True, lost_after=1.0, listed_late=11 * SECOND, gaps=[(START + 3 * SECOND, END)])
    left = said(3, "exit", "long")
    schedule = kept(
        Written(
            [said(0.5, "entry", "long"), left],
            [(1, by_hand("0.05")), (1.5, by_hand("-0.05")), (2.9, deaf), (3.01, Written.crash)],
        )
    )
    (close,) = [one for one in schedule.journal.orders.values() if one.signal == left.id]
    assert close.state == "filled"


def reopen(schedule: Written, _: int) -> None:
    schedule.exchange.reopen_by_hand()


def stream_back(schedule: Written, now: int) -> None:
    schedule.feed(ev.StreamBack(), now)


@pytest.mark.parametrize(
    "others",
    [
        [],
        [(6, stream_back)],
        [(5.5, fails(listed_late=9 * SECOND))],
        [(5.2, Written.crash)],
    ],
    ids=["the stream stays down", "the stream is back", "its trades are listed late", "the process dies"],
)
def test_what_was_closed_and_opened_again_by_hand_unheard_is_not_ours_though_as_much_is_held(others):
    """At the same price, too: nothing but the exchange's own fills tells it apart."""
    down = fails(gaps=[(START + 4 * SECOND, END)])
    schedule = kept(Written([said(0.5, "entry", "long"), said(20, "exit", "long")], [(4, down), (5, reopen), *others]))
    held = schedule.journal.positions[SYMBOL]
    assert (held.ours, held.quantity) == (False, schedule.exchange.position), "nor was it closed by our strategy's exit"
    assert len(schedule.endings) == 1
    assert schedule.exchange.protected(), "what stood under it stands"


def test_what_our_own_add_has_made_unheard_stays_ours():
    down = fails(gaps=[(START + 3 * SECOND, END)])
    schedule = kept(Written([said(0.5, "trial", "long"), said(4, "entry", "long")], [(3, down), (8, stream_back)]))
    assert schedule.journal.positions[SYMBOL].ours


@pytest.mark.parametrize("stops", [[], [(7.1, lose_the_stops)]], ids=["its stop stands", "no stop stands"])
def test_what_somebody_opened_is_not_an_entrys_that_an_old_journal_has_and_that_never_arrived(stops):
    """The journal is from before that was known. What another entry has made since was closed by hand, and as much
    opened again: at first it counts as the first entry's, until that is proven absent."""
    schedule = kept(
        Written(
            [said(0.5, "entry", "long", fresh_for=2), said(4, "entry", "long")],
            [
                (0.4, fails(failed=1.0)),
                (0.7, Written.back_up),
                (3, fails(failed=0.0)),
                (7, Written.die),
                *stops,
                (8, reopen),
            ],
        )
    )
    held = schedule.journal.positions[SYMBOL]
    assert (held.ours, held.quantity) == (False, schedule.exchange.position)
