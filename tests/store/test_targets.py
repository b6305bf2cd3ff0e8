"""The targets of the operations page, on heartbeats and a journal whose figures are known."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.exchange.environments import ENVIRONMENTS
from pipeline.store.goals import GOALS, Goal, Target, goals
from pipeline.store.processes import uptimes
from pipeline.store.targets import equality, success, targets

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()


def order(number: int, state: str = "filled", *, delay: float = 100, **fields: Any) -> list[dict[str, Any]]:
    """A signal, and the order that it led to so many milliseconds later."""
    at = NOW - HOUR
    signal = {"_id": f"signal {number}", "created_at": at}
    made = {
        "_id": f"order {number}", "environment": "sim", "signal": signal["_id"], "leg": "entry", "state": state,
        "history": steps("sent executor", f"{state} stream", delay=delay), "attempts": 1,
        "created_at": at + timedelta(milliseconds=5),
    }  # fmt: skip
    return [signal, made | fields]


def steps(*told: str, delay: float = 100) -> list[dict[str, Any]]:
    """The first of them 5 ms after the signal, the others after that delay."""
    moments = [NOW - HOUR + timedelta(milliseconds=5 if number == 0 else delay) for number in range(len(told))]
    words = [dict(zip(("state", "by"), one.split(), strict=True)) for one in told]
    return [word | {"at": at} for word, at in zip(words, moments, strict=True)]


def beat(role: str, name: str, age: float = 0, **figures: float) -> dict[str, Any]:
    at = NOW - timedelta(seconds=age)
    return {"_id": f"heartbeat:{role}:{name}", "kind": "heartbeat", "role": role, "at": at, "figures": figures}


def measured(db: Database, *pairs: list[dict[str, Any]]) -> dict[str, Target]:
    for signal, made in pairs:
        db["signals"].insert_one(signal)
        db["orders"].insert_one(made)
    return {one.goal.key: one for one in targets(db, "sim", 80, NOW)}


def test_of_an_empty_database_nothing_is_claimed(db: Database) -> None:
    found = measured(db)
    assert [one.goal for one in found.values()] == list(GOALS)
    assert [(one.measured, one.met) for one in found.values()] == [(None, None)] * len(GOALS)


def test_the_figures_are_those_of_the_journal(db: Database) -> None:
    found = measured(
        db,
        order(1, slippage_pct=0.05),
        order(2, slippage_pct=0.11, delay=450),
        order(3, "rejected", delay=499, error_code=-2019),
        order(4, history=steps("sent executor", "accepted answer", "filled reconcile")),
        order(5, "sent", history=steps("sent executor")),
        order(6, history=steps("sent executor", "unknown answer", "filled reconcile", delay=700)),
        order(7, "abandoned", history=steps("sent executor", "intended answer", "abandoned answer"), attempts=0),
    )
    assert found["order_success"].measured == 80
    assert found["order_success"].met is False
    assert found["mismatches"].measured == 1, "an order in doubt that was resolved is no mismatch"
    assert found["mismatches"].met is False
    assert found["decision"].measured == 700
    assert found["decision"].met is False
    assert found["slippage"].measured == pytest.approx(0.08)
    assert found["slippage"].met is True


def test_what_belongs_to_others_or_is_old_does_not_count(db: Database) -> None:
    found = measured(
        db,
        order(1, "rejected", environment="binance-um"),
        order(2, "rejected", created_at=NOW - timedelta(days=8)),
        order(3, "rejected", signal=None),
        order(4, leg="stop", delay=90_000),
        order(5),
    )
    assert found["order_success"].measured == 100
    assert found["decision"].measured == 100
    assert found["mismatches"].met is True


@pytest.mark.parametrize(
    ("state", "fields", "share"),
    [
        ("filled", {}, 100),
        ("accepted", {}, 100),  # a stop that stands
        ("cancelled", {}, 100),
        ("expired", {}, 100),
        ("rejected", {"error_code": -2019}, 50),  # no margin: we should have known
        ("rejected", {"error_code": -4014}, 50),  # not on a tick: our mistake
        ("rejected", {"error_code": -2021}, None),  # the market was quicker
        ("rejected", {"error_code": -2022}, None),
        ("abandoned", {}, 50),  # it was sent and never came to pass
        ("abandoned", {"attempts": 0}, None),  # it was never sent
        ("sent", {}, None),  # not known yet
        ("unknown", {}, None),
        ("intended", {"attempts": 0}, None),
    ],
)
def test_what_counts_as_an_order_that_succeeds(state: str, fields: dict[str, int], share: float | None) -> None:
    """Beside one that was filled; None: it counts neither way."""
    one, filled = order(1, state, **fields)[1], order(2)[1]
    assert success([one]) == (None if share is None else 100 if share == 100 else 0)
    assert success([one, filled]) == (share or 100)


def test_the_share_of_comparisons_that_found_both_sides_equal() -> None:
    assert equality([]) is None
    assert equality([{"acts": 0.0, "comparisons": 0.0, "unequal": 0.0}]) is None
    assert equality([{"comparisons": 3.0, "unequal": 0.0}]) == 100
    assert equality([{"comparisons": 3.0, "unequal": 1.0}, {"comparisons": 1.0, "unequal": 0.0}]) == 75


def test_the_worst_of_the_living_processes_and_the_last_backup(db: Database) -> None:
    db["control"].insert_many(
        [
            beat("ingester", "a", stored_after_p99=0.2, api_p99=0.15, uptime_day=1, weight_most=0.3, missing=1),
            beat("ingester", "b", 5, stored_after_p99=0.6, api_p99=0.05, uptime_day=0.9985, weight_most=0.8, missing=2),
            beat("ingester", "dead", 60, stored_after_p99=9, api_p99=9, uptime_day=0, weight_most=1, missing=7),
            beat("executor", "c", api_p99=0.17, comparisons=10, unequal=0),
        ]
    )
    db["backups"].insert_many(
        [{"finished_at": NOW - 30 * HOUR}, {"finished_at": NOW - 5 * HOUR}, {"started_at": NOW}, {"_id": "restore"}]
    )
    expected = {
        "stored_within": (600, False),
        "api_latency": (170, True),
        "stream_uptime": (99.85, False),
        "weight": (80, True),
        "missing": (3, False),
        "state": (100, True),
        "backup": (5, True),
    }
    found = measured(db)
    assert {key: (pytest.approx(found[key].measured), found[key].met) for key in expected} == expected


@pytest.mark.parametrize(
    ("sign", "verdicts"), [("<", (True, False, False)), ("<=", (True, True, False)), (">", (False, False, True)),
                           ("=", (False, True, False))]
)  # fmt: skip
def test_met_or_not(sign: Any, verdicts: tuple[bool, bool, bool]) -> None:
    goal = Goal("key", "name", sign, 10, "ms")
    assert tuple(Target(goal, value).met for value in (9, 10, 11)) == verdicts
    assert Target(goal, None).met is None


def test_the_operations_page_has_every_target_and_no_other() -> None:
    table = PAGE.partition("| what | target | where |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in table]
    shares = sorted({(not one.is_production, one.weight_buffer) for one in ENVIRONMENTS.values()})
    weights = [f"{'elsewhere' if other else 'real money'}: <= {100 * share:g} %" for other, share in shares]
    expected = [[goal.name, "; ".join(weights) if goal.key == "weight" else goal.text] for goal in GOALS]
    assert [row for row in rows if row[1] != "> 20 %"] == expected
    assert re.search(r"\| disk free \| > 20 % \| `tidemark doctor", PAGE), "of the machine, not of Tidemark"


def test_the_weight_that_may_be_used_differs_by_environment() -> None:
    assert [one.text for one in goals(60) if one.key == "weight"] == ["<= 60 %"]
    assert len(goals(60)) == len(GOALS)


@pytest.mark.parametrize(
    ("told", "word"),
    [
        (("intended executor",), None),
        (("sent executor",), None),
        (("sent executor", "unknown answer"), None),  # it was lost: no word of the exchange's
        (("sent executor", "unknown answer", "filled fills"), 200.0),
        (("sent executor", "rejected answer", "filled stream"), 200.0),
        (("sent executor", "accepted answer", "filled stream"), 200.0),
        (("sent executor", "abandoned executor"), None),
    ],
)
def test_a_decision_takes_until_the_exchange_has_said_something(
    db: Database, told: tuple[str, ...], word: float | None
) -> None:
    assert measured(db, order(1, history=steps(*told, delay=200)))["decision"].measured == word


def life(role: str, detail: str, since: timedelta, *outages: tuple[float, float]) -> dict[str, Any]:
    return {
        "_id": f"uptime:{role}:{detail}",
        "kind": "uptime",
        "role": role,
        "detail": detail,
        "since": NOW - since,
        "outages": [{"since": NOW - begin * HOUR, "until": NOW - end * HOUR} for begin, end in outages],
    }


@pytest.mark.parametrize(
    ("since", "outages", "age", "share"),
    [
        (100 * HOUR, [], 0, 1.0),
        (100 * HOUR, [(20, 18), (5, 4)], 0, 0.97),
        (1_000 * HOUR, [(600, 500)], 0, 1.0),  # long ago
        (1_000 * HOUR, [(168 + 5, 168 - 84)], 0, 0.5),  # half of it in the last seven days
        (10 * HOUR, [], 3_600, 0.9),  # killed an hour ago, and nobody came
        (10 * HOUR, [], 10, 1.0),  # a late beat
    ],
)
def test_uptime_is_the_time_without_outages(
    db: Database, since: timedelta, outages: list[tuple[float, float]], age: float, share: float
) -> None:
    db["control"].insert_one(life("executor", "sim", since, *outages))
    db["control"].insert_one(beat("executor", "a", age) | {"detail": "sim"})
    assert uptimes(db, "sim", NOW) == {("executor", "sim"): pytest.approx(share)}
    assert measured(db)["uptime"].measured == pytest.approx(100 * share)
