"""Shares that follow newer runs and searches, by a real run of the flow."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pymongo.database import Database

from flows.allocation import allocation
from pipeline.app import allocation as ordering
from pipeline.app import rebalancing
from pipeline.app.opened import Opened
from pipeline.app.shares import by_equal_risk, by_walk_forward
from pipeline.settings import load
from pipeline.store.control import ControlStore, RevisionError
from pipeline.store.prepare import prepare
from pipeline.store.searches import SearchStore
from tests.flows.artifacts import newest_artifact
from tests.kept import BEGIN, keep_run, keep_search
from tests.profile import Cost, profiled

pytestmark = pytest.mark.usefixtures("settings_of_the_run")
LATER = BEGIN + timedelta(days=1)


@pytest.fixture(autouse=True)
def kept(db: Database[Any]) -> None:
    prepare(db)
    keep_run(db, "one", {"macd_cross": [10, -10] * 9, "rsi_reversal": [30, -30] * 9})


def by_run(band: int | None) -> None:
    with Opened(load()) as tm:
        found = by_equal_risk(tm, "one")
        ordering.allocate(tm, found.shares, by="ada", rule=found.rule, band=None if band is None else Decimal(band))


def stored(db: Database[Any]) -> Any:
    return db["control"].find_one({"kind": "allocation"})


def test_a_share_that_is_off_by_more_than_the_band_is_changed_and_it_is_kept_why(db: Database[Any]) -> None:
    by_run(20)
    keep_run(db, "two", {"macd_cross": [10, -10] * 9, "rsi_reversal": [10, -10] * 9}, LATER)
    assert [row["was off by"] for row in allocation()] == ["-25", "+25"]
    found = ControlStore(db, "sim").allocation()
    assert found is not None
    assert found.shares == {"macd_cross": 50, "rsi_reversal": 50}
    assert (found.rule.by, found.rule.band) == (["two"], 20)
    last = found.changes[-1]
    assert (last.by, last.old) == ("flow allocation", "macd_cross=75, rsi_reversal=25; rebalanced beyond 20 points")
    assert last.reason.startswith("macd_cross was off by -25 points, and the band is 20; equal risk by run two: ")
    assert "was off by" in newest_artifact("allocation")
    assert allocation() == [], "it has followed"


def test_by_walk_forward_a_newer_search_of_the_same_is_followed(db: Database[Any]) -> None:
    keep_search(db, "good", "macd_cross", [0.004, 0.005, 0.006, 0.005])
    keep_search(db, "poor", "rsi_reversal", [-0.002, -0.001, 0.001, -0.003])
    with Opened(load()) as tm:
        found = by_walk_forward(tm, ["good", "poor"], Decimal(10), Decimal(80))
        ordering.allocate(tm, found.shares, by="ada", rule=found.rule, band=Decimal(5))
    keep_search(db, "elsewhere", "rsi_reversal", [0.01] * 4, at=LATER, symbols=["ETHUSDT"])
    keep_search(db, "running", "rsi_reversal", [0.01] * 4, at=LATER, ended_at=None)
    assert allocation() == []
    keep_search(db, "newer", "rsi_reversal", [0.004, 0.005, 0.006, 0.005], at=LATER)
    allocation()
    after = ControlStore(db, "sim").allocation()
    assert after is not None
    assert after.shares == {"macd_cross": 50, "rsi_reversal": 50}
    assert (after.rule.by, after.rule.least, after.rule.most) == (["good", "newer"], 10, 80)


def test_a_search_that_went_on_is_followed_though_it_keeps_its_name(db: Database[Any]) -> None:
    keep_search(db, "good", "macd_cross", [0.004, 0.005, 0.006, 0.005])
    keep_search(db, "grows", "rsi_reversal", [-0.002, -0.001, 0.001, -0.003])
    keep_search(db, "grown", "rsi_reversal", [0.004, 0.005, 0.006, 0.005], symbols=["elsewhere"])
    with Opened(load()) as tm:
        found = by_walk_forward(tm, ["good", "grows"], Decimal(10), Decimal(80))
        ordering.allocate(tm, found.shares, by="ada", rule=found.rule, band=Decimal(5))
    assert allocation() == []
    store = SearchStore(db, "sim")
    grown = store.get("grown")
    assert grown is not None
    store.end("grows", grown.end + timedelta(days=1), 2 * grown.trials, grown.result or {})
    assert [row["was off by"] for row in allocation()] == ["-30", "+40"]
    assert allocation() == [], "it has followed"


@pytest.mark.parametrize("band", [None, 25])
def test_nothing_is_written_within_the_band_or_where_nobody_has_switched_it_on(
    db: Database[Any], band: int | None
) -> None:
    by_run(band)
    keep_run(db, "two", {"macd_cross": [10, -10] * 9, "rsi_reversal": [10, -10] * 9}, LATER)
    for older in range(1, 30):
        keep_run(db, f"older {older}", {"macd_cross": [10, -10]}, BEGIN - timedelta(days=older))
    before, costs = stored(db), list[Cost]()
    with profiled(db, costs):
        assert bool(allocation()) == (band is not None)
    assert stored(db) == before
    assert costs[0].written == {}
    assert costs[0].read <= 10, "whatever else is kept"


def test_shares_by_hand_are_never_changed(db: Database[Any]) -> None:
    by_run(5)
    with Opened(load()) as tm:
        ordering.allocate(tm, {"macd_cross": Decimal(10)}, by="ada")
    keep_run(db, "two", {"macd_cross": [10, -10] * 9, "rsi_reversal": [10, -10] * 9}, LATER)
    before = stored(db)
    assert allocation() == []
    assert stored(db) == before


def test_what_a_person_changes_meanwhile_stays(db: Database[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    by_run(5)
    keep_run(db, "two", {"macd_cross": [10, -10] * 9, "rsi_reversal": [10, -10] * 9}, LATER)
    work_out = rebalancing.by_equal_risk

    def and_meanwhile(tm: Opened, name: str) -> Any:
        now = datetime.now(UTC)
        ControlStore(db, "sim").set_allocation({"macd_cross": Decimal(10)}, by="ada", now=now)
        return work_out(tm, name)

    monkeypatch.setattr(rebalancing, "by_equal_risk", and_meanwhile)
    with pytest.raises(RevisionError):
        allocation()
    assert stored(db)["changes"][-1]["by"] == "ada"
