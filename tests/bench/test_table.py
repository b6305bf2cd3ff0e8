"""What the benchmark table says of a measurement: ratios the right way round, targets met or not."""

import json
from typing import Any

import pytest

from bench.table import SMOKE_TEST, Row, alternate, figure, machine, to_json, to_markdown, to_table


def row(**changes: Any) -> Row:
    return Row(**({"group": "Load", "name": "all", "ours": 100.0, "unit": "candles/s"} | changes))


@pytest.mark.parametrize(
    ("changes", "met"),
    [
        ({}, None),
        ({"peer": 25.0, "times_peer": 4}, True),
        ({"peer": 26.0, "times_peer": 4}, False),
        ({"limit": 160.0, "share_of_limit": 0.6}, True),
        ({"limit": 170.0, "share_of_limit": 0.6}, False),
        ({"peer": 25.0, "times_peer": 4, "limit": 170.0, "share_of_limit": 0.6}, False),
        ({"times_peer": 4}, False),
        ({"at_most": 100}, True),
        ({"at_most": 99}, False),
        ({"at_least": 100}, True),
        ({"at_least": 101}, False),
        ({"peer": 400.0, "times_peer": 4, "lower_is_better": True}, True),
        ({"peer": 25.0, "times_peer": 4, "lower_is_better": True}, False),
    ],
)
def test_a_target_is_met_or_not(changes: dict[str, Any], met: bool | None) -> None:
    assert row(**changes).met is met


def test_the_target_in_words() -> None:
    asked = row(times_peer=4, share_of_limit=0.6, at_least=5, at_most=600_000)
    assert asked.target == "≥ 4x, ≥ 60% of limit, ≥ 5, ≤ 600 k"


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (0.1234, "0.123"), (12.0, "12"), (1_500, "1.5 k"), (2_345_678, "2.35 M")]
)
def test_figures(value: float | None, text: str) -> None:
    assert figure(value) == text


def test_ways_take_turns_and_the_median_counts() -> None:
    calls: list[str] = []
    first, second = iter([1.0, 9.0, 2.0]), iter([5.0, 4.0, 6.0])
    medians = alternate(3, lambda: calls.append("a") or next(first), lambda: calls.append("b") or next(second))
    assert medians == [2.0, 5.0]
    assert "".join(calls) == "abbaab"


def test_the_same_rows_as_table_markdown_and_json() -> None:
    rows = [row(peer=10.0, peer_name="find()", times_peer=4, note="why"), row(group="Write", name="again")]
    assert to_table(rows, {}, 0).row_count == 5
    markdown = to_markdown(rows, {"cores": "2"}, {}, 0)
    assert "### Load" in markdown
    assert "| all | 100 candles/s | 10 (find()) | 10.0x |" in markdown
    assert "all: why" in markdown
    assert json.loads(json.dumps(to_json(rows)))[0]["against_peer"] == 10.0


def test_the_table_ends_with_how_long_its_parts_took() -> None:
    took = {"live": 204.6, "store": 92.0}
    line = "Measuring took 4 min 57 s: live 205 s, store 92 s."
    assert to_markdown([row()], {}, took, 297.4).endswith(f"\n\n{line}\n")
    assert to_table([row()], took, 297.4).caption == line


@pytest.mark.parametrize("quick", [True, False])
def test_a_smoke_test_says_that_it_is_one(quick: bool) -> None:
    assert (SMOKE_TEST in to_markdown([row()], {}, {}, 0, quick=quick)) is quick
    assert (to_table([row()], {}, 0, quick=quick).title == SMOKE_TEST) is quick


def test_the_machine_is_described() -> None:
    assert set(machine()) == {"processor", "cores", "memory", "system", "python"}
