"""A strategy of one's own to begin with, and its test: two small files, sound as they are. Overwrites nothing."""

import keyword
import re
from pathlib import Path
from typing import Final

from pipeline.strategies import registry
from pipeline.strategies.base import StrategyError

_NAME: Final = re.compile("[a-z][a-z0-9_]*")

_RULE: Final = '''\
"""{name}: a rule of one's own. What a strategy may answer is in docs/strategies.md."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class {kind}:
    """An entry where the close leaves the highest highs or the lowest lows of the `n` candles before it."""

    name: ClassVar[str] = "{name}"
    n: int = 20

    @property
    def needs(self):
        return ("high", "low", "close")

    @property
    def lookback(self):
        return self.n

    def signals(self, columns):
        close = columns["close"]
        codes = np.zeros(len(close), dtype=np.int8)
        if len(close) > self.n:
            highest = np.lib.stride_tricks.sliding_window_view(columns["high"], self.n)[:-1].max(axis=1)
            lowest = np.lib.stride_tricks.sliding_window_view(columns["low"], self.n)[:-1].min(axis=1)
            codes[self.n :][close[self.n :] > highest] = 2
            codes[self.n :][close[self.n :] < lowest] = -2
        return codes
'''

_TEST: Final = '''\
"""What {name} says, told by hand-made candles. Run it with: pytest {test}"""

import numpy as np
from {module} import {kind}

from pipeline.strategies import check


def candles(*closes):
    """Candles one point high around these closes."""
    close = np.array(closes, dtype=float)
    return {{"high": close + 0.5, "low": close - 0.5, "close": close}}


def test_it_is_sound():
    assert [found.fault for found in check.findings({kind}()) if found.fault] == []


def test_a_close_above_all_highs_is_a_long_entry():
    assert list({kind}(n=3).signals(candles(10, 11, 10, 12))) == [0, 0, 0, 2]


def test_a_close_below_all_lows_is_a_short_entry():
    assert list({kind}(n=3).signals(candles(10, 9, 10, 8))) == [0, 0, 0, -2]


def test_a_quiet_market_says_nothing():
    assert list({kind}(n=3).signals(candles(10, 10, 10, 10))) == [0, 0, 0, 0]
'''


def write(path: Path) -> tuple[str, Path, Path]:
    """Writes the strategy and its test beside it; the name of its class, and where both are."""
    name = path.stem
    if path.suffix != ".py" or not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise StrategyError(
            f"a strategy lives in a file such as my_rule.py (small letters, digits and _), not in {path.name!r}"
        )
    if name in registry.names():
        raise StrategyError(f"there is a strategy called {name!r} already: choose another name for the file")
    test = path.with_name(f"test_{path.name}")
    for each in (path, test):
        if each.exists():
            raise StrategyError(f"{each} exists, and is left as it is: choose another name")
    if not path.parent.is_dir():
        raise StrategyError(f"there is no folder {path.parent}")
    kind = "".join(part.capitalize() for part in name.split("_"))
    words = {"name": name, "kind": kind, "module": name, "test": test.name}
    path.write_text(_RULE.format(**words))
    test.write_text(_TEST.format(**words))
    return kind, path, test
