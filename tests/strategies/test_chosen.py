"""Settings become strategies: which run, with which parameters; a slip is refused with the setting, the value and what
is allowed."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.strategies import registry
from pipeline.strategies.base import label_of
from pipeline.strategies.chosen import chosen, on_interval

SURGE = """
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Surge:
    name = "surge"
    atrs: float = 3.0
    needs = ("close", "sma33")
    lookback = 0

    def signals(self, columns):
        return np.where(columns["close"] > self.atrs * columns["sma33"], 2, 0).astype(np.int8)
"""


@pytest.fixture
def surge(tmp_path: Path) -> str:
    """A strategy in a file, with a parameter, and an average that nobody else needs."""
    (tmp_path / "mine.py").write_text(SURGE)
    return f"{tmp_path / 'mine.py'}:Surge"


def test_none_named_is_all() -> None:
    assert [one.name for one in chosen((), (), {})] == list(registry.SHIPPED)


def test_parameters_reach_the_strategy_they_name_and_no_other(surge: str) -> None:
    tables: dict[str, dict[str, Any]] = {
        "ma_breakout": {"n": 60},
        "rsi_reversal": {"low": "25", "high": 75},
        "surge": {"atrs": 2},
    }
    found = chosen(["rsi_reversal", "ma_breakout", "bollinger", "ma_breakout"], [surge], tables)
    assert [label_of(one) for one in found] == [
        "rsi_reversal(low=25.0, high=75.0)",
        "ma_breakout(n=60)",
        "bollinger",
        "surge(atrs=2.0)",
    ]


def test_files_alone_mean_only_what_is_in_them(surge: str) -> None:
    assert [one.name for one in chosen((), [surge], {})] == ["surge"]


def test_what_a_file_calls_itself_is_a_name_like_any_other(surge: str) -> None:
    assert [one.name for one in chosen(["surge"], [surge], {})] == ["surge"]
    assert [one.name for one in chosen(["surge", "bollinger"], [surge], {})] == ["surge", "bollinger"]
    assert [one.name for one in chosen([surge], [surge], {})] == ["surge"]


def test_a_slip_in_a_name_finds_ones_own_too(surge: str) -> None:
    with pytest.raises(UsageError, match=r"there is no strategy 'surg'. Did you mean 'surge'\? .*rsi_reversal, surge"):
        chosen(["surg"], [surge], {})


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        ({"ma_brekout": {"n": 3}}, "strategy_parameters.ma_brekout: there is no strategy 'ma_brekout'. Did you mean "),
        ({"xyz": {"n": 3}}, "There are: macd_cross, ma_order_golden,"),
        (
            {"macd_turtle": {"mide": 3}},
            "strategy_parameters.macd_turtle: strategy macd_turtle has no parameter 'mide'.",
        ),
        (
            {"macd_turtle": {"mide": 3}},
            "Did you mean 'mid'? It has: short, mid, long, criterion, small, patience, adds, memory",
        ),
        ({"ma_breakout": {"n": "x"}}, "strategy_parameters.ma_breakout: ma_breakout: n must be int, not 'x'"),
        ({"ma_breakout": {"n": 1.5}}, "n must be int, not 1.5"),
        ({"ma_breakout": {"n": 1}}, "n must be at least 2, not 1"),
        ({"ma_breakout": {"n": 501}}, "an average is of 2 to 500 closes, not of 501"),
        ({"macd_turtle": {"memory": 300}}, "its lookback is 321 candles; the live window allows 0 to 239"),
        ({"macd_turtle": {"mid": 7}}, "short, mid and long must rise, not 7, 7, 60"),
        ({"rsi_reversal": {"low": 80}}, "0 < low < high < 100, but low is 80.0 and high is 70.0"),
    ],
)
@pytest.mark.parametrize("names", [(), ("bollinger",)], ids=["running", "idle"])
def test_a_slip_is_refused_also_where_the_strategy_does_not_run(
    names: tuple[str, ...], tables: dict[str, dict[str, Any]], says: str
) -> None:
    with pytest.raises(UsageError) as refused:
        chosen(names, (), tables)
    assert says in str(refused.value)


def test_two_of_one_name_are_refused(surge: str, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(SURGE)
    with pytest.raises(UsageError, match="two strategies are called 'surge': rename the one in"):
        chosen((), [surge, f"{tmp_path / 'other.py'}:Surge"], {})
    with pytest.raises(UsageError, match="two strategies are called 'surge': rename the one in"):
        chosen([f"{tmp_path / 'other.py'}:Surge"], [surge], {})


@pytest.mark.parametrize(
    ("code", "names"), [("15m", ["macd_cross", "bollinger"]), ("1h", ["macd_cross"]), ("1d", ["ma_breakout"])]
)
def test_where_they_run(code: str, names: list[str]) -> None:
    """One that is not named runs everywhere."""
    strategies = chosen(["macd_cross", "bollinger", "ma_breakout"], [], {})
    intervals = {"macd_cross": ("15m", "1h"), "bollinger": ("15m",), "ma_breakout": ("1d",)}
    assert [one.name for one in on_interval(strategies, intervals, code)] == names
    assert on_interval(strategies, {}, code) == tuple(strategies)
