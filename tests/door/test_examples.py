"""What the demo makes to look at: once, whatever interrupted it, and nothing of it where somebody has his own."""

from collections.abc import Iterator
from time import time
from typing import Any

import pytest

from pipeline.app.allocation import allocate, allocation
from pipeline.app.opened import Opened
from pipeline.settings import load
from pipeline.store.searches import SearchStore
from pipeline.supervise import examples
from tidemark import Tidemark

DAYS = 10
MADE = ("runs", "run_trades", "searches", "trials")


@pytest.fixture(autouse=True)
def few(filled: Tidemark, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Few trials, and nothing left of them."""
    filled.backfill("BTCUSDT", "1m", days=DAYS)
    monkeypatch.setattr(examples, "TRIALS", 8)
    yield
    for name in (*MADE, "control"):
        filled._opened.db[name].delete_many({})


@pytest.fixture
def tm(filled: Tidemark) -> Iterator[Opened]:
    with Opened(
        filled._opened.settings.model_copy(update={"history_days": DAYS, "intervals": ("15m", "1h")})
    ) as opened:
        yield opened


def count(tm: Opened) -> dict[str, int]:
    return {name: tm.db[name].count_documents({}) for name in MADE}


def test_a_backtest_shares_and_a_search_are_made_once(tm: Opened) -> None:
    examples.make(tm, "BTCUSDT")
    (run,) = tm.db["runs"].find()
    (search,) = tm.db["searches"].find()
    assert (run["inputs"]["strategies"], run["inputs"]["symbols"]) == (list(examples.TWO), ["BTCUSDT"])
    assert (search["_id"], search["result"]["done"]) == (examples.SEARCH, 8)
    assert search["result"]["verdict"]["word"]
    found = allocation(tm)
    assert found is not None
    assert found.shares is not None
    assert set(found.shares) == set(examples.TWO)
    assert found.rule is not None
    assert (found.rule.kind, found.rule.by) == ("equal-risk", [run["_id"]])
    made = count(tm)
    examples.make(tm, "BTCUSDT")
    assert (count(tm), allocation(tm)) == (made, found)


class Killed(BaseException):
    """As a kill: nobody handles it."""


def killed(*_: Any) -> None:
    raise Killed


def test_what_was_interrupted_goes_on_and_what_cannot_is_made_anew(tm: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(SearchStore, "end", killed)
        with pytest.raises(Killed):
            examples.make(tm, "BTCUSDT")
    begun = count(tm)
    assert (begun["runs"], begun["searches"], begun["trials"]) == (1, 1, 8)
    examples.make(tm, "BTCUSDT")
    assert count(tm) == begun, "no trial is tried twice"
    assert examples.is_searched(tm)
    tm.db["searches"].update_many({}, {"$set": {"ended_at": None, "result": None, "code": "of another version"}})
    examples.make(tm, "BTCUSDT")
    assert [one["ended_at"] is not None for one in tm.db["searches"].find().sort("at")] == [False, True]


def test_shares_that_somebody_has_set_stay(tm: Opened) -> None:
    allocate(tm, None, by="me")
    before = allocation(tm)
    examples.share_out(tm, "whichever")
    assert allocation(tm) == before


def test_minutes_that_are_still_fetched_are_waited_for(
    tm: Opened, filled: Tidemark, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by somebody who began later: then the oldest of them is not wanted any more."""
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        assert len(naps) <= 2, "what is missing now nobody wants any more"
        if len(naps) == 2:
            filled.backfill("BTCUSDT", "1m", days=DAYS + 1)

    monkeypatch.setattr(examples, "sleep", nap)
    monkeypatch.setattr(examples, "time", lambda: time() - 60 * (not naps))
    with Opened(tm.settings.model_copy(update={"history_days": DAYS + 1})) as longer:
        examples.wait_for_minutes(longer, "BTCUSDT")
    assert len(naps) == 2


def test_who_names_strategies_says_himself_what_trades(monkeypatch: pytest.MonkeyPatch) -> None:
    assert examples.are_wanted(load())
    monkeypatch.setenv("TIDEMARK_STRATEGIES", "bollinger")
    assert not examples.are_wanted(load())
