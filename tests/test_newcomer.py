"""A newcomer's way, from the README to a restored backup, with a strategy of his own and a dozen mistakes on the way.

What he saw is kept in `test-output/newcomer.txt`, to be read with a stranger's eyes.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_demo import end
from tests.whole import House, until, until_ready

OUTPUT = Path(__file__).parents[1] / "test-output" / "newcomer.txt"

MISTAKES = [
    ("signals --symbol BTCUSD", "BTCUSDT"),
    ("signals --strategy my_rul", "my_rule"),
    ("candles BTCUSDT 2h", "1h"),
    ("candles BTCUSDT 1H", "1h"),
    ("backfill BTCUSD --interval 1h", "BTCUSDT"),
    ("trading BTCUSDT --leverage 1000", "125"),
    ("trading BTCUSD --off", "BTCUSDT"),
    ("trading BTCUSDT --strategy my_rul", "my_rule"),
    ("mode auto", "auto-execute"),
    ("check-strategy my_rule.py:MyRul", "MyRule"),
    ("check-strategy my_rule.py:MyRule --set m=3", "n"),
    ("restore nowhere", "nowhere"),
    ("signls", "signals"),
]
"""What he types, and what the answer must name."""


class Walk:
    """Runs one command after another, and writes down what was typed and what was seen."""

    def __init__(self, house: House) -> None:
        self.house = house
        house.environment |= {"COLUMNS": "80", "TERM": "dumb"}
        OUTPUT.parent.mkdir(exist_ok=True)
        OUTPUT.write_text("")

    def says(self, command: str, code: int = 0) -> str:
        """What the command answers; it must end with that code and be readable."""
        done = self.house.runs(*command.split())
        said = done.stdout + done.stderr
        with OUTPUT.open("a") as kept:
            kept.write(f"$ tidemark {command}\n{said}\n")
        assert done.returncode == code, said
        assert "Traceback" not in said, said
        return said


@pytest.fixture
def house(home: Path) -> Iterator[House]:
    made = House(home, TIDEMARK_STRATEGIES="")
    yield made
    made.kill()


@pytest.fixture
def walk(house: House) -> Walk:
    return Walk(house)


@pytest.mark.timeout(900)
def test_a_newcomers_way(walk: Walk, house: House, tmp_path: Path) -> None:
    # a strategy of his own
    walk.says(f"new-strategy {house.home}/my_rule.py")
    walk.says("check-strategy my_rule.py:MyRule")
    (house.home / "tidemark.toml").write_text(
        f'strategies = ["my_rule"]\nstrategy_paths = ["{house.home}/my_rule.py:MyRule"]\n'
    )
    for name in ("TIDEMARK_STRATEGIES", "TIDEMARK_STRATEGY_PATHS"):
        del house.environment[name]
    assert re.search(r"my_rule +yes", walk.says("strategies"))

    # before there is any data
    elsewhere = house.environment | {"TIDEMARK_HOME": str(tmp_path / "elsewhere")}
    house.environment, kept = elsewhere, house.environment
    assert "elsewhere" in walk.says("signals", code=2)
    house.environment = kept
    assert not (tmp_path / "elsewhere").exists()

    # candles, signals
    walk.says("backfill BTCUSDT --interval 1h")
    walk.says("candles BTCUSDT 1h --last 5")
    assert "my_rule" in walk.says("signals --limit 5")
    assert "my_rule" in walk.says("performance")

    # mistakes
    for command, named in MISTAKES:
        said = walk.says(command, code=2)
        assert named in said, f"{command}\n{said}"

    # everything at once, and one signal that is acted on
    house.environment["TIDEMARK_STRATEGY_PATHS"] = (
        f"{house.home}/my_rule.py:MyRule,{Path(__file__).parent}/metronome.py:Metronome"
    )
    for symbol in ("BTCUSDT", "ETHUSDT"):
        walk.says(f"trading {symbol} --stop-percent 5")
    demo = house.run("demo", "--plain")
    until_ready(demo)
    with house.database() as db:
        until(lambda: held(db), "a position")
    assert "sim, auto-execute; held: " in walk.says("positions")
    walk.says("status")
    walk.says("orders --limit 5")
    walk.says("account")
    until(lambda: "closed" in walk.says(f"close {symbol_held(house)}"), "a close that its stop did not forestall")
    assert "HALTED" in walk.says("halt --flatten --reason enough") + walk.says("status")
    for command in ("positions", "account", "mode", "status"):
        assert "HALTED" in walk.says(command), command
    with house.database() as db:
        assert not held(db)
        signals = db["signals"].count_documents({})

    # backup, and back
    walk.says(f"backup {tmp_path}/saved")
    end(demo)
    assert house.processes() == []
    shutil.rmtree(house.home / "mongo")
    walk.says(f"restore {tmp_path}/saved")
    walk.says("db start")
    with house.database() as db:
        assert db["signals"].count_documents({}) >= signals
    restored = walk.says("status")
    assert "HALTED" in restored
    assert "DEAD" not in restored
    assert "HALTED" not in walk.says("resume") + walk.says("mode")
    walk.says("db stop")


def held(db: Any) -> list[Any]:
    return [one for one in db["positions"].find({"environment": "sim"}) if one["quantity"].to_decimal()]


def symbol_held(house: House) -> str:
    with house.database() as db:
        return str(until(lambda: held(db), "a position")[0]["symbol"])
