"""`tidemark strategies` and `tidemark check-strategy`: what they print, and the exit code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from pipeline.app.candle_file import read_sample
from pipeline.cli import app as cli
from pipeline.errors import UsageError
from pipeline.strategies.synthetic import samples

PEEKS = """
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Peeks:
    name = "peeks"
    needs = ("close",)
    lookback = 1

    def signals(self, columns):
        return (np.roll(columns["close"], -1) > columns["close"]).astype(np.int8)
"""


def tell(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli.build(), list(arguments))
    return result.exit_code, result.output


@pytest.fixture
def candles(tmp_path: Path) -> Callable[..., Path]:
    """Write 400 candles of a made-up market as a file of that ending."""

    def write(name: str = "mine.csv", **changed: Any) -> Path:
        market = samples()[0]
        table = pl.DataFrame({column: values[:400] for column, values in market.candles.items()})
        table = table.with_columns(**changed) if changed else table
        path = tmp_path / name
        {".csv": table.write_csv, ".parquet": table.write_parquet, ".feather": table.write_ipc}[path.suffix](path)
        return path

    return write


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_list() -> None:
    code, output = tell("strategies", "--json")
    listed = {each["name"]: each for each in json.loads(output)}
    assert code == 0
    assert list(listed)[:2] == ["macd_cross", "ma_order_golden"]
    assert listed["ma_breakout"]["parameters"] == {"n": 20}
    assert listed["ma_breakout"]["columns"] == ["close", "sma20"]
    assert listed["macd_turtle"]["lookback"] == 141
    assert "A close exactly on the average keeps the side it had" in listed["ma_breakout"]["rule"]
    code, output = tell("strategies")
    assert code == 0
    assert "n=20" in output


def test_a_sound_strategy() -> None:
    code, output = tell("check-strategy", "ma_breakout", "--set", "n=60", "--json")
    told = json.loads(output)
    assert code == 0
    assert told["strategy"] == "ma_breakout(n=60)"
    assert told["sound"] is True
    assert {each["market"] for each in told["findings"]} == {"walk", "wild", "waves", "stairs", "quiet"}
    code, output = tell("check-strategy", "bollinger")
    assert code == 0
    assert "none" in output


def test_what_the_settings_say_is_listed_and_checked(folder: Path) -> None:
    (folder / "tidemark.toml").write_text(
        'strategies = ["ma_breakout"]\n[strategy_parameters.ma_breakout]\nn = 33\n'
        "[strategy_parameters.rsi_reversal]\nlow = 25\n"
    )
    listed = {each["name"]: each for each in json.loads(tell("strategies", "--json")[1])}
    breakout, reversal = listed["ma_breakout"], listed["rsi_reversal"]
    assert (breakout["parameters"], breakout["defaults"], breakout["runs"]) == ({"n": 33}, {"n": 20}, True)
    assert (reversal["parameters"], reversal["runs"]) == ({"low": 25.0, "high": 70.0}, False)
    assert "n=33 (default 20)" in tell("strategies", "--wide")[1]
    assert "ma_breakout(n=33)" in tell("check-strategy", "ma_breakout")[1]
    assert "ma_breakout(n=44)" in tell("check-strategy", "ma_breakout", "--set", "n=44")[1]
    (folder / "tidemark.toml").write_text("[strategy_parameters.ma_brekout]\nn = 33\n")
    assert tell("strategies")[0] == 2


def test_one_that_looks_ahead(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PEEKS)
    code, output = tell("check-strategy", f"{tmp_path}/mine.py:Peeks", "--json")
    told = json.loads(output)
    assert code == 1
    assert told["sound"] is False
    assert all("looks ahead" in each["fault"] for each in told["findings"])
    code, output = tell("check-strategy", f"{tmp_path}/mine.py:Peeks")
    assert code == 1
    assert "looks ahead" in " ".join(output.split())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["macd_kross"], "Did you mean 'macd_cross'?"),
        (["ma_breakout", "--set", "n"], "--set takes NAME=VALUE, not 'n'"),
        (["ma_breakout", "--set", "n=x"], "n must be int, not 'x'"),
        (["ma_breakout", "--candles", "nowhere.csv"], "there is no file nowhere.csv"),
        (["ma_breakout", "--candles", "candles.txt"], "not from 'candles.txt'"),
    ],
)
def test_what_it_cannot_do(arguments: list[str], says: str) -> None:
    code, output = tell("check-strategy", *arguments)
    assert code == 2
    assert says in output


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet", "mine.feather"])
def test_candles_of_your_own(candles: Callable[..., Path], name: str) -> None:
    code, output = tell("check-strategy", "macd_cross", "--candles", str(candles(name)), "--json")
    assert code == 0
    assert json.loads(output)["findings"][-1] | {"signals": 0} == {
        "market": name,
        "candles": 400,
        "signals": 0,
        "fault": None,
    }


MINUTES = pl.Series([60_000 * n for n in range(400)])
HOLED = pl.Series([60_000 * (n if n < 150 else n + 3) for n in range(400)])


@pytest.mark.parametrize(
    ("time", "length"), [(MINUTES, 400), (HOLED, 250), (HOLED.cast(pl.Datetime("ms")).cast(pl.String), 250)]
)
def test_the_longest_stretch_without_a_hole_is_taken(
    candles: Callable[..., Path], time: pl.Series, length: int
) -> None:
    market = read_sample(candles(time=time))
    assert len(market.numbers) == len(market.candles["close"]) == length
    assert market.decimals == 1


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"time": pl.Series([0, 0, *range(1, 399)])}, "each once, from the oldest to the newest"),
        ({"close": pl.Series(["dear"] * 400)}, "cannot be read as candles"),
        ({"close": pl.Series([1.0, None] * 200)}, "close has a value that is not a number"),
        ({"close": pl.Series([1 / 3] * 400)}, "more than 12 decimals"),
    ],
)
def test_candles_that_cannot_be_used(candles: Callable[..., Path], changed: dict[str, pl.Series], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read_sample(candles("mine.parquet", **changed))


def test_a_file_without_prices(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="has no column 'open'; its columns are: a, b"):
        read_sample(path)
    path.write_text("")
    with pytest.raises(UsageError, match="cannot be read as candles"):
        read_sample(path)
