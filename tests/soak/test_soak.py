"""The short form of the soak, and the pure parts of it: what is planned, when memory counts as growing."""

import json
import logging
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pipeline.timeline import MINUTE
from tests.prefect_home import PrefectHome
from tests.soak import tell
from tests.soak.demo import serves
from tests.soak.memory import ROLES, Life, Memory, role_of
from tests.soak.mischief import CALLS, FRAMES, MARKETS, OF_EACH, REQUESTS, VICTIMS, plan
from tests.soak.onlooker import LIVE, Onlooker
from tests.soak.run import AFTER_A_CLOSE, Soak, timed

log = logging.getLogger(__name__)
HOUR = 3_600.0


@pytest.mark.timeout(900)
def test_a_short_run(home: Path, prefect_home: PrefectHome) -> None:
    prefect_home.furnish(home / "prefect")
    with timed(log.info) as say:
        report = Soak(home, seed=11, seconds=20, patience=480, say=say).run()
    tell.store(report, home / "soak.json")
    with (home / "soak.txt").open("w") as told:
        tell.show(report, Console(file=told, width=160))
    assert report.reasons == [], (home / "said.log").read_text()[-6_000:]
    assert {victim_of(name) for name in report.faults} >= set(VICTIMS), report.faults
    assert sum(report.faults.values()) >= 8
    stored = json.loads((home / "soak.json").read_text())
    assert {life["role"] for life in stored["lives"]} == set(ROLES)
    assert "store == exchange" in (home / "soak.txt").read_text()


def victim_of(act: str) -> str | None:
    """Who was harmed by an act of that name, if anybody."""
    word, _, whom = act.partition(" ")
    return whom.partition(" of ")[0] if word in {"kill", "stop"} else None


def test_a_seed_is_a_plan() -> None:
    assert plan(7, 300, 20) == plan(7, 300, 20) != plan(8, 300, 20)


def test_a_long_plan_holds_every_act_and_kills_in_its_first_half_only() -> None:
    acts = plan(3, HOUR / 2, 42.0)
    assert all(any(rule.items() <= act.fields.items() for act in acts) for rule in (*FRAMES, *REQUESTS))
    assert set(CALLS) <= {act.name for act in acts}
    assert {act.fields["market"] for act in acts if "market" in act.fields} == set(MARKETS)
    kills = [act for act in acts if victim_of(act.name)]
    assert Counter(victim_of(act.name) for act in kills) == dict.fromkeys(VICTIMS, 4)
    assert {act.name for act in kills} >= {f"kill executor{one}" for one in OF_EACH}
    assert sum(act.fields.get("kind") == "rate_limited" for act in acts) == 7
    assert max(act.seconds for act in kills) < HOUR / 4 + 10
    assert all(one.seconds <= other.seconds for one, other in pairwise(acts))


@pytest.mark.parametrize("first_close", [0.1, 30.0, 59.9])
def test_the_shortest_plan_kills_each_once(first_close: float) -> None:
    acts = plan(5, max(20.0, first_close + AFTER_A_CLOSE), first_close)
    assert sorted(filter(None, (victim_of(act.name) for act in acts))) == sorted(VICTIMS)


@pytest.mark.parametrize(("exchange", "is_it"), [("sim-cm", True), ("sim", False), ("sim-spot", False)])
def test_a_victim_is_known_by_its_exchange(exchange: str, is_it: bool) -> None:
    assert serves(["python", "-m", "pipeline.cli", "execute", "--exchange", "sim-cm"], exchange) is is_it


class Shown:
    """A page on which this stands, one look after the other."""

    def __init__(self, *states: dict[str, Any]) -> None:
        self._states = iter(states)

    def evaluate(self, _: str) -> dict[str, Any]:
        return next(self._states)


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [
        ({}, []),
        ({"opened": None}, ["opened: None, not True"]),
        ({"state": "lost, trying again"}, ["state: 'lost, trying again', not 'live'"]),
        ({"banner": "The database does not answer"}, ["banner: 'The database does not answer', not ''"]),
        ({"newest": 0}, ["its newest candle is of 0, and it is 180000"]),
    ],
)
def test_an_onlooker_tells_what_is_not_live(changed: dict[str, Any], wrong: list[str]) -> None:
    shown = LIVE | {"newest": 3 * MINUTE - 1}
    onlooker = Onlooker(Shown(shown, shown | {"state": "no database"}, shown, shown | changed))  # type: ignore[arg-type]
    for _ in range(3):
        onlooker.look()
    check = onlooker.check(3 * MINUTE)
    assert list(check.wrong) == wrong
    assert (onlooker.looks, onlooker.lost) == (4, 2 if "state" in changed else 1)


def life(role: str, megabytes: list[float], every: float) -> Life:
    return Life(role, 1, [(number * every, size) for number, size in enumerate(megabytes)])


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (life("executor", [100.0] * 600, 3), None),
        (life("executor", [30.0] * 50 + [100.0] * 550, 3), None),
        (life("executor", [100.0 + 5 * (number % 2) for number in range(600)], 3), None),
        (life("executor", [100.0 + number / 20 for number in range(600)], 3), "grew from 115.0 to 125.0 MB"),
        (life("prefect", [300.0 + number / 20 for number in range(600)], 3), None),
        (life("executor", [100.0 + number for number in range(100)], 3), None),
        (life("mongod", [100.0 + number for number in range(600)], 3), None),
        (life("mongod", [100.0] * 5 + [2_000.0], 3), "took 2000 MB, more than 912"),
    ],
    ids=["flat", "filled at first", "noisy", "grows", "a little of much", "too short", "fills its cache", "beyond"],
)
def test_what_counts_as_growing(made: Life, complaint: str | None) -> None:
    told = made.complaint()
    assert (told is None) if complaint is None else (told is not None and complaint in told)


def test_the_slope_is_that_of_the_straight_line() -> None:
    assert life("executor", [100.0 + number / 10 for number in range(601)], 6).slope == pytest.approx(60.0)


def test_of_a_life_one_size_a_minute_is_told() -> None:
    assert life("executor", [100.0 + number for number in range(50)], 3).by_minute == [100, 120, 140]


def test_a_long_run_has_to_judge_every_role() -> None:
    assert list(Memory().complaints(lasted=60)) == []
    assert len(list(Memory().complaints(lasted=HOUR / 2))) == len(ROLES)


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("python -m pipeline.cli live --plain --metrics-port 1", "ingester"),
        ("python -m pipeline.cli live --exchange sim --plain", "ingester"),
        ("python -m pipeline.cli execute --exchange sim", "executor"),
        ("python -m pipeline.cli sim --port 1", "exchange"),
        ("python -m pipeline.supervise.reaper python -m pipeline.cli db stop --unused", None),
        ("python bin/tidemark demo --plain", "demo"),
        ("mongod --dbpath data", "mongod"),
        ("python -m flows.server --port 1", "prefect"),
        ("python -m prefect.engine", None),
    ],
)
def test_processes_are_known_by_their_command(command: str, role: str | None) -> None:
    assert role_of(command.split()) == role
