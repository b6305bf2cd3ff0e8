"""One holder at a time, whatever their clocks and their timing."""

import threading
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.store.lease import Grant, HeldBy, LeaseStore

Db = Database[dict[str, Any]]


def lease(db: Db, holder: str, life: float = 60.0, now: float = 100.0) -> LeaseStore:
    return LeaseStore(db, "executor:sim", holder, life=life, clock=lambda: now)


def test_the_first_gets_it_and_the_second_waits(db: Db) -> None:
    assert lease(db, "a").acquire() == Grant(1, 160.0)
    assert lease(db, "b").acquire() == HeldBy("a")
    assert lease(db, "b").holder() == "a"


def test_a_holder_counts_from_before_it_asked(db: Db) -> None:
    moments = iter([10.0, 20.0])
    store = LeaseStore(db, "x", "a", life=5.0, clock=lambda: next(moments))
    assert store.acquire() == Grant(1, 15.0)
    assert store.renew(1) == Grant(1, 25.0)


def test_released_it_is_free_at_once_and_the_fence_grows(db: Db) -> None:
    lease(db, "a").acquire()
    lease(db, "a").release(1)
    assert lease(db, "a").holder() is None
    assert lease(db, "b").acquire() == Grant(2, 160.0)
    assert lease(db, "a").renew(1) is None
    lease(db, "a").release(1)
    assert lease(db, "b").holder() == "b"


def test_an_expired_one_can_be_taken_and_the_late_holder_cannot_renew(db: Db) -> None:
    assert lease(db, "a", life=0.0).acquire() == Grant(1, 100.0)
    assert lease(db, "b").acquire() == Grant(2, 160.0)
    assert lease(db, "a").renew(1) is None
    assert lease(db, "a").acquire() == HeldBy("b")


def test_an_expired_one_that_nobody_took_is_renewed(db: Db) -> None:
    lease(db, "a", life=0.0).acquire()
    assert lease(db, "a").renew(1) == Grant(1, 160.0)


def test_asking_again_as_holder_is_a_new_term(db: Db) -> None:
    assert lease(db, "a").acquire() == Grant(1, 160.0)
    assert lease(db, "a").acquire() == Grant(2, 160.0)
    assert lease(db, "a").renew(1) is None


@pytest.mark.parametrize("round_", range(5))
def test_of_many_at_once_one_gets_it(db: Db, round_: int) -> None:
    start, got = threading.Barrier(8), []

    def run(name: str) -> None:
        start.wait()
        got.append(lease(db, name).acquire())

    threads = [threading.Thread(target=run, args=(f"holder {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(one).__name__ for one in got) == ["Grant"] + ["HeldBy"] * 7
