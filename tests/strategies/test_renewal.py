"""A strategy file that changes while it runs: what is taken up, what is refused, and what is not even read."""

import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.periods import PERIODS, Periods
from pipeline.strategies import renewal
from pipeline.strategies.base import Strategy
from pipeline.strategies.chosen import chosen
from pipeline.strategies.renewal import Renewal

RULE = """
from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class Mine:
    name: ClassVar[str] = "mine"
    n: int = 1

    @property
    def needs(self):
        return ("close", "sma50")

    @property
    def lookback(self):
        return 0

    def signals(self, columns):
        return np.full(len(columns["close"]), 2, dtype=np.int8)
"""
NEVER_READY = "import time\ntime.sleep(20)\n" + RULE


class Desk:
    """A file, and what looks at it; how often it was loaded."""

    def __init__(self, folder: Path, more: Sequence[str] = ()) -> None:
        self.file = folder / "mine.py"
        self.write(RULE)
        self.loads = 0
        self.specs = [f"{self.file}:Mine", *more]
        self.renewal = Renewal(self.specs, self.load, within=2.0)

    def load(self) -> Sequence[Strategy]:
        self.loads += 1
        return chosen((), self.specs, {})

    def write(self, text: str) -> None:
        self.file.write_text(text)

    def looks(self, times: int = 3) -> list[Sequence[Strategy]]:
        """What came of so many looks."""
        return [found for _ in range(times) if (found := self.renewal.look()) is not None]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def code_of(strategies: Sequence[Strategy]) -> int:
    return int(strategies[0].signals({"close": np.ones(3), "sma50": np.ones(3)})[-1])


def test_what_did_not_change_is_neither_read_nor_loaded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "_content", None)  # to read would fail
    assert desk.looks(10) == []
    assert desk.loads == 1


def test_what_says_the_same_is_read_once_and_not_loaded(desk: Desk) -> None:
    os.utime(desk.file)
    assert desk.looks(10) == []
    assert desk.loads == 1


def test_a_change_is_taken_up_once_it_lies_still(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    before = desk.renewal.running
    desk.write(RULE.replace("2, dtype", "3, dtype"))
    assert desk.renewal.look() is None, "it may be half written"
    found = desk.renewal.look()
    assert found is not None
    assert (code_of(before), code_of(found)) == (2, 3), "what runs is what it was until it is exchanged"
    assert desk.looks() == []
    assert desk.loads == 2
    first, second = caplog.messages
    assert first == f"{desk.file} changed and is taken up from the next candle on; running: mine"
    assert second.startswith("mine: signals that are stored stay as they are. If the rule is another, count up its")


def test_two_contents_of_one_second_and_one_length_are_two(desk: Desk) -> None:
    for code in (3, 4, 1, 2) * 3:
        desk.write(RULE.replace("2, dtype", f"{code}, dtype"))
        (found,) = desk.looks()
        assert code_of(found) == code


@pytest.mark.parametrize("change", [("n: int = 1", "n: int = 2"), ("n: int = 1", "n: int = 1\n    edition = 2")])
def test_what_withdraws_the_signals_of_the_rule_before_is_said(
    desk: Desk, caplog: pytest.LogCaptureFixture, change: tuple[str, str]
) -> None:
    caplog.set_level(logging.INFO)
    desk.write(RULE.replace(*change))
    assert len(desk.looks()) == 1
    assert caplog.messages[1].startswith("mine: the next `tidemark indicators` (the schedule does it too) finds")
    assert "withdraws those that it does not find" in caplog.messages[1]


def test_another_name_is_another_strategy(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk.write(RULE.replace('"mine"', '"ours"'))
    (found,) = desk.looks()
    assert [one.name for one in found] == ["ours"]
    assert caplog.messages[1].startswith("ours, mine: the next `tidemark indicators`")


BROKEN = {
    "a slip of the pen": ("import numpy", "imprt numpy", "SyntaxError"),
    "a word nobody knows": ("np.full", "np.fill", "failed: AttributeError"),
    "it looks ahead": (
        'np.full(len(columns["close"]), 2,',
        'np.full(len(columns["close"]), len(columns["close"]) % 5,',
        "",
    ),
    "a column that is not computed": ("sma50", "sma9000", "an average is of 2 to 500 closes"),
    "the class is called otherwise": ("class Mine", "class Yours", "has no 'Mine'"),
    "a name of ours": ('"mine"', '"bollinger"', "like a shipped one"),
    "it ends the process": ("import numpy as np", "import sys\nsys.exit(3)", "SystemExit: 3"),
    "its types are nobody's": ("n: int", "n: Nobody", "Nobody"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_said_once_and_the_old_goes_on(desk: Desk, caplog: pytest.LogCaptureFixture, how: str) -> None:
    before, (good, bad, why) = desk.renewal.running, BROKEN[how]
    modules = {name for name in sys.modules if "user_strategy_mine" in name}
    desk.write(RULE.replace(good, bad))
    assert desk.looks(10) == []
    (said,) = caplog.messages
    assert said.startswith(f"{desk.file} changed and is not taken up: ")
    assert why in said
    assert said.endswith("What ran before goes on")
    assert "Traceback" not in caplog.text
    assert desk.renewal.running == before
    assert sys.modules[type(before[0]).__module__].Mine is type(before[0])
    assert modules <= {name for name in sys.modules if "user_strategy_mine" in name}
    desk.write(RULE.replace("2, dtype", "4, dtype"))
    (found,) = desk.looks()
    assert code_of(found) == 4, "mended, it is taken up"


def test_a_file_that_is_gone_is_said_and_the_old_goes_on(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.file.unlink()
    assert desk.looks(10) == []
    (said,) = caplog.messages
    assert "there is no file" in said
    desk.write(RULE)
    assert len(desk.looks()) == 1


def test_a_file_that_never_ends_keeps_nobody(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.write(NEVER_READY)
    began = time.monotonic()
    assert desk.looks() == []
    assert time.monotonic() - began < 10
    assert "it did not load within 2 s" in caplog.text


def test_of_two_files_the_one_that_did_not_change_is_not_spoken_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "other.py").write_text(RULE.replace('"mine"', '"other"'))
    desk = Desk(tmp_path, [f"{tmp_path / 'other.py'}:Mine"])
    desk.write(RULE.replace("2, dtype", "3, dtype"))
    (found,) = desk.looks()
    assert [one.name for one in found] == ["mine", "other"]
    assert caplog.messages[0].endswith("running: mine, other")
    assert caplog.messages[1].startswith("mine: signals")


@pytest.mark.parametrize("periods", [PERIODS, Periods(rsi=2, macd_fast=2, macd_slow=3, atr=2)])
def test_whatever_a_changed_strategy_needs_the_window_holds_it(periods: Periods) -> None:
    """So it can be exchanged in a running ingester, whose windows are as long as they are."""
    assert periods.including(f"sma{length}" for length in range(2, 501)).window == periods.window
