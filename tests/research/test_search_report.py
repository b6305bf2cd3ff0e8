"""The report of a search: whole, without a script, and every figure in it that of the search."""

import re
from dataclasses import replace
from typing import Any

import pytest

from pipeline.research.report.searched import Told, Tried, page_of_search
from pipeline.research.search.forward import Forward, Step
from pipeline.research.search.verdict import Verdict, verdict_of
from pipeline.timeline import DAY
from tests.research.test_verdict import GOOD

EVIL = "<script>alert(1)</script>"
TIMES = [number * DAY for number in range(11)]


def verdict() -> Verdict:
    return verdict_of(replace(GOOD, folds_won=2))


def tried(n: int, stop: float, sharpe: float | None) -> Tried:
    figures = {
        "sharpe": sharpe,
        "return_pct": 10.0 * n,
        "max_drawdown_pct": 3.0,
        "trades": 1_234,
        "profit_factor": None,
    }
    return Tried(f"x:{n}", {"n": n, "stop": stop, "word": EVIL}, figures, [100.0 + n * day for day in range(11)])


def told(**changed: Any) -> Told:
    step = Step(7, {"n": 2}, (0, 4 * DAY), (4 * DAY, 6 * DAY), {"sharpe": 1.5},
                {"sharpe": -0.25, "return_pct": -2.5, "trades": 9})  # fmt: skip
    figures = {"return_pct": 50.0, "sharpe": 2.0, "max_drawdown_pct": 4.0, "trades": 9}
    forward = Forward([step], figures, TIMES[4:7], [1_000.0, 1_200.0, 1_500.0], [1.0])
    of: dict[str, Any] = {
        "title": f"a {EVIL}", "objectives": ["sharpe"],
        "space": {"n": [1, 2], "stop": [1.0, 1.5, 2.0], "word": [EVIL]},
        "trials": [
            tried(2, 1.5, 2.0), tried(1, 1.0, 1.0), tried(1, 1.0, -3.0), tried(2, 2.0, -1.5), tried(2, 2.0, None),
        ],
        "times": TIMES, "forward": forward, "verdict": verdict(), "notes": [EVIL],
    }  # fmt: skip
    return Told(**of | changed)


def test_it_is_whole_and_has_nothing_that_a_browser_would_run() -> None:
    page = page_of_search(told())
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 7
    assert "default-src 'none'" in page
    assert "<h2>The best trial: fragile</h2>" in page
    assert all(one.split(":")[0] in page for one in verdict().because)
    assert "<td>1970-01-05 to 1970-01-07</td><td>n 2</td><td>1.50</td>" in page
    assert '<td class="loss">-0.25</td><td class="loss">-2.50 %</td><td>9</td>' in page
    assert "<td>1,234</td>" in page


def test_the_dream_begins_with_the_money_of_what_was_traded() -> None:
    """The best has 108 at the beginning of the stretch and 112 at its end: 3.70 % in hindsight."""
    page = page_of_search(told())
    assert "Out of sample +50.00 %, Sharpe 2.00, deepest drawdown 4.00 %, 9 trades; in hindsight +3.70 %." in page
    dream, traded = re.findall(r'<polyline class="(?:market|equity)" points="([^"]+)"', page)
    assert dream.split()[0] == traded.split()[0]
    assert dream != traded


def test_a_place_of_the_surface_is_the_middle_of_its_trials() -> None:
    page = page_of_search(told())
    shown = dict(re.findall(r"<title>(n \d, stop [\d.]+): (\S+), \d trials", page))
    assert shown == {"n 1, stop 1.0": "-1.00", "n 2, stop 1.5": "2.00", "n 2, stop 2.0": "-1.50"}
    assert [kind for kind, _ in re.findall(r'<rect class="(above|below)" fill-opacity="([\d.]+)"', page)] == [
        "below", "above", "below",
    ]  # fmt: skip
    wide = {"n": list(range(1, 201)), "stop": [1.0, 1.5, 2.0]}
    assert "<title>n 1 to 6, stop 1.0: -1.00, 2 trials" in page_of_search(told(space=wide))


@pytest.mark.parametrize(
    ("changed", "lacks"),
    [
        ({"forward": None}, "out of sample, and of the best"),
        ({"space": {"n": [1, 2], "word": ["a", "b"]}}, "to the right"),
        ({"trials": []}, "in hindsight"),
        ({"notes": []}, "Notes"),
    ],
)
def test_what_is_not_known_is_left_out(changed: dict[str, Any], lacks: str) -> None:
    page = page_of_search(told(**changed))
    assert lacks not in page
    assert "The best trial" in page


def test_of_what_only_ranks_less_is_shown_as_it_is() -> None:
    page = page_of_search(told(objectives=["max_drawdown_pct"]))
    assert "<h2>max_drawdown_pct by n (to the right) and stop (downwards)</h2>" in page
    assert "n 2, stop 1.5: 3.00" in page
