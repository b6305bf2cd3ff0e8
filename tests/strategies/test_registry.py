"""Strategies are found by name, by entry point and by file; what is wrong is refused with its name and the reason."""

from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.strategies import registry
from pipeline.strategies.base import Strategy, StrategyError, label_of, parameters_of

OWN = '''
from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True)
class Higher:
    """Long where the close is above the close of `n` candles ago."""

    name: ClassVar[str] = "higher"
    n: int = 1
    strict: bool = True

    @property
    def needs(self):
        return ("close",)

    @property
    def lookback(self):
        return self.n

    def signals(self, columns):
        close = columns["close"]
        codes = np.zeros(len(close), dtype=np.int8)
        codes[self.n :] = (close[self.n :] > close[: -self.n]) * 2
        return codes


class Peeks(Higher):
    def signals(self, columns):
        return np.roll(super().signals(columns), -1)
'''


@pytest.fixture
def own(tmp_path: Path) -> Callable[[str], str]:
    """Write a module of the user's and give its path."""

    def write(text: str = OWN) -> str:
        path = tmp_path / "mine.py"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def announced(own: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let another package announce strategies: name = module:attribute."""
    monkeypatch.syspath_prepend(Path(own(OWN)).parent)

    def announce(**points: str) -> None:
        found = [EntryPoint(name, value, registry.ENTRY_POINTS) for name, value in points.items()]
        monkeypatch.setattr(registry, "entry_points", lambda group: found if group == registry.ENTRY_POINTS else [])

    return announce


def test_the_shipped_ones() -> None:
    assert list(registry.all()) == [
        "macd_cross",
        "ma_order_golden",
        "macd_turtle",
        "ma_breakout",
        "bollinger",
        "rsi_reversal",
    ]
    for name, kind in registry.all().items():
        strategy = registry.get(name)
        assert isinstance(strategy, Strategy)
        assert strategy == kind()
        assert label_of(strategy) == name


def test_short_mid_long_default_to_7_20_60() -> None:
    for name in ("ma_order_golden", "macd_turtle"):
        parameters = parameters_of(registry.get(name))
        assert [parameters[each] for each in ("short", "mid", "long")] == [7, 20, 60]


@pytest.mark.parametrize(
    ("name", "given", "label"),
    [
        ("ma_breakout", {"n": 60}, "ma_breakout(n=60)"),
        ("ma_breakout", {"n": "60"}, "ma_breakout(n=60)"),
        ("ma_breakout", {"n": 60.0}, "ma_breakout(n=60)"),
        ("ma_breakout", {"n": 20}, "ma_breakout"),
        ("rsi_reversal", {"low": 25, "high": "75.5"}, "rsi_reversal(low=25.0, high=75.5)"),
    ],
)
def test_parameters(name: str, given: dict[str, Any], label: str) -> None:
    assert label_of(registry.get(name, given)) == label


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("ma_breakout", {"m": 3}, "ma_breakout has no parameter 'm'. It has: n"),
        ("macd_turtle", {"patiance": 3}, "Did you mean 'patience'?"),
        ("macd_turtle", {"criterion": "mcad"}, "criterion must be macd, order or both, not 'mcad'"),
        ("macd_turtle", {"memory": 219}, "lookback is 240 candles"),
        ("macd_cross", {"n": 3}, "It has: average"),
        ("macd_cross", {"average": 1}, "average must be 0 (none) or at least 2 closes, not 1"),
        ("macd_cross", {"average": 501}, "an average is of 2 to 500 closes, not of 501"),
        ("bollinger", {"n": 3}, "It has: none"),
        ("ma_breakout", {"n": "many"}, "ma_breakout: n must be int, not 'many'"),
        ("ma_breakout", {"n": 2.5}, "n must be int, not 2.5"),
        ("ma_breakout", {"n": True}, "n must be int, not True"),
        ("ma_breakout", {"n": None}, "n must be int, not None"),
        ("rsi_reversal", {"low": "nan"}, "low must be float, not 'nan'"),
        ("rsi_reversal", {"low": 80}, "low is 80"),
        ("macd_cros", {}, "there is no strategy 'macd_cros'. Did you mean 'macd_cross'? There are: macd_cross,"),
    ],
)
def test_wrong_parameters_and_names(name: str, given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as refused:
        registry.get(name, given)
    assert says in str(refused.value)
    assert refused.value.exit_code == 2


def test_one_of_your_own_from_a_file(own: Callable[..., str]) -> None:
    strategy = registry.get(f"{own()}:Higher", {"n": "3", "strict": "false"})
    assert label_of(strategy) == "higher(n=3, strict=False)"
    assert strategy.lookback == 3


def test_one_of_your_own_that_looks_ahead_is_refused(own: Callable[..., str]) -> None:
    with pytest.raises(StrategyError, match="strategy higher is refused: it looks ahead"):
        registry.get(f"{own()}:Peeks")


BROKEN_FILES = {
    "no name": (OWN, "", "write a strategy of your own as path/to/file.py:Name"),
    "another name": (OWN, ":Lower", "has no 'Lower'; strategies in it: Higher, Peeks"),
    "a syntax error": ("def (", ":Higher", "cannot be loaded: SyntaxError"),
    "raises on import": ("1 / 0", ":Higher", "cannot be loaded: ZeroDivisionError: division by zero"),
    "no class": ("Higher = 3", ":Higher", "must be a class, not int"),
    "nothing in it": ("class Higher: ...", ":Higher", "lacks name, needs, lookback, signals"),
    "not frozen": (OWN.replace("(frozen=True)", ""), ":Higher", "Higher must be a frozen dataclass"),
    "no default": (OWN.replace("n: int = 1", "n: int"), ":Higher", "the parameter 'n' has no default"),
    "a shipped name": (OWN.replace('"higher"', '"bollinger"'), ":Higher", "is called 'bollinger', like a shipped one"),
    "a name with blanks": (OWN.replace('"higher"', '"so high"'), ":Higher", "must be letters, digits and _"),
    "refuses itself": (
        OWN.replace(
            "    @property", "    def __post_init__(self):\n        raise RuntimeError('bad day')\n\n    @property", 1
        ),
        ":Higher",
        "higher refuses its parameters: bad day",
    ),
    "a lookback that raises": (
        OWN.replace("return self.n\n", "return 1 / 0\n"),
        ":Higher",
        "failed: ZeroDivisionError",
    ),
    "a lookback that is no number": (
        OWN.replace("return self.n\n", "return 'far'\n"),
        ":Higher",
        "lookback must be a whole number of candles, not 'far'",
    ),
    "needs that are no names": (
        OWN.replace('("close",)', "5"),
        ":Higher",
        "needs must be a tuple of column names, not 5",
    ),
    "needs nothing": (OWN.replace('("close",)', "()"), ":Higher", "needs must be a tuple of column names"),
}


@pytest.mark.parametrize(("text", "name", "says"), BROKEN_FILES.values(), ids=BROKEN_FILES)
def test_a_file_that_cannot_be_used(own: Callable[..., str], text: str, name: str, says: str) -> None:
    with pytest.raises(StrategyError) as refused:
        registry.get(own(text) + name)
    assert says in str(refused.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(StrategyError, match=r"there is no file nowhere\.py"):
        registry.get("nowhere.py:Mine")


def test_one_that_another_package_announces(announced: Callable[..., None]) -> None:
    announced(higher="mine:Higher")
    assert list(registry.all())[-1] == "higher"
    assert registry.get("higher", {"n": 2}).lookback == 2


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ({"macd_cross": "mine:Higher"}, "two strategies are called 'macd_cross'"),
        ({"taller": "mine:Higher"}, "'taller' leads to a strategy called 'higher'"),
        ({"higher": "mine:Nothing"}, "higher (mine:Nothing) cannot be loaded"),
        ({"higher": "no_such_module:Higher"}, "cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_an_announcement_that_cannot_be_used(announced: Callable[..., None], points: dict[str, str], says: str) -> None:
    announced(**points)
    with pytest.raises(StrategyError) as refused:
        registry.all()
    assert says in str(refused.value)
